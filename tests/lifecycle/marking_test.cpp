// Marking: what a completed turn adds, who owns it, and which segment it joins.
#include "fixture.h"

namespace tidemark::lifecycle {
namespace {

class MarkingTest : public SessionTest {};

TEST_F(MarkingTest, ACompletedTurnAddsOneGeneration) {
  const Completed first = session.complete(older, nullptr, policy, at(0));
  const Completed second = session.complete(older, nullptr, policy, at(1));

  EXPECT_EQ(first.generation, 1);
  EXPECT_EQ(second.generation, 2);
  EXPECT_FALSE(second.duplicate);
  EXPECT_TRUE(second.counted);
  EXPECT_EQ(session.generation, 2);
  EXPECT_EQ(session.watermark, 0);
  EXPECT_EQ(session.accepted, 0);
}

TEST_F(MarkingTest, TheNamedAgentOwnsTheTurnAndBecomesTheCurrentAgent) {
  session.agent = older;
  complete(1, newer);

  EXPECT_EQ(ranges(), "1..1 newer");
  EXPECT_EQ(session.agent, newer);
}

TEST_F(MarkingTest, WithNobodyNamedTheCurrentAgentOwnsTheTurn) {
  session.agent = older;
  complete(1);

  EXPECT_EQ(ranges(), "1..1 older");
}

TEST_F(MarkingTest, WithNeitherTheSegmentIsOwnerless) {
  complete(2);

  EXPECT_EQ(ranges(), "1..2 -");
}

TEST_F(MarkingTest, TheLastSegmentGrowsUnderTheSameOwner) {
  complete(1, older);
  complete(2);

  EXPECT_EQ(ranges(), "1..3 older");
}

TEST_F(MarkingTest, AnotherOwnerStartsANewSegment) {
  complete(2, older);
  complete(1, newer);
  complete(1, older);

  EXPECT_EQ(ranges(), "1..2 older, 3..3 newer, 4..4 older");
}

TEST_F(MarkingTest, OwnerlessTurnsAndOwnedOnesAreNotOneSegment) {
  complete(1);
  complete(1, older);

  EXPECT_EQ(ranges(), "1..1 -, 2..2 older");
}

TEST_F(MarkingTest, ASegmentInFlightDoesNotGrow) {
  complete(1, older);
  commit();
  complete(2, older);

  EXPECT_EQ(ranges(), "1..1 older, 2..3 older");
}

TEST_F(MarkingTest, AConfirmingSegmentDoesNotGrow) {
  complete(1, older);
  ASSERT_TRUE(session.accept(commit().key, "", "{}"));
  complete(2, older);

  EXPECT_EQ(ranges(), "1..1 older, 2..3 older");
}

TEST_F(MarkingTest, ASealedSegmentDoesNotGrow) {
  complete(1, older);
  ASSERT_TRUE(doubt(commit()));
  complete(2, older);

  EXPECT_EQ(ranges(), "1..1 older, 2..3 older");
}

TEST_F(MarkingTest, ASegmentConfirmedBehindAnotherDoesNotGrow) {
  complete(1, older);
  ASSERT_TRUE(session.accept(commit().key, "", "{}"));
  complete(1, newer);
  ASSERT_TRUE(session.succeed(commit().key));
  ASSERT_EQ(segment(1).phase, Phase::confirmed);
  complete(1, newer);

  EXPECT_EQ(ranges(), "1..1 older, 2..2 newer, 3..3 newer");
}

TEST_F(MarkingTest, TheLastSegmentGrowsAlsoWhileAnOlderOneIsInFlight) {
  complete(1, older);
  complete(1, newer);
  commit();
  complete(1, newer);

  EXPECT_EQ(ranges(), "1..1 older, 2..3 newer");
}

TEST_F(MarkingTest, ASegmentGrowsAgainAfterAKnownFailure) {
  complete(1, older);
  ASSERT_TRUE(fail(commit()));
  complete(1, older);

  EXPECT_EQ(ranges(), "1..2 older");
}

TEST_F(MarkingTest, AStuckSegmentThatIsNotSealedGrowsAndStaysStuck) {
  complete(1, older);
  ASSERT_TRUE(fail(commit(), permanent));
  complete(1, older);

  EXPECT_EQ(ranges(), "1..2 older");
  EXPECT_EQ(segment(0).phase, Phase::stuck);
}

TEST_F(MarkingTest, ANewSegmentIsNotDue) {
  complete(1, older);
  EXPECT_FALSE(segment(0).due);

  session.make_due("flush");
  complete(1, newer);
  EXPECT_TRUE(segment(0).due);
  EXPECT_FALSE(segment(1).due);
}

TEST_F(MarkingTest, GrowingChangesNeitherDueNorBackoff) {
  complete(1, older);
  ASSERT_TRUE(fail(commit(), false, 1'000));
  const Steady next_attempt = segment(0).next_attempt;
  const Utc next_attempt_at = segment(0).next_attempt_at;
  complete(1, older, 2'000);

  EXPECT_TRUE(segment(0).due);
  EXPECT_EQ(segment(0).reason, "commit");
  EXPECT_EQ(segment(0).attempts, 1);
  EXPECT_EQ(segment(0).next_attempt, next_attempt);
  EXPECT_EQ(segment(0).next_attempt_at, next_attempt_at);

  complete(1, newer, 3'000);
  complete(1, newer, 4'000);
  EXPECT_FALSE(segment(1).due);
}

TEST_F(MarkingTest, ASegmentRemembersWhenItsFirstTurnCompleted) {
  complete(1, older, 10);
  complete(1, older, 20);

  EXPECT_EQ(segment(0).began, at(10).steady);
  EXPECT_EQ(segment(0).began_at, at(10).utc);
  EXPECT_EQ(session.last_turn, at(20).steady);
  EXPECT_EQ(session.last_turn_at, at(20).utc);
}

TEST_F(MarkingTest, MarkingNeverCommits) {
  complete(5, older);

  EXPECT_FALSE(session.in_flight());
  EXPECT_EQ(session.due_segments(), 0);
  EXPECT_FALSE(begin()) << "nothing is due yet";
}

TEST_F(MarkingTest, TheSameTurnIdAgainIsTheSameTurn) {
  complete(3, older);
  const KnownTurn known{2, false};
  const Completed again = session.complete(newer, &known, policy, at(99));

  EXPECT_EQ(again.generation, 2);
  EXPECT_TRUE(again.duplicate);
  EXPECT_TRUE(again.counted);
  EXPECT_EQ(session.generation, 3);
  EXPECT_EQ(session.agent, older) << "not even the current agent changes";
  EXPECT_EQ(session.last_turn, at(0).steady);
  EXPECT_EQ(ranges(), "1..3 older");
}

TEST_F(MarkingTest, CompletingACancelledTurnAddsNothingAndSaysSo) {
  complete(1, older);
  const KnownTurn cancelled{1, true};
  const Completed completed = session.complete(newer, &cancelled, policy, at(99));

  EXPECT_FALSE(completed.counted);
  EXPECT_EQ(completed.generation, 1);
  EXPECT_EQ(session.generation, 1);
  EXPECT_EQ(session.agent, older);
  EXPECT_EQ(session.last_turn, at(0).steady);
}

TEST_F(MarkingTest, ANewAgentOwnsFutureTurnsOnly) {
  complete(2, older);
  session.agent = newer;
  complete(1);

  EXPECT_EQ(ranges(), "1..2 older, 3..3 newer");
}

TEST_F(MarkingTest, ForgettingTheCurrentAgentKeepsTheOwnersOfDirtySegments) {
  complete(2, older);
  session.agent = nullptr;
  complete(1);

  EXPECT_EQ(ranges(), "1..2 older, 3..3 -");
  EXPECT_EQ(commit().owner, older);
}

TEST_F(MarkingTest, ASegmentKeepsTheExternalIdInForceWhenItBegan) {
  session.external_id = "first";
  complete(1, older);
  session.external_id = "second";
  complete(1, newer);

  EXPECT_EQ(segment(0).external_id, "first");
  EXPECT_EQ(segment(1).external_id, "second");
  EXPECT_EQ(commit().external_id, "first");
}

TEST_F(MarkingTest, ATurnUnderANewExternalIdStartsANewSegment) {
  session.external_id = "first";
  complete(1, older);
  session.external_id = "second";
  complete(1, older);

  EXPECT_EQ(ranges(), "1..1 older, 2..2 older");
  EXPECT_EQ(segment(0).external_id, "first");
  EXPECT_EQ(segment(1).external_id, "second");
}

TEST_F(MarkingTest, ATurnIsOpenFromBeginToEnd) {
  EXPECT_TRUE(session.begin_turn("one", older, at(5)));
  ASSERT_EQ(session.open_turns.size(), 1u);
  EXPECT_EQ(session.open_turns[0].turn, "one");
  EXPECT_EQ(session.open_turns[0].agent, older);
  EXPECT_EQ(session.open_turns[0].began, at(5).steady);
  EXPECT_EQ(session.open_turns[0].began_at, at(5).utc);

  EXPECT_TRUE(session.begin_turn("two", older, at(6)));
  EXPECT_TRUE(session.end_turn("one"));
  ASSERT_EQ(session.open_turns.size(), 1u);
  EXPECT_EQ(session.open_turns[0].turn, "two");
  EXPECT_FALSE(session.end_turn("one"));
}

TEST_F(MarkingTest, BeginningAnOpenTurnAgainChangesNothing) {
  session.begin_turn("one", older, at(5));

  EXPECT_FALSE(session.begin_turn("one", newer, at(6)));
  ASSERT_EQ(session.open_turns.size(), 1u);
  EXPECT_EQ(session.open_turns[0].agent, older);
  EXPECT_EQ(session.open_turns[0].began, at(5).steady);
}

TEST_F(MarkingTest, ATurnBegunByNobodyNamedIsTheCurrentAgents) {
  session.begin_turn("nobody's", nullptr, at(0));
  session.agent = older;
  session.begin_turn("older's", nullptr, at(0));

  EXPECT_EQ(session.open_turns[0].agent, nullptr);
  EXPECT_EQ(session.open_turns[1].agent, older);
}

TEST_F(MarkingTest, ABegunTurnNeitherCountsNorChangesTheCurrentAgent) {
  session.agent = older;
  session.begin_turn("one", newer, at(0));

  EXPECT_FALSE(session.dirty());
  EXPECT_EQ(session.agent, older);
}

}  // namespace
}  // namespace tidemark::lifecycle
