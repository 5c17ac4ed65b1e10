// Boundaries: what falls due when, by a call or by time, and when time has next something to do.
#include "fixture.h"

namespace tidemark::lifecycle {
namespace {

constexpr std::int64_t minute_ms = 60'000;
constexpr std::int64_t hour_ms = 60 * minute_ms;

class BoundaryTest : public SessionTest {
 protected:
  std::vector<std::string> ended;

  bool time_passes_to(std::int64_t at_ms) {
    ended.clear();
    const bool changed = session.apply_time(policy, at(at_ms), ended);
    const std::optional<Steady> deadline = session.next_deadline(policy);
    EXPECT_TRUE(!deadline || *deadline > at(at_ms).steady) << "whoever waits for it would wake for ever";
    return changed;
  }
};

TEST_F(BoundaryTest, ABoundaryMakesEveryDirtySegmentOfThatMomentDue) {
  complete(1, older);
  complete(1, newer);
  complete(1, older);

  EXPECT_TRUE(session.make_due("rotate"));
  EXPECT_EQ(session.due_segments(), 3);
  for (const Segment& one : session.segments) EXPECT_EQ(one.reason, "rotate");

  complete(1, newer);
  EXPECT_EQ(session.due_segments(), 3) << "what completes later isn't of that moment";
}

TEST_F(BoundaryTest, ABoundaryReachesBehindAnAttemptInFlight) {
  complete(1, older);
  commit();
  complete(1, older);

  EXPECT_TRUE(session.make_due("rotate"));
  EXPECT_TRUE(segment(1).due);
}

TEST_F(BoundaryTest, WhatIsDueKeepsItsFirstReason) {
  complete(1, older);
  session.make_due("rotate");

  EXPECT_FALSE(session.make_due("drain"));
  EXPECT_EQ(segment(0).reason, "rotate");
}

TEST_F(BoundaryTest, ACleanSessionHasNothingThatCouldFallDue) {
  EXPECT_FALSE(session.make_due("drain"));
  complete(1, older);
  ASSERT_TRUE(session.succeed(commit().key));
  EXPECT_FALSE(session.make_due("drain"));
  EXPECT_FALSE(session.next_deadline(policy));
}

TEST_F(BoundaryTest, AfterThirtyMinutesWithoutATurnWhatIsDirtyIsDue) {
  complete(1, older);
  complete(1, newer, minute_ms);
  EXPECT_EQ(session.next_deadline(policy), at(31 * minute_ms).steady);

  EXPECT_FALSE(time_passes_to(31 * minute_ms - 1));
  EXPECT_TRUE(time_passes_to(31 * minute_ms));
  EXPECT_EQ(session.due_segments(), 2);
  EXPECT_EQ(segment(1).reason, "idle");
  EXPECT_FALSE(session.next_deadline(policy));
  EXPECT_FALSE(time_passes_to(32 * minute_ms)) << "it is due already";
}

TEST_F(BoundaryTest, NeverIdleWithAnOpenTurn) {
  complete(1, older);
  session.begin_turn("one", older, at(0));

  EXPECT_FALSE(time_passes_to(45 * minute_ms));
  EXPECT_EQ(session.due_segments(), 0);
  EXPECT_EQ(session.next_deadline(policy), at(6 * hour_ms).steady);
  session.end_turn("one");
  EXPECT_TRUE(time_passes_to(45 * minute_ms));
  EXPECT_EQ(session.due_segments(), 1);
}

TEST_F(BoundaryTest, ATurnBegunTooLongAgoEnds) {
  session.begin_turn("old", older, at(0));
  session.begin_turn("young", older, at(1));

  EXPECT_FALSE(time_passes_to(6 * hour_ms - 1));
  EXPECT_TRUE(time_passes_to(6 * hour_ms));
  EXPECT_EQ(ended, std::vector<std::string>{"old"});
  ASSERT_EQ(session.open_turns.size(), 1u);
  EXPECT_EQ(session.open_turns[0].turn, "young");
  EXPECT_FALSE(session.dirty()) << "such a turn is never committable";
}

TEST_F(BoundaryTest, TheTimeoutOfTheLastOpenTurnLetsTheSessionBeIdle) {
  complete(1, older);
  session.begin_turn("forgotten", older, at(0));

  EXPECT_TRUE(time_passes_to(6 * hour_ms));
  EXPECT_EQ(session.due_segments(), 1);
}

TEST_F(BoundaryTest, ATurnTimeoutOfZeroIsOff) {
  policy.turn_timeout = Milliseconds(0);
  session.begin_turn("one", older, at(0));

  EXPECT_FALSE(session.next_deadline(policy));
  EXPECT_FALSE(time_passes_to(1'000 * hour_ms));
  EXPECT_EQ(session.open_turns.size(), 1u);
}

TEST_F(BoundaryTest, AnIdleTimeOfZeroIsOff) {
  policy.idle = Milliseconds(0);
  complete(1, older);

  EXPECT_FALSE(session.next_deadline(policy));
  EXPECT_FALSE(time_passes_to(1'000 * hour_ms));
}

TEST_F(BoundaryTest, TooManyAndTooOldAreOffUnlessSet) {
  policy.idle = Milliseconds(0);
  complete(10'000, older);

  EXPECT_FALSE(time_passes_to(1'000 * hour_ms));
  EXPECT_EQ(session.due_segments(), 0);
}

TEST_F(BoundaryTest, MoreUncommittedTurnsThanAllowedAreDue) {
  policy.uncommitted_turns_max = 3;
  complete(2, older);
  complete(1, newer);
  EXPECT_EQ(session.due_segments(), 0);

  EXPECT_TRUE(session.complete(newer, nullptr, policy, at(0)).fell_due);
  EXPECT_EQ(session.due_segments(), 2);
  EXPECT_FALSE(session.complete(newer, nullptr, policy, at(0)).fell_due) << "it grew, and was due already";
}

TEST_F(BoundaryTest, CommittedTurnsDontCountAsTooMany) {
  policy.uncommitted_turns_max = 3;
  complete(3, older);
  ASSERT_TRUE(session.succeed(commit().key));
  complete(3, older);

  EXPECT_EQ(session.due_segments(), 0);
}

TEST_F(BoundaryTest, TooManyUnderANewPolicyFallDueWithTheNextTick) {
  complete(4, older);
  policy.uncommitted_turns_max = 3;

  EXPECT_TRUE(time_passes_to(1));
  EXPECT_EQ(session.due_segments(), 1);
}

TEST_F(BoundaryTest, WhatIsTooOldIsDueWhateverCompletesMeanwhile) {
  policy.uncommitted_age_max = Milliseconds(10 * minute_ms);
  complete(1, older);
  complete(1, older, 9 * minute_ms);
  complete(1, newer, 9 * minute_ms);
  EXPECT_EQ(session.next_deadline(policy), at(10 * minute_ms).steady);

  EXPECT_FALSE(time_passes_to(10 * minute_ms - 1));
  EXPECT_TRUE(time_passes_to(10 * minute_ms));
  EXPECT_EQ(session.due_segments(), 2);
  EXPECT_EQ(segment(0).reason, "too old");
}

TEST_F(BoundaryTest, TooOldHoldsAlsoWithAnOpenTurn) {
  policy.uncommitted_age_max = Milliseconds(10 * minute_ms);
  complete(1, older);
  session.begin_turn("one", older, at(0));

  EXPECT_EQ(session.next_deadline(policy), at(10 * minute_ms).steady);
  EXPECT_TRUE(time_passes_to(10 * minute_ms));
}

TEST_F(BoundaryTest, TheAgeOfWhatIsDueAlreadyDoesNotCount) {
  policy.uncommitted_age_max = Milliseconds(10 * minute_ms);
  complete(1, older);
  session.make_due("rotate");
  complete(1, newer, 5 * minute_ms);

  EXPECT_EQ(session.next_deadline(policy), at(15 * minute_ms).steady);
  EXPECT_FALSE(time_passes_to(14 * minute_ms));
  EXPECT_TRUE(time_passes_to(15 * minute_ms));
  EXPECT_EQ(segment(1).reason, "too old");
}

TEST_F(BoundaryTest, TheNearestDeadlineIsTheNextOne) {
  policy.uncommitted_age_max = Milliseconds(40 * minute_ms);
  complete(1, older);
  EXPECT_EQ(session.next_deadline(policy), at(30 * minute_ms).steady);
  complete(1, older, 20 * minute_ms);
  EXPECT_EQ(session.next_deadline(policy), at(40 * minute_ms).steady);
  policy.turn_timeout = Milliseconds(5 * minute_ms);
  session.begin_turn("late", older, at(25 * minute_ms));
  session.begin_turn("later", older, at(26 * minute_ms));
  EXPECT_EQ(session.next_deadline(policy), at(30 * minute_ms).steady);
}

TEST_F(BoundaryTest, AStepOfTheWallClockFiresNothingAndWithholdsNothing) {
  complete(1, older);
  Now stepped = at(minute_ms);
  stepped.utc += Milliseconds(1'000 * hour_ms);
  EXPECT_FALSE(session.apply_time(policy, stepped, ended));

  stepped = at(30 * minute_ms);
  stepped.utc -= Milliseconds(1'000 * hour_ms);
  EXPECT_TRUE(session.apply_time(policy, stepped, ended));
}

}  // namespace
}  // namespace tidemark::lifecycle
