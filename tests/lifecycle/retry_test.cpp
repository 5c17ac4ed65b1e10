// Retries: how long a failed segment waits, when it is stuck, and what is done about it by hand.
#include "fixture.h"

namespace tidemark::lifecycle {
namespace {

class RetryTest : public SessionTest {};

TEST_F(RetryTest, AFailedSegmentWaitsOnBothClocks) {
  complete(1, older);
  ASSERT_TRUE(fail(commit(), false, 1'000));

  EXPECT_EQ(segment(0).phase, Phase::pending);
  EXPECT_EQ(segment(0).next_attempt, at(6'000).steady);
  EXPECT_EQ(segment(0).next_attempt_at, at(6'000).utc);
}

TEST_F(RetryTest, TheWaitDoublesWithEachAttemptWhateverItsOutcome) {
  complete(1, older);
  ASSERT_TRUE(fail(commit()));
  ASSERT_TRUE(doubt(commit(), 10'000));
  EXPECT_EQ(segment(0).next_attempt, at(20'000).steady);
  ASSERT_TRUE(fail(commit(), false, 30'000));
  EXPECT_EQ(segment(0).next_attempt, at(50'000).steady);
}

TEST_F(RetryTest, ChanceSpreadsTheWait) {
  complete(1, older);
  ASSERT_TRUE(session.fail(commit().commit, "no", false, retry_policy, 0.0, at(0)));
  EXPECT_EQ(segment(0).next_attempt, at(4'000).steady);
  ASSERT_TRUE(session.doubt(commit().commit, "no", retry_policy, 0.75, at(0)));
  EXPECT_EQ(segment(0).next_attempt, at(11'000).steady);
}

TEST_F(RetryTest, APermanentFailureIsStuck) {
  complete(1, older);
  ASSERT_TRUE(fail(commit(), permanent));

  EXPECT_EQ(segment(0).state(), SegmentState::stuck);
  EXPECT_TRUE(segment(0).due);
  EXPECT_FALSE(session.in_flight());
}

TEST_F(RetryTest, AttemptsUsedUpAreStuck) {
  retry_policy.attempts = 2;
  complete(1, older);
  ASSERT_TRUE(fail(commit()));
  EXPECT_EQ(segment(0).state(), SegmentState::waiting);
  ASSERT_TRUE(fail(commit()));
  EXPECT_EQ(segment(0).state(), SegmentState::stuck);
  EXPECT_EQ(segment(0).last_error, "commit failed");
}

TEST_F(RetryTest, AttemptsUsedUpInDoubtAreStuckAndSealed) {
  retry_policy.attempts = 1;
  complete(1, older);
  ASSERT_TRUE(doubt(commit()));

  EXPECT_EQ(segment(0).state(), SegmentState::stuck);
  EXPECT_TRUE(segment(0).sealed);
  EXPECT_TRUE(session.facts().in_doubt);
}

TEST_F(RetryTest, NoLimitOfAttemptsUnlessSet) {
  complete(1, older);
  for (int attempts = 0; attempts < 100; ++attempts) ASSERT_TRUE(fail(commit()));

  EXPECT_EQ(segment(0).state(), SegmentState::waiting);
  EXPECT_EQ(segment(0).next_attempt, at(600'000).steady);
}

TEST_F(RetryTest, WhatIsStuckHoldsBackTheYoungerSegmentsOfItsSession) {
  complete(1, older);
  ASSERT_TRUE(fail(commit(), permanent));
  complete(1, newer);
  session.make_due("flush");
  EXPECT_FALSE(begin());

  EXPECT_EQ(session.retry(at(5)), 2);
  const std::optional<Attempt> attempt = begin();
  ASSERT_TRUE(attempt);
  EXPECT_EQ(attempt->start, 1);
}

TEST_F(RetryTest, RetryGivesAllAttemptsBackAndWaitsForNothing) {
  retry_policy.attempts = 2;
  complete(1, older);
  ASSERT_TRUE(fail(commit(), false, 100));
  ASSERT_TRUE(fail(commit(), false, 100));
  EXPECT_EQ(session.retry(at(200)), 1);

  EXPECT_EQ(segment(0).phase, Phase::pending);
  EXPECT_EQ(segment(0).attempts, 0);
  EXPECT_LE(segment(0).next_attempt, at(200).steady);
  EXPECT_LE(segment(0).next_attempt_at, at(200).utc);
  ASSERT_TRUE(fail(commit()));
  EXPECT_EQ(segment(0).state(), SegmentState::waiting);
}

TEST_F(RetryTest, RetryAlsoEndsTheBackoffOfWhatIsNotStuck) {
  complete(1, older);
  ASSERT_TRUE(fail(commit()));

  EXPECT_EQ(session.retry(at(1)), 1);
  EXPECT_EQ(segment(0).next_attempt, at(1).steady);
  EXPECT_EQ(segment(0).attempts, 1);
}

TEST_F(RetryTest, RetryLeavesOpenSegmentsOpen) {
  complete(1, older);

  EXPECT_EQ(session.retry(at(0)), 0);
  EXPECT_FALSE(segment(0).due);
}

TEST_F(RetryTest, SettledTurnsAreBehindTheWatermark) {
  complete(2, older);
  complete(2, newer);
  ASSERT_TRUE(fail(commit(), permanent));
  const Dropped dropped = session.drop_through(2);

  EXPECT_EQ(dropped.refused, "");
  ASSERT_EQ(dropped.segments.size(), 1u);
  EXPECT_EQ(dropped.segments[0].start, 1);
  EXPECT_EQ(dropped.segments[0].end, 2);
  EXPECT_EQ(dropped.segments[0].owner, older);
  EXPECT_EQ(session.watermark, 2);
  EXPECT_EQ(session.accepted, 2);
  EXPECT_EQ(ranges(), "3..4 newer");
  EXPECT_EQ(commit().start, 3);
}

TEST_F(RetryTest, DroppingMayCutASegmentThatIsNotSealed) {
  complete(4, older);
  ASSERT_TRUE(fail(commit()));
  const Dropped dropped = session.drop_through(3);

  EXPECT_EQ(dropped.refused, "");
  ASSERT_EQ(dropped.segments.size(), 1u);
  EXPECT_EQ(dropped.segments[0].end, 3);
  EXPECT_EQ(ranges(), "4..4 older");
  EXPECT_TRUE(segment(0).due);
  EXPECT_EQ(session.watermark, 3);
}

TEST_F(RetryTest, DroppingMayNotCutASegmentThatIsOutOrSealed) {
  complete(3, older);
  const Attempt attempt = commit();
  EXPECT_NE(session.drop_through(2).refused, "") << "in flight";
  ASSERT_TRUE(session.accept(attempt.key, "", "{}"));
  EXPECT_NE(session.drop_through(2).refused, "") << "confirming";
  ASSERT_TRUE(session.fail_confirmation(attempt.key, "no", ""));
  EXPECT_NE(session.drop_through(2).refused, "") << "sealed and stuck";
  session.retry(at(0));
  EXPECT_NE(session.drop_through(2).refused, "") << "sealed";

  EXPECT_EQ(ranges(), "1..3 older");
  EXPECT_EQ(session.watermark, 0);
}

TEST_F(RetryTest, ARefusalDropsNothingNotEvenTheWholeSegmentsBefore) {
  complete(1, older);
  ASSERT_TRUE(session.accept(commit().key, "", "{}"));
  complete(2, newer);
  commit();
  const Dropped dropped = session.drop_through(2);

  EXPECT_NE(dropped.refused, "");
  EXPECT_TRUE(dropped.segments.empty());
  EXPECT_EQ(ranges(), "1..1 older, 2..3 newer");
}

TEST_F(RetryTest, DroppingBeyondTheLastTurnIsRefused) {
  complete(2, older);

  EXPECT_NE(session.drop_through(3).refused, "");
  EXPECT_EQ(ranges(), "1..2 older");
}

TEST_F(RetryTest, DroppingWhatIsSettledAlreadyDropsNothing) {
  complete(2, older);
  ASSERT_TRUE(session.succeed(commit().key));
  complete(1, older);
  const Dropped dropped = session.drop_through(1);

  EXPECT_EQ(dropped.refused, "");
  EXPECT_TRUE(dropped.segments.empty());
  EXPECT_EQ(session.watermark, 2);
}

TEST_F(RetryTest, DroppingVoidsTheKeyOfWhatIsOut) {
  complete(1, older);
  const Attempt attempt = commit();
  const Dropped dropped = session.drop_through(1);

  EXPECT_EQ(dropped.refused, "");
  ASSERT_EQ(dropped.segments.size(), 1u);
  EXPECT_EQ(dropped.segments[0].key, attempt.key);
  EXPECT_EQ(dropped.segments[0].commit, attempt.commit);
  complete(1, older);
  EXPECT_FALSE(session.succeed(attempt.key));
  EXPECT_FALSE(session.accept(attempt.key, "", "{}"));
  EXPECT_FALSE(fail(attempt));
  EXPECT_EQ(session.watermark, 1);
}

TEST_F(RetryTest, DroppingVoidsTheKeyOfWhatWasInDoubt) {
  complete(1, older);
  const Attempt attempt = commit();
  ASSERT_TRUE(doubt(attempt));
  const Dropped dropped = session.drop_through(1);

  ASSERT_EQ(dropped.segments.size(), 1u);
  EXPECT_TRUE(dropped.segments[0].sealed);
  EXPECT_EQ(dropped.segments[0].key, attempt.key);
  EXPECT_FALSE(session.succeed(attempt.key));
}

TEST_F(RetryTest, DroppingReachesTheConfirmedRunBehind) {
  complete(1, older);
  complete(1, newer);
  complete(1, older);
  ASSERT_TRUE(session.accept(commit().key, "", "{}"));
  ASSERT_TRUE(session.succeed(commit().key));
  const Dropped dropped = session.drop_through(1);

  ASSERT_EQ(dropped.segments.size(), 1u);
  EXPECT_EQ(session.watermark, 2);
  EXPECT_EQ(ranges(), "3..3 older");
}

TEST_F(RetryTest, WhatWasConfirmedBehindAnotherIsNotAmongTheDropped) {
  complete(1, older);
  complete(2, newer);
  ASSERT_TRUE(session.accept(commit().key, "", "{}"));
  ASSERT_TRUE(session.succeed(commit().key));
  complete(1, older);

  EXPECT_NE(session.drop_through(2).refused, "") << "it has landed whole";
  const Dropped dropped = session.drop_through(4);
  ASSERT_EQ(dropped.segments.size(), 2u);
  EXPECT_EQ(dropped.segments[0].start, 1);
  EXPECT_EQ(dropped.segments[1].start, 4);
  EXPECT_EQ(session.watermark, 4);
}

TEST_F(RetryTest, DueEndsByDropping) {
  complete(1, older);
  session.make_due("flush");
  session.drop_through(1);

  EXPECT_EQ(session.due_segments(), 0);
  EXPECT_FALSE(session.dirty());
}

TEST_F(RetryTest, GenerationsAreNeverUsedAgainAfterDropping) {
  complete(3, older);
  session.drop_through(3);

  EXPECT_EQ(session.complete(older, nullptr, policy, at(0)).generation, 4);
}

}  // namespace
}  // namespace tidemark::lifecycle
