// Opening: new, current, newer, foreign, damaged, somebody else's; permissions; and a database of schema 1 as it was.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

namespace tidemark::store {
namespace {

using std::filesystem::path;

std::string bytes_of(const path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Every file of the folder with its bytes.
std::map<std::string, std::string> files_of(const path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    files[entry.path().filename().string()] = bytes_of(entry.path());
  }
  return files;
}

mode_t mode_of(const path& file) {
  struct stat status {};
  EXPECT_EQ(::stat(file.c_str(), &status), 0) << file;
  return status.st_mode & 07777;
}

OpenOptions options_of(const path& folder) {
  OpenOptions options;
  options.state_dir = folder;
  return options;
}

std::string refused_text(const path& folder) {
  try {
    open_database(options_of(folder));
  } catch (const OpenError& error) {
    return error.what();
  }
  return {};
}

class Opening : public testing::Test {
 protected:
  Opening() { FaultyDisk::instance().heal(); }
  path file() const { return folder.path() / database_name; }
  // The folder is refused with that word in the text, and not one byte of it has changed.
  void expect_refused(const std::string& word) {
    const auto before = files_of(folder.path());
    const std::string text = refused_text(folder.path());
    EXPECT_NE(text.find(word), std::string::npos) << "said: " << text;
    EXPECT_EQ(files_of(folder.path()) == before, true) << "files have changed";
  }
  // A database with a session in it; `clean`: closed, and not left as by a SIGKILL.
  void make_ours(bool clean) {
    Store store;
    store.call(complete("s", "a"));
    if (clean) store.close();
    for (const auto& entry : std::filesystem::directory_iterator(store.path())) {
      std::filesystem::copy_file(entry.path(), folder.path() / entry.path().filename());
    }
  }
  void execute(const std::string& sql) {
    SQLite::Database database(file().string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    database.exec("PRAGMA locking_mode = EXCLUSIVE");
    database.exec(sql);
  }
  TemporaryFolder folder;
};

TEST_F(Opening, MakesANewDatabaseOfTheCurrentSchema) {
  const auto database = open_database(options_of(folder.path()));
  EXPECT_EQ(database->execAndGet("PRAGMA user_version").getInt(), schema_version());
  EXPECT_EQ(database->execAndGet("PRAGMA application_id").getInt(), application_id);
  EXPECT_EQ(database->execAndGet("PRAGMA journal_mode").getString(), "wal");
  EXPECT_EQ(database->execAndGet("PRAGMA synchronous").getInt(), 2);
  EXPECT_EQ(database->execAndGet("PRAGMA foreign_keys").getInt(), 1);
  EXPECT_EQ(database->execAndGet("PRAGMA locking_mode").getString(), "exclusive");
  EXPECT_EQ(database->execAndGet("PRAGMA integrity_check").getString(), "ok");
  EXPECT_EQ(mode_of(file()), 0600u);
  EXPECT_EQ(mode_of(file().string() + "-wal"), 0600u);
  EXPECT_FALSE(std::filesystem::exists(file().string() + "-shm"));
  EXPECT_GE(schema_version(), 1);
}

TEST_F(Opening, OnceMoreRunsNoMigration) {
  open_database(options_of(folder.path()));
  const std::string before = bytes_of(file());
  open_database(options_of(folder.path()));
  EXPECT_EQ(bytes_of(file()) == before, true);
}

TEST_F(Opening, StopsAtAFullDiskAndBeginsAnewWhenThereIsRoom) {
  bool opened = false;
  int refused = 0;
  for (int writes = 0; !opened; ++writes) {
    FaultyDisk::instance().fail_writes(SQLITE_FULL, writes);
    opened = refused_text(folder.path()).empty();
    refused += !opened;
    FaultyDisk::instance().heal();
  }
  EXPECT_GT(refused, 5);
  const auto database = open_database(options_of(folder.path()));
  EXPECT_EQ(database->execAndGet("PRAGMA user_version").getInt(), schema_version());
  EXPECT_EQ(database->execAndGet("PRAGMA integrity_check").getString(), "ok");
}

TEST_F(Opening, RefusesANewerSchema) {
  for (const bool clean : {true, false}) {
    make_ours(clean);
    if (clean) {
      execute("PRAGMA user_version = 9999");
      expect_refused("9999");
      EXPECT_NE(refused_text(folder.path()).find("newer"), std::string::npos);
    } else {
      // The newer version was killed: its log still has to be read, by itself.
      Store newer;
      newer.database().exec("PRAGMA user_version = 9999");
      for (const auto& entry : std::filesystem::directory_iterator(newer.path())) {
        std::filesystem::copy_file(entry.path(), folder.path() / entry.path().filename(),
                                   std::filesystem::copy_options::overwrite_existing);
      }
      expect_refused("9999");
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) std::filesystem::remove(entry.path());
  }
}

TEST_F(Opening, RefusesAForeignDatabase) {
  execute("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
  expect_refused("not Tidemark's");
  execute("PRAGMA application_id = 77");
  expect_refused("not Tidemark's");
  execute("PRAGMA journal_mode = WAL");
  expect_refused("not Tidemark's");
}

TEST_F(Opening, RefusesSomethingThatIsNoDatabase) {
  std::ofstream(file(), std::ios::binary) << std::string(100'000, 'x');
  expect_refused("damaged");
  std::ofstream(file(), std::ios::binary) << "short";
  expect_refused("damaged");
}

TEST_F(Opening, RefusesADamagedDatabaseBeforeAnythingIsWritten) {
  make_ours(true);
  std::string bytes = bytes_of(file());
  // The header says whose it is; all behind it is garbage.
  for (std::size_t at = 100; at < bytes.size(); ++at) bytes[at] = static_cast<char>(at * 31);
  std::ofstream(file(), std::ios::binary) << bytes;
  const auto before = files_of(folder.path());
  Ledger::Callbacks callbacks;
  callbacks.deliver = [](Delivery) {};
  callbacks.on_failure = [](const std::string&) {};
  EXPECT_THROW(Ledger(options_of(folder.path()), {}, real_now, callbacks), OpenError);
  EXPECT_EQ(files_of(folder.path()) == before, true) << "files have changed";
}

TEST_F(Opening, RefusesALinkInTheDatabasesPlace) {
  TemporaryFolder elsewhere;
  std::filesystem::create_symlink(elsewhere.path() / "target", file());
  EXPECT_THROW(open_database(options_of(folder.path())), OpenError);
  EXPECT_FALSE(std::filesystem::exists(elsewhere.path() / "target"));
}

TEST_F(Opening, RefusesADatabaseInUse) {
  execute("CREATE TABLE t (x); DROP TABLE t");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // Locks are a process's: only another one is refused.
    bool refused = false;
    try {
      const auto database = open_database(options_of(folder.path()));
      const pid_t second = ::fork();
      if (second == 0) ::_exit(refused_text(folder.path()).find("another program") == std::string::npos);
      int status = -1;
      ::waitpid(second, &status, 0);
      refused = status == 0;
    } catch (const std::exception&) {
    }
    ::_exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// ---- the folder

TEST(StateDir, IsMadeAndItsOwnersAlone) {
  TemporaryFolder folder;
  const path state = folder.path() / "made" / "state";
  const StateDirLock lock(state);
  EXPECT_EQ(mode_of(state), 0700u);
  EXPECT_EQ(mode_of(state / "lock"), 0600u);
}

TEST(StateDir, IsClosedToOthersWhenItWasOpen) {
  TemporaryFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  const StateDirLock lock(folder.path());
  EXPECT_EQ(mode_of(folder.path()), 0700u);
}

TEST(StateDir, TakesOneDaemon) {
  TemporaryFolder folder;
  {
    const StateDirLock first(folder.path());
    try {
      const StateDirLock second(folder.path());
      FAIL() << "a second daemon was let in";
    } catch (const OpenError& error) {
      EXPECT_NE(std::string(error.what()).find("another tidemarkd"), std::string::npos) << error.what();
    }
  }
  const StateDirLock again(folder.path());
}

TEST(StateDir, OfAnotherUserIsRefused) {
  TemporaryFolder folder;
  if (::chown(folder.path().c_str(), 1234, 1234) != 0) GTEST_SKIP() << "only root can give a folder away";
  const mode_t before = mode_of(folder.path());
  EXPECT_THROW(StateDirLock{folder.path()}, OpenError);
  EXPECT_EQ(mode_of(folder.path()), before);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(StateDir, ThatIsAFileIsRefused) {
  TemporaryFolder folder;
  std::ofstream(folder.path() / "file") << "x";
  EXPECT_THROW(StateDirLock{folder.path() / "file"}, OpenError);
}

// ---- databases of released schemas (fixtures/README.md says how they are made)

TEST(Fixture, OfSchema1IsOpened) {
  const path fixture = path(TIDEMARK_STORE_FIXTURES) / "schema-1.db";
  TemporaryFolder folder;
  std::filesystem::copy_file(fixture, folder.path() / database_name);
  Policies policies;
  policies.everybody.commit.idle = policies.everybody.commit.turn_timeout = lifecycle::Milliseconds(0);
  LedgerInFolder ledger(folder.path(), policies);
  const auto text = [&](const std::string& session) { return text_of(ledger.call(get(session))); };
  const auto has = [&](const std::string& session, const std::string& what) {
    EXPECT_NE(text(session).find(what), std::string::npos) << text(session);
  };
  has("open", "0<=0<=3 agent:agent open:1");
  has("open", "[1..2  open]");
  has("open", "[3..3 agent open]");
  has("clean", "2<=2<=2");
  has("due", "waiting due:flush");
  has("in_flight", "in_doubt due:asked sealed");
  has("in_doubt", "in_doubt due:asked sealed");
  has("stuck", "stuck due:asked");
  has("orphaned", "orphaned due:owner lost");
  EXPECT_TRUE(ledger.call(complete("open", "agent", "t1")).duplicate);
  EXPECT_TRUE(ledger.call(complete("clean", "agent", "t2")).duplicate);
  EXPECT_FALSE(ledger.call(complete("open", "agent", "cancelled")).counted);
  EXPECT_EQ(ledger.call(complete("open", "agent", "t4")).generation, 4);
  EXPECT_EQ(ledger.ledger().recovered().sessions, 6);
  EXPECT_EQ(ledger.ledger().recovered().in_doubt, 2);
  EXPECT_EQ(text_of(ledger.call(Count{})),
            "sessions=7 dirty=6 due=5 in_flight=0 confirming=0 stalled=0 in_doubt=2 orphaned=1 stuck=1");
  std::string states;
  for (const AttemptRow& row : ledger.call(ListHistory{}).attempts) states += row.state + " ";
  EXPECT_EQ(states, "void in_doubt failed in_doubt committed ");
}

TEST(Fixture, OfSchema2IsOpened) {
  TemporaryFolder folder;
  std::filesystem::copy_file(path(TIDEMARK_STORE_FIXTURES) / "schema-2.db", folder.path() / database_name);
  LedgerInFolder ledger(folder.path());
  const auto has = [&](const std::string& session, const std::string& what) {
    const std::string text = text_of(ledger.call(get(session)));
    EXPECT_NE(text.find(what), std::string::npos) << text;
  };
  has("confirming", "confirming due:asked sealed");
  has("confirming", R"(provider:memory evidence:{"task":"t"})");
  has("stalled", " stalled");
  has("failed", "stuck due:asked sealed");
  has("failed", "error:extraction failed");
  has("confirmed", "1<=1<=1");
  has("noted", R"(evidence:{"before":1})");
  EXPECT_EQ(text_of(ledger.call(Count{})),
            "sessions=5 dirty=4 due=4 in_flight=0 confirming=2 stalled=1 in_doubt=2 orphaned=0 stuck=1");
}

}  // namespace
}  // namespace tidemark::store
