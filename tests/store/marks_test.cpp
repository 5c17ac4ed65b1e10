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

}  // namespace
}  // namespace tidemark::store
