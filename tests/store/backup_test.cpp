// Backups: what is written meanwhile is in the copy, the copy is a journal, nothing is left of one that fails, and the
// ledger notices nothing.
#include "store/backup.h"

#include <sys/stat.h>
#include <unistd.h>

#include <random>
#include <set>
#include <thread>

#include "copied.h"

namespace tidemark::store {
namespace {

using std::filesystem::path;

// Finished attempts, so that a copy takes many steps.
void add_history(SQLite::Database& database, int mebibytes) {
  database.exec("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
                std::to_string(mebibytes * 256) +
                ") INSERT INTO attempts (uid, session, start_generation, end_generation, state, attempt, reason,"
                " started_at, finished_at, evidence) SELECT 1000, 'long ago', 1, 1, 'committed', 1, 'idle', 1, 1,"
                " hex(randomblob(1990)) FROM n");
}

std::set<std::string> names_in(const path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

mode_t mode_of(const path& file) {
  struct stat status {};
  EXPECT_EQ(::lstat(file.c_str(), &status), 0) << file;
  return status.st_mode & 07777;
}

// ---- the copy, without threads

// What a ledger on that copy would show.
class Restored {
 public:
  explicit Restored(const path& copy) { std::filesystem::copy_file(copy, folder_.path() / database_name); }
  std::string shown(const lifecycle::Now& now) {
    const auto database = open_database({folder_.path(), Synchronous::full});
    State state(*database, {}, [now] { return now; });
    state.begin_batch();
    database->exec("BEGIN IMMEDIATE");
    state.recover();
    std::string text;
    ListSessions list;
    list.limit = 1'000;
    for (const SessionView& view : expected(state.apply(list)).sessions) {
      text += text_of(expected(state.apply(get(view.session, view.uid)))) + "\n";
    }
    database->exec("COMMIT");
    return text;
  }

 private:
  TemporaryFolder folder_;
};

// Random commands between the steps; a tiny cache has batches that are undone leave pages in the log all the same.
class Interleaved {
 public:
  explicit Interleaved(std::uint64_t seed) : random_(seed) {
    add_history(store_.database(), 12);
    store_.reopen();  // it gives out the numbers after those
    store_.database().exec("PRAGMA cache_size = 12");
  }

  void run() {
    const TemporaryFolder folder;
    const path file = folder.path() / "copy.db";
    int steps = 0;
    copy_to(file, store_.database(), [&] {
      ++steps;
      for (int more = pick(6); more > 0; --more) change();
    });
    EXPECT_GT(steps, 2) << "nothing was interleaved";
    store_.reopen();  // what was in flight is in doubt, as it will be in the copy
    EXPECT_EQ(problems_of(store_), "");
    EXPECT_EQ(Restored(file).shown(store_.now()), store_.shown());
    EXPECT_EQ(problems_of(file), "");
  }

 private:
  int pick(int below) { return static_cast<int>(random_() % static_cast<std::uint64_t>(below)); }
  std::string any(const char* what, int of) { return what + std::to_string(pick(of)); }

  void change() {
    switch (pick(8)) {
      case 0:
        store_.fold_steps(1 + pick(3), 1 + pick(20));
        break;
      case 1:
        store_.database().exec("PRAGMA wal_checkpoint(PASSIVE)");
        break;
      case 2:
        // Pages of it that are in the log already have SQLite begin the copy anew: not for ever.
        if (undone_++ < 3) {
          store_.undone([&](State& state) {
            for (int more = 200; more > 0; --more) apply(state);
          });
        }
        break;
      case 3:
        store_.later();
        break;
      default:
        store_.batch([&](State& state) {
          for (int more = 1 + pick(40); more > 0; --more) apply(state);
        });
    }
  }
  void apply(State& state) {
    const std::string session = any("s", 30);
    switch (pick(10)) {
      case 0: {
        const TakeOldest::Result taken = expected(state.apply(take(session, any("a", 3))));
        const auto begun = expected(state.apply(begin_attempt(session, taken.head.owner, ++last_key_)));
        if (begun.attempt) out_.emplace_back(session, *begun.attempt);
        break;
      }
      case 1:
        if (!out_.empty()) {
          const auto& [name, attempt] = out_[static_cast<std::size_t>(pick(static_cast<int>(out_.size())))];
          state.apply(end_attempt(name, attempt, static_cast<AttemptEnd>(pick(6))));
        }
        break;
      case 2:
        state.apply(begin_turn(session, any("t", 500)));
        break;
      case 3:
        state.apply(forget(session));
        break;
      case 4:
        state.apply(make_due(session));
        break;
      case 5:
        state.apply(register_agent(any("a", 3), session));
        break;
      default:
        state.apply(complete(session, pick(2) == 0 ? any("a", 3) : "", any("t", 500)));
    }
  }

  std::mt19937_64 random_;
  Store store_;
  int undone_ = 0;
  std::int64_t last_key_ = 0;
  std::vector<std::pair<std::string, lifecycle::Attempt>> out_;
};

TEST(CopyTest, IsTheJournalAsOfItsLastStepWhateverIsDoneMeanwhile) {
  const char* given = std::getenv("TIDEMARK_TEST_SEED");
  const std::uint64_t first = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  for (std::uint64_t seed = first; seed < first + (given ? 1 : 8) && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("TIDEMARK_TEST_SEED=" + std::to_string(seed));
    Interleaved(seed).run();
  }
}

TEST(CopyTest, GoesNoFurtherThanTheDiskFollows) {
  Store store;
  add_history(store.database(), 8);
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "copy.db").close();
  Copy copy(folder.path() / "copy.db");
  const auto step = [&] { return copy.step(store.database(), [] { return false; }); };
  for (int more = 0; more < 200; ++more) ASSERT_TRUE(step());
  const std::int64_t stood_at = copy.written_bytes();
  EXPECT_GE(stood_at, 2 << 20);
  EXPECT_LT(stood_at, 3 << 20);
  copy.set_durable(stood_at);
  ASSERT_TRUE(step());
  EXPECT_GT(copy.written_bytes(), stood_at);
  copy.cancel();
  EXPECT_FALSE(step());
  EXPECT_NE(copy.failure(), "");
}

// ---- with the ledger's thread

class BackupTest : public testing::Test {
 protected:
  BackupTest() { disk.heal(); }
  ~BackupTest() override { disk.heal(); }

  // Before `start`.
  void have_history(int mebibytes) {
    const auto database = open_database({folder.path(), Synchronous::full});
    add_history(*database, mebibytes);
  }
  void start() {
    ledger = std::make_unique<LedgerInFolder>(folder.path(), Policies{}, Synchronous::full, false);
    backups = std::make_unique<Backups>(ledger->ledger(), folder.path());
  }
  std::future<Outcome<BackupMade>> begin(const std::string& name = {}) {
    auto promise = std::make_shared<std::promise<Outcome<BackupMade>>>();
    backups->back_up(name, [promise](Outcome<BackupMade> outcome) { promise->set_value(std::move(outcome)); });
    return promise->get_future();
  }
  Outcome<BackupMade> back_up(const std::string& name = {}) { return LedgerInFolder::wait(begin(name)); }
  std::future<Outcome<Verified>> begin_verify() {
    auto promise = std::make_shared<std::promise<Outcome<Verified>>>();
    backups->verify([promise](Outcome<Verified> outcome) { promise->set_value(std::move(outcome)); });
    return promise->get_future();
  }
  Outcome<Verified> verify() { return LedgerInFolder::wait(begin_verify()); }
  std::string refused_text(const std::string& name, Refusal why) {
    const auto outcome = back_up(name);
    const Refused* refused = refusal(outcome);
    if (!refused) return "was not refused";
    EXPECT_EQ(refused->refusal, why) << refused->text;
    return refused->text;
  }
  // Holds the ledger's thread until the promise is kept: a copy can't go on meanwhile.
  std::shared_ptr<std::promise<void>> hold() {
    auto gate = std::make_shared<std::promise<void>>();
    auto held = std::make_shared<std::promise<void>>();
    ledger->ledger().submit(Ping{}, [held, passed = gate->get_future().share()](const auto&) {
      held->set_value();
      passed.wait();
    });
    held->get_future().wait();
    return gate;
  }
  path made_in() const { return folder.path() / "backup"; }

  FaultyDisk& disk = FaultyDisk::instance();
  TemporaryFolder folder;
  std::unique_ptr<LedgerInFolder> ledger;
  std::unique_ptr<Backups> backups;  // before the ledger
};

TEST_F(BackupTest, IsAJournalWithAllThatWasAcknowledgedBefore) {
  have_history(16);
  start();
  std::atomic<bool> over{false};
  std::atomic<std::int64_t> acknowledged{0};
  std::thread marker([&] {
    for (std::int64_t turn = 1; !over; ++turn) {
      ledger->call(complete("s", "a", "t" + std::to_string(turn)));
      if (turn % 10 == 0) ledger->call(complete("other" + std::to_string(turn), "b"));
      acknowledged = turn;
    }
  });
  while (acknowledged < 100) std::this_thread::yield();
  const std::int64_t before = acknowledged;
  const BackupMade made = expected(back_up("kept.db"));
  const std::int64_t after = acknowledged;
  EXPECT_TRUE(expected(verify()).problems.empty());
  over = true;
  marker.join();
  EXPECT_GT(after, before) << "marks have waited for the copy";
  EXPECT_EQ(made.path, made_in() / "kept.db");
  EXPECT_EQ(made.bytes, static_cast<std::int64_t>(std::filesystem::file_size(made.path)));
  EXPECT_EQ(mode_of(made.path), 0600u);
  EXPECT_EQ(mode_of(made_in()), 0700u);
  EXPECT_EQ(names_in(made_in()), std::set<std::string>{"kept.db"});
  const TemporaryFolder restored;
  std::filesystem::copy_file(made.path, restored.path() / database_name);
  LedgerInFolder again(restored.path(), {}, Synchronous::full, false);
  const SessionView view = again.call(get("s"));
  EXPECT_GE(view.generation, before);
  EXPECT_LE(view.generation, after + 1);
  EXPECT_TRUE(again.call(complete("s", "a", "t" + std::to_string(before))).duplicate);
  EXPECT_EQ(problems_of(made.path), "");
}

TEST_F(BackupTest, IsNamedByTheTimeUnlessTold) {
  start();
  const BackupMade first = expected(back_up());
  const BackupMade second = expected(back_up());
  EXPECT_NE(first.path, second.path);
  for (const BackupMade* made : {&first, &second}) {
    const std::string name = made->path.filename().string();
    EXPECT_TRUE(name.starts_with("tidemark-2") && name.ends_with(".db")) << name;
    EXPECT_EQ(problems_of(made->path), "");
  }
}

TEST_F(BackupTest, RefusesNamesThatAreNone) {
  start();
  expected(back_up("taken"));
  std::filesystem::create_symlink("nowhere", made_in() / "link");
  for (const std::string& name : {std::string("a/b"), std::string("../a"), std::string("/a"), std::string(".a"),
                                  std::string(".."), std::string("a.partial"), std::string(300, 'a')}) {
    EXPECT_NE(refused_text(name, Refusal::invalid).find("a backup's name"), std::string::npos) << name;
  }
  EXPECT_NE(refused_text("taken", Refusal::invalid).find("already"), std::string::npos);
  EXPECT_NE(refused_text("link", Refusal::invalid).find("already"), std::string::npos);
  EXPECT_EQ(names_in(made_in()), (std::set<std::string>{"taken", "link"}));
  expected(back_up(std::string(NAME_MAX - 8, 'a')));
}

TEST_F(BackupTest, FollowsNoSymbolicLink) {
  start();
  const TemporaryFolder elsewhere;
  std::filesystem::create_directory_symlink(elsewhere.path(), made_in());
  EXPECT_NE(refused_text("a", Refusal::journal_unavailable).find("symbolic link"), std::string::npos);
  EXPECT_TRUE(names_in(elsewhere.path()).empty());
  std::filesystem::remove(made_in());
  expected(back_up("a"));
  std::ofstream(elsewhere.path() / "victim") << "precious";
  std::filesystem::create_symlink(elsewhere.path() / "victim", made_in() / "b.partial");
  refused_text("b", Refusal::journal_unavailable);
  EXPECT_EQ(std::filesystem::file_size(elsewhere.path() / "victim"), 8u);
}

TEST_F(BackupTest, MakesTheFolderItsOwnAgain) {
  std::filesystem::create_directory(made_in());
  std::filesystem::permissions(made_in(), std::filesystem::perms::all);
  start();
  expected(back_up("a"));
  EXPECT_EQ(mode_of(made_in()), 0700u);
}

TEST_F(BackupTest, IsMadeOneAtATime) {
  start();
  const auto gate = hold();
  auto first = begin("first");
  for (int more = 0; more < 2; ++more) {
    const auto second = back_up("second");
    ASSERT_TRUE(refusal(second));
    EXPECT_EQ(refusal(second)->refusal, Refusal::limit);
    EXPECT_EQ(refusal(second)->limit, "backups");
    const auto verified = verify();
    ASSERT_TRUE(refusal(verified));
    EXPECT_EQ(refusal(verified)->limit, "backups");
  }
  gate->set_value();
  expected(LedgerInFolder::wait(std::move(first)));
  expected(back_up("second"));
  EXPECT_TRUE(expected(verify()).problems.empty());
  EXPECT_EQ(names_in(made_in()), (std::set<std::string>{"first", "second"}));
}

TEST_F(BackupTest, WithoutRoomLeavesNothingBehindAndTheLedgerGoesOn) {
  have_history(4);
  start();
  for (const std::int64_t after : {0, 100, 1'000}) {
    disk.fail_copies(SQLITE_FULL, after);
    EXPECT_NE(refused_text("a", Refusal::journal_unavailable).find("full"), std::string::npos);
    EXPECT_TRUE(refusal(verify()));
    EXPECT_TRUE(names_in(made_in()).empty());
    ledger->call(complete("s", "a"));
    EXPECT_TRUE(ledger->ledger().health().healthy);
  }
  disk.heal();
  expected(back_up("a"));
  EXPECT_TRUE(ledger->failures().empty());
}

TEST_F(BackupTest, WhenItEndsItIsCalledOffAndLeavesNothing) {
  have_history(64);
  start();
  for (const bool verifying : {false, true}) {
    auto made = verifying ? std::future<Outcome<BackupMade>>() : begin("a");
    auto verified = verifying ? begin_verify() : std::future<Outcome<Verified>>();
    while (!std::filesystem::exists(made_in()) || names_in(made_in()).empty()) std::this_thread::yield();
    backups.reset();
    ASSERT_EQ((verifying ? verified.wait_for(std::chrono::seconds(0)) : made.wait_for(std::chrono::seconds(0))),
              std::future_status::ready);
    if (verifying) {
      EXPECT_TRUE(refusal(verified.get()));
    } else {
      EXPECT_TRUE(refusal(made.get()));
    }
    EXPECT_TRUE(names_in(made_in()).empty());
    ledger->call(complete("s", "a"));
    backups = std::make_unique<Backups>(ledger->ledger(), folder.path());
  }
  backups->stop();
  EXPECT_NE(refused_text("a", Refusal::journal_unavailable).find("ending"), std::string::npos);
}

TEST_F(BackupTest, IsRefusedWhenTheLedgerFails) {
  have_history(16);
  start();
  const auto gate = hold();
  auto made = begin("a");
  disk.fail_syncs(SQLITE_IOERR_FSYNC);
  auto mark = ledger->submit(complete("s", "a"));
  gate->set_value();
  ASSERT_TRUE(refusal(LedgerInFolder::wait(std::move(mark))));
  EXPECT_TRUE(refusal(LedgerInFolder::wait(std::move(made))));
  EXPECT_TRUE(refusal(back_up("b")));
  EXPECT_TRUE(names_in(made_in()).empty());
}

TEST_F(BackupTest, RemovesWhatACrashHasLeft) {
  std::filesystem::create_directory(made_in());
  for (const char* name : {"a.partial", "verify.partial", "kept", "partial"}) std::ofstream(made_in() / name) << "x";
  start();
  EXPECT_EQ(names_in(made_in()), (std::set<std::string>{"kept", "partial"}));
}

}  // namespace
}  // namespace tidemark::store
