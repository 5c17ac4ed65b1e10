// Owners that are gone: their work falls due and stays theirs, and comes back with them.
#include "fixture.h"

namespace tidemark::lifecycle {
namespace {

class OwnerTest : public SessionTest {
 protected:
  std::vector<std::string> ended;

  bool lose(const AgentPointer& agent) {
    agent->lost = true;
    ended.clear();
    return session.orphan(*agent, ended);
  }
};

TEST_F(OwnerTest, ALostOwnersSegmentsAreDueAndOrphaned) {
  complete(2, older);
  EXPECT_TRUE(lose(older));

  EXPECT_EQ(segment(0).state(), SegmentState::orphaned);
  EXPECT_EQ(segment(0).reason, "owner lost");
  EXPECT_TRUE(session.facts().orphaned);
  EXPECT_EQ(ranges(), "1..2 older") << "owner and range stay as they are";
}

TEST_F(OwnerTest, OrphaningMakesEveryDirtySegmentOfThatMomentDue) {
  complete(1, older);
  complete(1, newer);
  EXPECT_TRUE(lose(newer));

  EXPECT_EQ(session.due_segments(), 2);
  EXPECT_EQ(segment(0).state(), SegmentState::waiting);
  EXPECT_EQ(segment(1).state(), SegmentState::orphaned);
}

TEST_F(OwnerTest, WhoeverOwnsNothingDirtyLeavesNothingDue) {
  complete(1, older);
  ASSERT_TRUE(session.succeed(commit().key));
  complete(1, newer);

  EXPECT_FALSE(lose(older));
  EXPECT_EQ(session.due_segments(), 0);
}

TEST_F(OwnerTest, BeingTheCurrentAgentIsNotOwningWhatIsDirty) {
  complete(1, newer);
  session.agent = older;

  EXPECT_FALSE(lose(older));
  EXPECT_EQ(session.due_segments(), 0);
}

TEST_F(OwnerTest, WhatALostOwnerHasConfirmedBehindAnotherLeavesNothingDue) {
  complete(1, older);
  complete(1, newer);
  ASSERT_TRUE(session.accept(commit().key, "", "{}"));
  ASSERT_TRUE(session.succeed(commit().key));
  complete(1, older);

  EXPECT_FALSE(lose(newer));
  EXPECT_FALSE(segment(2).due);
}

TEST_F(OwnerTest, OrphaningEndsTheOpenTurnsOfThatAgentOnly) {
  session.begin_turn("lost", older, at(0));
  session.begin_turn("kept", newer, at(0));
  session.begin_turn("unknown", nullptr, at(0));
  session.agent = older;
  session.begin_turn("lost too", nullptr, at(0));

  EXPECT_TRUE(lose(older));
  EXPECT_EQ(ended, (std::vector<std::string>{"lost", "lost too"}));
  ASSERT_EQ(session.open_turns.size(), 2u);
  EXPECT_EQ(session.open_turns[0].turn, "kept");
  EXPECT_EQ(session.open_turns[1].turn, "unknown");
  EXPECT_FALSE(session.dirty()) << "such turns are never committable";
}

TEST_F(OwnerTest, LosingAnOwnerAgainChangesNothing) {
  complete(1, older);
  EXPECT_TRUE(lose(older));
  EXPECT_FALSE(lose(older));
}

TEST_F(OwnerTest, WhoeverCommitsForALostOwnerCommitsTheSameSegment) {
  complete(1, older);
  const Attempt first = commit();
  ASSERT_TRUE(doubt(first));
  lose(older);
  complete(1, newer);

  const std::optional<Attempt> again = begin();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->owner, older);
  EXPECT_EQ(again->key, first.key);
  EXPECT_EQ(again->start, 1);
  EXPECT_EQ(again->end, 1);
}

TEST_F(OwnerTest, AnAttemptThatIsOutWhenItsOwnerIsLostRunsOn) {
  complete(1, older);
  const Attempt attempt = commit();
  EXPECT_FALSE(lose(older));

  EXPECT_EQ(segment(0).state(), SegmentState::in_flight);
  EXPECT_TRUE(session.succeed(attempt.key));
  EXPECT_FALSE(session.dirty());
}

TEST_F(OwnerTest, AnOwnerThatIsBackIsTheSameOwner) {
  complete(1, older);
  lose(older);
  older->lost = false;

  EXPECT_EQ(segment(0).state(), SegmentState::waiting);
  EXPECT_FALSE(session.facts().orphaned);
  EXPECT_TRUE(segment(0).due) << "due ends by success, settle, abandon or forget only";
}

TEST_F(OwnerTest, AnAgentThatIsBackIsAskedWhateverTheBackoff) {
  complete(1, older);
  ASSERT_TRUE(fail(commit()));
  const std::int64_t attempts = segment(0).attempts;

  EXPECT_TRUE(session.skip_backoff(at(1)));
  EXPECT_EQ(segment(0).next_attempt, at(1).steady);
  EXPECT_EQ(segment(0).next_attempt_at, at(1).utc);
  EXPECT_EQ(segment(0).attempts, attempts);
  EXPECT_FALSE(session.skip_backoff(at(1))) << "nothing waits any more";
}

TEST_F(OwnerTest, SkippingTheBackoffLeavesWhatIsStuckStuck) {
  complete(1, older);
  ASSERT_TRUE(fail(commit(), permanent));

  EXPECT_FALSE(session.skip_backoff(at(0)));
  EXPECT_EQ(segment(0).phase, Phase::stuck);
}

}  // namespace
}  // namespace tidemark::lifecycle
