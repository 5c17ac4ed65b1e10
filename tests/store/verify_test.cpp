// Verification: nothing is said of a good journal, and each invariant that is broken by hand is named.
#include <fstream>

#include "copied.h"

namespace tidemark::store {
namespace {

// A journal with something of everything: clean, dirty, in flight, sealed, stuck and confirmed segments, open and
// cancelled turns, rows in the log and rows that were moved.
void fill(Store& store) {
  store.serve("a", "out");
  for (int turn = 1; turn <= 3; ++turn) store.call(complete("out", {}, "t" + std::to_string(turn)));
  store.attempt("out", 1);
  store.call(complete("out", {}, "t4"));
  store.call(complete("out", "b", "t5"));
  store.call(begin_turn("out", "open"));
  store.call(cancel_turn("out", "cancelled"));
  store.serve("a", "sealed");
  store.call(complete("sealed", {}, "t1"));
  store.call(end_attempt("sealed", store.attempt("sealed", 2), AttemptEnd::in_doubt));
  store.call(complete("sealed", {}, "t2"));
  store.call(complete("clean", "a", "t1"));
  store.call(complete("clean", "a", "t2"));
  store.commit_oldest("clean", 3);
  store.fold();
  store.call(complete("sealed", {}, "t3"));
  store.call(complete("sealed", {}, "t4"));
  store.call(complete("logged", "a"));
  store.call(complete("gone", "a"));
  store.call(forget("gone"));
}

class Verifying : public testing::Test {
 protected:
  Verifying() {
    fill(store);
    copy_to(file, store.database());
  }
  std::string problems() const { return problems_of(file); }
  // Changes the copy against all that protects it.
  void plant(const std::string& sql) const {
    SQLite::Database database(file.string(), SQLite::OPEN_READWRITE);
    database.exec("PRAGMA locking_mode = EXCLUSIVE");
    database.exec("PRAGMA foreign_keys = OFF");
    database.exec("PRAGMA ignore_check_constraints = ON");
    ASSERT_GT(database.exec(sql), 0) << "changed nothing: " << sql;
    database.exec("PRAGMA journal_mode = DELETE");
  }
  Store store;
  TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "with space, ? and #.db";
};

TEST_F(Verifying, SaysNothingOfAGoodJournalAndLeavesNothingBeside) {
  EXPECT_EQ(problems(), "");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

struct Fault {
  std::string sql, named;
  // What is to stand in the text besides: whose fault it is.
  std::string whose = {};
};

TEST_F(Verifying, NamesEachInvariantThatIsBroken) {
  const std::string out = "(SELECT session_id FROM sessions WHERE name = 'out')";
  const std::string sealed = "(SELECT session_id FROM sessions WHERE name = 'sealed')";
  const std::vector<Fault> faults{
      {"UPDATE sessions SET watermark = 5, accepted = 1 WHERE name = 'out'", "not in this order",
       "\"out\" of uid 1000"},
      {"UPDATE sessions SET accepted = 9 WHERE name = 'clean'", "not in this order", "\"clean\""},
      {"UPDATE sessions SET watermark = -1 WHERE name = 'out'", "not in this order", "\"out\""},
      {"DELETE FROM segments WHERE start_generation = 4", "there is a gap", "\"out\""},
      {"UPDATE segments SET end_generation = 4 WHERE start_generation = 1 AND session_id = " + out, "overlaps", "1..4"},
      {"DELETE FROM segments WHERE start_generation = 5", "segments end at 4", "\"out\""},
      {"DELETE FROM segments WHERE session_id = " + sealed, "segments end at 0", "\"sealed\""},
      {"UPDATE sessions SET generation = 1 WHERE name = 'sealed'", "segments end at 2", "\"sealed\""},
      {"UPDATE sessions SET generation = 3 WHERE name = 'clean'", "segments end at 2", "\"clean\""},
      {"UPDATE segments SET phase = 'in_flight' WHERE start_generation = 5", "2 of its segments are in flight"},
      {"UPDATE segments SET phase = 'confirmed' WHERE start_generation = 1 AND session_id = " + out,
       "is confirmed and the watermark is not behind it"},
      {"UPDATE segments SET phase = 'confirming', sealed = 1, key = randomblob(16) WHERE start_generation = 5",
       "5..5 is confirming, but accepted is only 0"},
      {"UPDATE segments SET phase = 'confirmed' WHERE start_generation = 5", "5..5 is confirmed, but accepted"},
      {"UPDATE segments SET key = NULL WHERE sealed = 1", "sealed without a key", "\"sealed\""},
      {"UPDATE segments SET key = NULL WHERE phase = 'in_flight'", "in flight without a key", "\"out\""},
      {"UPDATE segments SET key = randomblob(16) WHERE start_generation = 5", "has a key, but is neither"},
      {"UPDATE segments SET key = randomblob(16) WHERE phase = 'in_flight'", "differ in session, range or key"},
      {"UPDATE segments SET key = randomblob(16) WHERE sealed = 1", "differ in session, range or key", "\"sealed\""},
      {"UPDATE attempts SET end_generation = 2 WHERE state = 'in_flight'", "differ in session, range or key"},
      {"UPDATE attempts SET session = 'else' WHERE state = 'in_flight'", "differ in session, range or key"},
      {"UPDATE attempts SET state = 'failed', finished_at = 1 WHERE state = 'in_flight'", "of the history is failed"},
      {"DELETE FROM attempts WHERE state = 'in_flight'", "of the history is not there", "\"out\""},
      {"UPDATE segments SET phase = 'pending', key = NULL WHERE phase = 'in_flight'", "is in_flight, but no segment is",
       "\"out\" of uid 1000"},
      {"UPDATE attempts SET state = 'in_flight', finished_at = NULL WHERE state = 'committed'",
       "is in_flight, but no segment is", "\"clean\""},
      {"UPDATE segments SET owner_id = 77 WHERE start_generation = 5", "rows of segments refer to rows of agents"},
      {"UPDATE sessions SET agent_id = 77 WHERE name = 'clean'", "rows of sessions refer to rows of agents"},
      {"UPDATE open_turns SET agent_id = 77", "rows of open_turns refer to rows of agents"},
      {"UPDATE segments SET session_id = 77 WHERE start_generation = 5", "rows of segments refer to rows of sessions"},
      {"UPDATE turns SET session_id = 77 WHERE turn = 't5'", "rows of turns refer to rows of sessions"},
      {"UPDATE open_turns SET session_id = 77", "rows of open_turns refer to rows of sessions"},
      {"UPDATE agents SET uid = 1001 WHERE name = 'b'", "owned by an agent of uid 1001", "\"out\""},
      {"UPDATE agents SET uid = 1001 WHERE name = 'a'", "another user's agent, \"a\" of uid 1001"},
      {"UPDATE marks SET generation = 9 WHERE turn = 't4'", "9 of the log should be 4", "\"sealed\""},
      {"DELETE FROM marks WHERE turn = 't3'", "4 of the log should be 3", "\"sealed\""},
      {"UPDATE marks SET agent_id = 77 WHERE turn = 't4'", "an owner that is not there", "\"sealed\""},
      {"UPDATE agents SET uid = 1001 WHERE name = 'a'", "an owner that is another user's", "\"sealed\""},
      {"UPDATE marks SET session_id = 77 WHERE turn = 't4'", "given out in sessions", "behind 77"},
      {"UPDATE marks SET generation = 1 WHERE turn IS NULL AND session_id = (SELECT session_id FROM sessions WHERE"
       " name = 'logged'); UPDATE sessions SET generation = 2, watermark = 2, accepted = 2 WHERE name = 'logged'",
       "the log ends at generation 1, before 2", "\"logged\""},
      {"UPDATE marks SET turn = 't2' WHERE turn = 't4'", "turn \"t2\" is there twice", "\"sealed\""},
      {"UPDATE turns SET turn = 't5' WHERE turn = 't4'", "turn \"t5\" is there twice", "\"out\""},
      {"UPDATE turns SET turn = 't4' WHERE turn = 'cancelled'", "as cancelled", "turn \"t4\" is there twice"},
      {"UPDATE turns SET generation = 6 WHERE turn = 't5'", "generation 6, which was never reached", "turn \"t5\""},
      {"UPDATE turns SET generation = 4 WHERE turn = 't5'", "generation 4 has several turn ids", "\"out\""},
      {"UPDATE open_turns SET turn = 't4'", "turn \"t4\" is open and has ended", "\"out\""},
      {"UPDATE open_turns SET turn = 'cancelled'", "is open and has ended", "\"out\""},
      {"UPDATE users SET sessions = 3", "said to have 3 sessions, and has 4", "uid 1000"},
      {"DELETE FROM users", "said to have 0 sessions, and has 4", "uid 1000"},
      {"INSERT INTO users (uid, sessions) VALUES (5, 1)", "said to have 1 sessions, and has 0", "uid 5"},
      {"UPDATE counters SET value = 1 WHERE name = 'epoch'", "counter of registrations stands at 1"},
      {"UPDATE sqlite_sequence SET seq = 1 WHERE name = 'sessions'", "given out in sessions stand at 1"},
      {"UPDATE sqlite_sequence SET seq = 1 WHERE name = 'attempts'", "given out in attempts stand at 1"},
      {"UPDATE sqlite_sequence SET seq = 0 WHERE name = 'agents'", "given out in agents stand at 0"},
      {"UPDATE sessions SET uid = 4294967295 WHERE name = 'clean'", "has a name other than its number"},
      {"UPDATE sessions SET uid = 4294967295, name = session_id WHERE name = 'out'", "yet has segments or open turns"},
      {"UPDATE segments SET phase = 'lost' WHERE start_generation = 5", "CHECK constraint failed in segments"},
  };
  for (const Fault& fault : faults) {
    SCOPED_TRACE(fault.sql);
    copy_to(file, store.database());
    plant(fault.sql);
    const std::string found = problems();
    EXPECT_NE(found.find(fault.named), std::string::npos) << found;
    EXPECT_NE(found.find(fault.whose), std::string::npos) << found;
  }
}

TEST_F(Verifying, NamesAForeignFileAndAnotherSchema) {
  plant("PRAGMA application_id = 7; UPDATE counters SET value = value");
  EXPECT_EQ(problems(), "the file's application_id is not Tidemark's\n");
  copy_to(file, store.database());
  plant("PRAGMA user_version = 7; UPDATE counters SET value = value");
  EXPECT_EQ(problems(), "the file has schema 7, not " + std::to_string(schema_version()) + "\n");
}

TEST_F(Verifying, LetsASessionBeThatIsBeingDeletedInPieces) {
  plant(
      "UPDATE sessions SET uid = 4294967295, name = session_id, agent_id = NULL WHERE name = 'clean';"
      "UPDATE users SET sessions = sessions - 1");
  EXPECT_EQ(problems(), "");
}

// Its row may just not be deleted yet.
TEST_F(Verifying, LetsATurnIdBeTakenAgainThatIsSettled) {
  plant(
      "INSERT INTO turns (session_id, generation, turn, cancelled)"
      " SELECT session_id, 1, 't1', 1 FROM sessions WHERE name = 'clean'"
      " ON CONFLICT DO UPDATE SET generation = 7, cancelled = 1");
  EXPECT_EQ(problems(), "");
}

TEST_F(Verifying, FindsAPageThatWasWrittenOver) {
  const auto root = [&](const std::string& name) {
    return store.database().execAndGet("SELECT rootpage FROM sqlite_schema WHERE name = '" + name + "'").getInt64();
  };
  for (const char* table : {"segments", "attempts_by_session", "marks"}) {
    SCOPED_TRACE(table);
    copy_to(file, store.database());
    {
      std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
      bytes.seekp((root(table) - 1) * 4096);
      bytes << std::string(200, 'x');
    }
    EXPECT_NE(problems().find("integrity"), std::string::npos) << problems();
  }
}

TEST_F(Verifying, ThrowsIfTheFileIsNoDatabase) {
  std::ofstream(file) << std::string(8'192, 'x');
  EXPECT_THROW(problems(), SQLite::Exception);
}

TEST_F(Verifying, TellsNoMoreThanSoManyProblems) {
  plant(
      "WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)"
      " INSERT INTO sessions (session_id, uid, name, generation, watermark, accepted, last_turn_at)"
      " SELECT i, 1000, 'many-' || i, 1, 0, 0, 0 FROM n");
  const std::atomic<bool> stop{false};
  EXPECT_EQ(verify_database(file, stop).size(), problems_max);
}

TEST_F(Verifying, GivesUpWhenItIsStopped) {
  plant(
      "WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)"
      " INSERT INTO sessions (session_id, uid, name, generation, watermark, accepted, last_turn_at)"
      " SELECT i, 1000, 'many-' || i, 1, 1, 1, 0 FROM n");
  const auto time = [&](bool stopped) {
    const std::atomic<bool> stop{stopped};
    const auto begun = std::chrono::steady_clock::now();
    verify_database(file, stop);
    return std::chrono::steady_clock::now() - begun;
  };
  EXPECT_LT(time(true) * 5, time(false));
}

}  // namespace
}  // namespace tidemark::store
