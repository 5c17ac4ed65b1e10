// Whatever goes wrong at whatever moment, and whoever else commits: every message is extracted once, every segment is
// committed in the end, and no loss is suspected where there is none. TIDEMARK_TEST_SEED takes a seed back.
#include <algorithm>
#include <cstdlib>
#include <random>
#include <sstream>

#include "tests/daemon/providers/openviking_fixture.h"

namespace tidemark::daemon {
namespace {

using Kind = ProviderAnswer::Kind;

class OpenVikingRandomTest : public OpenVikingProviderTest, public ::testing::WithParamInterface<const char*> {
 protected:
  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(chance); }

  // A rule for the next commit or the next read of the state, or none.
  void misbehave() {
    static const std::vector<std::string> ways{
        R"("do": "lose")",
        R"("do": "reset")",
        R"("do": "truncate")",
        R"("do": "cut")",
        R"("do": "html", "act": true)",
        R"("do": "error", "code": "INTERNAL")",
        R"("do": "error", "code": "INTERNAL", "act": true)",
        R"("do": "error", "code": "CONFLICT")",
        R"("do": "error", "code": "CONFLICT", "details": {"retryable": true})",
        R"("do": "error", "code": "RESOURCE_EXHAUSTED")",
        R"("do": "error", "code": "UNAUTHENTICATED")",
        R"("do": "html", "status": 503, "act": true)",
    };
    server->script(R"({"clear": true})");
    if (below(3) == 0) return;
    const std::string path = below(3) == 0 ? R"(sessions/s\\?)" : "/commit$";
    server->script(R"({"rules": [{"path": ")" + path + R"(", "nth": )" + std::to_string(1 + below(2)) + ", " +
                   ways[below(ways.size())] + "}]}");
  }

  std::mt19937_64 chance;
};

INSTANTIATE_TEST_SUITE_P(Versions, OpenVikingRandomTest,
                         ::testing::Values("0.2.10", "0.2.11", "0.3.17", "0.4.6", "0.4.16"),
                         [](const ::testing::TestParamInfo<const char*>& tested) {
                           std::string name = tested.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST_P(OpenVikingRandomTest, every_message_is_extracted_once) {
  const char* given = std::getenv("TIDEMARK_TEST_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  SCOPED_TRACE("TIDEMARK_TEST_SEED=" + std::to_string(seed));
  chance.seed(seed);
  serve({"--version", GetParam()});
  int messages = 0;
  for (int segment = 0; segment < 25; ++segment) {
    server->add("s", {std::to_string(messages++)});
    ProviderRequest next = request();
    ProviderAnswer answer;
    for (int attempt = 0; attempt < 30; ++attempt) {
      misbehave();
      if (below(6) == 0) server->add("s", {std::to_string(messages++)});
      if (below(6) == 0) server->script(R"({"auto_commit": {"session": "s"}})");
      const std::size_t noted = notes.size();
      answer = commit(next);
      if (answer.kind == Kind::accepted || answer.kind == Kind::committed) break;
      ASSERT_NE(answer.kind, Kind::failed_for_good) << answer.error;
      const bool sealed = next.sealed || answer.kind == Kind::in_doubt || answer.may_have_landed;
      const std::string evidence = notes.size() > noted ? notes.back() : next.evidence;
      next = again(next);
      next.sealed = sealed;
      next.evidence = evidence;
    }
    ASSERT_TRUE(answer.kind == Kind::accepted || answer.kind == Kind::committed) << answer.error;
    if (answer.kind == Kind::accepted && below(2) == 0) {
      server->script(R"({"clear": true})");
      ASSERT_EQ(confirm(answer).kind, ProviderLook::Kind::confirmed);
    }
  }
  // What came after the last POST is live still; all else is extracted, once, in its order.
  std::string all;
  for (const std::string& archive : server->extracted("s")) all += archive + " ";
  const auto effects = server->effects();
  for (const auto& live : effects.at("sessions").at("default/default/s").at("live").as_array()) {
    all += std::string(live.as_string()) + " ";
  }
  std::ostringstream expected;
  for (int message = 0; message < messages; ++message) expected << message << " ";
  EXPECT_EQ(all, expected.str());
}

}  // namespace
}  // namespace tidemark::daemon
