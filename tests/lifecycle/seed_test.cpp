// The behaviour that Tidemark began with, as it was first tested of a module in memory: only completed turns are
// committable, nothing is committed twice, and a late commit takes nothing with it that it didn't cover.
#include "fixture.h"

namespace tidemark::lifecycle {
namespace {

class SeedTest : public SessionTest {
 protected:
  // Whom one explicit commit asks, and how it ends; nobody if none began.
  AgentPointer commit_once(const AgentPointer& named, bool succeeds) {
    if (session.take(named, "commit") != Taken::taken) return nullptr;
    const std::optional<Attempt> attempt = begin();
    EXPECT_TRUE(attempt);
    EXPECT_TRUE(succeeds ? session.succeed(attempt->key) : fail(*attempt));
    return attempt->owner;
  }
};

TEST_F(SeedTest, ACommitFinishingLateDoesNotClearANewlyCompletedTurn) {
  session.agent = older;
  complete(1, older);
  const Attempt first = commit();

  complete(1, older);
  ASSERT_TRUE(session.succeed(first.key));

  EXPECT_TRUE(session.dirty());
  EXPECT_EQ(session.watermark, 1);
  EXPECT_EQ(commit_once(nullptr, true), older);
  EXPECT_FALSE(session.dirty());
}

TEST_F(SeedTest, AFailedCommitKeepsUncommittedWorkAndItsAgent) {
  session.agent = older;
  complete(1, older);

  EXPECT_EQ(commit_once(nullptr, false), older);
  EXPECT_TRUE(session.dirty());
  EXPECT_EQ(commit_once(nullptr, true), older);
  EXPECT_FALSE(session.dirty());
}

TEST_F(SeedTest, AFailedCommitByANamedAgentKeepsThatAgentForTheRetry) {
  complete(1);

  EXPECT_EQ(commit_once(older, false), older);
  EXPECT_TRUE(session.dirty());
  EXPECT_EQ(commit_once(nullptr, true), older);
  EXPECT_FALSE(session.dirty());
}

TEST_F(SeedTest, AFailedOwnerOutlivesTheRegistrationOfItsReplacement) {
  session.agent = older;
  complete(1, older);
  EXPECT_EQ(commit_once(nullptr, false), older);

  session.agent = newer;
  EXPECT_EQ(commit_once(nullptr, true), older);
  EXPECT_FALSE(session.dirty());

  complete(1);
  EXPECT_EQ(commit_once(nullptr, true), newer);
}

TEST_F(SeedTest, ACommitThatNamesANewAgentCannotClearTheOldOnesSegment) {
  session.agent = older;
  complete(1, older);
  EXPECT_EQ(commit_once(nullptr, false), older);
  session.agent = newer;
  complete(1, newer);

  EXPECT_EQ(commit_once(newer, true), older);
  EXPECT_TRUE(session.dirty());
  EXPECT_EQ(commit_once(nullptr, true), newer);
  EXPECT_FALSE(session.dirty());
}

TEST_F(SeedTest, ARegisteredSessionWithoutACompletedTurnIsNotCommitted) {
  session.agent = older;

  EXPECT_EQ(session.take(nullptr, "commit"), Taken::clean);
  EXPECT_FALSE(begin());
  EXPECT_FALSE(session.dirty());
}

TEST_F(SeedTest, ADirtySessionIsCommittedAlsoWhenItsRegistrationIsGone) {
  session.agent = older;
  complete(1, older);
  session.agent = nullptr;

  EXPECT_EQ(commit_once(older, true), older);
  EXPECT_FALSE(session.dirty());
}

TEST_F(SeedTest, ADrainFindsTheCommitInFlightAndThenTakesTheNewGeneration) {
  session.agent = older;
  complete(1, older);
  const Attempt first = commit();
  complete(1, older);

  EXPECT_TRUE(session.make_due("drain"));
  EXPECT_TRUE(session.in_flight());
  EXPECT_FALSE(begin()) << "nothing may overtake the commit in flight";
  ASSERT_TRUE(session.succeed(first.key));
  const std::optional<Attempt> second = begin();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->start, 2);
  EXPECT_TRUE(session.succeed(second->key));
  EXPECT_FALSE(session.dirty());
}

TEST_F(SeedTest, AfterAnEvictionAMarkThatNamesNobodyCannotBeCommitted) {
  session.agent = older;
  complete(1, older);
  EXPECT_EQ(commit_once(nullptr, true), older);
  session.agent = nullptr;  // what an eviction lets go

  complete(1);
  EXPECT_EQ(session.take(nullptr, "commit"), Taken::no_owner);
  EXPECT_TRUE(session.dirty());
}

TEST_F(SeedTest, ACompletedTurnIsMarkedAndNotCommitted) {
  complete(1, older);

  EXPECT_TRUE(session.dirty());
  EXPECT_FALSE(begin());
}

TEST_F(SeedTest, ManyCompletedTurnsAreOneCommitAtTheBoundary) {
  session.agent = older;
  for (int turn = 0; turn < 3; ++turn) {
    complete(1, older);
    EXPECT_TRUE(session.dirty());
  }

  EXPECT_EQ(commit_once(nullptr, true), older);
  EXPECT_FALSE(session.dirty());
  EXPECT_EQ(commit_once(nullptr, true), nullptr);
}

}  // namespace
}  // namespace tidemark::lifecycle
