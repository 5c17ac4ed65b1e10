// Any server that commits by a request: repeated under its key, left alone for as long as it asks, stuck when it says
// no (kind "http"). The stand-in answers as its rules say.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "tests/system/provider_fixture.h"

namespace tidemark::system_test {
namespace {

class ProviderHttp : public ProviderTest {
 protected:
  // "hooked" commits by POST /commits/SESSION; "rules" are of those.
  void serve_http(const std::string& rules, const std::string& keys = {}) {
    serve();
    reload(config({}, "[providers.web]\nkind = \"http\"\nprobe = \"50ms\"\nurl = \"" + viking->url() +
                          "/commits/{session}?from={start}&through={end}\"\nbody = '{\"attempt\": {attempt}}'\n" +
                          keys));
    viking->script("{\"rules\": [" + rules + ", {\"path\": \"^/commits/\", \"do\": \"reply\", \"body\": \"fine\"}]}");
    peer->call(hook("hooked", "web"));
  }
  void mark(const std::string& session = "s") { peer->complete(session, "hooked"); }
  std::vector<boost::json::object> asked() const {
    std::vector<boost::json::object> all;
    for (const auto& request : viking->requests()) {
      if (request.at("path").as_string().starts_with("/commits/")) all.push_back(request.as_object());
    }
    return all;
  }
  static std::string key_of(const boost::json::object& request) {
    return std::string(request.at("headers").at("idempotency-key").as_string());
  }
};

TEST_F(ProviderHttp, ALostAnswerIsRepeatedUnderTheSameKey) {
  serve_http(R"({"path": "^/commits/", "nth": [1], "do": "lose"}, {"path": "^/commits/", "nth": [1], "do": "reset"},
                {"path": "^/commits/", "nth": [1], "do": "error", "status": 500})");
  mark();
  peer->detach("s");
  ASSERT_TRUE(peer->serve_until([&] { return peer->watermark("s") == 1; })) << last_error("s");
  const auto requests = asked();
  ASSERT_EQ(requests.size(), 4U);
  for (const auto& request : requests) {
    EXPECT_EQ(key_of(request), key_of(requests[0]));
    EXPECT_EQ(request.at("path").as_string(), "/commits/s?from=1&through=1");
  }
  EXPECT_EQ(requests[3].at("body").as_string(), R"({"attempt": 4})");
  EXPECT_EQ(keys("s"), std::set<std::string>{key_of(requests[0])});
  EXPECT_EQ(story("s"), "in_doubt, in_doubt, in_doubt, committed");
  EXPECT_NE(peer->history("s").at(0).evidence.value_or(ipc::RawJson{}).text.find("fine"), std::string::npos);
}

TEST_F(ProviderHttp, KilledBeforeTheAnswerItIsRepeatedUnderTheSameKey) {
  serve_http(R"({"path": "^/commits/", "nth": 1, "hold": "commit"})");
  mark();
  peer->detach("s");
  ASSERT_TRUE(wait_until([&] { return asked().size() == 1; }));
  kill_and_start();
  ASSERT_TRUE(peer->serve_until([&] { return peer->watermark("s") == 1; }));
  const auto requests = asked();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(key_of(requests[0]), key_of(requests[1]));
}

TEST_F(ProviderHttp, RetryAfterIsHonouredAndSpendsNoAttempt) {
  serve_http(R"({"path": "^/commits/s", "nth": 1, "do": "reply", "status": 429, "headers": {"Retry-After": "1"}})");
  mark();
  peer->detach("s");
  ASSERT_TRUE(wait_until([&] { return asked().size() == 1; }));
  mark("other");
  peer->detach("other");
  ASSERT_TRUE(peer->serve_until([&] { return peer->daemon().dirty == 0; }));
  const auto requests = asked();
  ASSERT_EQ(requests.size(), 3U);
  for (const std::size_t later : {1U, 2U}) {
    EXPECT_GE(requests[later].at("at").as_double() - requests[0].at("at").as_double(), 0.9);
  }
  EXPECT_EQ(peer->history("s").at(0).attempt, 1);
}

TEST_F(ProviderHttp, ARefusalForGoodIsStuckAndRetriedByHand) {
  serve_http(R"({"path": "^/commits/s", "nth": 1, "do": "reply", "status": 422, "body": "no such memory"})");
  mark();
  EXPECT_EQ(peer->commit("s").outcome, Outcome::failed);
  EXPECT_EQ(peer->segments("s"), "1-1 stuck");
  EXPECT_NE(last_error("s").find("422"), std::string::npos);
  EXPECT_NE(last_error("s").find("no such memory"), std::string::npos);
  EXPECT_EQ(asked().size(), 1U);
  EXPECT_EQ(peer->call(about<ipc::CommitRetryParams>("s")).due_segments, 1);
  ASSERT_TRUE(peer->serve_until([&] { return peer->watermark("s") == 1; }));
  EXPECT_NE(key_of(asked().at(0)), key_of(asked().at(1))) << "a known failure seals nothing";
}

TEST_F(ProviderHttp, RefusedCredentialsAndRedirectsPauseIt) {
  serve_http(R"({"path": "^/commits/", "nth": [1], "do": "reply", "status": 401},
                {"path": "^/commits/", "nth": [1], "do": "reply", "status": 403},
                {"path": "^/commits/", "nth": [1], "do": "redirect"})");
  mark();
  EXPECT_EQ(peer->commit("s").outcome, Outcome::paused);
  ASSERT_TRUE(peer->serve_until([&] { return peer->watermark("s") == 1; })) << last_error("s");
  EXPECT_EQ(asked().size(), 4U);
  EXPECT_EQ(peer->history("s").at(0).attempt, 1);
}

}  // namespace
}  // namespace tidemark::system_test
