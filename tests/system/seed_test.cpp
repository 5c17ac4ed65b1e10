// What a single process's module once promised of sessions and their commits, kept by the daemon (contract, sections 2,
// 3 and 5).
#include <gtest/gtest.h>

#include "tests/system/peer.h"

namespace tidemark::system_test {
namespace {

class Seed : public ::testing::Test {
 protected:
  Seed() { daemon.start(); }
  Daemon daemon;
};

TEST_F(Seed, ACommitThatFinishesLateDoesNotClearANewerTurn) {
  Agent agent(daemon, "agent", "s");
  agent.complete("s", "agent");
  agent.answers({held()});
  Peer caller(daemon);
  const auto first = caller.client.send(about<ipc::SessionCommitParams>("s"));
  ASSERT_TRUE(agent.wait_asked(1));
  EXPECT_EQ(agent.complete("s", "agent").generation, 2);
  agent.release();
  const auto ended = caller.receive<ipc::SessionCommitParams>(first);
  EXPECT_TRUE(ended.committed);
  EXPECT_EQ(ended.start, 1);
  EXPECT_EQ(ended.end, 1);
  EXPECT_EQ(ended.generation, 2);
  EXPECT_EQ(ended.watermark, 1);
  EXPECT_EQ(agent.segments("s"), "2-2 open");
  EXPECT_TRUE(agent.commit("s").committed);
  EXPECT_EQ(agent.asked.size(), 2U);
  EXPECT_EQ(agent.status("s").uncommitted, 0);
}

TEST_F(Seed, AFailedCommitKeepsTheWorkAndItsOwner) {
  Agent agent(daemon, "agent", "s");
  agent.complete("s", "agent");
  agent.answers({failed("no room")});
  const auto refused = agent.commit("s");
  EXPECT_FALSE(refused.committed);
  EXPECT_EQ(refused.outcome, Outcome::failed);
  EXPECT_EQ(refused.error, "no room");
  const auto status = agent.status("s");
  EXPECT_EQ(status.uncommitted, 1);
  ASSERT_EQ(status.segments.size(), 1U);
  EXPECT_EQ(status.segments[0].owner, "agent");
  EXPECT_EQ(status.segments[0].last_error, "no room");
  EXPECT_EQ(status.segments[0].attempts, 1);
  EXPECT_TRUE(agent.commit("s").committed);
  EXPECT_EQ(agent.asked.size(), 2U);
  EXPECT_EQ(agent.asked[1].attempt, 2);
  EXPECT_EQ(agent.status("s").uncommitted, 0);
}

TEST_F(Seed, AnAgentNamedInAFailedCommitIsKeptForTheRetry) {
  Agent agent(daemon, "agent");
  agent.complete("s");
  EXPECT_EQ(agent.commit("s").outcome, Outcome::no_owner);
  agent.answers({failed()});
  EXPECT_EQ(agent.commit("s", "agent").outcome, Outcome::failed);
  EXPECT_TRUE(agent.commit("s").committed);
  EXPECT_EQ(agent.asked.size(), 2U);
  EXPECT_EQ(agent.status("s").uncommitted, 0);
}

TEST_F(Seed, AReplacementDoesNotInheritTheFailedWorkOfTheOldAgent) {
  Agent old_agent(daemon, "old", "s");
  old_agent.complete("s", "old");
  old_agent.answers({failed()});
  EXPECT_EQ(old_agent.commit("s").outcome, Outcome::failed);
  Agent new_agent(daemon, "new", "s");
  EXPECT_TRUE(old_agent.commit("s").committed);
  EXPECT_EQ(old_agent.asked.size(), 2U);
  EXPECT_TRUE(new_agent.asked.empty());
  EXPECT_EQ(new_agent.status("s").uncommitted, 0);
  new_agent.complete("s");
  EXPECT_TRUE(new_agent.commit("s").committed);
  EXPECT_EQ(new_agent.asked.size(), 1U);
  EXPECT_EQ(old_agent.asked.size(), 2U);
}

TEST_F(Seed, AnExplicitNewAgentCannotStealTheOldSegment) {
  Agent old_agent(daemon, "old", "s");
  old_agent.complete("s", "old");
  old_agent.answers({failed()});
  EXPECT_EQ(old_agent.commit("s").outcome, Outcome::failed);
  Agent new_agent(daemon, "new", "s");
  new_agent.complete("s", "new");
  const auto committed_first = old_agent.commit("s", "new");
  EXPECT_TRUE(committed_first.committed);
  EXPECT_EQ(committed_first.end, 1);
  EXPECT_EQ(old_agent.asked.size(), 2U);
  EXPECT_EQ(new_agent.status("s").uncommitted, 1);
  EXPECT_TRUE(new_agent.asked.empty());
  EXPECT_TRUE(new_agent.commit("s").committed);
  EXPECT_EQ(new_agent.asked.size(), 1U);
  EXPECT_EQ(new_agent.status("s").uncommitted, 0);
}

TEST_F(Seed, ARegisteredSessionWithoutATurnIsNotCommitted) {
  Agent agent(daemon, "agent", "s");
  const auto result = agent.commit("s");
  EXPECT_FALSE(result.committed);
  EXPECT_EQ(result.outcome, Outcome::clean);
  EXPECT_EQ(result.generation, 0);
  EXPECT_TRUE(agent.asked.empty());
}

TEST_F(Seed, UnregisteringTheSessionDoesNotHideItsWork) {
  Agent agent(daemon, "agent", "s");
  agent.complete("s", "agent");
  ipc::AgentUnregisterParams unregister;
  unregister.session = "s";
  agent.call(unregister);
  EXPECT_FALSE(agent.status("s").agent.has_value());
  EXPECT_TRUE(agent.commit("s", "agent").committed);
  EXPECT_EQ(agent.asked.size(), 1U);
  EXPECT_EQ(agent.status("s").uncommitted, 0);
}

TEST_F(Seed, ADrainWaitsForWhatIsInFlightAndFlushesTheNewerTurns) {
  Agent agent(daemon, "agent", "s");
  agent.complete("s", "agent");
  agent.answers({held()});
  Peer caller(daemon);
  const auto commit = caller.client.send(about<ipc::SessionCommitParams>("s"));
  ASSERT_TRUE(agent.wait_asked(1));
  agent.complete("s", "agent");
  const auto drain = caller.client.send(ipc::DrainParams{});
  EXPECT_TRUE(agent.serve_until([&] { return agent.segments("s") == "1-1 in_flight, 2-2 waiting"; }));
  EXPECT_EQ(agent.asked.size(), 1U) << "one attempt at a time in a session";
  agent.release();
  EXPECT_TRUE(agent.wait_asked(2));
  EXPECT_TRUE(caller.receive<ipc::SessionCommitParams>(commit).committed);
  const auto drained = caller.receive<ipc::DrainParams>(drain);
  EXPECT_TRUE(drained.drained);
  EXPECT_TRUE(drained.remaining.empty());
  EXPECT_EQ(agent.asked.size(), 2U);
  EXPECT_EQ(agent.status("s").uncommitted, 0);
}

TEST_F(Seed, AnEvictCommitsBeforeItDropsTheAgent) {
  Agent agent(daemon, "agent", "s");
  agent.complete("s", "agent");
  const auto evicted = agent.call(about<ipc::SessionEvictParams>("s"));
  EXPECT_TRUE(evicted.evicted);
  EXPECT_EQ(evicted.outcome, Outcome::committed);
  EXPECT_EQ(agent.asked.size(), 1U);
  const auto status = agent.status("s");
  EXPECT_EQ(status.uncommitted, 0);
  EXPECT_FALSE(status.agent.has_value());
  // Nothing leads back to the agent that was let go.
  agent.complete("s");
  EXPECT_EQ(agent.commit("s").outcome, Outcome::no_owner);
  EXPECT_EQ(agent.asked.size(), 1U);
}

TEST_F(Seed, AnEvictWaitsForWhatIsInFlightAndFlushesTheNewerTurns) {
  Agent agent(daemon, "agent", "s");
  agent.complete("s", "agent");
  agent.answers({held()}, held());
  Peer caller(daemon);
  const auto commit = caller.client.send(about<ipc::SessionCommitParams>("s"));
  ASSERT_TRUE(agent.wait_asked(1));
  agent.complete("s", "agent");
  const auto evict = caller.client.send(about<ipc::SessionEvictParams>("s"));
  agent.release();
  ASSERT_TRUE(agent.wait_asked(2));
  EXPECT_TRUE(caller.receive<ipc::SessionCommitParams>(commit).committed);
  EXPECT_EQ(agent.status("s").agent, "agent") << "nothing is let go before the answer";
  agent.release();
  const auto evicted = caller.receive<ipc::SessionEvictParams>(evict);
  EXPECT_TRUE(evicted.evicted);
  EXPECT_EQ(evicted.watermark, 2);
  EXPECT_FALSE(agent.status("s").agent.has_value());
}

TEST_F(Seed, ASlowEvictHoldsUpNoOtherSession) {
  Agent slow(daemon, "slow", "a");
  Agent quick(daemon, "quick", "b");
  slow.answers({held()});
  slow.complete("a");
  quick.complete("b");
  Peer caller(daemon);
  const auto evict = caller.client.send(about<ipc::SessionEvictParams>("a"));
  ASSERT_TRUE(slow.wait_asked(1));
  EXPECT_TRUE(quick.commit("b").committed);
  EXPECT_EQ(quick.complete("a").generation, 2) << "nobody's calls wait for it, in the same session neither";
  slow.release();
  ASSERT_TRUE(slow.wait_asked(2));
  EXPECT_TRUE(caller.receive<ipc::SessionEvictParams>(evict).evicted);
}

TEST_F(Seed, CompletingATurnCommitsNothing) {
  Agent agent(daemon, "agent", "s");
  agent.complete_turns("s", 3, "agent");
  EXPECT_EQ(agent.segments("s"), "1-3 open");
  EXPECT_TRUE(agent.asked.empty());
}

TEST_F(Seed, SeveralTurnsAreOneCommit) {
  Agent agent(daemon, "agent", "s");
  agent.complete_turns("s", 3, "agent");
  const auto result = agent.commit("s");
  EXPECT_TRUE(result.committed);
  EXPECT_EQ(result.start, 1);
  EXPECT_EQ(result.end, 3);
  EXPECT_EQ(agent.asked.size(), 1U);
  const auto again = agent.commit("s");
  EXPECT_FALSE(again.committed);
  EXPECT_EQ(again.outcome, Outcome::clean);
  EXPECT_EQ(agent.asked.size(), 1U);
}

TEST_F(Seed, ARotateCommitsThePreviousSessionInTheBackground) {
  Agent agent(daemon, "agent", "old");
  agent.complete_turns("old", 2);
  agent.answers({held()});
  ipc::SessionRotateParams rotate;
  rotate.from = "old";
  rotate.to = "new";
  rotate.agent = "agent";
  const auto rotated = agent.call(rotate);
  EXPECT_EQ(rotated.due_segments, 1);
  EXPECT_EQ(rotated.generation, 2);
  EXPECT_EQ(rotated.watermark, 0);
  EXPECT_EQ(agent.status("new").agent, "agent") << "the new session starts at once";
  ASSERT_TRUE(agent.wait_asked(1));
  EXPECT_EQ(agent.asked[0].reason, "rotate");
  agent.release();
  EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("old") == 2; }));
}

TEST_F(Seed, AnEmptyNameIsRefusedEverywhere) {
  Peer peer(daemon);
  EXPECT_EQ(peer.refusal(about<ipc::TurnCompleteParams>("")), "invalid_params");
  EXPECT_EQ(peer.refusal(about<ipc::SessionCommitParams>("")), "invalid_params");
  EXPECT_EQ(peer.refusal(registration("")), "invalid_params");
  EXPECT_EQ(peer.daemon().sessions, 0);
}

}  // namespace
}  // namespace tidemark::system_test
