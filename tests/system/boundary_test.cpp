// Boundaries by call and by time, and sessions that are let go (contract, section 5).
#include <gtest/gtest.h>

#include "tests/system/peer.h"

namespace tidemark::system_test {
namespace {

TEST(Boundary, ADrainEndsAtItsDeadlineDespiteAnAgentThatHangs) {
  RunningDaemon daemon;
  Agent hanging(daemon, "hanging", "stays");
  hanging.answers({}, held());
  hanging.complete("stays");
  Agent working(daemon, "working");
  for (const char* session : {"a", "b", "c"}) working.complete_turns(session, 2, "working");
  ipc::DrainParams drain;
  drain.deadline_ms = Milliseconds(300);
  const auto begun = std::chrono::steady_clock::now();
  const auto drained = working.call(drain);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, Milliseconds(5'000));
  EXPECT_FALSE(drained.drained);
  EXPECT_EQ(drained.committed, 3);
  EXPECT_EQ(drained.remaining, std::vector<std::string>{"stays"});
  EXPECT_EQ(working.segments("stays"), "1-1 in_flight") << "the attempt goes on";
  ASSERT_TRUE(hanging.wait_asked(1));
  EXPECT_EQ(hanging.asked[0].reason, "drain");
  hanging.release();
  EXPECT_TRUE(hanging.serve_until([&] { return hanging.watermark("stays") == 1; }));
}

TEST(Boundary, ADrainEndsBeforeItsDeadlineWhenNothingMoreCanBeDone) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "good");
  agent.complete("good");
  agent.complete("hook's", "hook");
  agent.complete("failing", "agent");
  agent.answers({}, committed());
  agent.complete("nobody's");
  const auto drained = agent.call(ipc::DrainParams{});
  EXPECT_FALSE(drained.drained);
  EXPECT_EQ(drained.committed, 2);
  EXPECT_EQ(drained.remaining, (std::vector<std::string>{"hook's", "nobody's"}));
  EXPECT_EQ(agent.daemon().due, 2) << "what remains stays due";
}

TEST(Boundary, ADrainOfTheConnectionIsAboutWhatItsAgentsOwn) {
  RunningDaemon daemon;
  Agent mine(daemon, "mine", "a");
  Agent other(daemon, "other", "b");
  mine.complete("a");
  other.complete("b");
  ipc::DrainParams drain;
  drain.scope = ipc::DrainScope::connection;
  const auto drained = mine.call(drain);
  EXPECT_TRUE(drained.drained);
  EXPECT_EQ(drained.committed, 1);
  EXPECT_EQ(mine.segments("b"), "1-1 open");
}

TEST(Boundary, ADrainOfTheConnectionCountsWhatItHasJustRegistered) {
  RunningDaemon daemon;
  { Agent(daemon, "agent", "s").complete("s"); }
  Peer returned(daemon);
  returned.client.on_request([](const ipc::IncomingRequest&) { return committed(); });
  const auto registering = returned.client.send(registration("agent", "s"));
  ipc::DrainParams drain;
  drain.scope = ipc::DrainScope::connection;
  const auto draining = returned.client.send(drain);  // before the registration is answered
  returned.receive<ipc::AgentRegisterParams>(registering);
  EXPECT_EQ(returned.receive<ipc::DrainParams>(draining).committed, 1);
}

TEST(Boundary, AnEvictIsRefusedWhileATurnRuns) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.begin("s", "t");
  const auto refused = agent.call(about<ipc::SessionEvictParams>("s"));
  EXPECT_FALSE(refused.evicted);
  EXPECT_EQ(refused.outcome, Outcome::running);
  EXPECT_EQ(agent.segments("s"), "1-1 open");
  agent.complete("s", {}, "t");
  EXPECT_TRUE(agent.call(about<ipc::SessionEvictParams>("s")).evicted);
  EXPECT_EQ(agent.asked.size(), 1U);
}

TEST(Boundary, ATurnThatBeginsMeanwhileStopsAnEvict) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({held()});
  Peer caller(daemon);
  const auto evict = caller.client.send(about<ipc::SessionEvictParams>("s"));
  ASSERT_TRUE(agent.wait_asked(1));
  agent.begin("s", "t");
  agent.release();
  const auto refused = caller.receive<ipc::SessionEvictParams>(evict);
  EXPECT_FALSE(refused.evicted);
  EXPECT_EQ(refused.outcome, Outcome::running);
  EXPECT_EQ(refused.watermark, 1);
  EXPECT_EQ(agent.status("s").agent, "agent");
}

TEST(Boundary, AnEvictCommitsWhatOthersOwnToo) {
  RunningDaemon daemon;
  Agent one(daemon, "one", "s");
  Agent two(daemon, "two");
  one.complete("s", "one");
  one.complete("s", "two");
  const auto evict = one.client.send(about<ipc::SessionEvictParams>("s"));
  EXPECT_TRUE(serve_until({&one, &two}, [&] { return !two.status("s").agent.has_value(); }));
  EXPECT_TRUE(one.receive<ipc::SessionEvictParams>(evict).evicted);
  EXPECT_EQ(one.asked.size(), 1U);
  EXPECT_EQ(two.asked.size(), 1U);
}

TEST(Boundary, AnEvictOfACleanSessionLetsItsAgentGo) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  EXPECT_TRUE(agent.commit("s").committed);
  const auto evicted = agent.call(about<ipc::SessionEvictParams>("s"));
  EXPECT_TRUE(evicted.evicted);
  EXPECT_EQ(evicted.outcome, Outcome::clean);
  EXPECT_EQ(evicted.generation, 1);
  EXPECT_EQ(agent.complete("s").generation, 2) << "the session and its count stay";
}

TEST(Boundary, AnEvictWhoseTimeIsOverLetsNothingGo) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({held()});
  auto evict = about<ipc::SessionEvictParams>("s");
  evict.timeout_ms = Milliseconds(30);
  const auto result = agent.call(evict);
  EXPECT_FALSE(result.evicted);
  EXPECT_EQ(result.outcome, Outcome::timeout);
  ASSERT_TRUE(agent.wait_asked(1));
  agent.release();
  EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 1; }));
  EXPECT_EQ(agent.status("s").agent, "agent");
}

TEST(Boundary, AnIdleSessionIsCommittedButNotWhileATurnIsOpen) {
  RunningDaemon daemon("[commit]\nidle = \"50ms\"\n");
  Agent agent(daemon, "agent");
  agent.begin("open", "t", "agent");
  agent.complete("open", "agent");
  agent.complete("idle", "agent");
  EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("idle") == 1; }));
  EXPECT_EQ(agent.asked.at(0).reason, "idle");
  EXPECT_EQ(agent.segments("open"), "1-1 open");
  agent.call(ipc::TurnCancelParams{"open", "t", {}});
  EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("open") == 1; }));
}

TEST(Boundary, TooManyAndTooOldTurnsFallDue) {
  {
    RunningDaemon daemon("[commit]\nmax_uncommitted_turns = 3\n");
    Agent agent(daemon, "agent", "s");
    agent.complete_turns("s", 3);
    EXPECT_EQ(agent.segments("s"), "1-3 open");
    agent.complete("s");
    EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 4; }));
  }
  RunningDaemon daemon("[commit]\nidle = \"off\"\nmax_uncommitted_age = \"50ms\"\n");
  Agent agent(daemon, "agent", "s");
  agent.begin("s", "t");
  agent.complete("s");
  EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 1; })) << "an open turn doesn't matter";
}

TEST(Boundary, ATurnThatNeverEndsIsEndedByTime) {
  RunningDaemon daemon("[commit]\nturn_timeout = \"50ms\"\n");
  Agent agent(daemon, "agent", "s");
  agent.begin("s", "t");
  EXPECT_TRUE(agent.serve_until([&] { return agent.status("s").turns_open == 0; }));
  EXPECT_TRUE(agent.call(about<ipc::SessionEvictParams>("s")).evicted);
}

TEST(Boundary, OnlyACleanSessionIsDiscarded) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.complete("s", {}, "t");
  EXPECT_FALSE(agent.call(about<ipc::SessionDiscardParams>("s")).discarded);
  EXPECT_TRUE(agent.commit("s").committed);
  EXPECT_TRUE(agent.call(about<ipc::SessionDiscardParams>("s")).discarded);
  EXPECT_EQ(agent.refusal(about<ipc::SessionStatusParams>("s")), "not_found");
  const auto fresh = agent.complete("s", {}, "t");
  EXPECT_EQ(fresh.generation, 1) << "and its turn ids are unknown too";
  EXPECT_FALSE(fresh.duplicate);
}

TEST(Boundary, WhatIsOutWhenItsSessionIsForgottenKeepsTheSlotOfTheName) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.complete_turns("s", 3);
  agent.answers({held()});
  agent.detach("s");
  ASSERT_TRUE(agent.wait_asked(1));
  const auto forgotten = agent.call(ipc::SessionForgetParams{"s", "wrong conversation", {}});
  EXPECT_TRUE(forgotten.forgotten);
  EXPECT_EQ(forgotten.dropped, 3);
  EXPECT_EQ(agent.refusal(about<ipc::SessionStatusParams>("s")), "not_found");
  EXPECT_EQ(agent.history("s").at(0).state, ipc::AttemptState::void_);
  EXPECT_EQ(agent.complete("s", "agent").generation, 1);
  EXPECT_EQ(agent.commit("s").outcome, Outcome::busy) << "the name's next attempt waits for it";
  Peer caller(daemon);
  auto next = about<ipc::SessionCommitParams>("s");
  next.wait = true;
  const auto commit = caller.client.send(next);
  agent.release();
  ASSERT_TRUE(agent.wait_asked(2));
  const auto ended = caller.receive<ipc::SessionCommitParams>(commit);
  EXPECT_TRUE(ended.committed);
  EXPECT_EQ(ended.watermark, 1);
  EXPECT_NE(agent.asked[1].key, agent.asked[0].key);
  EXPECT_EQ(agent.asked[1].end, 1);
}

TEST(Boundary, CancelledAndEphemeralTurnsNeverCount) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.begin("s", "cancelled");
  EXPECT_EQ(agent.status("s").turns_open, 1);
  agent.call(ipc::TurnCancelParams{"s", "cancelled", "interrupted"});
  EXPECT_EQ(agent.status("s").turns_open, 0);
  const auto late = agent.complete("s", {}, "cancelled");
  EXPECT_FALSE(late.counted);
  EXPECT_EQ(late.generation, 0);
  auto ephemeral = about<ipc::TurnCompleteParams>("s");
  ephemeral.ephemeral = true;
  EXPECT_FALSE(agent.call(ephemeral).counted);
  EXPECT_EQ(agent.commit("s").outcome, Outcome::clean);
  EXPECT_TRUE(agent.asked.empty());
}

TEST(Boundary, ATurnIdIsTheSameTurnEveryTime) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  EXPECT_EQ(agent.complete("s", "agent", "t").generation, 1);
  EXPECT_EQ(agent.complete("s", {}, "u").generation, 2);
  const auto again = agent.complete("s", "somebody else", "t");
  EXPECT_EQ(again.generation, 1);
  EXPECT_TRUE(again.duplicate);
  EXPECT_EQ(agent.status("s").agent, "agent") << "nothing changes, the current agent neither";
  EXPECT_TRUE(agent.commit("s").committed);
  EXPECT_TRUE(agent.complete("s", {}, "t").duplicate);
}

}  // namespace
}  // namespace tidemark::system_test
