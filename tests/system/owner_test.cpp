// Owners that come, go, return and are replaced, and who stands in for them (contract, section 8).
#include <gtest/gtest.h>

#include <memory>

#include "tests/system/peer.h"

namespace tidemark::system_test {
namespace {

constexpr char patient_retry[] = "[retry]\ninitial = \"1h\"\nmax = \"1h\"\n";
constexpr char soon_lost[] = "[commit]\norphan_grace = \"100ms\"\n[retry]\ninitial = \"1h\"\nmax = \"1h\"\n";

TEST(Owner, OneThatReturnsIsAskedAtOnceDespiteTheBackoff) {
  RunningDaemon daemon(patient_retry);
  auto agent = std::make_unique<Agent>(daemon, "agent", "s");
  agent->complete("s");
  agent->answers({failed()});
  EXPECT_EQ(agent->commit("s").outcome, Outcome::failed);
  EXPECT_TRUE(agent->status("s").segments.at(0).next_attempt_at.has_value());
  agent.reset();
  Agent back(daemon, "agent");
  EXPECT_EQ(back.registered.due_segments, 1);
  EXPECT_TRUE(back.serve_until([&] { return back.watermark("s") == 1; }));
}

TEST(Owner, ARepeatedRegistrationOnTheSameConnectionAsksForNothing) {
  RunningDaemon daemon(patient_retry);
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({failed()});
  EXPECT_EQ(agent.commit("s").outcome, Outcome::failed);
  const auto again = agent.call(registration("agent", "other"));
  EXPECT_GT(again.epoch, agent.registered.epoch);
  EXPECT_EQ(again.due_segments, 1);
  agent.complete("other");
  EXPECT_TRUE(agent.commit("other").committed);
  ASSERT_EQ(agent.asked.size(), 2U);
  EXPECT_EQ(agent.asked[1].session.value, "other");
}

TEST(Owner, TheOlderConnectionIsFencedAndItsLateSuccessCounts) {
  RunningDaemon daemon(patient_retry);
  Agent older(daemon, "agent", "s");
  older.complete("s");
  older.answers({held()});
  Peer caller(daemon);
  const auto commit = caller.client.send(about<ipc::SessionCommitParams>("s"));
  ASSERT_TRUE(older.wait_asked(1));
  // The newer one registers, and is asked at once what the older one may have done.
  Agent newer(daemon, "agent");
  newer.answers({held()});
  EXPECT_GT(newer.registered.epoch, older.registered.epoch);
  EXPECT_EQ(caller.receive<ipc::SessionCommitParams>(commit).outcome, Outcome::in_doubt);
  ASSERT_TRUE(newer.wait_asked(1));
  EXPECT_EQ(newer.asked[0].key, older.asked[0].key);
  EXPECT_EQ(newer.asked[0].attempt, 2);
  EXPECT_TRUE(older.serve_until([&] { return !older.notified.empty(); }));
  EXPECT_EQ(older.notified, std::vector<std::string>{"agent.fenced"});
  older.release();
  EXPECT_TRUE(older.serve_until([&] { return older.watermark("s") == 1; })) << "its calls are still served";
  newer.release();
  EXPECT_EQ(newer.complete("s").generation, 2);
  EXPECT_TRUE(newer.commit("s").committed);
  EXPECT_EQ(older.asked.size(), 1U) << "asked no longer";
  EXPECT_EQ(newer.asked.size(), 2U);
}

TEST(Owner, OneThatDoesNotServeNeitherFencesNorIsFenced) {
  RunningDaemon daemon(patient_retry);
  Agent serving(daemon, "agent", "s");
  auto quiet = registration("agent");
  quiet.serves = false;
  Agent hook(daemon, quiet);
  serving.complete("s");
  EXPECT_TRUE(serving.commit("s").committed);
  EXPECT_TRUE(serving.notified.empty());
  EXPECT_TRUE(hook.asked.empty());
}

TEST(Owner, NoMoreThanItsMaxInFlightIsAsked) {
  RunningDaemon daemon;
  auto params = registration("agent");
  params.max_in_flight = 2;
  Agent agent(daemon, params);
  agent.answers({}, held());
  for (const char* session : {"a", "b", "c", "d"}) {
    agent.complete(session, "agent");
    agent.detach(session);
  }
  ASSERT_TRUE(agent.wait_asked(2));
  EXPECT_EQ(agent.daemon().in_flight, 2);
  agent.release();
  ASSERT_TRUE(agent.wait_asked(3));
  EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("a") == 1; }));
  EXPECT_EQ(agent.daemon().in_flight, 2);
  EXPECT_EQ(agent.asked.size(), 3U);
}

TEST(Owner, OneThatLetsAnAttemptTimeOutAndIsSilentCountsAsOffline) {
  RunningDaemon daemon(
      "[commit]\ntimeout = \"1s\"\norphan_grace = \"50ms\"\n[retry]\ninitial = \"1h\"\nmax = \"1h\"\n");
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({held()});
  Peer caller(daemon);
  const auto commit = caller.client.send(about<ipc::SessionCommitParams>("s"));
  ASSERT_TRUE(agent.wait_asked(1));
  EXPECT_EQ(caller.receive<ipc::SessionCommitParams>(commit).outcome, Outcome::in_doubt);
  EXPECT_TRUE(wait_until([&] { return caller.daemon().agents_online == 0; }));
  EXPECT_EQ(caller.commit("s").outcome, Outcome::owner_offline);
  agent.call(ipc::PingParams{});
  EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 1; })) << "heard again, asked at once";
  EXPECT_EQ(agent.asked.at(1).key, agent.asked.at(0).key);
}

TEST(Owner, AnOrphanGoesToTheMemberOfItsGroupThatHasRegisteredForTheSession) {
  RunningDaemon daemon("[commit]\norphan_grace = \"100ms\"\n[retry]\ninitial = \"10ms\"\nmax = \"10ms\"\n");
  auto gone = std::make_unique<Agent>(daemon, registration("gone", "s", "blue"));
  gone->answers({held()});
  gone->complete_turns("s", 2);
  Peer caller(daemon);
  const auto commit = caller.client.send(about<ipc::SessionCommitParams>("s"));
  ASSERT_TRUE(gone->wait_asked(1));
  const std::string key = gone->asked[0].key;
  // Outside the group, however willing; and in it, but neither for this session nor for orphans.
  auto willing = registration("willing", "", "red");
  willing.serves_orphans = true;
  Agent stranger_agent(daemon, willing);
  auto groupless = registration("groupless", "s");
  groupless.serves_orphans = true;
  Agent outsider(daemon, groupless);
  Agent bystander(daemon, registration("bystander", "other", "blue"));
  gone.reset();
  EXPECT_EQ(caller.receive<ipc::SessionCommitParams>(commit).outcome, Outcome::in_doubt);
  EXPECT_TRUE(caller.serve_until([&] { return caller.segments("s") == "1-2 orphaned"; }));
  EXPECT_EQ(caller.commit("s").outcome, Outcome::owner_offline);
  Agent heir(daemon, registration("heir", "s", "blue"));
  heir.answers({committed()});
  ASSERT_TRUE(serve_until({&heir, &bystander, &outsider, &stranger_agent},
                          [&] { return heir.asked.size() == 1 && caller.watermark("s") == 2; }));
  EXPECT_EQ(heir.asked[0].agent.value, "gone") << "the owner stays";
  EXPECT_EQ(heir.asked[0].key, key) << "and so does a sealed key";
  EXPECT_EQ(heir.asked[0].start, 1);
  EXPECT_EQ(heir.asked[0].end, 2);
  EXPECT_EQ(caller.history("s").at(0).by, "heir");
  EXPECT_TRUE(bystander.asked.empty() && outsider.asked.empty() && stranger_agent.asked.empty());
}

TEST(Owner, AnOrphanGoesToTheMemberOfItsGroupThatServesOrphans) {
  RunningDaemon daemon(soon_lost);
  auto willing = registration("willing", "", "blue");
  willing.serves_orphans = true;
  Agent heir(daemon, willing);
  {
    Agent gone(daemon, registration("gone", "s", "blue"));
    gone.complete("s");
    gone.begin("s", "unfinished");
    EXPECT_EQ(gone.status("s").turns_open, 1);
  }
  EXPECT_TRUE(heir.serve_until([&] { return heir.watermark("s") == 1; }));
  EXPECT_EQ(heir.asked.at(0).agent.value, "gone");
  EXPECT_EQ(heir.status("s").turns_open, 0) << "its open turns have ended";
  // No boundary is to be expected of somebody who is gone: a turn of his is due at once.
  heir.complete("s", "gone");
  EXPECT_TRUE(heir.serve_until([&] { return heir.watermark("s") == 2; }));
}

TEST(Owner, AnOrphanGoesToItsOwnerIfThatIsBack) {
  RunningDaemon daemon(soon_lost);
  Peer caller(daemon);
  {
    Agent gone(daemon, "agent", "s");
    gone.complete("s");
  }
  EXPECT_TRUE(caller.serve_until([&] { return caller.segments("s") == "1-1 orphaned"; }));
  EXPECT_EQ(caller.daemon().orphaned, 1);
  Agent back(daemon, "agent");
  EXPECT_TRUE(back.serve_until([&] { return back.watermark("s") == 1; }));
  EXPECT_EQ(caller.daemon().orphaned, 0);
  back.complete("s", "agent");
  EXPECT_EQ(back.segments("s"), "2-2 open") << "lost no longer: what it does now waits for a boundary";
}

TEST(Owner, AnUnregisteredAgentIsLostAtOnce) {
  RunningDaemon daemon(patient_retry);
  Agent agent(daemon, registration("agent", "s", "blue"));
  Agent heir(daemon, registration("heir", "s", "blue"));
  agent.complete("s", "agent");
  ipc::AgentUnregisterParams unregister;
  unregister.agent = "agent";
  agent.call(unregister);
  EXPECT_TRUE(heir.serve_until([&] { return heir.watermark("s") == 1; }));
  EXPECT_EQ(heir.asked.at(0).agent.value, "agent");
  EXPECT_EQ(heir.asked.at(0).attempt, 1);
  EXPECT_TRUE(agent.asked.empty());
}

TEST(Owner, OneThatNeverServedIsNeverOrphaned) {
  RunningDaemon daemon(soon_lost);
  Peer caller(daemon);
  caller.complete("hook's", "hook");
  caller.detach("hook's");
  {
    Agent gone(daemon, "agent", "s");
    gone.complete("s");
  }
  EXPECT_TRUE(caller.serve_until([&] { return caller.segments("s") == "1-1 orphaned"; }));
  EXPECT_EQ(caller.segments("hook's"), "1-1 waiting");
}

}  // namespace
}  // namespace tidemark::system_test
