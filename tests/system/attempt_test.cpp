// Attempts that fail, stay in doubt, come back late or get stuck, and the operator's hand on them (contract, sections
// 4, 7 and 9).
#include <gtest/gtest.h>

#include <memory>

#include "tests/system/peer.h"

namespace tidemark::system_test {
namespace {

constexpr char short_timeout[] = "[commit]\ntimeout = \"1s\"\n[retry]\ninitial = \"1h\"\nmax = \"1h\"\n";

std::vector<std::string> states(const std::vector<ipc::CommitRecord>& records) {
  std::vector<std::string> words;
  for (const ipc::CommitRecord& record : records) words.emplace_back(ipc::word_of(record.state));
  return words;
}

std::size_t listed(Peer& peer, ipc::ListFilter filter) {
  ipc::SessionListParams params;
  params.filter = filter;
  return peer.call(params).sessions.size();
}

TEST(Attempt, WhatIsInDoubtKeepsItsRangeAndItsKey) {
  RunningDaemon daemon;
  auto agent = std::make_unique<Agent>(daemon, "agent", "s");
  agent->complete_turns("s", 2);
  agent->answers({held()});
  agent->detach("s");
  ASSERT_TRUE(agent->wait_asked(1));
  const ipc::AgentCommitParams first = agent->asked[0];
  EXPECT_EQ(first.attempt, 1);
  EXPECT_EQ(first.reason, "commit");
  agent.reset();
  Peer peer(daemon);
  peer.complete("s");
  EXPECT_TRUE(wait_until([&] { return peer.segments("s") == "1-2 in_doubt, 3-3 open"; }));
  EXPECT_TRUE(peer.status("s").segments[0].sealed);
  EXPECT_EQ(listed(peer, ipc::ListFilter::in_doubt), 1U);
  Agent back(daemon, "agent");
  ASSERT_TRUE(back.serve_until([&] { return back.watermark("s") == 2; }));
  EXPECT_EQ(back.asked[0].key, first.key);
  EXPECT_NE(back.asked[0].commit.value, first.commit.value);
  EXPECT_EQ(back.asked[0].start, 1);
  EXPECT_EQ(back.asked[0].end, 2);
  EXPECT_EQ(back.asked[0].attempt, 2);
  EXPECT_EQ(states(back.history("s")), (std::vector<std::string>{"committed", "in_doubt"}));
}

TEST(Attempt, AKnownFailureSealsNothingAndTheNextTryHasAnotherKey) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({failed()});
  EXPECT_EQ(agent.commit("s").outcome, Outcome::failed);
  agent.complete("s");
  const auto status = agent.status("s");
  ASSERT_EQ(status.segments.size(), 1U) << "it grows again";
  EXPECT_FALSE(status.segments[0].sealed);
  EXPECT_FALSE(status.segments[0].key.has_value());
  EXPECT_EQ(agent.commit("s").end, 2);
  EXPECT_NE(agent.asked[0].key, agent.asked[1].key);
}

TEST(Attempt, AKnownFailureAfterADoubtKeepsTheKey) {
  RunningDaemon daemon(short_timeout);
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({held(), failed()});
  EXPECT_EQ(agent.commit("s").outcome, Outcome::in_doubt);
  EXPECT_EQ(agent.commit("s").outcome, Outcome::failed);
  EXPECT_TRUE(agent.commit("s").committed);
  EXPECT_EQ(agent.asked[0].key, agent.asked[1].key);
  EXPECT_EQ(agent.asked[0].key, agent.asked[2].key);
}

TEST(Attempt, ALateSuccessCountsAndALateFailureDoesNot) {
  RunningDaemon daemon(short_timeout);
  Agent agent(daemon, "agent");
  agent.complete("a", "agent");
  agent.complete("b", "agent");
  agent.answers({held(), held()});
  Peer caller(daemon);
  const auto a = caller.client.send(about<ipc::SessionCommitParams>("a"));
  ASSERT_TRUE(agent.wait_asked(1));
  const auto b = caller.client.send(about<ipc::SessionCommitParams>("b"));
  ASSERT_TRUE(agent.wait_asked(2));
  EXPECT_EQ(caller.receive<ipc::SessionCommitParams>(a).outcome, Outcome::in_doubt);
  EXPECT_EQ(caller.receive<ipc::SessionCommitParams>(b).outcome, Outcome::in_doubt);
  agent.release(skipped());
  agent.release(failed());
  EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("a") == 1; }));
  EXPECT_EQ(states(agent.history("a")), std::vector<std::string>{"skipped"});
  EXPECT_EQ(agent.segments("b"), "1-1 in_doubt");
  EXPECT_EQ(states(agent.history("b")), std::vector<std::string>{"in_doubt"});
}

TEST(Attempt, ProgressKeepsItAlive) {
  RunningDaemon daemon(short_timeout);
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({held()});
  Peer caller(daemon);
  const auto commit = caller.client.send(about<ipc::SessionCommitParams>("s"));
  ASSERT_TRUE(agent.wait_asked(1));
  const auto begun = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begun < Milliseconds(1'300)) {
    agent.call(ipc::CommitProgressParams{agent.asked[0].commit, {}});
    agent.serve(Milliseconds(100));
  }
  agent.release();
  EXPECT_TRUE(caller.receive<ipc::SessionCommitParams>(commit).committed);
  // Of what isn't out, or never was, nothing happens.
  agent.call(ipc::CommitProgressParams{agent.asked[0].commit, {}});
  agent.call(ipc::CommitProgressParams{"no such attempt", {}});
}

TEST(Attempt, WhatFailedIsTriedAgainByItself) {
  RunningDaemon daemon("[retry]\ninitial = \"10ms\"\n");
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({failed("one"), failed("two")});
  EXPECT_EQ(agent.commit("s").outcome, Outcome::failed);
  EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 1; }));
  const auto history = agent.history("s");
  EXPECT_EQ(states(history), (std::vector<std::string>{"committed", "failed", "failed"}));
  EXPECT_EQ(history.at(1).error, "two");
  EXPECT_EQ(history.at(0).attempt, 3);
  EXPECT_EQ(history.at(0).reason, "retry");
}

TEST(Attempt, WhatAnAgentAnswersIsTakenAtItsWordAndNoMore) {
  RunningDaemon daemon("[retry]\ninitial = \"1h\"\nmax = \"1h\"\n");
  Agent agent(daemon, "agent", "s");
  const auto answered = [&](const Answer& answer) {
    agent.complete("s");
    agent.answers({answer});
    return agent.commit("s").outcome;
  };
  EXPECT_EQ(answered(skipped()), Outcome::committed);
  EXPECT_EQ(states(agent.history("s")), std::vector<std::string>{"skipped"});
  EXPECT_EQ(answered(ipc::RequestAnswer("{}")), Outcome::committed) << "no status means committed";
  for (const char* nonsense :
       {R"({"status":"synced"})", R"({"status":"splendid"})", R"({"status":7})", "true", "null"}) {
    EXPECT_NE(answered(ipc::RequestAnswer(nonsense)), Outcome::committed) << nonsense;
    agent.answers({});
    EXPECT_EQ(agent.commit("s").outcome, Outcome::committed);
  }
}

TEST(Attempt, AStuckSegmentHoldsBackTheYoungerUntilItIsRetried) {
  RunningDaemon daemon;
  Agent one(daemon, "one", "s");
  Agent two(daemon, "two");
  one.complete("s", "one");
  one.answers({failed_for_good()});
  EXPECT_EQ(one.commit("s").outcome, Outcome::failed);
  two.complete("s", "two");
  EXPECT_EQ(two.detach("s"), Outcome::accepted);
  EXPECT_EQ(two.segments("s"), "1-1 stuck, 2-2 waiting");
  EXPECT_EQ(listed(two, ipc::ListFilter::stuck), 1U);
  EXPECT_EQ(two.daemon().stuck, 1);
  // Another session is not held back.
  two.complete("other", "two");
  EXPECT_TRUE(two.commit("other").committed);
  EXPECT_EQ(two.asked.size(), 1U);
  EXPECT_EQ(one.call(about<ipc::CommitRetryParams>("s")).due_segments, 2);
  EXPECT_TRUE(serve_until({&one, &two}, [&] { return two.watermark("s") == 2; }));
  EXPECT_EQ(one.refusal(about<ipc::CommitRetryParams>("never")), "not_found");
}

TEST(Attempt, SettleAndAbandonFreeWhatIsStuck) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent");
  for (const char* session : {"settled", "abandoned"}) {
    agent.complete_turns(session, 2, "agent");
    agent.answers({failed_for_good()});
    EXPECT_EQ(agent.commit(session).outcome, Outcome::failed);
  }
  ipc::CommitSettleParams settle{"settled", 1, "seen in the store", {}};
  EXPECT_EQ(agent.call(settle).watermark, 1) << "what isn't sealed may be cut";
  EXPECT_EQ(agent.segments("settled"), "2-2 stuck");
  settle.through = 3;
  EXPECT_EQ(agent.refusal(settle), "invalid_params") << "beyond the last turn";
  settle.through = 2;
  EXPECT_EQ(agent.call(settle).watermark, 2);
  EXPECT_EQ(agent.call(ipc::CommitAbandonParams{"abandoned", 2, "nobody misses it", {}}).watermark, 2);
  EXPECT_EQ(states(agent.history("settled")), (std::vector<std::string>{"settled", "settled", "failed"}));
  EXPECT_EQ(states(agent.history("abandoned")), (std::vector<std::string>{"abandoned", "failed"}));
  EXPECT_EQ(agent.history("abandoned").at(0).reason, "nobody misses it");
  EXPECT_EQ(agent.daemon().dirty, 0);
  settle.session = "never";
  EXPECT_EQ(agent.refusal(settle), "not_found");
}

TEST(Attempt, WhatIsInDoubtIsSettledWholeAndIsThenVoid) {
  RunningDaemon daemon(short_timeout);
  Agent agent(daemon, "agent", "s");
  agent.complete_turns("s", 2);
  agent.answers({held()});
  EXPECT_EQ(agent.commit("s").outcome, Outcome::in_doubt);
  EXPECT_EQ(agent.refusal(ipc::CommitAbandonParams{"s", 1, "half of it", {}}), "invalid_params");
  EXPECT_EQ(agent.call(ipc::CommitAbandonParams{"s", 2, "all of it", {}}).watermark, 2);
  agent.complete("s");
  agent.release();
  agent.call(ipc::PingParams{});
  EXPECT_EQ(agent.watermark("s"), 2) << "a late success is for nothing";
  EXPECT_TRUE(agent.commit("s").committed);
  EXPECT_NE(agent.asked.at(1).key, agent.asked.at(0).key);
}

TEST(Attempt, WhatIsOutCanBeAbandonedAndRunsOnUnheeded) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({held()});
  Peer caller(daemon);
  const auto commit = caller.client.send(about<ipc::SessionCommitParams>("s"));
  ASSERT_TRUE(agent.wait_asked(1));
  EXPECT_EQ(agent.call(ipc::CommitAbandonParams{"s", 1, "wrong", {}}).watermark, 1);
  agent.complete("s");
  agent.release();
  caller.receive<ipc::SessionCommitParams>(commit);
  EXPECT_EQ(agent.status("s").watermark, 1) << "its success is for nothing";
  EXPECT_TRUE(agent.commit("s").committed);
  EXPECT_EQ(agent.status("s").watermark, 2);
}

}  // namespace
}  // namespace tidemark::system_test
