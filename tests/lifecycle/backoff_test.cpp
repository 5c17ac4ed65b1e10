// Backoff: 5 s doubling to 10 min, spread by a fifth, and never longer than its own maximum.
#include "lifecycle/backoff.h"

#include <gtest/gtest.h>

#include <limits>

namespace tidemark::lifecycle {
namespace {

constexpr double middle = 0.5;  // the chance that spreads nothing
constexpr double highest = 1.0 - std::numeric_limits<double>::epsilon();

TEST(BackoffTest, TheFirstWaitIsTheInitialOne) {
  EXPECT_EQ(backoff({}, 1, middle), Milliseconds(5'000));
}

TEST(BackoffTest, EachWaitIsTwiceTheOneBefore) {
  const std::int64_t expected_ms[] = {5'000, 10'000, 20'000, 40'000, 80'000, 160'000, 320'000};
  std::int64_t attempts = 0;
  for (const std::int64_t wait_ms : expected_ms) EXPECT_EQ(backoff({}, ++attempts, middle), Milliseconds(wait_ms));
}

TEST(BackoffTest, ItEndsAtTheMaximumAndStaysThere) {
  EXPECT_EQ(backoff({}, 8, middle), Milliseconds(600'000));
  EXPECT_EQ(backoff({}, 9, middle), Milliseconds(600'000));
  EXPECT_EQ(backoff({}, std::numeric_limits<std::int64_t>::max(), middle), Milliseconds(600'000));
}

TEST(BackoffTest, ChanceSpreadsItByAFifthEitherWay) {
  EXPECT_EQ(backoff({}, 1, 0.0), Milliseconds(4'000));
  EXPECT_EQ(backoff({}, 1, 0.25), Milliseconds(4'500));
  EXPECT_EQ(backoff({}, 1, 0.75), Milliseconds(5'500));
  EXPECT_NEAR(static_cast<double>(backoff({}, 1, highest).count()), 6'000.0, 1.0);
  EXPECT_EQ(backoff({}, 20, 0.0), Milliseconds(480'000));
}

TEST(BackoffTest, WithoutJitterChanceChangesNothing) {
  RetryPolicy policy;
  policy.jitter = 0.0;
  EXPECT_EQ(backoff(policy, 3, 0.0), Milliseconds(20'000));
  EXPECT_EQ(backoff(policy, 3, highest), Milliseconds(20'000));
}

TEST(BackoffTest, AnInitialWaitAboveTheMaximumIsTheMaximum) {
  RetryPolicy policy;
  policy.initial = Milliseconds(50);
  policy.max = Milliseconds(20);
  EXPECT_EQ(backoff(policy, 1, middle), Milliseconds(20));
}

TEST(BackoffTest, AMaximumThatIsNoDoubledWaitIsStillReached) {
  RetryPolicy policy;
  policy.initial = Milliseconds(3);
  policy.max = Milliseconds(10);
  EXPECT_EQ(backoff(policy, 2, middle), Milliseconds(6));
  EXPECT_EQ(backoff(policy, 3, middle), Milliseconds(10));
}

TEST(BackoffTest, NoWaitIsLongerThanTheLongest) {
  for (const double jitter : {0.0, 0.2, 0.5, 1.0}) {
    RetryPolicy policy;
    policy.jitter = jitter;
    EXPECT_LE(backoff(policy, 100, highest), policy.wait_max());
    EXPECT_GE(backoff(policy, 100, 0.0), Milliseconds(0));
    const double longest_ms = 600'000.0 * (1.0 + jitter);
    EXPECT_NEAR(static_cast<double>(policy.wait_max().count()), longest_ms, 1.0);
  }
}

TEST(BackoffTest, UnlessSetAttemptsHaveNoEnd) {
  EXPECT_EQ(RetryPolicy{}.attempts, 0);
}

}  // namespace
}  // namespace tidemark::lifecycle
