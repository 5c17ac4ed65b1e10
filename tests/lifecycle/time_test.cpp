// Where journaled instants lie on the steady clock after a start, whatever the wall clock did meanwhile.
#include "lifecycle/time.h"

#include <gtest/gtest.h>

namespace tidemark::lifecycle {
namespace {

const Now now{Utc(Milliseconds(1'000'000)), Steady(Milliseconds(500))};

Utc utc(std::int64_t since_epoch_ms) {
  return Utc(Milliseconds(since_epoch_ms));
}
Steady steady(std::int64_t since_start_ms) {
  return Steady(Milliseconds(since_start_ms));
}

TEST(TimeTest, AnInstantInThePastLiesAsFarBackOnTheSteadyClock) {
  EXPECT_EQ(now.steady_at(utc(999'900)), steady(400));
  EXPECT_EQ(now.steady_at(utc(990'000)), steady(-9'500)) << "also before this process, or the machine, began";
}

TEST(TimeTest, AnInstantInTheFutureCountsAsNow) {
  EXPECT_EQ(now.steady_at(utc(1'000'000)), steady(500));
  EXPECT_EQ(now.steady_at(utc(2'000'000)), steady(500));
}

TEST(TimeTest, WhatIsLeftOfAWaitIsWaited) {
  EXPECT_EQ(now.deadline_at(utc(1'000'070), Milliseconds(100)), steady(570));
}

TEST(TimeTest, AWaitThatIsOverIsOverNowAndNotBefore) {
  EXPECT_EQ(now.deadline_at(utc(999'000), Milliseconds(100)), steady(500));
}

TEST(TimeTest, NoWaitIsLongerThanItsOwnMaximum) {
  EXPECT_EQ(now.deadline_at(utc(9'000'000), Milliseconds(100)), steady(600));
}

}  // namespace
}  // namespace tidemark::lifecycle
