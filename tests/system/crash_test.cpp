// SIGKILL of the daemon, of agents, of both, at chosen moments: what was acknowledged is there, what was due is
// committed, and what was out goes first, under its key (contract, sections 6 and 7).
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <memory>

#include "tests/system/peer.h"

namespace tidemark::system_test {
namespace {

constexpr char patient_retry[] = "[retry]\ninitial = \"1h\"\nmax = \"1h\"\n";

// An agent as a process of its own: notes the key of what it is asked in `note`, and never answers.
Process hanging_agent(const Daemon& daemon, const std::string& name, const std::string& session,
                      const std::string& note) {
  return Process::fork([&daemon, name, session, note] {
    Agent agent(daemon, name, session);
    agent.answers({}, held());
    agent.complete(session);
    agent.detach(session);
    if (!agent.wait_asked(1)) return;
    std::ofstream(note + ".new") << agent.asked[0].key;
    ::rename((note + ".new").c_str(), note.c_str());
    agent.client.run_until([] { return false; });
    for (;;) ::pause();
  });
}

TEST(Crash, WhatWasAcknowledgedIsThere) {
  RunningDaemon daemon;
  std::int64_t epoch = 0;
  {
    Agent agent(daemon, "agent", "s");
    epoch = agent.registered.epoch;
    agent.complete("s", {}, "t1");
    agent.complete("s", {}, "t2");
    agent.complete("s", "another", "t3");
    agent.begin("s", "t4");
    agent.call(ipc::TurnCancelParams{"s", "t5", {}});
    agent.complete("clean", "agent");
    EXPECT_TRUE(agent.commit("clean").committed);
    agent.complete("due", "nobody yet");
    agent.detach("due");
    daemon.kill();
  }
  daemon.start();
  Peer peer(daemon);
  const auto status = peer.status("s");
  EXPECT_EQ(status.generation, 3);
  EXPECT_EQ(status.watermark, 0);
  EXPECT_EQ(status.agent, "another");
  EXPECT_EQ(status.turns_open, 1);
  EXPECT_EQ(peer.segments("s"), "1-2 open, 3-3 open");
  EXPECT_EQ(peer.segments("due"), "1-1 waiting");
  EXPECT_EQ(peer.status("clean").watermark, 1);
  EXPECT_EQ(peer.history("clean").at(0).state, ipc::AttemptState::committed);
  const auto counts = peer.daemon();
  EXPECT_EQ(counts.recovered.sessions, 2);
  EXPECT_EQ(counts.recovered.generations, 4);
  EXPECT_EQ(counts.recovered.in_doubt, 0);
  EXPECT_EQ(counts.sessions, 3);
  const auto again = peer.complete("s", {}, "t2");
  EXPECT_EQ(again.generation, 2);
  EXPECT_TRUE(again.duplicate);
  EXPECT_FALSE(peer.complete("s", {}, "t5").counted);
  EXPECT_EQ(peer.complete("s", {}, "t4").generation, 4);
  Agent back(daemon, "agent");
  EXPECT_GT(back.registered.epoch, epoch) << "the counter never goes back";
}

TEST(Crash, WhatWasInFlightGoesFirstUnderTheSameKey) {
  RunningDaemon daemon(patient_retry);
  std::string key;
  {
    auto params = registration("agent");
    params.max_in_flight = 1;
    Agent agent(daemon, params);
    agent.complete("older", "agent");
    agent.answers({failed(), held()});
    EXPECT_EQ(agent.commit("older").outcome, Outcome::failed);
    agent.complete_turns("out", 2, "agent");
    agent.detach("out");
    ASSERT_TRUE(agent.wait_asked(2));
    key = agent.asked[1].key;
    daemon.kill();
  }
  daemon.start();
  Peer peer(daemon);
  EXPECT_EQ(peer.daemon().recovered.in_doubt, 1);
  EXPECT_EQ(peer.segments("out"), "1-2 in_doubt");
  peer.complete("out");
  auto params = registration("agent");
  params.max_in_flight = 1;
  Agent back(daemon, params);
  ASSERT_TRUE(back.serve_until([&] { return peer.watermark("out") == 2 && peer.watermark("older") == 1; }));
  EXPECT_EQ(back.asked.at(0).session.value, "out");
  EXPECT_EQ(back.asked.at(0).key, key);
  EXPECT_EQ(back.asked.at(0).end, 2);
  EXPECT_EQ(back.asked.at(1).session.value, "older");
  EXPECT_EQ(peer.segments("out"), "3-3 open");
}

TEST(Crash, AnAgentThatIsKilledIsAskedAgainUnderTheSameKey) {
  RunningDaemon daemon(patient_retry);
  const std::string note = daemon.folder() + "/note";
  Process agent = hanging_agent(daemon, "agent", "s", note);
  ASSERT_TRUE(wait_until([&] { return !content_of(note).empty(); }));
  Peer peer(daemon);
  EXPECT_EQ(peer.segments("s"), "1-1 in_flight");
  agent.kill();
  EXPECT_TRUE(wait_until([&] { return peer.segments("s") == "1-1 in_doubt"; }));
  Agent back(daemon, "agent");
  ASSERT_TRUE(back.serve_until([&] { return back.watermark("s") == 1; }));
  EXPECT_EQ(back.asked.at(0).key, content_of(note));
}

TEST(Crash, BothAreKilledAndAMemberOfTheGroupTakesOver) {
  RunningDaemon daemon("[commit]\norphan_grace = \"100ms\"\n");
  std::vector<std::string> keys;
  {
    Agent agent(daemon, registration("agent", "s", "group"));
    agent.answers({}, held());
    agent.complete("s");
    agent.detach("s");
    ASSERT_TRUE(agent.wait_asked(1));
    keys.push_back(agent.asked[0].key);
    daemon.kill();
  }
  daemon.start();
  auto params = registration("heir", "", "group");
  params.serves_orphans = true;
  Agent heir(daemon, params);
  ASSERT_TRUE(heir.serve_until([&] { return heir.watermark("s") == 1; })) << "the grace is counted anew";
  EXPECT_EQ(heir.asked.at(0).key, keys[0]);
  EXPECT_EQ(heir.asked.at(0).agent.value, "agent");
}

TEST(Crash, ManyKillsInARowLoseAndRepeatNothing) {
  RunningDaemon daemon(patient_retry);
  std::string key;
  for (int round = 1; round <= 5; ++round) {
    {
      Agent agent(daemon, "agent", "s");
      agent.answers({}, held());
      if (round == 1) {
        agent.complete("s");
        agent.detach("s");
      }
      ASSERT_TRUE(agent.wait_asked(1));
      if (round == 1) key = agent.asked[0].key;
      EXPECT_EQ(agent.asked[0].key, key);
      EXPECT_EQ(agent.asked[0].attempt, round);
      EXPECT_EQ(agent.complete("s", {}, "turn " + std::to_string(round)).generation, round + 1);
      daemon.kill();
    }
    daemon.start();
    EXPECT_TRUE(Peer(daemon).complete("s", {}, "turn " + std::to_string(round)).duplicate);
  }
  Agent agent(daemon, "agent", "s");
  ASSERT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 1; }));
  EXPECT_EQ(agent.segments("s"), "2-6 open");
}

TEST(Crash, WhatWasDecidedByHandStays) {
  RunningDaemon daemon;
  {
    Agent agent(daemon, "agent", "stuck");
    agent.answers({}, failed_for_good("malformed"));
    agent.complete("stuck");
    EXPECT_EQ(agent.commit("stuck").outcome, Outcome::failed);
    agent.complete("settled", "agent");
    agent.call(ipc::CommitSettleParams{"settled", 1, "seen", {}});
    agent.complete("forgotten", "agent", "t");
    agent.call(ipc::SessionForgetParams{"forgotten", "wrong", {}});
    daemon.kill();
  }
  daemon.start();
  Peer peer(daemon);
  EXPECT_EQ(peer.segments("stuck"), "1-1 stuck");
  EXPECT_EQ(peer.status("stuck").segments.at(0).last_error, "malformed");
  EXPECT_EQ(peer.call(about<ipc::SessionEvictParams>("stuck")).outcome, Outcome::stuck);
  EXPECT_EQ(peer.watermark("settled"), 1);
  EXPECT_EQ(peer.refusal(about<ipc::SessionStatusParams>("forgotten")), "not_found");
  EXPECT_EQ(peer.complete("forgotten", {}, "t").generation, 1);
  EXPECT_EQ(peer.call(about<ipc::CommitRetryParams>("stuck")).due_segments, 1);
  Agent back(daemon, "agent");
  EXPECT_TRUE(back.serve_until([&] { return back.watermark("stuck") == 1; }));
}

TEST(Crash, WhatIsDirtyFallsDueByTimeAfterAStartToo) {
  RunningDaemon daemon("[commit]\nidle = \"300ms\"\n");
  Peer(daemon).complete("s", "agent");
  daemon.kill_and_start();
  Agent agent(daemon, "agent");
  EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 1; }));
}

}  // namespace
}  // namespace tidemark::system_test
