// Marks: generations, turn ids and open turns, across closing, crashing and roll-backs (contract, sections 2 and 6).
#include "fixture.h"

namespace tidemark::store {
namespace {

TEST(Marks, CountFromOneInEachSessionOfEachUser) {
  Store store;
  EXPECT_EQ(store.call(complete("s")).generation, 1);
  EXPECT_EQ(store.call(complete("s")).generation, 2);
  EXPECT_EQ(store.call(complete("other")).generation, 1);
  Complete of_bob = complete("s");
  of_bob.uid = bob;
  EXPECT_EQ(store.call(of_bob).generation, 1);
  store.check_counts();
}

TEST(Marks, GoOnWhereTheyWereAfterReopening) {
  Store store;
  for (int turn = 0; turn < 5; ++turn) store.call(complete("s", "a"));
  const std::string before = store.shown();
  store.reopen();
  EXPECT_EQ(store.shown(), before);
  EXPECT_EQ(store.call(complete("s")).generation, 6);
  store.crash();
  EXPECT_EQ(store.call(complete("s")).generation, 7);
  EXPECT_EQ(store.call(get("s")).segments.size(), 1u);
}

TEST(Marks, AreWrittenAsOneRowEach) {
  Store store;
  for (int turn = 0; turn < 5; ++turn) store.call(complete("s", "a", "t" + std::to_string(turn)));
  EXPECT_EQ(store.rows_of("marks"), 5);
  EXPECT_EQ(store.rows_of("segments"), 0);
  EXPECT_EQ(store.rows_of("turns"), 0);
}

TEST(Marks, OfTheSameTurnIdAreOneTurn) {
  Store store;
  EXPECT_EQ(store.call(complete("s", "a", "t1")).generation, 1);
  EXPECT_EQ(store.call(complete("s", "a", "t2")).generation, 2);
  const auto check = [&] {
    const lifecycle::Completed again = store.call(complete("s", "b", "t1"));
    EXPECT_EQ(again.generation, 1);
    EXPECT_TRUE(again.duplicate);
    EXPECT_TRUE(again.counted);
    EXPECT_EQ(store.call(get("s")).generation, 2);
    EXPECT_EQ(store.call(get("s")).agent, "a");
  };
  check();
  store.reopen();
  check();
  store.crash();
  check();
  store.fold();
  check();
  store.crash();
  check();
}

TEST(Marks, OfTheSameTurnIdInTwoSessionsAreTwo) {
  Store store;
  EXPECT_FALSE(store.call(complete("s", "a", "t")).duplicate);
  EXPECT_FALSE(store.call(complete("other", "a", "t")).duplicate);
}

TEST(Marks, OfACancelledTurnAddNothing) {
  Store store;
  store.call(begin_turn("s", "t"));
  store.call(cancel_turn("s", "t"));
  store.call(cancel_turn("s", "never begun"));
  const auto check = [&] {
    for (const char* turn : {"t", "never begun"}) {
      const lifecycle::Completed late = store.call(complete("s", "a", turn));
      EXPECT_FALSE(late.counted);
      EXPECT_TRUE(late.duplicate);
    }
    EXPECT_EQ(store.call(get("s")).generation, 0);
    EXPECT_EQ(store.call(get("s")).turns_open, 0);
  };
  check();
  store.reopen();
  check();
  store.crash();
  check();
}

TEST(Marks, OfAnEphemeralTurnAddNothingEverAfter) {
  Store store;
  store.call(complete("s", "a"));
  store.call(begin_turn("s", "t"));
  Complete ephemeral = complete("s", "b", "t");
  ephemeral.ephemeral = true;
  const lifecycle::Completed done = store.call(ephemeral);
  EXPECT_FALSE(done.counted);
  EXPECT_EQ(done.generation, 1);
  store.crash();
  EXPECT_FALSE(store.call(complete("s", "a", "t")).counted);
  EXPECT_EQ(store.call(get("s")).generation, 1);
  EXPECT_EQ(store.call(get("s")).turns_open, 0);
  EXPECT_EQ(store.call(get("s")).agent, "a");
}

TEST(Marks, OpenTurnsAreJournaled) {
  Store store;
  store.call(begin_turn("s", "t1", "a"));
  store.call(begin_turn("s", "t2"));
  store.call(begin_turn("s", "t2"));
  store.crash();
  EXPECT_EQ(store.call(get("s")).turns_open, 2);
  store.call(complete("s", "a", "t1"));
  store.crash();
  EXPECT_EQ(store.call(get("s")).turns_open, 1);
  store.call(cancel_turn("s", "t2"));
  store.crash();
  EXPECT_EQ(store.call(get("s")).turns_open, 0);
  store.call(begin_turn("s", "t1"));
  EXPECT_EQ(store.call(get("s")).turns_open, 0) << "a turn that is known was begun again";
}

TEST(Marks, OpenTurnsAreBounded) {
  Store store;
  store.batch([](State& state) {
    for (std::size_t turn = 0; turn < open_turns_max; ++turn) {
      expected(state.apply(begin_turn("s", "t" + std::to_string(turn))));
    }
  });
  const auto outcome = store.apply(begin_turn("s", "one more"));
  ASSERT_TRUE(refusal(outcome));
  EXPECT_EQ(refusal(outcome)->refusal, Refusal::limit);
  EXPECT_EQ(refusal(outcome)->limit, "open_turns_per_session");
}

TEST(Marks, AreRefusedAboveTheNumberOfDirtySessionsAndLeaveNothing) {
  Policies policies;
  policies.everybody.dirty_sessions_max = 2;
  Store store(policies);
  store.call(complete("s1", "a"));
  store.call(complete("s2"));
  const auto outcome = store.apply(complete("s3", "somebody new", "t"));
  ASSERT_TRUE(refusal(outcome));
  EXPECT_EQ(refusal(outcome)->limit, "dirty_sessions_per_user");
  EXPECT_TRUE(refusal(store.apply(get("s3")))) << "a refused mark made its session";
  EXPECT_EQ(store.rows_of("agents"), 1);
  EXPECT_EQ(store.call(complete("s1")).generation, 2);
  Complete of_bob = complete("s3");
  of_bob.uid = bob;
  EXPECT_EQ(store.call(of_bob).generation, 1);
  store.commit_oldest("s1", 1);
  EXPECT_EQ(store.call(complete("s3", {}, "t")).generation, 1);
  store.check_counts();
}

TEST(Marks, AreRefusedAboveTheNumberOfSegments) {
  Policies policies;
  policies.everybody.segments_max = 2;
  Store store(policies);
  store.call(complete("s", "a"));
  store.call(complete("s", "b"));
  const auto outcome = store.apply(complete("s", "c"));
  ASSERT_TRUE(refusal(outcome));
  EXPECT_EQ(refusal(outcome)->limit, "segments_per_session");
  EXPECT_EQ(store.call(get("s")).generation, 2);
}

TEST(Marks, UndoneAreGoneFromMemory) {
  Store store;
  store.call(complete("s", "a", "t1"));
  store.call(begin_turn("s", "t2"));
  const std::string before = store.shown();
  store.undone([](State& state) {
    expected(state.apply(complete("s", "b", "t2")));
    expected(state.apply(complete("s", "c", "t3")));
    expected(state.apply(complete("new", "c", "t3")));
    expected(state.apply(cancel_turn("s", "t4")));
  });
  EXPECT_EQ(store.shown(), before);
  store.check_counts();
  const lifecycle::Completed again = store.call(complete("s", "b", "t2"));
  EXPECT_EQ(again.generation, 2);
  EXPECT_FALSE(again.duplicate);
  EXPECT_EQ(store.call(complete("s", "c", "t3")).generation, 3);
  EXPECT_EQ(store.call(complete("s", "c", "t4")).generation, 4) << "an undone cancel is remembered";
  EXPECT_EQ(store.call(complete("new", "c", "t3")).generation, 1);
  const std::string after = store.shown();
  store.crash();
  EXPECT_EQ(store.shown(), after);
}

TEST(Marks, MakeTheSessionDueWhenThereAreTooMany) {
  Policies policies;
  policies.everybody.commit.uncommitted_turns_max = 2;
  Store store(policies);
  store.call(complete("s", "a"));
  store.call(complete("s", "a"));
  EXPECT_FALSE(store.call(get("s")).segments.front().due);
  EXPECT_TRUE(store.call(complete("s", "a")).fell_due);
  ASSERT_EQ(store.effects().heads.size(), 1u);
  EXPECT_TRUE(store.effects().heads.front().due);
  const std::string before = store.shown();
  store.crash();
  EXPECT_EQ(store.shown(), before);
  EXPECT_TRUE(store.call(get("s")).segments.front().due);
}

TEST(Marks, OfACancelledTurnAnswerWhereTheSessionIsNow) {
  Store store;
  store.call(complete("s", "a"));
  store.call(cancel_turn("s", "t"));
  store.call(complete("s", "a"));
  const auto check = [&] {
    const lifecycle::Completed late = store.call(complete("s", "a", "t"));
    EXPECT_FALSE(late.counted);
    EXPECT_EQ(late.generation, 2);
  };
  check();
  store.crash();
  check();
}

// Cancelled turns, so many of which are remembered in each session, whatever becomes of its other turns.
class CancelledTurns : public testing::Test {
 protected:
  static constexpr int kept = 64;
  // The later, the smaller as a text.
  static std::string name(int number) { return "t" + std::to_string(999 - number); }
  void cancel(int from, int to) {
    store.batch([&](State& state) {
      for (int number = from; number < to; ++number) expected(state.apply(cancel_turn("s", name(number))));
    });
  }
  bool known(int number) {
    bool found = false;
    store.undone([&](State& state) { found = !expected(state.apply(complete("s", "a", name(number)))).counted; });
    return found;
  }
  void expect_known_from(int first, int end) {
    for (int number = 0; number < end; ++number) EXPECT_EQ(known(number), number >= first) << number;
    EXPECT_EQ(store.rows_of("turns"), end - first);
  }
  Store store;
};

TEST_F(CancelledTurns, AreBoundedAndTheOldestGoFirst) {
  cancel(0, kept);
  expect_known_from(0, kept);
  cancel(kept, kept + 6);
  expect_known_from(6, kept + 6);
  store.crash();
  expect_known_from(6, kept + 6);
  Complete ephemeral = complete("s", "a", name(kept + 6));
  ephemeral.ephemeral = true;
  store.call(ephemeral);
  expect_known_from(7, kept + 7);
  store.undone([](State& state) {
    for (int number = 200; number < 200 + 2 * kept; ++number) expected(state.apply(cancel_turn("s", name(number))));
  });
  expect_known_from(7, kept + 7);
  store.reopen();
  expect_known_from(7, kept + 7);
  cancel(kept + 7, kept + 8);
  expect_known_from(8, kept + 8);
}

TEST_F(CancelledTurns, AreNotForgottenForTurnsThatAreSettled) {
  cancel(0, 3);
  store.batch([](State& state) {
    for (int turn = 0; turn < 100; ++turn) expected(state.apply(complete("s", "a", "done" + std::to_string(turn))));
  });
  store.commit_oldest("s", 1);
  store.fold();
  for (int number = 0; number < 3; ++number) EXPECT_TRUE(known(number));
  store.crash();
  for (int number = 0; number < 3; ++number) EXPECT_TRUE(known(number));
}

// A session with more turn ids than are deleted at a time.
class ManyTurns : public testing::Test {
 protected:
  static constexpr int turns = 5'000;
  void SetUp() override {
    store.batch([](State& state) {
      for (int turn = 0; turn < turns; ++turn) expected(state.apply(complete("s", "a", "t" + std::to_string(turn))));
    });
    store.fold();
    EXPECT_EQ(store.rows_of("turns"), turns);
  }
  Store store;
};

TEST_F(ManyTurns, AreForgottenInPieces) {
  store.commit_oldest("s", 1);
  EXPECT_TRUE(store.state().later_pending());
  EXPECT_GT(store.rows_of("turns"), 64);
  const auto check = [&] {
    const lifecycle::Completed forgotten = store.call(complete("s", "a", "t1"));
    EXPECT_FALSE(forgotten.duplicate);
    EXPECT_TRUE(store.call(complete("s", "a", "t" + std::to_string(turns - 1))).duplicate);
  };
  store.undone([](State& state) {
    while (state.apply_later()) {
    }
  });
  EXPECT_TRUE(store.state().later_pending());
  store.later();
  EXPECT_EQ(store.rows_of("turns"), 64);
  check();
}

TEST_F(ManyTurns, ThatAreForgottenInPiecesAreSoAtOnceAlsoAcrossACrash) {
  store.commit_oldest("s", 1);
  ASSERT_GT(store.rows_of("turns"), 64);
  store.crash();
  EXPECT_FALSE(store.call(complete("s", "a", "t1")).duplicate);
}

// Its row has the place of one that is forgotten and not deleted yet.
TEST_F(ManyTurns, ThatAreForgottenAndThenCancelledStayCancelled) {
  store.batch([](State& state) {
    for (int number = 1; number < 4'000; ++number) {
      expected(state.apply(cancel_turn("s", "cancelled" + std::to_string(number))));
    }
  });
  store.commit_oldest("s", 1);
  store.call(cancel_turn("s", "t3999"));
  store.later();
  store.crash();
  EXPECT_FALSE(store.call(complete("s", "a", "t3999")).counted);
  EXPECT_EQ(store.rows_of("turns"), 128);
}

TEST_F(ManyTurns, OfAForgottenSessionGoInPieces) {
  const std::string before = store.shown();
  store.undone([](State& state) { expected(state.apply(forget("s"))); });
  EXPECT_EQ(store.shown(), before);
  EXPECT_FALSE(store.state().later_pending());
  store.call(forget("s"));
  EXPECT_TRUE(store.state().later_pending());
  EXPECT_TRUE(refusal(store.apply(get("s"))));
  EXPECT_EQ(store.shown(), "");
  store.check_counts();
  EXPECT_EQ(store.call(complete("s", "b", "t1")).generation, 1);
  store.check_counts();
  store.crash();
  EXPECT_TRUE(store.state().later_pending()) << "what was left to delete has been forgotten";
  store.check_counts();
  EXPECT_EQ(store.call(get("s")).generation, 1);
  store.later();
  store.fold();
  EXPECT_EQ(store.rows_of("turns"), 1);
  EXPECT_EQ(store.rows_of("sessions"), 1);
  EXPECT_EQ(store.rows_of("segments"), 1);
}

TEST(Marks, OfTurnsThatBeginAreRefusedAboveTheNumberOfDirtySessions) {
  Policies policies;
  policies.everybody.dirty_sessions_max = 2;
  Store store(policies);
  store.call(begin_turn("s1", "t"));
  store.call(complete("s2", "a"));
  const auto outcome = store.apply(begin_turn("s3", "t", "somebody new"));
  ASSERT_TRUE(refusal(outcome));
  EXPECT_EQ(refusal(outcome)->limit, "dirty_sessions_per_user");
  EXPECT_TRUE(refusal(store.apply(get("s3")))) << "a refused turn made its session";
  EXPECT_TRUE(refusal(store.apply(complete("s3"))));
  const auto check = [&] {
    store.call(begin_turn("s1", "t2"));
    store.call(begin_turn("s2", "t"));
    EXPECT_TRUE(refusal(store.apply(begin_turn("s3", "t"))));
  };
  check();
  store.crash();
  check();
  // One that has an open turn has its place already.
  store.call(complete("s1", "a", "t"));
  store.call(complete("s1", "a", "t2"));
  EXPECT_TRUE(refusal(store.apply(begin_turn("s3", "t"))));
  store.commit_oldest("s1", 1);
  store.undone([](State& state) { expected(state.apply(begin_turn("s3", "t"))); });
  store.call(begin_turn("s3", "t"));
  EXPECT_TRUE(refusal(store.apply(begin_turn("s1", "t3"))));
  store.call(cancel_turn("s3", "t"));
  store.call(begin_turn("s1", "t3"));
  store.call(forget("s1"));
  store.call(begin_turn("s3", "t3"));
}

TEST(Marks, OfSessionsThatAreGoneLeaveNoDeadlines) {
  Store store;
  for (int round = 0; round < 20; ++round) {
    store.batch([](State& state) {
      for (int session = 0; session < 200; ++session) expected(state.apply(complete(std::to_string(session), "a")));
    });
    store.batch([](State& state) {
      for (int session = 0; session < 200; ++session) expected(state.apply(forget(std::to_string(session))));
    });
  }
  store.call(complete("s", "a"));
  EXPECT_LT(store.state().queued_deadlines(), 1'100u);
  store.advance(lifecycle::Milliseconds(31 * 60'000));
  store.apply_time();
  EXPECT_TRUE(store.call(get("s")).segments.at(0).due);
}

}  // namespace
}  // namespace tidemark::store
