// Answers that are none: redirects, pages, broken, huge and deep JSON. They are told in a sentence, nothing is lost,
// and whoever has another provider notices nothing.
#include <gtest/gtest.h>

#include <tuple>

#include "tests/system/provider_fixture.h"

namespace tidemark::system_test {
namespace {

struct Nonsense {
  const char* name;
  const char* rule;
};

constexpr Nonsense kinds[] = {
    {"redirect", R"("do": "redirect")"},
    {"page", R"("do": "html")"},
    {"gateway", R"("do": "html", "status": 502)"},
    {"truncated", R"("do": "truncate")"},
    {"huge", R"("do": "huge")"},
    {"deep", R"("do": "deep")"},
    {"no_object", R"("do": "reply", "body": "[1, 2]")"},
    {"nothing", R"("do": "reply", "body": "")"},
    {"no_result", R"("do": "reply", "body": {"status": "ok"})"},
    {"error", R"("do": "error", "code": "INTERNAL", "message": "out of order")"},
    {"error_after_acting", R"("do": "error", "code": "INTERNAL", "message": "out of order", "act": true)"},
    {"page_after_acting", R"("do": "html", "act": true)"},
    {"unavailable", R"("do": "error", "status": 503, "code": "UNAVAILABLE", "message": "later")"},
    {"conflict", R"("do": "error", "code": "CONFLICT", "details": {"retryable": true, "conflict_type": "path_busy"})"},
};
constexpr const char* places[][2] = {{"state", R"("method": "GET", "path": "/sessions/s\\?")"},
                                     {"commit", R"("method": "POST", "path": "/sessions/s/commit")"},
                                     {"task", R"("method": "GET", "path": "/tasks/")"}};

class ProviderNonsense : public ProviderTest, public ::testing::WithParamInterface<std::tuple<int, int>> {};

TEST_P(ProviderNonsense, IsToldAndLosesNothing) {
  const Nonsense& kind = kinds[std::get<0>(GetParam())];
  const auto& place = places[std::get<1>(GetParam())];
  serve({}, "[providers.other]\nkind = \"exec\"\ncommand = [\"/bin/true\"]\n");
  peer->call(hook("other", "other"));
  viking->script(std::string("{\"rules\": [{") + place[1] + ", " + kind.rule + "}]}");
  turn("s");
  peer->detach("s");
  const auto trouble = [&] {
    return daemon.log().find("provider \"viking\" is paused: ") != std::string::npos || !last_error("s").empty() ||
           peer->segments("s") == "1-1 confirming" || peer->watermark("s") == 1;
  };
  ASSERT_TRUE(peer->serve_until(trouble)) << peer->segments("s");
  peer->complete("elsewhere", "other");
  EXPECT_EQ(peer->commit("elsewhere").outcome, Outcome::committed);
  const std::string said = last_error("s") + provider().error.value_or("");
  EXPECT_LT(said.size(), 2'000U) << said;
  viking->script(R"({"clear": true})");
  if (peer->segments("s") == "1-1 stuck") peer->call(about<ipc::CommitRetryParams>("s"));
  ASSERT_TRUE(wait_settled("s")) << peer->segments("s") << " " << said;
  expect_once("s");
}

INSTANTIATE_TEST_SUITE_P(Everywhere, ProviderNonsense,
                         ::testing::Combine(::testing::Range(0, static_cast<int>(std::size(kinds))),
                                            ::testing::Range(0, static_cast<int>(std::size(places)))),
                         [](const auto& at) {
                           return std::string(kinds[std::get<0>(at.param)].name) + "_at_" +
                                  places[std::get<1>(at.param)][0];
                         });

}  // namespace
}  // namespace tidemark::system_test
