// Slots and callers when agents come, go, and register again while something is under way.
#include <gtest/gtest.h>

#include "tests/system/peer.h"

namespace tidemark::system_test {
namespace {

ipc::AgentUnregisterParams gone_for_good(const std::string& agent) {
  ipc::AgentUnregisterParams params;
  params.agent = ipc::Name(agent);
  return params;
}

ipc::AgentRegisterParams one_at_a_time(const std::string& agent, const std::string& session = {}) {
  auto params = registration(agent, session);
  params.max_in_flight = 1;
  return params;
}

TEST(Slot, AnAgentMayUnregisterAndRegisterInOneBreath) {
  RunningDaemon daemon;
  Peer peer(daemon);
  const auto first = peer.client.send(registration("a"));
  const auto gone = peer.client.send(gone_for_good("a"));
  const auto again = peer.client.send(registration("a"));
  EXPECT_EQ(peer.receive<ipc::AgentRegisterParams>(first).agent, "a");
  peer.receive<ipc::AgentUnregisterParams>(gone);
  EXPECT_GT(peer.receive<ipc::AgentRegisterParams>(again).epoch, 1);
  EXPECT_EQ(peer.daemon().agents_online, 1);
  peer.call(gone_for_good("a"));
  EXPECT_EQ(peer.daemon().agents_online, 0);
}

TEST(Slot, IsNotLostWhenTheAgentRegistersAgainWhileItsAttemptIsJournaled) {
  RunningDaemon daemon;
  Agent agent(daemon, one_at_a_time("a", "s"));
  for (int round = 1; round <= 20; ++round) {
    agent.complete("s", "a");
    ipc::SessionCommitParams commit = about<ipc::SessionCommitParams>("s");
    commit.wait = true;
    const auto committed_turn = agent.client.send(commit);
    const auto again = agent.client.send(one_at_a_time("a", "s"));
    EXPECT_EQ(agent.receive<ipc::SessionCommitParams>(committed_turn).outcome, Outcome::committed) << round;
    agent.receive<ipc::AgentRegisterParams>(again);
  }
  EXPECT_EQ(agent.watermark("s"), 20);
}

TEST(Slot, RaisedWhileTheAgentIsFullIsUsedAtOnce) {
  RunningDaemon daemon;
  Agent agent(daemon, one_at_a_time("a", "s"));
  agent.answers({held(), held()});
  agent.complete("s", "a");
  agent.complete("t", "a");
  EXPECT_EQ(agent.detach("s"), Outcome::accepted);
  EXPECT_EQ(agent.detach("t"), Outcome::accepted);
  ASSERT_TRUE(agent.wait_asked(1));
  auto more = one_at_a_time("a");
  more.max_in_flight = 2;
  agent.call(more);
  EXPECT_TRUE(agent.wait_asked(2));
}

// A caller that waits for a slot looks again when what it waits for is no more.
class WaitingForASlot : public testing::Test {
 protected:
  WaitingForASlot() : agent(std::make_unique<Agent>(daemon, one_at_a_time("a", "busy"))), caller(daemon) {
    agent->answers({held()});
    agent->complete("busy", "a");
    agent->complete("s", "a");
    EXPECT_EQ(agent->detach("busy"), Outcome::accepted);
    EXPECT_TRUE(agent->wait_asked(1));
  }

  RunningDaemon daemon;
  std::unique_ptr<Agent> agent;
  Peer caller;
};

TEST_F(WaitingForASlot, AFlushEndsWhenItsTurnsAreAbandoned) {
  const auto flush = caller.client.send(about<ipc::SessionFlushParams>("s"));
  EXPECT_TRUE(caller.serve_until([&] { return caller.segments("s") == "1-1 waiting"; }));
  auto abandon = about<ipc::CommitAbandonParams>("s");
  abandon.through = 1;
  abandon.reason = ipc::Text("not wanted");
  EXPECT_EQ(caller.call(abandon).watermark, 1);
  EXPECT_EQ(caller.receive<ipc::SessionFlushParams>(flush).outcome, Outcome::clean);
}

TEST_F(WaitingForASlot, AnEvictEndsWhenItsTurnsAreSettled) {
  const auto evict = caller.client.send(about<ipc::SessionEvictParams>("s"));
  EXPECT_TRUE(caller.serve_until([&] { return caller.segments("s") == "1-1 waiting"; }));
  auto settle = about<ipc::CommitSettleParams>("s");
  settle.through = 1;
  settle.reason = ipc::Text("it is there");
  EXPECT_EQ(caller.call(settle).watermark, 1);
  EXPECT_TRUE(caller.receive<ipc::SessionEvictParams>(evict).evicted);
}

TEST_F(WaitingForASlot, AllCallersAreToldWhenTheAgentGoes) {
  std::vector<ipc::Client::CallNumber> flushes;
  for (int count = 0; count < 3; ++count) flushes.push_back(caller.client.send(about<ipc::SessionFlushParams>("s")));
  EXPECT_TRUE(caller.serve_until([&] { return caller.segments("s") == "1-1 waiting"; }));
  agent.reset();
  for (const auto flush : flushes) {
    EXPECT_EQ(caller.receive<ipc::SessionFlushParams>(flush).outcome, Outcome::owner_offline);
  }
  // It was never asked, so nothing was tried.
  EXPECT_EQ(caller.status("s").segments.at(0).attempts, 0);
  EXPECT_TRUE(caller.history("s").empty());
}

TEST_F(WaitingForASlot, ACommitOfAnotherSessionThatIsCleanIsNotBusy) {
  std::vector<ipc::Client::CallNumber> commits;
  for (int count = 0; count < 3; ++count) {
    commits.push_back(caller.client.send(about<ipc::SessionCommitParams>("unheard-of")));
  }
  for (const auto commit : commits) {
    EXPECT_EQ(caller.receive<ipc::SessionCommitParams>(commit).outcome, Outcome::unknown);
  }
}

TEST(Slot, WhatWasAbandonedWhileItWasOutIsNotCalledCommitted) {
  RunningDaemon daemon;
  Agent agent(daemon, "a", "s");
  agent.answers({held()});
  agent.complete("s", "a");
  Peer caller(daemon);
  const auto commit = caller.client.send(about<ipc::SessionCommitParams>("s"));
  ASSERT_TRUE(agent.wait_asked(1));
  auto abandon = about<ipc::CommitAbandonParams>("s");
  abandon.through = 1;
  abandon.reason = ipc::Text("not wanted");
  caller.call(abandon);
  agent.release(failed());
  agent.serve_until([&] { return caller.daemon().in_flight == 0; });
  const auto result = caller.receive<ipc::SessionCommitParams>(commit);
  EXPECT_FALSE(result.committed);
  EXPECT_EQ(result.outcome, Outcome::failed);
}

TEST(Slot, AnAgentThatIsHeardAgainAfterItWasLostIsNoLongerLost) {
  RunningDaemon daemon(
      "[commit]\ntimeout = \"1s\"\norphan_grace = \"100ms\"\n[retry]\ninitial = \"10ms\"\nmax = \"10ms\"\n");
  Agent agent(daemon, "a", "s");
  agent.answers({held()});
  agent.complete("s", "a");
  Peer caller(daemon);
  EXPECT_EQ(caller.detach("s"), Outcome::accepted);
  ASSERT_TRUE(agent.wait_asked(1));
  // It lets the attempt time out, and says nothing until it is lost.
  EXPECT_TRUE(caller.serve_until([&] { return caller.daemon().orphaned == 1; }));
  EXPECT_EQ(caller.daemon().agents_online, 0);
  agent.call(ipc::PingParams{});
  EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 1; }));
  agent.complete("s", "a");
  EXPECT_EQ(agent.segments("s"), "2-2 open") << "a lost owner's turns would be due at once";
}

}  // namespace
}  // namespace tidemark::system_test
