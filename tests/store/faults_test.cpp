// A disk that is full or whose syncs fail, and mistakes of our own (contract, section 6): nobody is told of what is not
// durable, nothing refused is kept, and what was acknowledged stays.
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "fixture.h"

namespace tidemark::store {
namespace {

class Faults : public testing::Test {
 protected:
  Faults() { disk.heal(); }
  ~Faults() override { disk.heal(); }
  template <class Result>
  static Refusal refused(const Outcome<Result>& outcome) {
    const Refused* why = refusal(outcome);
    if (!why) throw std::runtime_error("was not refused");
    return why->refusal;
  }
  template <class Done>
  static bool eventually(Done done) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!done()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }
  FaultyDisk& disk = FaultyDisk::instance();
  TemporaryFolder folder;
};

// A command that no client can send: our own mistake, which the schema refuses.
Register mistaken() {
  Register command = register_agent("mistaken", "mistaken");
  command.provider = "p";
  command.fallback = "f";
  return command;
}

// ---- a full disk

TEST_F(Faults, AFullDiskRefusesWritesAndKeepsNothingOfThem) {
  LedgerInFolder ledger(folder.path());
  ledger.call(complete("s", "a", "t1"));
  const std::string before = text_of(ledger.call(get("s")));
  disk.fail_writes(SQLITE_FULL);
  EXPECT_EQ(refused(ledger.apply(complete("s", "b", "t2"))), Refusal::journal_unavailable);
  EXPECT_EQ(refused(ledger.apply(complete("new", "b", "t2"))), Refusal::journal_unavailable);
  EXPECT_EQ(refused(ledger.apply(register_agent("b", "s"))), Refusal::journal_unavailable);
  EXPECT_EQ(refused(ledger.apply(forget("s"))), Refusal::journal_unavailable);
  EXPECT_FALSE(ledger.ledger().health().healthy);
  EXPECT_EQ(text_of(ledger.call(get("s"))), before);
  EXPECT_TRUE(refusal(ledger.apply(get("new"))));
  EXPECT_EQ(ledger.call(Count{}).sessions, 1);
  ledger.call(Ping{});
  EXPECT_FALSE(ledger.ledger().health().healthy) << "a read has made the journal healthy";
  disk.heal();
  const lifecycle::Completed again = ledger.call(complete("s", "b", "t2"));
  EXPECT_EQ(again.generation, 2);
  EXPECT_FALSE(again.duplicate);
  EXPECT_TRUE(ledger.ledger().health().healthy);
  EXPECT_EQ(ledger.call(complete("new", "b", "t2")).generation, 1);
  EXPECT_TRUE(ledger.failures().empty());
}

TEST_F(Faults, AFullDiskRefusesTheWholeBatchButItsReads) {
  LedgerInFolder ledger(folder.path());
  ledger.call(complete("s", "a", "t1"));
  disk.fail_writes(SQLITE_FULL);
  std::future<Outcome<lifecycle::Completed>> mark;
  std::future<Outcome<SessionView>> read;
  ledger.together([&] {
    mark = ledger.submit(complete("s", "a", "t2"));
    read = ledger.submit(get("s"));
  });
  EXPECT_EQ(refused(LedgerInFolder::wait(std::move(mark))), Refusal::journal_unavailable);
  EXPECT_EQ(expected(LedgerInFolder::wait(std::move(read))).generation, 1) << "a read has seen what isn't durable";
}

TEST_F(Faults, AFullDiskKeepsFactsUntilThereIsRoom) {
  LedgerInFolder ledger(folder.path());
  ledger.call(register_agent("a", "s"));
  ledger.call(complete("s"));
  const TakeOldest::Result taken = ledger.call(take("s"));
  const BeginAttempt::Result begun = ledger.call(begin_attempt("s", taken.head.owner, 1));
  ASSERT_TRUE(begun.attempt);
  disk.fail_writes(SQLITE_FULL);
  auto ended = ledger.submit(end_attempt("s", *begun.attempt, AttemptEnd::committed));
  EXPECT_EQ(refused(ledger.apply(complete("s"))), Refusal::journal_unavailable);
  EXPECT_TRUE(ledger.call(get("s")).in_flight);
  EXPECT_NE(ended.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  disk.heal();
  // Nobody else writes: it happens by itself.
  EXPECT_TRUE(expected(LedgerInFolder::wait(std::move(ended))).applied);
  EXPECT_EQ(ledger.call(get("s")).watermark, 1);
  EXPECT_TRUE(ledger.ledger().health().healthy);
}

TEST_F(Faults, AFullDiskIsSeenToHaveRoomAgainWithoutAnyCommand) {
  LedgerInFolder ledger(folder.path());
  disk.fail_writes(SQLITE_FULL);
  EXPECT_EQ(refused(ledger.apply(complete("s"))), Refusal::journal_unavailable);
  disk.heal();
  EXPECT_TRUE(eventually([&] { return ledger.ledger().health().healthy; }));
  EXPECT_EQ(ledger.ledger().health().error, "");
}

TEST_F(Faults, AFullDiskHoldsUpTheLogAndNothingElse) {
  {
    LedgerInFolder ledger(folder.path());
    for (int turn = 0; turn < 50; ++turn) ledger.call(complete("s", "a", "t" + std::to_string(turn)));
    disk.fail_writes(SQLITE_FULL);
    EXPECT_TRUE(eventually([&] { return disk.refused(); })) << "the log was not moved";
    EXPECT_TRUE(eventually([&] { return !ledger.ledger().health().healthy; }));
    EXPECT_EQ(ledger.call(get("s")).generation, 50);
    disk.heal();
    EXPECT_TRUE(ledger.call(complete("s", "a", "t7")).duplicate);
    EXPECT_EQ(ledger.call(complete("s", "a", "new")).generation, 51);
  }
  LedgerInFolder again(folder.path());
  EXPECT_EQ(again.call(get("s")).generation, 51);
  EXPECT_TRUE(again.call(complete("s", "a", "t7")).duplicate);
}

// Each write of a batch in turn is the one that fails, and then what is on disk is opened again.
TEST_F(Faults, AFullDiskAtAnyWriteLeavesAllOrNothing) {
  bool written = false;
  int refusals = 0;
  for (int writes = 0; !written; ++writes) {
    TemporaryFolder other;
    {
      LedgerInFolder ledger(other.path());
      ledger.call(complete("s", "a", "t1"));
      disk.fail_writes(SQLITE_FULL, writes);
      std::vector<std::future<Outcome<lifecycle::Completed>>> marks;
      ledger.together([&] {
        for (int mark = 0; mark < 20; ++mark) marks.push_back(ledger.submit(complete("n" + std::to_string(mark), "b")));
      });
      written = true;
      for (auto& mark : marks) written &= refusal(LedgerInFolder::wait(std::move(mark))) == nullptr;
      refusals += !written;
      disk.heal();
      EXPECT_EQ(ledger.call(Count{}).sessions, written ? 21 : 1);
    }
    LedgerInFolder again(other.path());
    EXPECT_EQ(again.call(Count{}).sessions, written ? 21 : 1);
    EXPECT_EQ(again.call(complete("s", "a", "t1")).generation, 1);
  }
  EXPECT_GT(refusals, 5);
}

// ---- a sync that fails

TEST_F(Faults, AFailedSyncIsUnknownAndTheEnd) {
  {
    LedgerInFolder ledger(folder.path());
    ledger.call(complete("s", "a", "t1"));
    disk.fail_syncs(SQLITE_IOERR_FSYNC);
    std::future<Outcome<lifecycle::Completed>> mark;
    std::future<Outcome<EndAttempt::Result>> fact;
    ledger.together([&] {
      mark = ledger.submit(complete("s", "a", "t2"));
      EndAttempt end;
      end.uid = alice;
      end.session = "s";
      fact = ledger.submit(end);
    });
    EXPECT_EQ(refused(LedgerInFolder::wait(std::move(mark))), Refusal::outcome_unknown);
    EXPECT_EQ(refused(LedgerInFolder::wait(std::move(fact))), Refusal::outcome_unknown);
    disk.heal();
    EXPECT_EQ(refused(ledger.apply(complete("s", "a", "t3"))), Refusal::journal_unavailable);
    EXPECT_EQ(refused(ledger.apply(get("s"))), Refusal::journal_unavailable);
    EXPECT_EQ(ledger.failures().size(), 1u);
    EXPECT_FALSE(ledger.ledger().health().healthy);
  }
  EXPECT_EQ(disk.writes(), 0);
  EXPECT_EQ(disk.syncs(), 0) << "what had failed was synced again, and hoped for";
  LedgerInFolder again(folder.path());
  const std::int64_t generation = again.call(get("s")).generation;
  EXPECT_TRUE(generation == 1 || generation == 2);
  const lifecycle::Completed retried = again.call(complete("s", "a", "t2"));
  EXPECT_EQ(retried.generation, 2);
  EXPECT_EQ(retried.duplicate, generation == 2);
}

TEST_F(Faults, AFailedWriteOfTheCommitIsUnknownToo) {
  LedgerInFolder ledger(folder.path());
  ledger.call(complete("s", "a", "t1"));
  disk.fail_writes(SQLITE_IOERR_WRITE);
  EXPECT_EQ(refused(ledger.apply(complete("s", "a", "t2"))), Refusal::outcome_unknown);
  EXPECT_EQ(ledger.failures().size(), 1u);
}

TEST_F(Faults, AFailedSyncWhileTheLogIsMovedIsTheEnd) {
  LedgerInFolder ledger(folder.path());
  ledger.call(complete("s", "a", "t1"));
  disk.fail_syncs(SQLITE_IOERR_FSYNC);
  EXPECT_TRUE(eventually([&] { return ledger.failures().size() == 1; }));
  EXPECT_EQ(refused(ledger.apply(complete("s"))), Refusal::journal_unavailable);
  EXPECT_EQ(ledger.failures().size(), 1u);
}

TEST_F(Faults, AFailedSyncAmongCommandsThatAreAppliedOneByOneIsTheEndToo) {
  LedgerInFolder ledger(folder.path());
  ledger.call(complete("s", "a", "t1"));
  std::vector<std::future<Outcome<lifecycle::Completed>>> marks;
  std::future<Outcome<Registered>> bad;
  disk.heal();  // counts from here
  disk.fail_syncs(SQLITE_IOERR_FSYNC);
  ledger.together([&] {
    bad = ledger.submit(mistaken());
    for (int mark = 0; mark < 3; ++mark) marks.push_back(ledger.submit(complete("s", "a")));
  });
  EXPECT_EQ(refused(LedgerInFolder::wait(std::move(bad))), Refusal::internal);
  EXPECT_EQ(refused(LedgerInFolder::wait(std::move(marks[0]))), Refusal::outcome_unknown);
  EXPECT_NE(refused(LedgerInFolder::wait(std::move(marks[1]))), Refusal::internal);
  EXPECT_NE(refused(LedgerInFolder::wait(std::move(marks[2]))), Refusal::internal);
  EXPECT_EQ(ledger.failures().size(), 1u);
  EXPECT_EQ(disk.syncs(), 1) << "a sync was tried again";
}

// ---- our own mistakes

TEST_F(Faults, AMistakeTakesNobodyElseDown) {
  LedgerInFolder ledger(folder.path());
  std::future<Outcome<lifecycle::Completed>> first, second;
  std::future<Outcome<Registered>> bad;
  std::future<Outcome<SessionView>> read;
  ledger.together([&] {
    first = ledger.submit(complete("s", "a", "t1"));
    bad = ledger.submit(mistaken());
    second = ledger.submit(complete("s", "a", "t2"));
    read = ledger.submit(get("s"));
  });
  EXPECT_EQ(expected(LedgerInFolder::wait(std::move(first))).generation, 1);
  EXPECT_EQ(refused(LedgerInFolder::wait(std::move(bad))), Refusal::internal);
  EXPECT_EQ(expected(LedgerInFolder::wait(std::move(second))).generation, 2);
  EXPECT_EQ(expected(LedgerInFolder::wait(std::move(read))).generation, 2);
  EXPECT_TRUE(refusal(ledger.apply(get("mistaken"))));
  EXPECT_EQ(ledger.call(complete("s", "a", "t1")).generation, 1);
  EXPECT_EQ(ledger.call(Count{}).sessions, 1);
  EXPECT_EQ(ledger.call(register_agent("mistaken")).due_segments, 0);
}

TEST_F(Faults, AFullDiskAmongCommandsThatAreAppliedOneByOneKeepsFacts) {
  LedgerInFolder ledger(folder.path());
  ledger.call(register_agent("a", "s"));
  ledger.call(complete("s"));
  const TakeOldest::Result taken = ledger.call(take("s"));
  const BeginAttempt::Result begun = ledger.call(begin_attempt("s", taken.head.owner, 1));
  disk.fail_writes(SQLITE_FULL);
  std::future<Outcome<Registered>> bad;
  std::future<Outcome<EndAttempt::Result>> ended;
  std::future<Outcome<lifecycle::Completed>> mark;
  ledger.together([&] {
    bad = ledger.submit(mistaken());
    ended = ledger.submit(end_attempt("s", *begun.attempt, AttemptEnd::committed));
    mark = ledger.submit(complete("s"));
  });
  EXPECT_EQ(refused(LedgerInFolder::wait(std::move(bad))), Refusal::internal);
  EXPECT_EQ(refused(LedgerInFolder::wait(std::move(mark))), Refusal::journal_unavailable);
  EXPECT_FALSE(ledger.ledger().health().healthy);
  disk.heal();
  EXPECT_TRUE(expected(LedgerInFolder::wait(std::move(ended))).applied);
  EXPECT_EQ(ledger.call(get("s")).watermark, 1);
}

// ---- a disk that is really full: a small one of its own, in a mount namespace of its own

int fill_and_free(const std::filesystem::path& disk) {
  LedgerInFolder ledger(disk / "state");
  const TakeOldest::Result none = ledger.call(take("s"));
  if (none.taken != lifecycle::Taken::clean) return 10;
  ledger.call(register_agent("a", "s"));
  ledger.call(complete("s"));
  const TakeOldest::Result taken = ledger.call(take("s"));
  const BeginAttempt::Result begun = ledger.call(begin_attempt("s", taken.head.owner, 1));
  if (!begun.attempt) return 11;
  int acknowledged = 0;
  bool refused = false;
  const std::string long_name(200, 'x');
  for (int session = 0; session < 1'000'000 && !refused; ++session) {
    const auto outcome = ledger.apply(complete(long_name + std::to_string(session), "a", long_name));
    if (const Refused* why = refusal(outcome)) {
      if (why->refusal != Refusal::journal_unavailable) return 12;
      refused = true;
    } else {
      ++acknowledged;
    }
  }
  if (!refused || acknowledged == 0) return 13;
  auto ended = ledger.submit(end_attempt("s", *begun.attempt, AttemptEnd::committed));
  if (ledger.call(Count{}).sessions != acknowledged + 1) return 14;
  if (!refusal(ledger.apply(get(long_name + std::to_string(acknowledged))))) return 15;
  if (ledger.call(get(long_name + "0")).generation != 1) return 16;
  if (ledger.ledger().health().healthy) return 17;
  if (::mount("none", disk.c_str(), "tmpfs", MS_REMOUNT, "size=64m") != 0) return 18;
  if (!expected(LedgerInFolder::wait(std::move(ended))).applied) return 19;
  if (ledger.call(complete(long_name + std::to_string(acknowledged), "a", long_name)).generation != 1) return 20;
  if (ledger.call(Count{}).sessions != acknowledged + 2) return 21;
  if (!ledger.failures().empty()) return 22;
  return 0;
}

TEST_F(Faults, ASmallDiskThatIsFullIsGotOver) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", folder.path().c_str(), "tmpfs", 0, "size=2m") != 0) {
      ::_exit(77);
    }
    std::filesystem::create_directory(folder.path() / "state");
    int code = 99;
    try {
      code = fill_and_free(folder.path());
      LedgerInFolder again(folder.path() / "state");
      if (code == 0 && again.call(get("s")).watermark != 1) code = 23;
    } catch (const std::exception& error) {
      std::cerr << error.what() << "\n";
    }
    ::_exit(code);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "a small disk can't be mounted here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace tidemark::store
