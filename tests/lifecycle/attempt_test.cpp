// Committing: which segment an attempt takes, whom it asks, and what success and failure do to the mark.
#include "fixture.h"

namespace tidemark::lifecycle {
namespace {

class AttemptTest : public SessionTest {};

TEST_F(AttemptTest, TheOldestSegmentGoesFirstAndWhole) {
  complete(3, older);
  complete(2, newer);
  const Attempt attempt = commit();

  EXPECT_EQ(attempt.start, 1);
  EXPECT_EQ(attempt.end, 3);
  EXPECT_EQ(attempt.owner, older);
  EXPECT_EQ(attempt.attempt, 1);
  EXPECT_FALSE(attempt.sealed);
  EXPECT_NE(attempt.key, no_key);
  EXPECT_EQ(segment(0).phase, Phase::in_flight);
  EXPECT_EQ(segment(0).commit, attempt.commit);
  EXPECT_EQ(segment(0).key, attempt.key);
  EXPECT_TRUE(session.in_flight());
}

TEST_F(AttemptTest, OneAttemptAtATime) {
  complete(1, older);
  complete(1, newer);
  session.make_due("flush");
  ASSERT_TRUE(begin());

  EXPECT_FALSE(begin());
}

TEST_F(AttemptTest, WhatIsNotDueIsNotAttempted) {
  complete(1, older);

  EXPECT_FALSE(begin());
  EXPECT_EQ(segment(0).key, no_key);
  EXPECT_EQ(segment(0).attempts, 0);
}

TEST_F(AttemptTest, ANewerSegmentThatIsDueNeverSkipsTheOlderOne) {
  complete(1, older);
  ASSERT_TRUE(fail(commit(), permanent));
  complete(1, newer);
  session.make_due("flush");

  EXPECT_FALSE(begin());
  EXPECT_EQ(session.next(), &session.segments.front());
}

TEST_F(AttemptTest, ANamedNewerAgentNeverGetsAnOlderOnesSegment) {
  complete(1, older);
  complete(1, newer);

  EXPECT_EQ(commit(newer).owner, older);
  EXPECT_EQ(ranges(), "1..1 older, 2..2 newer");
}

TEST_F(AttemptTest, AnOwnerlessSegmentIsAdoptedByTheNamedAgent) {
  complete(1);
  session.agent = older;

  EXPECT_EQ(commit(newer).owner, newer);
  EXPECT_EQ(ranges(), "1..1 newer");
  EXPECT_EQ(session.agent, older) << "adopting makes nobody the current agent";
}

TEST_F(AttemptTest, AnOwnerlessSegmentIsElseAdoptedByTheCurrentAgent) {
  complete(1);
  session.agent = older;

  EXPECT_EQ(commit().owner, older);
}

TEST_F(AttemptTest, ABoundarysAttemptAdoptsForTheCurrentAgentToo) {
  complete(1);
  session.make_due("flush");
  EXPECT_FALSE(begin()) << "there is nobody to ask";
  EXPECT_EQ(segment(0).phase, Phase::pending);

  session.agent = older;
  const std::optional<Attempt> attempt = begin();
  ASSERT_TRUE(attempt);
  EXPECT_EQ(attempt->owner, older);
  EXPECT_EQ(ranges(), "1..1 older");
}

TEST_F(AttemptTest, AnAdoptionIsKeptWhenTheAttemptFails) {
  complete(1);
  ASSERT_TRUE(fail(commit(older)));

  EXPECT_EQ(ranges(), "1..1 older");
  EXPECT_EQ(commit(newer).owner, older);
}

TEST_F(AttemptTest, OnlyTheSegmentThatIsTakenIsAdopted) {
  complete(1);
  complete(1, older);
  session.agent = nullptr;
  complete(1);
  commit(newer);

  EXPECT_EQ(ranges(), "1..1 newer, 2..2 older, 3..3 -");
}

TEST_F(AttemptTest, WithNobodyToAdoptNothingHappens) {
  complete(1);

  EXPECT_EQ(session.take(nullptr, "commit"), Taken::no_owner);
  EXPECT_EQ(ranges(), "1..1 -");
  EXPECT_FALSE(segment(0).due);
}

TEST_F(AttemptTest, SuccessMovesTheMarkToTheCapturedEndAndNoFurther) {
  complete(3, older);
  const Attempt attempt = commit();
  complete(2, older);
  ASSERT_TRUE(session.succeed(attempt.key));

  EXPECT_EQ(session.watermark, 3);
  EXPECT_EQ(session.accepted, 3);
  EXPECT_EQ(session.generation, 5);
  EXPECT_EQ(ranges(), "4..5 older");
  EXPECT_TRUE(session.dirty());
}

TEST_F(AttemptTest, RepeatingACommitWhenNothingIsNewDoesNothing) {
  complete(1, older);
  ASSERT_TRUE(session.succeed(commit().key));

  EXPECT_EQ(session.take(older, "commit"), Taken::clean);
  EXPECT_FALSE(begin());
  EXPECT_EQ(session.next(), nullptr);
}

TEST_F(AttemptTest, FailureKeepsTheSegmentItsOwnerAndItsOrder) {
  complete(2, older);
  complete(1, newer);
  ASSERT_TRUE(fail(commit()));

  EXPECT_EQ(ranges(), "1..2 older, 3..3 newer");
  EXPECT_EQ(session.watermark, 0);
  EXPECT_EQ(session.accepted, 0);
  EXPECT_EQ(segment(0).last_error, "commit failed");
  const Attempt again = commit(newer);
  EXPECT_EQ(again.owner, older);
  EXPECT_EQ(again.attempt, 2);
}

TEST_F(AttemptTest, ASecondCommitWhileOneIsInFlightIsBusyAndChangesNothing) {
  complete(1, older);
  commit();
  complete(1, newer);

  EXPECT_EQ(session.take(newer, "commit"), Taken::busy);
  EXPECT_FALSE(segment(1).due);
}

TEST_F(AttemptTest, WhenAllThatIsDirtyIsConfirmingACommitSaysSo) {
  complete(1, older);
  ASSERT_TRUE(session.accept(commit().key, "", "{}"));

  EXPECT_EQ(session.take(older, "commit"), Taken::confirming);
  EXPECT_EQ(session.next(), nullptr);
}

TEST_F(AttemptTest, AStuckSegmentIsNotTakenAndNothingChanges) {
  complete(1, older);
  ASSERT_TRUE(fail(commit(), permanent));
  complete(1, newer);

  EXPECT_EQ(session.take(newer, "commit"), Taken::stuck);
  EXPECT_FALSE(begin());
  EXPECT_EQ(segment(0).attempts, 1);
  EXPECT_FALSE(segment(1).due);
}

TEST_F(AttemptTest, ConfirmingHoldsNothingBack) {
  complete(1, older);
  complete(1, newer);
  const Attempt first = commit();
  ASSERT_TRUE(session.accept(first.key, "", "{}"));

  const Attempt second = commit();
  EXPECT_EQ(second.start, 2);
  EXPECT_EQ(second.owner, newer);
}

TEST_F(AttemptTest, EveryAttemptHasItsOwnCommitId) {
  complete(1, older);
  const Attempt first = commit();
  ASSERT_TRUE(fail(first));
  const Attempt second = commit();

  EXPECT_NE(first.commit, second.commit);
  EXPECT_FALSE(fail(first)) << "it isn't the attempt that is out";
  EXPECT_EQ(segment(0).phase, Phase::in_flight);
}

TEST_F(AttemptTest, ACommitDoesNotWaitForABackoff) {
  complete(1, older);
  ASSERT_TRUE(fail(commit()));
  ASSERT_GT(segment(0).next_attempt, at(0).steady);

  EXPECT_EQ(session.take(nullptr, "commit"), Taken::taken);
  EXPECT_TRUE(begin());
}

}  // namespace
}  // namespace tidemark::lifecycle
