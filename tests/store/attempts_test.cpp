// Attempts: journaled before they go out, in doubt when the daemon ends, and on the record (contract, sections 3 and
// 7).
#include "fixture.h"

namespace tidemark::store {
namespace {

using lifecycle::Attempt;
using lifecycle::SegmentState;

class Attempts : public testing::Test {
 protected:
  Attempts() {
    store.serve("a", "s");
    store.call(complete("s", "a", "t1"));
    store.call(complete("s", "a", "t2"));
  }
  SegmentView front() { return store.call(get("s")).segments.at(0); }
  AttemptRow last() { return store.history("s").back(); }
  Store store;
};

TEST_F(Attempts, AreInTheHistoryWhileTheyAreOut) {
  const Attempt out = store.attempt("s", 7);
  EXPECT_EQ(out.start, 1);
  EXPECT_EQ(out.end, 2);
  EXPECT_EQ(out.key, key_of(7));
  EXPECT_EQ(out.owner, nullptr) << "the ledger's memory has left its thread";
  const AttemptRow row = last();
  EXPECT_EQ(row.commit_id, out.commit);
  EXPECT_EQ(row.state, "in_flight");
  EXPECT_EQ(row.owner, "a");
  EXPECT_EQ(row.asked, "who was asked");
  EXPECT_EQ(row.start, 1);
  EXPECT_EQ(row.end, 2);
  EXPECT_EQ(row.attempt, 1);
  EXPECT_EQ(row.reason, "asked");
  EXPECT_EQ(row.key, key_of(7));
  EXPECT_EQ(row.started_at, store.now().utc);
  EXPECT_FALSE(row.finished_at);
}

TEST_F(Attempts, BeginNothingForAnotherOwnerOrTwice) {
  const lifecycle::AgentId owner = store.call(take("s")).head.owner;
  EXPECT_FALSE(store.call(begin_attempt("s", owner + 1, 1)).attempt);
  EXPECT_FALSE(store.call(begin_attempt("unknown", owner, 1)).attempt);
  EXPECT_TRUE(store.call(begin_attempt("s", owner, 1)).attempt);
  EXPECT_FALSE(store.call(begin_attempt("s", owner, 2)).attempt);
  EXPECT_EQ(store.history_states(), "in_flight ");
}

TEST_F(Attempts, ThatSucceedMoveTheMarkToTheCapturedEnd) {
  const Attempt out = store.attempt("s", 1);
  store.call(complete("s", "a", "t3"));
  store.advance(lifecycle::Milliseconds(50));
  const EndAttempt::Result ended = store.call(end_attempt("s", out, AttemptEnd::committed));
  EXPECT_TRUE(ended.applied);
  EXPECT_EQ(ended.marks.watermark, 2);
  const auto check = [&] {
    const SessionView view = store.call(get("s"));
    EXPECT_EQ(view.watermark, 2);
    EXPECT_EQ(view.accepted, 2);
    ASSERT_EQ(view.segments.size(), 1u);
    EXPECT_EQ(view.segments[0].start, 3);
    EXPECT_EQ(store.rows_of("segments"), 1);
    EXPECT_EQ(last().state, "committed");
    EXPECT_EQ(last().finished_at, store.now().utc);
  };
  check();
  store.crash();
  check();
  EXPECT_FALSE(store.call(end_attempt("s", out, AttemptEnd::committed)).applied);
  EXPECT_EQ(store.history_states(), "committed ");
}

TEST_F(Attempts, ThatHadNothingToExtractAreRecordedAsSuch) {
  const Attempt out = store.attempt("s", 1);
  EndAttempt skipped = end_attempt("s", out, AttemptEnd::skipped);
  skipped.evidence = R"({"why":"empty"})";
  EXPECT_TRUE(store.call(skipped).applied);
  EXPECT_EQ(last().state, "skipped");
  EXPECT_EQ(last().evidence, skipped.evidence);
  EXPECT_EQ(store.call(get("s")).watermark, 2);
}

TEST_F(Attempts, ThatFailWaitAndMayGrowAndGetANewKey) {
  const Attempt out = store.attempt("s", 1);
  store.call(end_attempt("s", out, AttemptEnd::failed));
  EXPECT_EQ(last().state, "failed");
  EXPECT_EQ(last().error, "what went wrong");
  const std::string before = store.shown();
  EXPECT_EQ(front().next_attempt_at, store.now().utc + lifecycle::Milliseconds(5'000));
  store.crash();
  EXPECT_EQ(store.shown(), before);
  EXPECT_EQ(front().state, SegmentState::waiting);
  EXPECT_EQ(front().attempts, 1);
  EXPECT_EQ(front().last_error, "what went wrong");
  store.call(complete("s", "a"));
  EXPECT_EQ(front().end, 3);
  const Attempt second = store.attempt("s", 2);
  EXPECT_EQ(second.key, key_of(2));
  EXPECT_EQ(second.attempt, 2);
  EXPECT_EQ(second.end, 3);
}

TEST_F(Attempts, ThatFailForGoodAreStuckUntilRetried) {
  const Attempt out = store.attempt("s", 1);
  store.call(end_attempt("s", out, AttemptEnd::failed_for_good));
  store.crash();
  EXPECT_EQ(front().state, SegmentState::stuck);
  EXPECT_EQ(store.call(take("s")).taken, lifecycle::Taken::stuck);
  EXPECT_EQ(store.call(Count{}).stuck, 1);
  Retry retry;
  retry.uid = alice;
  retry.session = "s";
  EXPECT_EQ(store.call(retry).due_segments, 1);
  const std::string before = store.shown();
  store.crash();
  EXPECT_EQ(store.shown(), before);
  EXPECT_EQ(front().state, SegmentState::waiting);
  store.check_counts();
}

TEST_F(Attempts, OutWhenTheDaemonEndsAreInDoubtUnderTheSameKey) {
  const Attempt out = store.attempt("s", 1);
  store.crash();
  EXPECT_EQ(store.recovered().at(alice).in_doubt, 1);
  EXPECT_EQ(store.recovered().at(alice).sessions, 1);
  EXPECT_EQ(store.recovered().at(alice).generations, 2);
  ASSERT_EQ(store.effects().heads.size(), 1u);
  EXPECT_TRUE(store.effects().heads[0].sealed);
  EXPECT_TRUE(store.effects().heads[0].due);
  EXPECT_EQ(front().state, SegmentState::in_doubt);
  EXPECT_EQ(front().key, out.key);
  EXPECT_EQ(last().state, "in_doubt");
  EXPECT_TRUE(last().finished_at);
  store.check_counts();
  store.call(complete("s", "a"));
  EXPECT_EQ(front().end, 2) << "a sealed segment has grown";
  for (int again = 2; again < 5; ++again) {
    const Attempt next = store.attempt("s", again);
    EXPECT_EQ(next.key, out.key);
    EXPECT_EQ(next.start, out.start);
    EXPECT_EQ(next.end, out.end);
    EXPECT_EQ(next.attempt, again);
    EXPECT_TRUE(next.sealed);
    EXPECT_GT(next.commit, out.commit);
    if (again == 3) {
      store.call(end_attempt("s", next, AttemptEnd::failed));
    } else {
      store.crash();
    }
  }
  EXPECT_EQ(store.history_states(), "in_doubt in_doubt failed in_doubt ");
}

TEST_F(Attempts, InDoubtByTimeoutKeepTheirKeyAndBackOff) {
  const Attempt out = store.attempt("s", 1);
  store.call(end_attempt("s", out, AttemptEnd::in_doubt));
  EXPECT_EQ(last().state, "in_doubt");
  EXPECT_GT(front().next_attempt_at, store.now().utc);
  store.crash();
  EXPECT_EQ(front().next_attempt_at, lifecycle::Utc{}) << "after a start sealed work doesn't wait";
  EXPECT_EQ(store.attempt("s", 2).key, out.key);
}

TEST_F(Attempts, SucceededLateCountOnceAndVoidTheOneThatIsOut) {
  const Attempt first = store.attempt("s", 1);
  store.crash();
  const Attempt second = store.attempt("s", 2);
  EXPECT_TRUE(store.call(end_attempt("s", first, AttemptEnd::committed)).applied);
  EXPECT_EQ(store.call(get("s")).watermark, 2);
  EXPECT_EQ(store.history_states(), "committed void ");
  EXPECT_FALSE(store.call(end_attempt("s", second, AttemptEnd::committed)).applied);
  EXPECT_FALSE(store.call(end_attempt("s", second, AttemptEnd::failed)).applied);
  EXPECT_EQ(store.history_states(), "committed void ");
  store.check_counts();
}

TEST_F(Attempts, FailedLateChangeNothing) {
  const Attempt first = store.attempt("s", 1);
  store.crash();
  store.attempt("s", 2);
  const std::string before = store.shown();
  EXPECT_FALSE(store.call(end_attempt("s", first, AttemptEnd::failed)).applied);
  EXPECT_EQ(store.shown(), before);
  EXPECT_EQ(store.history_states(), "in_doubt in_flight ");
}

TEST_F(Attempts, BeginningUndoneLeavesNothingOut) {
  const lifecycle::AgentId owner = store.call(take("s")).head.owner;
  const std::string before = store.shown();
  store.undone([&](State& state) { EXPECT_TRUE(expected(state.apply(begin_attempt("s", owner, 1))).attempt); });
  EXPECT_EQ(store.shown(), before);
  EXPECT_EQ(store.history_states(), "");
  store.check_counts();
  EXPECT_EQ(store.attempt("s", 2).key, key_of(2));
}

TEST_F(Attempts, EndUndoneLeavesItOut) {
  const Attempt out = store.attempt("s", 1);
  const std::string before = store.shown();
  for (const AttemptEnd end : {AttemptEnd::committed, AttemptEnd::failed, AttemptEnd::in_doubt}) {
    store.undone([&](State& state) { EXPECT_TRUE(expected(state.apply(end_attempt("s", out, end))).applied); });
    EXPECT_EQ(store.shown(), before);
    EXPECT_EQ(store.history_states(), "in_flight ");
    EXPECT_TRUE(store.call(complete("s", "b", "t1")).duplicate) << "an undone success has forgotten turn ids";
    store.check_counts();
  }
  EXPECT_TRUE(store.call(end_attempt("s", out, AttemptEnd::committed)).applied);
}

TEST_F(Attempts, AreHeldBackByTheOldest) {
  store.call(complete("s", "b"));
  const Attempt out = store.attempt("s", 1);
  EXPECT_EQ(out.end, 2);
  EXPECT_EQ(store.call(take("s", "b")).taken, lifecycle::Taken::busy);
  store.call(end_attempt("s", out, AttemptEnd::committed));
  const Attempt next = store.attempt("s", 2);
  EXPECT_EQ(next.start, 3);
  EXPECT_EQ(last().owner, "b");
}

// ---- dropped by hand

TEST_F(Attempts, SettledOrAbandonedAreOnTheRecord) {
  for (const bool settle : {true, false}) {
    const std::string session = settle ? "settled" : "abandoned";
    store.call(complete(session, "a", "t1"));
    store.call(complete(session, "a"));
    store.call(complete(session, "a"));
    EXPECT_EQ(store.call(drop_through(session, 2, settle)).watermark, 2);
    EXPECT_EQ(store.history(session).back().end, 2);
    EXPECT_EQ(store.history(session).back().reason, "by hand");
    const Attempt out = store.attempt(session, settle ? 1 : 2);
    store.crash();
    EXPECT_EQ(out.start, 3);
    EXPECT_EQ(store.call(drop_through(session, 3, settle)).watermark, 3);
    EXPECT_EQ(store.history_states(session), session + " void " + session + " ");
    EXPECT_FALSE(store.call(end_attempt(session, out, AttemptEnd::committed)).applied);
    EXPECT_EQ(store.history_states(session), session + " void " + session + " ");
    const std::string before = store.shown();
    store.crash();
    EXPECT_EQ(store.shown(), before);
    EXPECT_TRUE(store.call(complete(session, "a", "t1")).duplicate);
    store.check_counts();
  }
}

TEST_F(Attempts, CutNothingThatIsSealedOrOut) {
  store.attempt("s", 1);
  const auto refused = store.apply(drop_through("s", 1, true));
  ASSERT_TRUE(refusal(refused));
  EXPECT_EQ(refusal(refused)->refusal, Refusal::invalid);
  EXPECT_TRUE(refusal(store.apply(drop_through("s", 9, true))));
  const auto unknown = store.apply(drop_through("nobody's", 1, true));
  ASSERT_TRUE(refusal(unknown));
  EXPECT_EQ(refusal(unknown)->refusal, Refusal::not_found);
  EXPECT_EQ(store.history_states(), "in_flight ");
}

TEST_F(Attempts, OfAForgottenSessionAreVoidAndMeanNothing) {
  const Attempt out = store.attempt("s", 1);
  store.call(complete("s", "b"));
  EXPECT_EQ(store.call(forget("s")).dropped, 3);
  ASSERT_EQ(store.effects().heads.size(), 1u);
  EXPECT_EQ(store.effects().heads[0].session_id, 0);
  EXPECT_EQ(store.history_states("s"), "void void ");
  const auto check = [&] {
    EXPECT_TRUE(refusal(store.apply(get("s"))));
    EXPECT_FALSE(store.call(end_attempt("s", out, AttemptEnd::committed)).applied);
  };
  check();
  store.crash();
  check();
  const lifecycle::Completed anew = store.call(complete("s", "a", "t1"));
  EXPECT_EQ(anew.generation, 1);
  EXPECT_FALSE(anew.duplicate);
  EXPECT_FALSE(store.call(end_attempt("s", out, AttemptEnd::committed)).applied);
  store.crash();
  EXPECT_EQ(store.call(get("s")).generation, 1);
  EXPECT_FALSE(store.call(complete("s", "a", "t2")).duplicate);
  store.check_counts();
}

TEST_F(Attempts, OfADiscardedSessionStayInTheHistory) {
  EXPECT_FALSE(store.call(discard("s")).discarded);
  store.commit_oldest("s", 1);
  EXPECT_TRUE(store.call(discard("s")).discarded);
  EXPECT_TRUE(store.call(discard("s")).discarded);
  EXPECT_TRUE(refusal(store.apply(get("s"))));
  store.crash();
  EXPECT_EQ(store.history_states("s"), "committed ");
  EXPECT_EQ(store.call(complete("s", "a", "t1")).generation, 1);
  store.check_counts();
}

TEST_F(Attempts, DroppingUndoneBringsTheSessionBack) {
  store.attempt("s", 1);
  store.call(begin_turn("s", "open"));
  store.call(complete("clean", "a", "t1"));
  store.commit_oldest("clean", 2);
  const std::string before = store.shown();
  store.undone([](State& state) {
    EXPECT_TRUE(expected(state.apply(forget("s"))).forgotten);
    EXPECT_EQ(expected(state.apply(complete("s", "z", "t1"))).generation, 1);
    EXPECT_TRUE(expected(state.apply(discard("clean"))).discarded);
    EXPECT_EQ(expected(state.apply(complete("clean", "z", "t1"))).generation, 1);
    EXPECT_TRUE(expected(state.apply(forget("clean"))).forgotten);
    EXPECT_EQ(expected(state.apply(complete("clean", "z", "t1"))).generation, 1);
  });
  EXPECT_EQ(store.shown(), before);
  store.check_counts();
  EXPECT_TRUE(store.call(complete("s", "z", "t1")).duplicate);
  EXPECT_TRUE(store.call(complete("clean", "z", "t1")).duplicate);
  store.crash();
  EXPECT_TRUE(store.call(complete("s", "z", "t1")).duplicate);
  store.check_counts();
}

// What became of the range of an attempt whose end comes too late.
TEST_F(Attempts, ThatEndTooLateSayWhetherTheirRangeIsSettled) {
  const auto late = [&](const Attempt& attempt, AttemptEnd end) {
    const EndAttempt::Result ended = store.call(end_attempt("s", attempt, end));
    EXPECT_FALSE(ended.applied);
    return ended.settled;
  };
  // The same success again, and the other attempt under its key.
  const Attempt first = store.attempt("s", 1);
  store.call(end_attempt("s", first, AttemptEnd::in_doubt));
  const Attempt second = store.attempt("s", 2);
  ASSERT_EQ(second.key, first.key);
  EXPECT_FALSE(late(first, AttemptEnd::failed)) << "nothing is settled while another try is out";
  const EndAttempt::Result ended = store.call(end_attempt("s", first, AttemptEnd::committed));
  EXPECT_TRUE(ended.applied);
  EXPECT_FALSE(ended.settled);
  EXPECT_TRUE(late(first, AttemptEnd::committed));
  EXPECT_TRUE(late(second, AttemptEnd::committed));
  EXPECT_TRUE(late(second, AttemptEnd::failed));
  EXPECT_TRUE(late(second, AttemptEnd::in_doubt));
  EXPECT_EQ(store.history_states("s"), "committed void ");

  store.call(complete("s", "a"));
  const Attempt settled = store.attempt("s", 3);
  store.call(drop_through("s", 3, true));
  EXPECT_TRUE(late(settled, AttemptEnd::failed));

  store.call(complete("s", "a"));
  const Attempt abandoned = store.attempt("s", 4);
  store.call(drop_through("s", 4, false));
  EXPECT_FALSE(late(abandoned, AttemptEnd::committed));

  store.call(complete("s", "a"));
  const Attempt forgotten = store.attempt("s", 5);
  store.call(forget("s"));
  EXPECT_FALSE(late(forgotten, AttemptEnd::committed));
  EXPECT_TRUE(late(settled, AttemptEnd::committed)) << "what had landed before is forgotten too";
  store.call(complete("s", "a"));
  store.commit_oldest("s", 6);
  EXPECT_FALSE(late(forgotten, AttemptEnd::committed)) << "a later session of the name has settled it";
}

}  // namespace
}  // namespace tidemark::store
