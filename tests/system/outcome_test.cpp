// Every outcome of commit, flush and evict that agents alone can bring about (protocol, `outcome`).
#include <gtest/gtest.h>

#include "tests/system/peer.h"

namespace tidemark::system_test {
namespace {

ipc::SessionCommitParams waiting_commit(const std::string& session) {
  auto params = about<ipc::SessionCommitParams>(session);
  params.wait = true;
  return params;
}

TEST(Outcome, ASecondCommitIsBusyOrWaitsForItsOwnAttempt) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({held()});
  Peer caller(daemon);
  const auto first = caller.client.send(about<ipc::SessionCommitParams>("s"));
  ASSERT_TRUE(agent.wait_asked(1));
  EXPECT_EQ(agent.commit("s").outcome, Outcome::busy);
  EXPECT_EQ(agent.segments("s"), "1-1 in_flight");
  const auto second = caller.client.send(waiting_commit("s"));
  agent.complete("s");
  agent.release();
  ASSERT_TRUE(agent.wait_asked(2));
  EXPECT_EQ(caller.receive<ipc::SessionCommitParams>(first).end, 1);
  const auto own = caller.receive<ipc::SessionCommitParams>(second);
  EXPECT_TRUE(own.committed);
  EXPECT_EQ(own.start, 2);
  EXPECT_EQ(own.end, 2);
}

TEST(Outcome, AWaitWhoseTimeEndsBeforeItsAttemptMakesNone) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({held()});
  Peer caller(daemon);
  const auto first = caller.client.send(about<ipc::SessionCommitParams>("s"));
  ASSERT_TRUE(agent.wait_asked(1));
  agent.complete("s");
  auto hurried = waiting_commit("s");
  hurried.timeout_ms = Milliseconds(30);
  EXPECT_EQ(caller.call(hurried).outcome, Outcome::timeout);
  {
    Peer gone(daemon);
    gone.client.send(waiting_commit("s"));
    gone.call(ipc::PingParams{});
  }
  agent.release();
  EXPECT_TRUE(caller.receive<ipc::SessionCommitParams>(first).committed);
  EXPECT_EQ(agent.segments("s"), "2-2 open");
  EXPECT_EQ(agent.asked.size(), 1U);
}

TEST(Outcome, TheCallersTimeEndsAndTheAttemptGoesOn) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({held()});
  auto commit = about<ipc::SessionCommitParams>("s");
  commit.timeout_ms = Milliseconds(30);
  const auto result = agent.call(commit);
  EXPECT_EQ(result.outcome, Outcome::timeout);
  EXPECT_FALSE(result.committed);
  EXPECT_EQ(result.generation, 1);
  EXPECT_TRUE(agent.wait_asked(1));
  agent.release();
  EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 1; }));
}

TEST(Outcome, ADetachedCommitIsAcceptedAndMadeLater) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  EXPECT_EQ(agent.detach("s"), Outcome::clean);
  agent.complete("s");
  EXPECT_EQ(agent.detach("s"), Outcome::accepted);
  EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 1; }));
  EXPECT_EQ(agent.asked.size(), 1U);
}

TEST(Outcome, ADetachedCommitHasItsAgentAdoptWhatIsNobodys) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent");
  agent.complete("s");
  EXPECT_EQ(agent.detach("s", "agent"), Outcome::accepted);
  EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 1; }));
  EXPECT_EQ(agent.asked.at(0).agent.value, "agent");
}

TEST(Outcome, ADetachedCommitReachesWhatIsBehindAnAttempt) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.answers({held()});
  agent.complete("s");
  agent.detach("s");
  ASSERT_TRUE(agent.wait_asked(1));
  agent.complete("s");
  EXPECT_EQ(agent.detach("s"), Outcome::accepted);
  EXPECT_EQ(agent.segments("s"), "1-1 in_flight, 2-2 waiting");
  agent.release();
  EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 2; }));
}

TEST(Outcome, AFlushAndAnEvictThatFailSayWhatFailed) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({}, failed("no room"));
  const auto flushed = agent.call(about<ipc::SessionFlushParams>("s"));
  EXPECT_EQ(flushed.outcome, Outcome::failed);
  EXPECT_EQ(flushed.segments, 0);
  const auto evicted = agent.call(about<ipc::SessionEvictParams>("s"));
  EXPECT_FALSE(evicted.evicted);
  EXPECT_EQ(evicted.outcome, Outcome::failed);
  EXPECT_EQ(evicted.error, "no room");
  EXPECT_EQ(agent.status("s").agent, "agent") << "nothing is let go";
}

TEST(Outcome, AFlushTriesEachSegmentAndEndsAtTheFirstThatFails) {
  RunningDaemon daemon;
  Agent one(daemon, "one", "s");
  Agent two(daemon, "two");
  Peer caller(daemon);
  for (const char* owner : {"one", "two", "one"}) caller.complete("s", owner);
  two.answers({failed()});
  const auto flush = caller.client.send(about<ipc::SessionFlushParams>("s"));
  ASSERT_TRUE(one.wait_asked(1));
  ASSERT_TRUE(two.wait_asked(1));
  const auto ended = caller.receive<ipc::SessionFlushParams>(flush);
  EXPECT_EQ(ended.outcome, Outcome::failed);
  EXPECT_EQ(ended.segments, 1);
  EXPECT_EQ(ended.watermark, 1);
  EXPECT_EQ(caller.segments("s"), "2-2 waiting, 3-3 waiting") << "what remains stays due";
  const auto again = caller.client.send(about<ipc::SessionFlushParams>("s"));
  ASSERT_TRUE(two.wait_asked(2)) << "the backoff is skipped";
  ASSERT_TRUE(one.wait_asked(2));
  const auto done = caller.receive<ipc::SessionFlushParams>(again);
  EXPECT_TRUE(done.committed);
  EXPECT_EQ(done.segments, 2);
  EXPECT_EQ(done.watermark, 3);
}

TEST(Outcome, AConnectionThatEndsLeavesTheCommitInDoubt) {
  RunningDaemon daemon;
  auto agent = std::make_unique<Agent>(daemon, "agent", "s");
  agent->complete("s");
  agent->answers({held()});
  Peer caller(daemon);
  const auto commit = caller.client.send(about<ipc::SessionCommitParams>("s"));
  ASSERT_TRUE(agent->wait_asked(1));
  agent.reset();
  const auto ended = caller.receive<ipc::SessionCommitParams>(commit);
  EXPECT_EQ(ended.outcome, Outcome::in_doubt);
  EXPECT_TRUE(ended.error.has_value());
  EXPECT_EQ(caller.segments("s"), "1-1 in_doubt");
}

TEST(Outcome, AnAttemptWithoutAnAnswerInTimeIsInDoubt) {
  RunningDaemon daemon("[commit]\ntimeout = \"1s\"\n");
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({held()});
  const auto ended = agent.commit("s");
  EXPECT_EQ(ended.outcome, Outcome::in_doubt);
  EXPECT_EQ(agent.asked.at(0).timeout_ms, Milliseconds(1'000));
  EXPECT_EQ(agent.segments("s"), "1-1 in_doubt");
}

TEST(Outcome, WithoutAnOwnerOrWithOneThatIsNotThere) {
  RunningDaemon daemon;
  Peer caller(daemon);
  caller.complete("nobody's");
  EXPECT_EQ(caller.commit("nobody's").outcome, Outcome::no_owner);
  EXPECT_EQ(caller.segments("nobody's"), "1-1 open") << "nothing has happened";
  EXPECT_EQ(caller.call(about<ipc::SessionFlushParams>("nobody's")).outcome, Outcome::no_owner);
  caller.complete("hook's", "hook");
  EXPECT_EQ(caller.commit("hook's").outcome, Outcome::owner_offline);
  const auto evicted = caller.call(about<ipc::SessionEvictParams>("hook's"));
  EXPECT_FALSE(evicted.evicted);
  EXPECT_EQ(evicted.outcome, Outcome::owner_offline);
  EXPECT_EQ(caller.segments("hook's"), "1-1 waiting") << "due, and waiting for its owner";
  Agent hook(daemon, "hook");
  EXPECT_TRUE(hook.serve_until([&] { return hook.watermark("hook's") == 1; }));
}

TEST(Outcome, APermanentFailureIsStuck) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({failed_for_good("malformed")});
  const auto ended = agent.commit("s");
  EXPECT_EQ(ended.outcome, Outcome::failed);
  EXPECT_EQ(ended.error, "malformed");
  EXPECT_EQ(agent.segments("s"), "1-1 stuck");
  EXPECT_EQ(agent.commit("s").outcome, Outcome::stuck);
  EXPECT_EQ(agent.call(about<ipc::SessionFlushParams>("s")).outcome, Outcome::stuck);
  EXPECT_EQ(agent.call(about<ipc::SessionEvictParams>("s")).outcome, Outcome::stuck);
  EXPECT_EQ(agent.asked.size(), 1U);
}

TEST(Outcome, AttemptsThatAreUsedUpAreStuck) {
  RunningDaemon daemon("[retry]\ninitial = \"10ms\"\nattempts = 3\n");
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({}, failed());
  EXPECT_EQ(agent.commit("s").outcome, Outcome::failed);
  EXPECT_TRUE(agent.serve_until([&] { return agent.segments("s") == "1-1 stuck"; }));
  EXPECT_EQ(agent.asked.size(), 3U);
  EXPECT_EQ(agent.commit("s").outcome, Outcome::stuck);
}

TEST(Outcome, AnUnknownSessionIsUnknown) {
  RunningDaemon daemon;
  Peer caller(daemon);
  EXPECT_EQ(caller.commit("s").outcome, Outcome::unknown);
  EXPECT_EQ(caller.detach("s"), Outcome::unknown);
  EXPECT_EQ(caller.call(about<ipc::SessionFlushParams>("s")).outcome, Outcome::unknown);
  const auto evicted = caller.call(about<ipc::SessionEvictParams>("s"));
  EXPECT_EQ(evicted.outcome, Outcome::unknown);
  EXPECT_TRUE(evicted.evicted);
  EXPECT_TRUE(caller.call(about<ipc::SessionDiscardParams>("s")).discarded);
  const auto forgotten = caller.call(ipc::SessionForgetParams{"s", "tidying", {}});
  EXPECT_FALSE(forgotten.forgotten);
  EXPECT_EQ(forgotten.dropped, 0);
  const auto rotated = caller.call(ipc::SessionRotateParams{"s", {}, {}, {}});
  EXPECT_EQ(rotated.due_segments + rotated.generation + rotated.watermark, 0);
  ipc::AgentUnregisterParams unregister;
  unregister.session = "s";
  caller.call(unregister);
  EXPECT_EQ(caller.daemon().sessions, 0) << "none of these has made it";
}

TEST(Outcome, AForgottenSessionIsUnknownToThoseWhoWait) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({held()});
  Peer caller(daemon);
  const auto first = caller.client.send(about<ipc::SessionCommitParams>("s"));
  const auto second = caller.client.send(waiting_commit("s"));
  const auto third = caller.client.send(about<ipc::SessionEvictParams>("s"));
  ASSERT_TRUE(agent.wait_asked(1));
  caller.call(ipc::PingParams{});
  agent.call(ipc::SessionForgetParams{"s", "wrong conversation", {}});
  EXPECT_EQ(caller.receive<ipc::SessionCommitParams>(first).outcome, Outcome::unknown);
  EXPECT_EQ(caller.receive<ipc::SessionCommitParams>(second).outcome, Outcome::unknown);
  const auto evicted = caller.receive<ipc::SessionEvictParams>(third);
  EXPECT_EQ(evicted.outcome, Outcome::unknown);
  EXPECT_TRUE(evicted.evicted);
}

}  // namespace
}  // namespace tidemark::system_test
