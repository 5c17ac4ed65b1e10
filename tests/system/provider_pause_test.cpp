// A fault of the provider as a whole, or an operator, pauses it: nobody's attempts are spent, and what waits goes on
// when it is over (contract, section 9).
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "tests/system/provider_fixture.h"
#include "tests/system/watcher.h"

namespace tidemark::system_test {
namespace {

class ProviderPause : public ProviderTest {
 protected:
  // A server that wants a key, and a daemon whose key is another.
  void serve_with_wrong_key(const std::string& keys) {
    write_key("wrong-key");
    serve("api_key_file = \"" + key_path() + "\"\n" + keys, {}, {"--api-key", "right-key"});
  }
  void write_key(const std::string& key) const { std::ofstream(key_path()) << key << "\n"; }
  std::string key_path() const { return folder_.path() + "/key"; }

  void mark_twenty() {
    for (int number = 0; number < 20; ++number) {
      sessions_.push_back("s" + std::to_string(number));
      turn(sessions_.back());
      peer->detach(sessions_.back());
    }
  }
  void expect_first_attempts() {
    for (const std::string& session : sessions_) {
      ASSERT_TRUE(wait_settled(session)) << session << ": " << last_error(session);
      EXPECT_EQ(told(session), "committed") << story(session);
      EXPECT_EQ(peer->history(session).at(0).attempt, 1) << session;
    }
    expect_all_once();
  }
  std::vector<std::string> sessions_;

 private:
  TemporaryFolder folder_;
};

TEST_F(ProviderPause, RefusedCredentialsSpendNoAttemptsUntilAReload) {
  serve_with_wrong_key("probe = \"1h\"");
  Watcher watcher(daemon);
  watcher.watch();
  mark_twenty();
  ASSERT_TRUE(wait_provider(ipc::ProviderState::paused));
  EXPECT_NE(provider().error.value_or("").find("401"), std::string::npos) << provider().error.value_or("");
  ASSERT_TRUE(watcher.wait_for("provider.paused"));
  EXPECT_EQ(watcher.last("provider.paused").provider, "viking");
  EXPECT_NE(watcher.last("provider.paused").error.value_or("").find("401"), std::string::npos);
  ASSERT_TRUE(peer->serve_until([&] { return peer->daemon().in_flight == 0; }));
  for (const std::string& session : sessions_) {
    EXPECT_EQ(peer->segments(session), "1-1 waiting");
    EXPECT_EQ(peer->status(session).segments.at(0).attempts, 0) << session;
  }
  EXPECT_EQ(posts(), 0);
  EXPECT_LE(viking->count("GET", "/sessions/"), 4) << "no more than were out together";
  EXPECT_EQ(peer->commit("s0").outcome, Outcome::paused);
  EXPECT_TRUE(daemon.wait_logged("provider \"viking\" is paused"));
  write_key("right-key");
  daemon.signal(SIGHUP);
  expect_first_attempts();
  EXPECT_EQ(provider().state, ipc::ProviderState::ok);
  EXPECT_FALSE(provider().error.has_value());
  EXPECT_TRUE(watcher.wait_for("provider.resumed"));
}

TEST_F(ProviderPause, TheProbeFindsThatItIsMended) {
  serve_with_wrong_key("probe = \"50ms\"");
  mark_twenty();
  ASSERT_TRUE(wait_provider(ipc::ProviderState::paused));
  const int before = viking->count("GET", "/sessions/");
  ASSERT_TRUE(wait_until([&] { return viking->count("GET", "/sessions/") > before + 3; })) << "it is tried slowly";
  EXPECT_EQ(provider().state, ipc::ProviderState::paused);
  write_key("right-key");
  expect_first_attempts();
}

TEST_F(ProviderPause, AServerThatRefusesForAWhile) {
  serve("probe = \"50ms\"");
  viking->script(R"({"auth": "broken"})");
  mark_twenty();
  ASSERT_TRUE(wait_provider(ipc::ProviderState::paused));
  viking->script(R"({"auth": "ok"})");
  expect_first_attempts();
}

TEST_F(ProviderPause, AFaultWhileWhatItHasAcceptedIsLookedAt) {
  serve("probe = \"50ms\"");
  viking->script(R"({"tasks": {"outcome": "running"}})");
  turn("s");
  EXPECT_EQ(peer->commit("s").outcome, Outcome::accepted);
  viking->script(R"({"auth": "broken"})");
  ASSERT_TRUE(wait_provider(ipc::ProviderState::paused));
  EXPECT_EQ(peer->segments("s"), "1-1 confirming");
  viking->script(R"({"auth": "ok", "finish": {}})");
  ASSERT_TRUE(wait_settled("s")) << peer->segments("s");
  ASSERT_TRUE(wait_provider(ipc::ProviderState::ok));
  EXPECT_EQ(story("s"), "committed");
  expect_once("s");
}

TEST_F(ProviderPause, ByHandItLastsOverAKillUntilItIsResumed) {
  serve();
  Watcher watcher(daemon);
  watcher.watch();
  ipc::ProviderPauseParams pause{"viking", ipc::Text("the model is being moved")};
  peer->call(pause);
  peer->call(pause);  // again is nothing new
  ASSERT_TRUE(watcher.wait_for("provider.paused"));
  EXPECT_EQ(watcher.last("provider.paused").error, "the model is being moved");
  turn("s");
  EXPECT_EQ(peer->commit("s").outcome, Outcome::paused);
  EXPECT_EQ(peer->call(about<ipc::SessionFlushParams>("s")).outcome, Outcome::paused);
  const auto evicted = peer->call(about<ipc::SessionEvictParams>("s"));
  EXPECT_EQ(evicted.outcome, Outcome::paused);
  EXPECT_FALSE(evicted.evicted);
  EXPECT_EQ(peer->segments("s"), "1-1 waiting");
  kill_and_start();
  EXPECT_EQ(provider().state, ipc::ProviderState::paused);
  EXPECT_NE(provider().error.value_or("").find("the model is being moved"), std::string::npos);
  EXPECT_EQ(peer->commit("s").outcome, Outcome::paused);
  peer->call(ipc::DaemonReloadParams{});
  EXPECT_EQ(provider().state, ipc::ProviderState::paused) << "by hand, not by a fault";
  EXPECT_EQ(viking->requests().size(), 0U);
  Watcher after(daemon);
  after.watch();
  ipc::ProviderResumeParams resume;
  resume.provider = "viking";
  peer->call(resume);
  ASSERT_TRUE(wait_settled("s"));
  EXPECT_EQ(peer->history("s").at(0).attempt, 1);
  EXPECT_TRUE(after.wait_for("provider.resumed"));
  expect_once("s");
  kill_and_start();
  EXPECT_EQ(provider().state, ipc::ProviderState::ok);
}

TEST_F(ProviderPause, AResumeEndsAPauseByAFault) {
  serve("probe = \"1h\"");
  viking->script(R"({"auth": "broken"})");
  turn("s");
  EXPECT_EQ(peer->commit("s").outcome, Outcome::paused);
  viking->script(R"({"auth": "ok"})");
  ipc::ProviderResumeParams resume;
  resume.provider = "viking";
  peer->call(resume);
  EXPECT_TRUE(wait_settled("s"));
}

TEST_F(ProviderPause, AFaultThatIsOverEndsNoPauseByHand) {
  serve("probe = \"1h\"");
  Watcher watcher(daemon);
  watcher.watch();
  viking->script(R"({"auth": "broken"})");
  turn("s");
  EXPECT_EQ(peer->commit("s").outcome, Outcome::paused);
  peer->call(ipc::ProviderPauseParams{"viking", {}});
  viking->script(R"({"auth": "ok"})");
  peer->call(ipc::DaemonReloadParams{});
  EXPECT_EQ(peer->commit("s").outcome, Outcome::paused);
  watcher.call(ipc::PingParams{});
  EXPECT_EQ(watcher.last("provider.resumed").type, "");
  ipc::ProviderResumeParams resume;
  resume.provider = "viking";
  peer->call(resume);
  EXPECT_TRUE(wait_settled("s"));
  EXPECT_TRUE(watcher.wait_for("provider.resumed"));
}

TEST_F(ProviderPause, AnAttemptThatIsOutRunsToItsEnd) {
  serve();
  viking->script(R"({"rules": [{"method": "POST", "path": "/commit", "hold": "post"}]})");
  turn("s");
  peer->detach("s");
  ASSERT_TRUE(wait_until([&] { return posts() == 1; }));
  peer->call(ipc::ProviderPauseParams{"viking", {}});
  viking->release("post");
  ASSERT_TRUE(peer->serve_until([&] { return peer->status("s").accepted == 1; }));
  EXPECT_EQ(provider().state, ipc::ProviderState::paused);
  ipc::ProviderResumeParams resume;
  resume.provider = "viking";
  peer->call(resume);
  ASSERT_TRUE(wait_settled("s"));
  expect_once("s");
}

TEST_F(ProviderPause, OnlyAdminsPauseAndOnlyWhatIsConfigured) {
  serve();
  EXPECT_EQ(peer->refusal(ipc::ProviderPauseParams{"nobody", {}}), "not_found");
  ipc::ProviderResumeParams resume;
  resume.provider = "nobody";
  EXPECT_EQ(peer->refusal(resume), "not_found");
  if (::getuid() != 0) GTEST_SKIP() << "only root can act as another user";
  Peer other(daemon.connect_as(stranger));
  resume.provider = "viking";
  EXPECT_EQ(other.refusal(ipc::ProviderPauseParams{"viking", {}}), "forbidden");
  EXPECT_EQ(other.refusal(resume), "forbidden");
  EXPECT_TRUE(other.daemon().providers.empty()) << "it isn't theirs";
}

TEST_F(ProviderPause, AServerThatIsAwayIsWaitedFor) {
  write_key("wrong-key");
  serve("api_key_file = \"" + key_path() + "\"\nprobe = \"50ms\"");
  const std::string port = std::to_string(viking->port());
  viking->process().kill();
  peer->complete("s", "hook");
  peer->detach("s");
  ASSERT_TRUE(wait_provider(ipc::ProviderState::paused));
  EXPECT_NE(provider().error.value_or("").find("can't be reached"), std::string::npos) << provider().error.value_or("");
  // Back, but with other credentials, and then with its turns as well.
  viking.emplace(std::vector<std::string>{"--port", port, "--api-key", "right-key"});
  ASSERT_TRUE(peer->serve_until([&] { return provider().error.value_or("").find("401") != std::string::npos; }));
  unmarked("s", "s-1");
  write_key("right-key");
  ASSERT_TRUE(peer->serve_until([&] { return peer->watermark("s") == 1; })) << last_error("s");
  EXPECT_EQ(viking->extracted("s"), std::vector<std::string>{"s-1"});
}

}  // namespace
}  // namespace tidemark::system_test
