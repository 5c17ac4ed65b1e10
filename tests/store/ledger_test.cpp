// The Ledger with its thread: answers in order and only when durable, also seen from a process that ends at once.
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "fixture.h"

namespace tidemark::store {
namespace {

TEST(LedgerThread, AnswersInTheOrderOfSubmission) {
  TemporaryFolder folder;
  LedgerInFolder ledger(folder.path());
  std::vector<std::future<Outcome<lifecycle::Completed>>> answers;
  for (int turn = 0; turn < 2'000; ++turn) answers.push_back(ledger.submit(complete("s", "a")));
  for (int turn = 0; turn < 2'000; ++turn) {
    EXPECT_EQ(expected(LedgerInFolder::wait(std::move(answers[static_cast<std::size_t>(turn)]))).generation, turn + 1);
  }
}

TEST(LedgerThread, TakesCommandsOfManyThreads) {
  TemporaryFolder folder;
  LedgerInFolder ledger(folder.path(), {}, Synchronous::full, false);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&ledger, thread] {
      for (int turn = 0; turn < 200; ++turn) {
        ledger.call(complete("s" + std::to_string(thread), "a", "t" + std::to_string(turn)));
        if (turn % 10 == 0) ledger.call(get("s" + std::to_string(thread)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int thread = 0; thread < 4; ++thread) {
    EXPECT_EQ(ledger.call(get("s" + std::to_string(thread))).generation, 200);
  }
}

TEST(LedgerThread, HandsOverWhatWasGatheredTogether) {
  TemporaryFolder folder;
  LedgerInFolder ledger(folder.path());
  for (int round = 0; round < 3; ++round) {
    std::future<Outcome<lifecycle::Completed>> first;
    std::future<Outcome<SessionView>> second;
    ledger.together([&] {
      first = ledger.submit(complete("s"));
      second = ledger.submit(get("s"));
    });
    EXPECT_EQ(expected(LedgerInFolder::wait(std::move(first))).generation, round + 1);
    EXPECT_EQ(expected(LedgerInFolder::wait(std::move(second))).generation, round + 1);
  }
  ledger.together([] {});
  ledger.call(Ping{});
}

TEST(LedgerThread, WritesWhatIsQueuedBeforeItEnds) {
  TemporaryFolder folder;
  std::vector<std::future<Outcome<lifecycle::Completed>>> answers;
  {
    LedgerInFolder ledger(folder.path());
    for (int turn = 0; turn < 500; ++turn) answers.push_back(ledger.submit(complete("s")));
  }
  EXPECT_EQ(expected(LedgerInFolder::wait(std::move(answers.back()))).generation, 500);
  LedgerInFolder again(folder.path());
  EXPECT_EQ(again.call(get("s")).generation, 500);
  EXPECT_EQ(again.ledger().recovered().generations, 500);
  EXPECT_EQ(again.ledger().recovered(alice).generations, 500);
  EXPECT_EQ(again.ledger().recovered(bob).generations, 0);
}

TEST(LedgerThread, MovesTheLogByItselfWhenItIsQuiet) {
  TemporaryFolder folder;
  {
    LedgerInFolder ledger(folder.path());
    FaultyDisk::instance().heal();  // counts from here
    for (int turn = 0; turn < 100; ++turn) ledger.call(complete("s", "a", "t" + std::to_string(turn)));
    // Each mark was a batch with a sync of its own; moving so few of them is two more, which write and delete.
    const auto until = std::chrono::steady_clock::now() + patience;
    while (FaultyDisk::instance().syncs() < 102 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  }
  const auto database = open_database({folder.path(), Synchronous::full});
  EXPECT_EQ(database->execAndGet("SELECT count(*) FROM marks").getInt(), 0);
  EXPECT_EQ(database->execAndGet("SELECT count(*) FROM turns").getInt(), 100);
}

TEST(LedgerThread, MakesIdleSessionsDueByItself) {
  TemporaryFolder folder;
  Policies policies;
  policies.everybody.commit.idle = lifecycle::Milliseconds(20);
  LedgerInFolder ledger(folder.path(), policies);
  ledger.call(complete("s", "a"));
  const auto until = std::chrono::steady_clock::now() + patience;
  const auto told = [&] {
    for (const Head& head : ledger.heads()) {
      if (head.session == "s" && head.due) return true;
    }
    return false;
  };
  while (!told() && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_TRUE(told());
  EXPECT_EQ(ledger.call(get("s")).segments.at(0).reason, "idle");
}

// What has been answered is there although the process ended at once.
TEST(LedgerThread, AnsweredSurvivesTheEndOfTheProcess) {
  for (const Synchronous synchronous : {Synchronous::full, Synchronous::normal}) {
    TemporaryFolder folder;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        LedgerInFolder ledger(folder.path(), {}, synchronous);
        ledger.call(register_agent("a", "s"));
        ledger.call(complete("s", {}, "t1"));
        ledger.call(begin_turn("s", "t2"));
        const TakeOldest::Result taken = ledger.call(take("s"));
        if (!ledger.call(begin_attempt("s", taken.head.owner, 42)).attempt) ::_exit(2);
        if (ledger.call(complete("s", {}, "t3")).generation != 2) ::_exit(3);
        ::_exit(0);
      } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        ::_exit(4);
      }
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
    EXPECT_TRUE(std::filesystem::exists(folder.path() / "tidemark.db-wal"));
    LedgerInFolder ledger(folder.path());
    EXPECT_EQ(ledger.ledger().recovered().in_doubt, 1);
    const SessionView view = ledger.call(get("s"));
    EXPECT_EQ(view.generation, 2);
    EXPECT_EQ(view.turns_open, 1);
    ASSERT_EQ(view.segments.size(), 2u);
    EXPECT_EQ(view.segments[0].key, key_of(42));
    EXPECT_EQ(view.segments[0].state, lifecycle::SegmentState::in_doubt);
    EXPECT_TRUE(ledger.call(complete("s", {}, "t1")).duplicate);
    EXPECT_TRUE(ledger.call(complete("s", {}, "t3")).duplicate);
  }
}

}  // namespace
}  // namespace tidemark::store
