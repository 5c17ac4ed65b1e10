// Who is next at a provider, and whether anybody may be.
#include "daemon/provider_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

namespace tidemark::daemon {
namespace {

using namespace std::chrono_literals;

Steady at(Milliseconds since_start) {
  return Steady(1h) + since_start;
}

class ProviderQueueTest : public testing::Test {
 protected:
  SessionRecord& session(uid_t uid, const std::string& name, int began, bool sealed = false) {
    records_.push_back(std::make_unique<SessionRecord>());
    SessionRecord& record = *records_.back();
    record.uid = uid;
    record.name = name;
    record.head.session_id = static_cast<lifecycle::SessionId>(records_.size());
    record.head.began_at = lifecycle::Utc(Milliseconds(began));
    record.head.sealed = sealed;
    return record;
  }
  // Serves so many turns, each session having work for ever; names in order.
  std::string served(int turns, bool again = true) {
    std::string names;
    for (int turn = 0; turn < turns && queue.front(); ++turn) {
      SessionRecord& record = *queue.front();
      queue.take(record);
      names += record.name;
      if (again) queue.add(record);
    }
    return names;
  }
  std::vector<std::unique_ptr<SessionRecord>> records_;
  ProviderQueue queue{{.concurrency = 4, .rate = 0, .probe = 1s}};
};

TEST_F(ProviderQueueTest, TheOldestGoesFirstAndWhatIsSealedBeforeIt) {
  queue.add(session(1, "c", 30));
  queue.add(session(1, "a", 10));
  queue.add(session(1, "s", 40, true));
  queue.add(session(1, "b", 20));
  EXPECT_EQ(queue.waiting(), 4);
  EXPECT_EQ(served(9, false), "sabc");
  EXPECT_TRUE(queue.empty());
}

TEST_F(ProviderQueueTest, SessionsOfOneUserTakeTurns) {
  for (const char* name : {"a", "b", "c"}) queue.add(session(1, name, name[0]));
  EXPECT_EQ(served(7), "abcabca");
}

TEST_F(ProviderQueueTest, UsersTakeTurnsWhateverTheyHave) {
  for (const char* name : {"a", "b", "c", "d"}) queue.add(session(1, name, name[0]));
  queue.add(session(2, "z", 1'000));
  EXPECT_EQ(served(8), "azbzczdz");
}

TEST_F(ProviderQueueTest, WhoComesLaterHasATurnSoonAndNoMoreThanTheOthers) {
  for (const char* name : {"a", "b"}) queue.add(session(1, name, name[0]));
  EXPECT_EQ(served(6), "ababab");
  queue.add(session(1, "n", 1'000));
  EXPECT_EQ(served(6), "nabnab");
  queue.add(session(2, "z", 1'000));
  EXPECT_EQ(served(4), "znza");
}

TEST_F(ProviderQueueTest, WhoLeftAndReturnsHasGainedATurnAtMost) {
  SessionRecord& away = session(1, "x", 1);
  queue.add(session(1, "a", 10));
  queue.add(away);
  EXPECT_EQ(served(2), "xa");
  queue.remove(away);
  queue.remove(away);
  EXPECT_EQ(queue.waiting(), 1);
  EXPECT_EQ(served(4), "aaaa");
  queue.add(away);
  EXPECT_EQ(served(4), "xxax");
}

TEST_F(ProviderQueueTest, NoMoreAttemptsAtOnceThanSlots) {
  for (int slot = 0; slot < 4; ++slot) {
    ASSERT_TRUE(queue.may_begin(at(0ms)));
    queue.begin(at(0ms));
  }
  EXPECT_FALSE(queue.may_begin(at(1h)));
  EXPECT_FALSE(queue.next_at(at(0ms))) << "an end is waited for, not a time";
  queue.end();
  EXPECT_TRUE(queue.may_begin(at(0ms)));
}

TEST_F(ProviderQueueTest, TheRateSpreadsThem) {
  queue.set_bounds({.concurrency = 1'000, .rate = 4, .probe = 1s});
  ASSERT_TRUE(queue.may_begin(at(0ms)));
  queue.begin(at(0ms));
  EXPECT_FALSE(queue.may_begin(at(200ms)));
  ASSERT_TRUE(queue.next_at(at(200ms)));
  EXPECT_LE(*queue.next_at(at(200ms)), at(250ms));
  EXPECT_TRUE(queue.may_begin(at(250ms)));
  // No credit is saved up while nothing is to be done.
  for (int begun = 0; begun < 2; ++begun) {
    if (queue.may_begin(at(1min))) queue.begin(at(1min));
  }
  EXPECT_EQ(queue.in_flight(), 2);
}

TEST_F(ProviderQueueTest, ARateAboveOneAMillisecondIsReached) {
  queue.set_bounds({.concurrency = 1'000'000, .rate = 5'000, .probe = 1s});
  for (Milliseconds instant = 0ms; instant < 1s; instant += 1ms) {
    while (queue.may_begin(at(instant))) queue.begin(at(instant));
  }
  EXPECT_NEAR(static_cast<double>(queue.in_flight()), 5'000, 100);
}

TEST_F(ProviderQueueTest, AProviderThatHasTooMuchToDoIsGivenLessAndLaterMore) {
  for (int slot = 0; slot < 4; ++slot) queue.begin(at(0ms));
  queue.on_throttled(at(0ms), 1s);
  queue.on_throttled(at(1ms), 1s);  // the same piece of news
  for (int slot = 0; slot < 4; ++slot) queue.end();
  EXPECT_FALSE(queue.may_begin(at(1s)));
  EXPECT_EQ(queue.next_at(at(10ms)), at(1'001ms));
  int at_once = 0;
  for (; queue.may_begin(at(1'001ms)); ++at_once) queue.begin(at(1'001ms));
  EXPECT_EQ(at_once, 3);
  for (std::int64_t success = 0; success < 3 * ProviderQueue::successes_a_slot; ++success) queue.on_answer();
  EXPECT_TRUE(queue.may_begin(at(1'001ms))) << "the fourth is tried again";
}

TEST_F(ProviderQueueTest, OneSlotAtLeastIsLeft) {
  for (int news = 0; news < 9; ++news) queue.on_throttled(at(news * 2s), 1s);
  EXPECT_TRUE(queue.may_begin(at(1min)));
  queue.begin(at(1min));
  EXPECT_FALSE(queue.may_begin(at(1min)));
}

TEST_F(ProviderQueueTest, ARestIsNeverShortened) {
  queue.rest(at(0ms), 10s);
  queue.rest(at(0ms), 1s);
  EXPECT_FALSE(queue.may_begin(at(9'999ms)));
  EXPECT_TRUE(queue.may_begin(at(10s)));
}

TEST_F(ProviderQueueTest, AFaultPausesAndIsProbedByOneAttemptAtATime) {
  EXPECT_TRUE(queue.on_fault(at(0ms), "401"));
  EXPECT_FALSE(queue.on_fault(at(0ms), "401 again")) << "it was paused already";
  EXPECT_TRUE(queue.paused());
  EXPECT_EQ(queue.error(), "401 again");
  EXPECT_FALSE(queue.may_begin(at(999ms)));
  EXPECT_EQ(queue.next_at(at(0ms)), at(1s));
  ASSERT_TRUE(queue.may_begin(at(1s)));
  queue.begin(at(1s));
  EXPECT_FALSE(queue.may_begin(at(1h)));
  queue.end();
  EXPECT_FALSE(queue.may_begin(at(1'999ms)));
  EXPECT_TRUE(queue.may_begin(at(2s)));
  EXPECT_TRUE(queue.on_answer()) << "the fault is over";
  EXPECT_FALSE(queue.paused());
  EXPECT_EQ(queue.error(), "");
  EXPECT_FALSE(queue.on_answer());
}

TEST_F(ProviderQueueTest, UnreachableOftenEnoughInARowIsAFault) {
  EXPECT_FALSE(queue.on_unreachable(at(0ms), "refused"));
  EXPECT_FALSE(queue.on_unreachable(at(0ms), "refused"));
  queue.on_answer();
  EXPECT_FALSE(queue.on_unreachable(at(0ms), "refused"));
  EXPECT_FALSE(queue.on_unreachable(at(0ms), "refused"));
  EXPECT_FALSE(queue.paused());
  EXPECT_TRUE(queue.on_unreachable(at(0ms), "refused"));
  EXPECT_TRUE(queue.paused());
  EXPECT_FALSE(queue.on_unreachable(at(5s), "refused")) << "a probe that found nobody either";
  EXPECT_FALSE(queue.may_begin(at(5'999ms)));
}

TEST_F(ProviderQueueTest, APauseByHandLastsUntilItIsResumed) {
  queue.pause_by_hand("upgrade");
  EXPECT_TRUE(queue.paused_by_hand());
  EXPECT_EQ(queue.error(), "upgrade");
  EXPECT_FALSE(queue.may_begin(at(1h)));
  EXPECT_FALSE(queue.next_at(at(0ms)));
  EXPECT_FALSE(queue.on_answer()) << "of an attempt that was out";
  queue.on_fault(at(0ms), "401");
  queue.forget_fault();
  EXPECT_TRUE(queue.paused());
  EXPECT_TRUE(queue.resume());
  EXPECT_FALSE(queue.resume());
  EXPECT_TRUE(queue.may_begin(at(0ms)));
}

TEST_F(ProviderQueueTest, NewBoundsHoldAtOnce) {
  queue.set_bounds({.concurrency = 1, .rate = 0, .probe = 1s});
  queue.begin(at(0ms));
  EXPECT_FALSE(queue.may_begin(at(0ms)));
  queue.set_bounds({.concurrency = 2, .rate = 0, .probe = 1s});
  EXPECT_TRUE(queue.may_begin(at(0ms)));
}

}  // namespace
}  // namespace tidemark::daemon
