// Exactly what was in doubt: when a segment is sealed, what its key is good for, and what late reports change.
#include "fixture.h"

namespace tidemark::lifecycle {
namespace {

class DoubtTest : public SessionTest {};

TEST_F(DoubtTest, AnUnknownOutcomeSealsTheSegment) {
  complete(2, older);
  const Attempt attempt = commit();
  EXPECT_FALSE(segment(0).sealed);
  ASSERT_TRUE(doubt(attempt));

  EXPECT_TRUE(segment(0).sealed);
  EXPECT_EQ(segment(0).key, attempt.key);
  EXPECT_EQ(segment(0).state(), SegmentState::in_doubt);
  EXPECT_EQ(segment(0).last_error, "connection lost");
  EXPECT_TRUE(segment(0).due);
  EXPECT_FALSE(session.in_flight());
}

TEST_F(DoubtTest, EveryRetryHasTheSameRangeOwnerAndKey) {
  complete(2, older);
  const Attempt first = commit();
  ASSERT_TRUE(doubt(first));
  complete(1, older);
  complete(1, newer);

  for (std::int64_t attempts = 2; attempts < 5; ++attempts) {
    const Attempt again = commit(newer);
    EXPECT_EQ(again.start, 1);
    EXPECT_EQ(again.end, 2);
    EXPECT_EQ(again.owner, older);
    EXPECT_EQ(again.key, first.key);
    EXPECT_EQ(again.attempt, attempts);
    EXPECT_TRUE(again.sealed);
    EXPECT_NE(again.commit, first.commit);
    ASSERT_TRUE(doubt(again));
  }
}

TEST_F(DoubtTest, AKnownFailureDoesNotSealAndTheNextTryHasANewKey) {
  complete(1, older);
  const Attempt first = commit();
  ASSERT_TRUE(fail(first));
  EXPECT_FALSE(segment(0).sealed);
  EXPECT_EQ(segment(0).key, no_key);
  complete(1, older);

  const Attempt second = commit();
  EXPECT_NE(second.key, first.key);
  EXPECT_EQ(second.end, 2);
  EXPECT_FALSE(second.sealed);
}

TEST_F(DoubtTest, SealedIsForEverAlsoAfterALaterKnownFailure) {
  complete(1, older);
  const Attempt first = commit();
  ASSERT_TRUE(doubt(first));
  ASSERT_TRUE(fail(commit()));

  EXPECT_TRUE(segment(0).sealed);
  EXPECT_EQ(segment(0).key, first.key);
  EXPECT_EQ(segment(0).state(), SegmentState::in_doubt);
  EXPECT_EQ(commit().key, first.key);
}

TEST_F(DoubtTest, APermanentFailureOfASealedSegmentKeepsItsKeyToo) {
  complete(1, older);
  const Attempt first = commit();
  ASSERT_TRUE(doubt(first));
  ASSERT_TRUE(fail(commit(), permanent));

  EXPECT_EQ(segment(0).state(), SegmentState::stuck);
  EXPECT_EQ(segment(0).key, first.key);
  EXPECT_TRUE(session.succeed(first.key)) << "stuck or not, it has landed";
  EXPECT_FALSE(session.dirty());
}

TEST_F(DoubtTest, ALateSuccessCountsWhileNoAttemptIsOut) {
  complete(2, older);
  const Attempt attempt = commit();
  ASSERT_TRUE(doubt(attempt));
  complete(1, older);
  ASSERT_TRUE(session.succeed(attempt.key));

  EXPECT_EQ(session.watermark, 2);
  EXPECT_EQ(ranges(), "3..3 older");
}

TEST_F(DoubtTest, ALateSuccessCountsWhileTheNextAttemptIsOut) {
  complete(1, older);
  ASSERT_TRUE(doubt(commit()));
  const Attempt second = commit();
  ASSERT_TRUE(session.succeed(second.key));

  EXPECT_EQ(session.watermark, 1);
  EXPECT_FALSE(session.in_flight());
  EXPECT_FALSE(fail(second)) << "a late failure changes nothing";
  EXPECT_FALSE(doubt(second));
  EXPECT_EQ(session.watermark, 1);
}

TEST_F(DoubtTest, OnlyTheFirstSuccessOfAKeyCounts) {
  complete(1, older);
  const Attempt attempt = commit();
  EXPECT_TRUE(session.succeed(attempt.key));
  EXPECT_FALSE(session.succeed(attempt.key));
  complete(1, older);
  EXPECT_FALSE(session.succeed(attempt.key));
  EXPECT_FALSE(session.accept(attempt.key, "", "{}"));

  EXPECT_EQ(session.watermark, 1);
  EXPECT_EQ(session.accepted, 1);
}

TEST_F(DoubtTest, ASecondSuccessOfWhatIsConfirmedBehindAnotherChangesNothing) {
  complete(1, older);
  complete(1, newer);
  ASSERT_TRUE(session.accept(commit().key, "", "{}"));
  const Attempt second = commit();
  ASSERT_TRUE(session.succeed(second.key));

  EXPECT_FALSE(session.succeed(second.key));
  EXPECT_FALSE(session.accept(second.key, "", "{}"));
  EXPECT_EQ(segment(1).phase, Phase::confirmed);
}

TEST_F(DoubtTest, ALateAcceptanceCountsToo) {
  complete(1, older);
  const Attempt attempt = commit();
  ASSERT_TRUE(doubt(attempt));
  ASSERT_TRUE(session.accept(attempt.key, "", "late"));

  EXPECT_EQ(segment(0).state(), SegmentState::confirming);
  EXPECT_EQ(session.accepted, 1);
}

TEST_F(DoubtTest, ALateFailureOfAConfirmingSegmentChangesNothing) {
  complete(1, older);
  ASSERT_TRUE(doubt(commit()));
  const Attempt second = commit();
  ASSERT_TRUE(session.accept(second.key, "", "{}"));

  EXPECT_FALSE(fail(second));
  EXPECT_FALSE(doubt(second));
  EXPECT_EQ(segment(0).state(), SegmentState::confirming);
}

TEST_F(DoubtTest, ALateFailureOfAnEarlierAttemptChangesNothing) {
  complete(1, older);
  const Attempt first = commit();
  ASSERT_TRUE(doubt(first));
  const Attempt second = commit();

  EXPECT_FALSE(fail(first, permanent));
  EXPECT_FALSE(doubt(first));
  EXPECT_EQ(segment(0).commit, second.commit);
  EXPECT_EQ(segment(0).phase, Phase::in_flight);
}

TEST_F(DoubtTest, AKeyThatMeansNothingChangesNothing) {
  complete(1, older);
  commit();
  complete(1, newer);

  EXPECT_FALSE(session.succeed(key_of(999)));
  EXPECT_FALSE(session.accept(key_of(999), "", "{}"));
  EXPECT_FALSE(session.succeed(no_key)) << "the open segment has no key, which is no match";
  EXPECT_FALSE(session.accept(no_key, "", "{}"));
  EXPECT_EQ(ranges(), "1..1 older, 2..2 newer");
}

TEST_F(DoubtTest, OfAnUnsealedSegmentTheFailedTrysKeyMeansNothingAnyMore) {
  complete(1, older);
  const Attempt first = commit();
  ASSERT_TRUE(fail(first));
  complete(1, older);

  EXPECT_FALSE(session.succeed(first.key)) << "the segment has grown beyond what that key stood for";
  EXPECT_EQ(session.watermark, 0);
}

TEST_F(DoubtTest, AnAdoptedSegmentInDoubtStaysWithItsAdopter) {
  complete(1);
  ASSERT_TRUE(doubt(commit(older)));
  session.agent = newer;

  EXPECT_EQ(commit(newer).owner, older);
}

TEST_F(DoubtTest, AfterAStartAnAttemptThatWasOutIsInDoubt) {
  complete(2, older);
  const Attempt attempt = commit();
  complete(1, older);

  EXPECT_EQ(session.recover(at(7)), attempt.commit);
  EXPECT_EQ(segment(0).state(), SegmentState::in_doubt);
  EXPECT_EQ(segment(0).key, attempt.key);
  EXPECT_EQ(segment(0).attempts, 1);
  EXPECT_NE(segment(0).last_error, "");
  EXPECT_LE(segment(0).next_attempt, at(7).steady);
  EXPECT_EQ(ranges(), "1..2 older, 3..3 older");
  EXPECT_EQ(session.recover(at(8)), 0) << "none is out any more";
  EXPECT_TRUE(session.succeed(attempt.key)) << "a late success counts also after a start";
}

TEST_F(DoubtTest, AfterAStartSealedWorkDoesNotWaitForItsBackoff) {
  complete(1, older);
  ASSERT_TRUE(doubt(commit(), 100));
  ASSERT_GT(segment(0).next_attempt, at(200).steady);

  EXPECT_EQ(session.recover(at(200)), 0);
  EXPECT_EQ(segment(0).next_attempt, at(200).steady);
  EXPECT_EQ(segment(0).next_attempt_at, at(200).utc);
}

TEST_F(DoubtTest, AfterAStartWhatIsNotSealedStillWaits) {
  complete(1, older);
  ASSERT_TRUE(fail(commit(), false, 100));
  const Steady next_attempt = segment(0).next_attempt;

  EXPECT_EQ(session.recover(at(200)), 0);
  EXPECT_EQ(segment(0).next_attempt, next_attempt);
  EXPECT_FALSE(segment(0).sealed);
}

TEST_F(DoubtTest, AConfirmingSegmentSurvivesAStart) {
  complete(1, older);
  const Attempt attempt = commit();
  ASSERT_TRUE(session.accept(attempt.key, "", "task"));

  EXPECT_EQ(session.recover(at(0)), 0);
  EXPECT_EQ(segment(0).state(), SegmentState::confirming);
  EXPECT_EQ(segment(0).evidence, "task");
  EXPECT_TRUE(session.succeed(attempt.key));
}

TEST_F(DoubtTest, WhatIsStuckIsStuckAlsoAfterAStart) {
  complete(1, older);
  ASSERT_TRUE(doubt(commit()));
  ASSERT_TRUE(fail(commit(), permanent));
  session.recover(at(0));

  EXPECT_EQ(segment(0).state(), SegmentState::stuck);
  EXPECT_FALSE(begin());
}

TEST_F(DoubtTest, SuspectedLossIsStuckAndVisible) {
  complete(1, older);
  ASSERT_TRUE(fail(commit(), permanent));

  EXPECT_TRUE(session.dirty());
  EXPECT_TRUE(session.facts().stuck);
  EXPECT_EQ(session.watermark, 0);
}

}  // namespace
}  // namespace tidemark::lifecycle
