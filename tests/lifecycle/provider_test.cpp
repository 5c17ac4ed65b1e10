// What a provider may do to a segment besides committing it: leave evidence, be at fault as a whole, get stuck half way
// (contract, sections 4, 7 and 9).
#include "fixture.h"

namespace tidemark::lifecycle {
namespace {

using ProviderTest = SessionTest;

TEST_F(ProviderTest, EvidenceIsNotedWhileTheAttemptIsOut) {
  complete(1, older);
  EXPECT_FALSE(session.note(1, "{}")) << "nothing is out";
  const Attempt out = commit();
  ASSERT_TRUE(session.note(out.commit, R"({"before":1})"));
  EXPECT_FALSE(session.note(out.commit + 1, "{}"));
  EXPECT_EQ(segment(0).evidence, R"({"before":1})");
  EXPECT_TRUE(segment(0).changed);
}

TEST_F(ProviderTest, WhatMayHaveLandedIsHandedToTheNextTry) {
  complete(1, older);
  const Attempt first = commit();
  session.note(first.commit, "noted");
  ASSERT_TRUE(doubt(first));
  const Attempt second = commit();
  EXPECT_EQ(second.evidence, "noted");
  EXPECT_TRUE(second.sealed);
  ASSERT_TRUE(fail(second));
  EXPECT_EQ(segment(0).evidence, "noted") << "the first may still have landed";
}

TEST_F(ProviderTest, WhatIsKnownNotToHaveLandedLeavesNothing) {
  complete(1, older);
  const Attempt out = commit();
  session.note(out.commit, "noted");
  ASSERT_TRUE(fail(out));
  EXPECT_EQ(segment(0).evidence, "");
  EXPECT_EQ(segment(0).key, no_key);
}

TEST_F(ProviderTest, AFaultOfTheProviderSpendsNobodysAttempts) {
  retry_policy.attempts = 1;
  complete(1, older);
  const Attempt out = commit();
  session.note(out.commit, "noted");
  ASSERT_TRUE(session.withdraw(out.commit, "401"));
  EXPECT_EQ(segment(0).state(), SegmentState::waiting);
  EXPECT_EQ(segment(0).attempts, 0);
  EXPECT_EQ(segment(0).last_error, "401");
  EXPECT_EQ(segment(0).next_attempt, Steady{}) << "it waits for the provider, not for a time";
  EXPECT_EQ(segment(0).evidence, "");
  EXPECT_FALSE(segment(0).sealed);
  EXPECT_EQ(commit().attempt, 1);
}

TEST_F(ProviderTest, AFaultThatMayHaveLandedSealsAndSpendsNothing) {
  complete(1, older);
  const Attempt out = commit();
  session.note(out.commit, "noted");
  ASSERT_TRUE(session.withdraw_in_doubt(out.commit, "a page that isn't JSON"));
  EXPECT_FALSE(session.withdraw_in_doubt(out.commit, "again"));
  EXPECT_EQ(segment(0).state(), SegmentState::in_doubt);
  EXPECT_EQ(segment(0).attempts, 0);
  const Attempt again = commit();
  EXPECT_EQ(again.key, out.key);
  EXPECT_EQ(again.evidence, "noted");
}

TEST_F(ProviderTest, WithdrawingWithoutAWordKeepsTheLastError) {
  complete(1, older);
  ASSERT_TRUE(fail(commit()));
  ASSERT_TRUE(session.withdraw(commit().commit, ""));
  EXPECT_EQ(segment(0).last_error, "commit failed");
}

TEST_F(ProviderTest, AcceptanceSaysWhoHasIt) {
  complete(1, older);
  ASSERT_TRUE(session.accept(commit().key, "memory", ""));
  EXPECT_EQ(segment(0).provider, "memory");
}

TEST_F(ProviderTest, AcceptanceWithoutEvidenceKeepsWhatWasNoted) {
  complete(1, older);
  const Attempt out = commit();
  session.note(out.commit, "noted");
  ASSERT_TRUE(session.accept(out.key, "memory", ""));
  EXPECT_EQ(segment(0).evidence, "noted");
}

TEST_F(ProviderTest, StalledIsAFactOfWhatIsConfirmingOnly) {
  complete(1, older);
  const Attempt out = commit();
  EXPECT_FALSE(session.set_stalled(out.key, true)) << "it is only in flight";
  ASSERT_TRUE(session.accept(out.key, "memory", "{}"));
  EXPECT_FALSE(session.set_stalled(out.key, false)) << "that is known";
  ASSERT_TRUE(session.set_stalled(out.key, true));
  EXPECT_FALSE(session.set_stalled(out.key, true));
  EXPECT_TRUE(session.facts().stalled);
  EXPECT_EQ(segment(0).state(), SegmentState::confirming);
  ASSERT_TRUE(session.fail_confirmation(out.key, "extraction failed", "why"));
  EXPECT_FALSE(session.facts().stalled);
  EXPECT_FALSE(segment(0).stalled);
  EXPECT_EQ(segment(0).evidence, "why");
  EXPECT_FALSE(session.set_stalled(out.key, true));
}

TEST_F(ProviderTest, WhatIsAcceptedAnewIsNotStalled) {
  complete(1, older);
  const Attempt out = commit();
  ASSERT_TRUE(session.accept(out.key, "memory", "{}"));
  ASSERT_TRUE(session.set_stalled(out.key, true));
  ASSERT_TRUE(session.fail_confirmation(out.key, "extraction failed", ""));
  session.retry(at(0));
  ASSERT_TRUE(session.accept(commit().key, "memory", "{}"));
  EXPECT_FALSE(segment(0).stalled);
}

TEST_F(ProviderTest, AConfirmedSegmentBehindAnotherIsNotStalled) {
  complete(1, older);
  complete(1, newer);
  ASSERT_TRUE(session.accept(commit().key, "memory", "{}"));
  const Attempt second = commit();
  ASSERT_TRUE(session.accept(second.key, "memory", "{}"));
  ASSERT_TRUE(session.set_stalled(second.key, true));
  ASSERT_TRUE(session.succeed(second.key));
  EXPECT_FALSE(segment(1).stalled);
}

TEST_F(ProviderTest, ASegmentKnowsWhenItsLastTurnCompleted) {
  complete(1, older, 100);
  complete(1, older, 200);
  EXPECT_EQ(segment(0).last_turn_at, at(200).utc);
  EXPECT_EQ(commit().last_turn_at, at(200).utc);
  complete(1, older, 300);
  EXPECT_EQ(segment(0).last_turn_at, at(200).utc) << "the third turn is a segment of its own";
  EXPECT_EQ(segment(1).last_turn_at, at(300).utc);
}

}  // namespace
}  // namespace tidemark::lifecycle
