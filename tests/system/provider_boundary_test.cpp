// What else can happen while a provider is at work: time-outs, stops, reloads, an operator's hand, and agents that hand
// over to a provider that is out of order.
#include <gtest/gtest.h>

#include <chrono>

#include "tests/system/provider_fixture.h"
#include "tests/system/watcher.h"

namespace tidemark::system_test {
namespace {

class ProviderBoundary : public ProviderTest {
 protected:
  // The configuration without the provider.
  std::string without() const { return config().substr(0, config().find("[providers.viking]")); }
  void hold_first_commit() {
    viking->script(R"({"rules": [{"method": "POST", "path": "/commit", "nth": 1, "hold": "post"}]})");
  }
  // "s" has a turn whose commit the server holds.
  void hold_one(const std::string& keys = {}) {
    serve(keys);
    hold_first_commit();
    turn("s");
    peer->detach("s");
    ASSERT_TRUE(wait_until([&] { return posts() == 1; }));
  }
};

TEST_F(ProviderBoundary, ItsStoryIsToldInOrder) {
  serve();
  Watcher watcher(daemon);
  watcher.watch();
  turn("s");
  EXPECT_EQ(peer->commit("s").outcome, Outcome::accepted);
  ASSERT_TRUE(watcher.wait_for("session.clean"));
  EXPECT_EQ(
      watcher.story(),
      "turn.completed s, session.due s, commit.started s, commit.accepted s, commit.succeeded s, session.clean s");
  EXPECT_EQ(watcher.last("commit.accepted").accepted, 1);
  EXPECT_EQ(watcher.last("commit.succeeded").watermark, 1);
}

TEST_F(ProviderBoundary, ATimeoutIsInDoubtAndWhatLandsLateIsAdopted) {
  hold_one("timeout = \"1s\"");
  ASSERT_TRUE(wait_until([&] { return story("s").starts_with("in_doubt"); }));
  viking->release("post");
  ASSERT_TRUE(wait_settled("s")) << last_error("s");
  EXPECT_EQ(keys("s").size(), 1U);
  expect_once("s");
}

TEST_F(ProviderBoundary, StoppedWhileItIsOutItIsInDoubtAndRepeated) {
  hold_one();
  const std::string before = key("s");
  EXPECT_EQ(daemon.stop(), 0);
  viking->release("post");
  daemon.start();
  peer = std::make_unique<Peer>(daemon);
  ASSERT_TRUE(wait_settled("s"));
  EXPECT_EQ(keys("s"), std::set<std::string>{before});
  expect_once("s");
}

TEST_F(ProviderBoundary, StoppingTriesWhatIsDue) {
  serve();
  viking->script(R"({"rules": [{"method": "POST", "path": "/commit", "delay_ms": 100}]})");
  for (const char* session : {"a", "b", "c"}) {
    turn(session);
    peer->detach(session);
  }
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_EQ(viking->effects().at("commits").as_int64(), 3);
  daemon.start();
  peer = std::make_unique<Peer>(daemon);
  for (const char* session : {"a", "b", "c"}) EXPECT_TRUE(wait_settled(session));
  EXPECT_EQ(posts(), 3);
  expect_all_once();
}

TEST_F(ProviderBoundary, StoppingDoesNotWaitForAPausedProvider) {
  serve();
  peer->call(ipc::ProviderPauseParams{"viking", {}});
  turn("s");
  peer->detach("s");
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(1'500)) << "the deadline is 2 s";
}

TEST_F(ProviderBoundary, ForgottenWhileItIsOutItKeepsTheNamesPlace) {
  hold_one();
  EXPECT_TRUE(peer->call(ipc::SessionForgetParams{"s", "wrong name", {}}).forgotten);
  peer->complete("s", "hook");
  viking->add("s", {"again"});
  EXPECT_EQ(peer->detach("s"), Outcome::accepted);
  peer->call(ipc::PingParams{});
  EXPECT_EQ(posts(), 1) << "one at a time";
  viking->release("post");
  ASSERT_TRUE(peer->serve_until([&] { return peer->watermark("s") == 1; })) << last_error("s");
  std::string all;
  for (const std::string& archive : viking->extracted("s")) all += archive + " ";
  EXPECT_EQ(all, "s-1 again ") << "each once";
}

TEST_F(ProviderBoundary, SettledWhileItIsOutItsAnswerIsUnheeded) {
  hold_one();
  EXPECT_EQ(peer->call(ipc::CommitSettleParams{"s", 1, "known to be there", {}}).watermark, 1);
  turn("s");
  EXPECT_EQ(peer->status("s").accepted, 1);
  viking->release("post");
  ASSERT_TRUE(peer->serve_until([&] { return peer->daemon().in_flight == 0; }));
  EXPECT_EQ(peer->watermark("s"), 1);
  peer->detach("s");
  ASSERT_TRUE(wait_settled("s")) << last_error("s");
  expect_once("s");
}

TEST_F(ProviderBoundary, ASmallerConcurrencyHoldsFromTheReloadOn) {
  serve("concurrency = 8");
  viking->script(R"({"rules": [{"method": "POST", "path": "/commit", "hold": "post"}]})");
  for (int number = 0; number < 20; ++number) {
    turn("s" + std::to_string(number));
    peer->detach("s" + std::to_string(number));
  }
  ASSERT_TRUE(wait_until([&] { return posts() == 8; }));
  reload(config("concurrency = 1"));
  viking->script(R"({"clear": true})");
  ASSERT_TRUE(wait_until([&] {
    const auto status = peer->daemon();
    return status.dirty == 0;
  }));
  EXPECT_EQ(viking->effects().at("commit_requests_peak").as_int64(), 8);
  expect_all_once();
}

TEST_F(ProviderBoundary, ReloadsWhileItWorksLoseNothing) {
  serve("concurrency = 3", {}, {"--extract-ms", "20"});
  for (int round = 0; round < 10; ++round) {
    for (int number = 0; number < 6; ++number) {
      turn("s" + std::to_string(number));
      peer->detach("s" + std::to_string(number));
    }
    if (round % 3 == 2) reload(without());
    reload(config("concurrency = " + std::to_string(1 + round % 4)));
  }
  for (int number = 0; number < 6; ++number) EXPECT_TRUE(wait_settled("s" + std::to_string(number)));
  expect_all_once();
}

TEST_F(ProviderBoundary, TheRateIsKept) {
  serve("rate = 20\nconcurrency = 8");
  const auto begun = std::chrono::steady_clock::now();
  for (int number = 0; number < 20; ++number) {
    turn("s" + std::to_string(number));
    peer->detach("s" + std::to_string(number));
  }
  ASSERT_TRUE(wait_until([&] { return peer->daemon().dirty == 0; }));
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(900));
  expect_all_once();
}

// ---- agents that hand over

TEST_F(ProviderBoundary, AnAgentIsAskedNoMoreThanProbesWhileItsProviderIsAtFault) {
  serve("probe = \"200ms\"");
  Agent agent(daemon, with_provider("agent", "viking"));
  agent.answers({}, synced());
  viking->script(R"({"auth": "broken"})");
  for (int number = 0; number < 10; ++number) {
    turn(agent, "s" + std::to_string(number), "agent");
    agent.detach("s" + std::to_string(number));
  }
  ASSERT_TRUE(agent.serve_until([&] { return provider().state == ipc::ProviderState::paused; }));
  ASSERT_TRUE(agent.serve_until([&] { return agent.daemon().in_flight == 0; }));
  const std::size_t asked = agent.asked.size();
  agent.serve(Milliseconds(700));
  EXPECT_LE(agent.asked.size() - asked, 4U) << "one for each probe";
  EXPECT_GE(agent.asked.size() - asked, 1U);
  EXPECT_EQ(agent.commit("s0").outcome, Outcome::paused);
  viking->script(R"({"auth": "ok"})");
  for (int number = 0; number < 10; ++number) {
    const std::string session = "s" + std::to_string(number);
    ASSERT_TRUE(agent.serve_until([&] { return agent.watermark(session) == 1; })) << session;
    EXPECT_EQ(agent.history(session).at(0).attempt, 1);
  }
  expect_all_once();
}

TEST_F(ProviderBoundary, PausedByHandWhileTheAgentPreparesItWaits) {
  serve();
  Agent agent(daemon, with_provider("agent", "viking", "s"));
  turn(agent, "s", "agent");
  agent.answers({held()}, synced());
  agent.detach("s");
  ASSERT_TRUE(agent.wait_asked(1));
  peer->call(ipc::ProviderPauseParams{"viking", {}});
  agent.release(synced());
  ASSERT_TRUE(agent.serve_until([&] { return agent.segments("s") == "1-1 waiting"; }));
  EXPECT_EQ(agent.status("s").segments.at(0).attempts, 0);
  ipc::ProviderResumeParams resume;
  resume.provider = "viking";
  peer->call(resume);
  ASSERT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 1; }));
  expect_once("s");
}

TEST_F(ProviderBoundary, RemovedWhileTheAgentPreparesItWaits) {
  serve();
  Agent agent(daemon, with_provider("agent", "viking", "s"));
  turn(agent, "s", "agent");
  agent.answers({held()}, synced());
  agent.detach("s");
  ASSERT_TRUE(agent.wait_asked(1));
  reload(without());
  agent.release(synced());
  ASSERT_TRUE(agent.serve_until([&] { return agent.segments("s") == "1-1 waiting"; }));
  EXPECT_EQ(agent.status("s").segments.at(0).attempts, 0) << "nobody's attempts are spent";
  reload(config());
  ASSERT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 1; })) << last_error("s");
  EXPECT_EQ(told("s"), "committed");
  expect_once("s");
}

TEST_F(ProviderBoundary, AnAgentWhoseProviderIsNotConfiguredIsNotAsked) {
  serve();
  Agent agent(daemon, with_provider("agent", "viking", "s"));
  agent.answers({}, synced());
  reload(without());
  turn(agent, "s", "agent");
  const auto commit = agent.commit("s");
  EXPECT_EQ(commit.outcome, Outcome::paused);
  EXPECT_NE(commit.error.value_or("").find("not configured"), std::string::npos) << commit.error.value_or("");
  agent.serve(Milliseconds(200));
  EXPECT_TRUE(agent.asked.empty());
  EXPECT_EQ(agent.segments("s"), "1-1 waiting");
  reload(config());
  ASSERT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 1; }));
  EXPECT_EQ(agent.history("s").at(0).attempt, 1);
  expect_once("s");
}

TEST_F(ProviderBoundary, AMemberOfTheGroupCommitsItselfOrFails) {
  serve();
  Agent member(daemon, registration("member", "s", "blue"));
  member.answers({}, synced());
  peer->call(ipc::ProviderPauseParams{"viking", {}});
  {
    Agent gone(daemon, with_fallback("gone", "viking", "s", "blue"));
    turn(gone, "s", "gone");
  }
  ASSERT_TRUE(member.wait_asked(1));
  EXPECT_FALSE(member.asked[0].provider.has_value()) << "it has to do without";
  member.serve(Milliseconds(300));
  EXPECT_LT(member.asked.size(), 10U) << "a failure, with a backoff";
  member.answers({}, committed());
  ASSERT_TRUE(member.serve_until([&] { return member.watermark("s") == 1; }));
  EXPECT_EQ(posts(), 0);
}

TEST_F(ProviderBoundary, OneThatIsRemovedWhilePausedDoesNotCommitAgain) {
  serve("probe = \"1h\"");
  Watcher watcher(daemon);
  watcher.watch();
  viking->script(R"({"auth": "broken"})");
  turn("s");
  EXPECT_EQ(peer->commit("s").outcome, Outcome::paused);
  ASSERT_TRUE(watcher.wait_for("provider.paused"));
  reload(without());
  watcher.call(ipc::PingParams{});
  EXPECT_EQ(watcher.last("provider.resumed").type, "") << "it is gone, not mended";
  viking->script(R"({"auth": "ok"})");
  reload(config());
  ASSERT_TRUE(wait_settled("s"));
  EXPECT_EQ(provider().state, ipc::ProviderState::ok);
}

TEST_F(ProviderBoundary, MoreAgentsThanSlotsHandOver) {
  serve("concurrency = 1");
  viking->script(R"({"rules": [{"method": "POST", "path": "/commit", "delay_ms": 20}]})");
  auto params = with_provider("agent", "viking");
  params.max_in_flight = 16;
  Agent agent(daemon, params);
  agent.answers({}, synced());
  for (int number = 0; number < 16; ++number) {
    turn(agent, "s" + std::to_string(number), "agent");
    agent.detach("s" + std::to_string(number));
  }
  ASSERT_TRUE(agent.serve_until([&] { return agent.daemon().dirty == 0; }));
  EXPECT_EQ(viking->effects().at("commit_requests_peak").as_int64(), 1);
  EXPECT_EQ(agent.asked.size(), 16U);
  expect_all_once();
}

TEST_F(ProviderBoundary, WhatItsLostOwnerLeftInDoubtKeepsItsKey) {
  serve();
  std::string before;
  {
    Agent agent(daemon, with_fallback("agent", "viking", "s"));
    turn(agent, "s", "agent");
    agent.answers({held()});
    agent.detach("s");
    ASSERT_TRUE(agent.wait_asked(1));
    before = agent.asked[0].key;
  }
  ASSERT_TRUE(wait_settled("s")) << last_error("s");
  EXPECT_EQ(keys("s"), std::set<std::string>{before});
  EXPECT_EQ(story("s"), "in_doubt, committed");
  expect_once("s");
}

}  // namespace
}  // namespace tidemark::system_test
