// The log of marks, moved to its places in steps: nothing is lost or doubled, wherever it is interrupted.
#include "fixture.h"

namespace tidemark::store {
namespace {

class Fold : public testing::Test {
 protected:
  // Five sessions, each with turns "t1" to "t6" of two owners in turn.
  void mark(int from = 1, int to = 6) {
    for (int turn = from; turn <= to; ++turn) {
      for (int session = 1; session <= sessions; ++session) {
        store.call(complete(name(session), turn % 3 == 0 ? "b" : "a", "t" + std::to_string(turn)));
      }
    }
  }
  static std::string name(int session) { return "s" + std::to_string(session); }
  void expect_all_known(int turns = 6) {
    for (int session = 1; session <= sessions; ++session) {
      if (session == forgotten) continue;
      for (int turn = 1; turn <= turns; ++turn) {
        const lifecycle::Completed again = store.call(complete(name(session), "c", "t" + std::to_string(turn)));
        EXPECT_TRUE(again.duplicate) << name(session) << " t" << turn;
        EXPECT_EQ(again.generation, turn);
      }
    }
  }
  static constexpr int sessions = 5;
  int forgotten = 0;
  Store store;
};

TEST_F(Fold, EmptiesTheLogAndChangesNothing) {
  mark();
  const std::string before = store.shown();
  EXPECT_EQ(store.state().log_rows(), 30);
  store.fold(4);
  EXPECT_EQ(store.state().log_rows(), 0);
  EXPECT_EQ(store.rows_of("marks"), 0);
  EXPECT_EQ(store.rows_of("turns"), 30);
  EXPECT_EQ(store.rows_of("segments"), 20);
  EXPECT_EQ(store.shown(), before);
  expect_all_known();
  store.crash();
  EXPECT_EQ(store.shown(), before);
  expect_all_known();
  store.check_counts();
}

TEST_F(Fold, GoesOnWithTheMarksThatCameMeanwhile) {
  mark();
  EXPECT_TRUE(store.fold_steps(3, 4));
  mark(7, 8);
  const std::string before = store.shown();
  store.fold(4);
  EXPECT_EQ(store.rows_of("marks"), 0);
  EXPECT_EQ(store.shown(), before);
  store.crash();
  EXPECT_EQ(store.shown(), before);
  expect_all_known(8);
}

TEST_F(Fold, CanBeInterruptedAtEveryStep) {
  mark();
  const std::string before = store.shown();
  bool more = true;
  int interrupted = 0;
  for (int steps = 0; more; ++steps, ++interrupted) {
    Store other;
    for (int turn = 1; turn <= 6; ++turn) {
      for (int session = 1; session <= sessions; ++session) {
        other.call(complete(name(session), turn % 3 == 0 ? "b" : "a", "t" + std::to_string(turn)));
      }
    }
    more = other.fold_steps(steps, 3);
    other.crash();
    EXPECT_EQ(other.shown(), before) << "after " << steps << " steps";
    EXPECT_TRUE(other.call(complete(name(1), "c", "t1")).duplicate) << "after " << steps << " steps";
    EXPECT_TRUE(other.call(complete(name(5), "c", "t6")).duplicate) << "after " << steps << " steps";
    EXPECT_EQ(other.call(complete(name(5), "c", "t7")).generation, 7);
    const std::string after = other.shown();
    other.fold(3);
    other.crash();
    EXPECT_EQ(other.shown(), after) << "after " << steps << " steps";
    other.check_counts();
  }
  EXPECT_GT(interrupted, 20) << "the steps were not what they are meant to be";
}

TEST_F(Fold, CanBeUndoneAtEveryStep) {
  mark();
  const std::string before = store.shown();
  bool more = true;
  int undone = 0;
  while (more && undone < 1'000) {
    // Each step is undone once and done once; to undo one begins the run again, so only every other one is.
    store.undone([&](State& state) { state.fold(7); });
    more = store.fold_steps(1 + undone, 7);
    EXPECT_EQ(store.shown(), before);
    ++undone;
  }
  EXPECT_EQ(store.rows_of("marks"), 0);
  store.crash();
  EXPECT_EQ(store.shown(), before);
  expect_all_known();
}

TEST_F(Fold, SurvivesASessionForgottenInTheMiddle) {
  for (int steps = 0; steps < 24; ++steps) {
    Store other;
    for (int turn = 1; turn <= 6; ++turn) {
      for (int session = 1; session <= sessions; ++session) {
        other.call(complete(name(session), "a", "t" + std::to_string(turn)));
      }
    }
    other.fold_steps(steps, 3);
    EXPECT_EQ(other.call(forget(name(3))).dropped, 6);
    EXPECT_EQ(other.call(complete(name(3), "a", "t1")).generation, 1);
    const std::string before = other.shown();
    other.fold(3);
    EXPECT_EQ(other.shown(), before);
    other.crash();
    EXPECT_EQ(other.shown(), before);
    EXPECT_TRUE(other.call(complete(name(3), "a", "t1")).duplicate);
    EXPECT_FALSE(other.call(complete(name(3), "a", "t2")).duplicate);
    EXPECT_TRUE(other.call(complete(name(2), "a", "t2")).duplicate);
    other.check_counts();
  }
}

TEST_F(Fold, SurvivesACommitInTheMiddle) {
  mark();
  store.fold_steps(12, 3);
  store.commit_oldest(name(2), 1);
  store.commit_oldest(name(2), 2);
  store.call(complete(name(2), "a", "t7"));
  const std::string before = store.shown();
  store.fold(3);
  EXPECT_EQ(store.shown(), before);
  store.crash();
  EXPECT_EQ(store.shown(), before);
  expect_all_known();
}

TEST_F(Fold, KeepsOnlyTheLatestIdsOfSettledTurns) {
  Policies policies;
  policies.retention.turn_ids = 2;
  Store other(policies);
  for (int turn = 1; turn <= 6; ++turn) other.call(complete("s", "a", "t" + std::to_string(turn)));
  other.commit_oldest("s", 1);
  other.call(complete("s", "a", "t7"));
  const auto check = [&] {
    EXPECT_TRUE(other.call(complete("s", "a", "t7")).duplicate);
    EXPECT_TRUE(other.call(complete("s", "a", "t6")).duplicate);
    EXPECT_TRUE(other.call(complete("s", "a", "t5")).duplicate);
  };
  check();
  other.crash();
  check();
  other.fold();
  EXPECT_EQ(other.rows_of("turns"), 3);
  check();
  other.crash();
  check();
  EXPECT_FALSE(other.call(complete("s", "a", "t4")).duplicate);
}

TEST_F(Fold, LeavesTheNumbersOfMarksInOrder) {
  mark(1, 1);
  store.fold();
  store.reopen();
  mark(2, 2);
  const std::string before = store.shown();
  store.crash();
  EXPECT_EQ(store.shown(), before);
  EXPECT_EQ(store.state().log_rows(), 5);
  store.fold();
  EXPECT_EQ(store.rows_of("marks"), 0);
  store.crash();
  expect_all_known(2);
}

// Clean sessions leave memory, and are read again when named.
TEST_F(Fold, LetsCleanSessionsLeaveMemoryWithTheirIds) {
  constexpr int many = 5'000;
  store.batch([](State& state) {
    for (int session = 0; session < many; ++session) {
      const std::string name = std::to_string(session);
      expected(state.apply(complete(name, "a", "t1")));
      const TakeOldest::Result taken = expected(state.apply(take(name)));
      const BeginAttempt::Result begun = expected(state.apply(begin_attempt(name, taken.head.owner, session + 1)));
      expected(state.apply(end_attempt(name, *begun.attempt, AttemptEnd::committed)));
    }
  });
  store.fold();
  store.batch([](State&) {});
  for (const int session : {0, 1, 2'500, 4'999}) {
    const lifecycle::Completed again = store.call(complete(std::to_string(session), "b", "t1"));
    EXPECT_TRUE(again.duplicate);
    EXPECT_EQ(store.call(complete(std::to_string(session), "b", "t2")).generation, 2);
  }
  EXPECT_EQ(store.call(Count{}).sessions, many);
  EXPECT_EQ(store.call(Count{}).dirty, 4);
}

}  // namespace
}  // namespace tidemark::store
