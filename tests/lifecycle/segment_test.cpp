// A segment's life: the one word shown for it, the facts beside that word, acceptance, and how due and sealed end.
#include "fixture.h"

namespace tidemark::lifecycle {
namespace {

class SegmentTest : public SessionTest {
 protected:
  Segment one;

  SegmentTest() {
    one.start = one.end = 1;
    one.owner = older;
  }
};

TEST_F(SegmentTest, DirtyAndNotDueIsOpen) {
  EXPECT_EQ(one.state(), SegmentState::open);
}

TEST_F(SegmentTest, DueIsWaiting) {
  one.due = true;
  EXPECT_EQ(one.state(), SegmentState::waiting);
}

TEST_F(SegmentTest, SealedWithNoAttemptOutIsInDoubt) {
  one.due = one.sealed = true;
  EXPECT_EQ(one.state(), SegmentState::in_doubt);
  EXPECT_TRUE(one.in_doubt());
}

TEST_F(SegmentTest, DueWithALostOwnerIsOrphanedAlsoWhenSealed) {
  older->lost = one.due = one.sealed = true;
  EXPECT_EQ(one.state(), SegmentState::orphaned);
  EXPECT_TRUE(one.in_doubt()) << "a fact beside the word shown";
}

TEST_F(SegmentTest, ALostOwnersSegmentThatIsNotDueIsOpen) {
  older->lost = true;
  EXPECT_EQ(one.state(), SegmentState::open);
  EXPECT_FALSE(one.orphaned());
}

TEST_F(SegmentTest, AnOwnerlessSegmentIsNeverOrphaned) {
  one.owner = nullptr;
  one.due = true;
  EXPECT_EQ(one.state(), SegmentState::waiting);
}

TEST_F(SegmentTest, StuckComesBeforeOrphaned) {
  older->lost = one.due = one.sealed = true;
  one.phase = Phase::stuck;
  EXPECT_EQ(one.state(), SegmentState::stuck);
}

TEST_F(SegmentTest, ConfirmingAndInFlightComeBeforeEverything) {
  older->lost = one.due = one.sealed = true;
  one.phase = Phase::confirming;
  EXPECT_EQ(one.state(), SegmentState::confirming);
  EXPECT_FALSE(one.in_doubt());
  one.phase = Phase::in_flight;
  EXPECT_EQ(one.state(), SegmentState::in_flight);
  EXPECT_FALSE(one.in_doubt());
}

TEST_F(SegmentTest, AnExplicitCommitMakesTheSegmentThatItTakesDueAndNoOther) {
  complete(1, older);
  complete(1, newer);
  ASSERT_EQ(session.take(nullptr, "commit"), Taken::taken);

  EXPECT_TRUE(segment(0).due);
  EXPECT_EQ(segment(0).reason, "commit");
  EXPECT_FALSE(segment(1).due);
}

TEST_F(SegmentTest, AnExplicitCommitKeepsTheReasonOfTheBoundaryBefore) {
  complete(1, older);
  session.make_due("rotate");
  ASSERT_EQ(session.take(nullptr, "commit"), Taken::taken);

  EXPECT_EQ(segment(0).reason, "rotate");
}

TEST_F(SegmentTest, AFailedExplicitCommitStaysDue) {
  complete(1, older);
  ASSERT_TRUE(fail(commit()));

  EXPECT_TRUE(segment(0).due);
  EXPECT_EQ(segment(0).state(), SegmentState::waiting);
  EXPECT_EQ(session.due_segments(), 1);
}

TEST_F(SegmentTest, AcceptanceSealsAndIsNotYetDone) {
  complete(2, older);
  const Attempt attempt = commit();
  ASSERT_TRUE(session.accept(attempt.key, "", R"({"task":"t"})"));

  EXPECT_TRUE(segment(0).sealed);
  EXPECT_EQ(segment(0).key, attempt.key);
  EXPECT_EQ(segment(0).evidence, R"({"task":"t"})");
  EXPECT_EQ(segment(0).state(), SegmentState::confirming);
  EXPECT_TRUE(segment(0).due);
  EXPECT_EQ(session.accepted, 2);
  EXPECT_EQ(session.watermark, 0);
  EXPECT_FALSE(session.in_flight());
}

TEST_F(SegmentTest, TheWatermarkMovesOverTheConfirmedRunFromTheFront) {
  complete(1, older);
  complete(2, newer);
  complete(3, older);
  const Attempt first = commit();
  ASSERT_TRUE(session.accept(first.key, "", "{}"));
  const Attempt second = commit();
  ASSERT_TRUE(session.accept(second.key, "", "{}"));
  const Attempt third = commit();
  ASSERT_TRUE(session.accept(third.key, "", "{}"));
  EXPECT_EQ(session.accepted, 6);

  ASSERT_TRUE(session.succeed(second.key));
  EXPECT_EQ(session.watermark, 0) << "the first still holds it back";
  EXPECT_EQ(segment(1).state(), SegmentState::confirming);
  ASSERT_TRUE(session.succeed(first.key));
  EXPECT_EQ(session.watermark, 3);
  EXPECT_EQ(ranges(), "4..6 older");
  ASSERT_TRUE(session.succeed(third.key));
  EXPECT_EQ(session.watermark, 6);
  EXPECT_FALSE(session.dirty());
}

TEST_F(SegmentTest, ASuccessBehindAConfirmingSegmentIsAcceptedAndWaits) {
  complete(1, older);
  complete(2, newer);
  ASSERT_TRUE(session.accept(commit().key, "", "{}"));
  ASSERT_TRUE(session.succeed(commit().key));

  EXPECT_EQ(session.accepted, 3);
  EXPECT_EQ(session.watermark, 0);
  EXPECT_TRUE(session.dirty());
}

TEST_F(SegmentTest, AcceptedNeverGoesBack) {
  complete(1, older);
  complete(1, newer);
  const Attempt first = commit();
  ASSERT_TRUE(session.accept(first.key, "", "{}"));
  const Attempt second = commit();
  ASSERT_TRUE(session.accept(second.key, "", "{}"));
  ASSERT_TRUE(session.fail_confirmation(second.key, "no", ""));
  ASSERT_TRUE(session.succeed(first.key));

  EXPECT_EQ(session.accepted, 2);
  EXPECT_EQ(session.watermark, 1);
}

TEST_F(SegmentTest, AFailedConfirmationIsStuckWithItsRangeAndKey) {
  complete(2, older);
  const Attempt attempt = commit();
  ASSERT_TRUE(session.accept(attempt.key, "", "{}"));
  ASSERT_TRUE(session.fail_confirmation(attempt.key, "extraction failed", ""));

  EXPECT_EQ(segment(0).state(), SegmentState::stuck);
  EXPECT_EQ(segment(0).last_error, "extraction failed");
  EXPECT_EQ(session.take(nullptr, "commit"), Taken::stuck);
  complete(1, older);
  EXPECT_EQ(ranges(), "1..2 older, 3..3 older");

  session.retry(at(0));
  const Attempt again = commit();
  EXPECT_EQ(again.key, attempt.key);
  EXPECT_EQ(again.start, 1);
  EXPECT_EQ(again.end, 2);
}

TEST_F(SegmentTest, OnlyAConfirmingSegmentCanFailItsConfirmation) {
  complete(1, older);
  const Attempt attempt = commit();
  EXPECT_FALSE(session.fail_confirmation(attempt.key, "no", ""));
  ASSERT_TRUE(doubt(attempt));
  EXPECT_FALSE(session.fail_confirmation(attempt.key, "no", ""));
  EXPECT_FALSE(session.fail_confirmation(key_of(99), "no", ""));
  EXPECT_EQ(segment(0).phase, Phase::pending);
}

TEST_F(SegmentTest, AcceptingAConfirmingSegmentAgainKeepsItsEvidence) {
  complete(1, older);
  const Attempt attempt = commit();
  ASSERT_TRUE(session.accept(attempt.key, "", "first"));

  EXPECT_FALSE(session.accept(attempt.key, "", "second"));
  EXPECT_EQ(segment(0).evidence, "first");
}

TEST_F(SegmentTest, FactsAreTrueWhateverWordIsShown) {
  EXPECT_EQ(session.facts(), Facts{});
  complete(1, older);
  Facts expected;
  expected.dirty = true;
  EXPECT_EQ(session.facts(), expected);

  const Attempt attempt = commit();
  expected.due = expected.in_flight = true;
  EXPECT_EQ(session.facts(), expected);

  ASSERT_TRUE(doubt(attempt));
  older->lost = true;
  expected.in_flight = false;
  expected.in_doubt = expected.orphaned = true;
  EXPECT_EQ(session.facts(), expected);

  ASSERT_TRUE(fail(commit(), permanent));
  expected.stuck = true;
  EXPECT_EQ(session.facts(), expected) << "stuck is shown, in doubt and orphaned are true too";
}

TEST_F(SegmentTest, WhatIsConfirmedBehindAnotherIsNeitherDueNorOrphanedNorInDoubt) {
  complete(1, older);
  complete(1, newer);
  const Attempt first = commit();
  ASSERT_TRUE(session.accept(first.key, "", "{}"));
  const Attempt second = commit();
  ASSERT_TRUE(session.accept(second.key, "", "{}"));
  ASSERT_TRUE(session.succeed(second.key));
  newer->lost = true;

  EXPECT_EQ(session.due_segments(), 1);
  Facts expected;
  expected.dirty = expected.due = expected.confirming = true;
  EXPECT_EQ(session.facts(), expected);
}

TEST_F(SegmentTest, DueEndsBySuccess) {
  complete(1, older);
  session.make_due("flush");
  ASSERT_TRUE(session.succeed(commit().key));

  EXPECT_EQ(session.due_segments(), 0);
  EXPECT_EQ(session.facts(), Facts{});
}

}  // namespace
}  // namespace tidemark::lifecycle
