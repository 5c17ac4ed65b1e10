// Sessions are walked in the order of their numbers, with a cursor beside them on each table of what belongs to them.
// What is checked is what holds between two batches: rows are as of a session's last structural change, and the log
// goes on from there.
#include "store/verify.h"

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Exception.h>
#include <sqlite3.h>

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <fstream>
#include <optional>
#include <utility>

#include "store/database.h"
#include "store/statement.h"
#include "store/turn_ids.h"

namespace tidemark::store {
namespace {

using lifecycle::Generation;

// The user of sessions that are being deleted in pieces (see rows.cpp), whose name is their number.
constexpr std::int64_t deleting_uid = 4'294'967'295;

struct TurnKeyHash {
  using is_avalanching = void;
  std::size_t operator()(const TurnKey& key) const noexcept { return key.low; }
};

// The two bytes of the header that say that the database has a write-ahead log are set back: reading it would make one
// beside it. It has none, as a copy.
void forget_log(const std::filesystem::path& file) {
  std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
  bytes.seekp(18);
  bytes.write("\1\1", 2);
}

std::string range_text(Generation start, Generation end) {
  return std::to_string(start) + ".." + std::to_string(end);
}

// Rows of one table in the order of their session, the first column.
class Cursor {
 public:
  Cursor(SQLite::Database& database, const char* sql) : statement_(database, sql) { next(); }
  bool at(std::int64_t session_id) const { return session_id_ == session_id; }
  bool before(std::int64_t session_id) const { return session_id_ && *session_id_ < session_id; }
  bool over() const { return !session_id_; }
  std::int64_t session_id() const { return *session_id_; }
  void next() {
    session_id_ = statement_.executeStep() ? std::optional(statement_.getColumn(0).getInt64()) : std::nullopt;
  }
  bool null(int column) const { return statement_.isColumnNull(column); }
  std::int64_t integer(int column) const { return statement_.getColumn(column).getInt64(); }
  std::string text(int column) const { return statement_.getColumn(column).getString(); }

 private:
  SQLite::Statement statement_;
  std::optional<std::int64_t> session_id_;
};

class Verification {
 public:
  Verification(SQLite::Database& database, const std::atomic<bool>& stop) : database_(database), stop_(stop) {
    sqlite3_progress_handler(
        database.getHandle(), 10'000,
        [](void* stopped) { return static_cast<const std::atomic<bool>*>(stopped)->load() ? 1 : 0; },
        const_cast<std::atomic<bool>*>(&stop_));
  }

  std::vector<std::string> run() {
    // A part that can't be read is a problem, and keeps the others from nothing.
    part([this] { check_file(); });
    part([this] { check_references(); });
    part([this] { check_sessions(); });
    part([this] { check_attempts(); });
    part([this] { check_counts(); });
    return std::move(problems_);
  }

 private:
  struct Session {
    std::int64_t id = 0, uid = 0;
    std::string name;
    Generation generation = 0, watermark = 0, accepted = 0;
    Generation reached = 0;  // with what the log adds
  };
  // Turn ids that must not be taken twice, with their generation; 0 = cancelled.
  using TurnKeys = boost::unordered_flat_map<TurnKey, Generation, TurnKeyHash>;

  void problem(std::string text) {
    if (problems_.size() < problems_max) problems_.push_back(std::move(text));
  }
  void problem(const Session& session, const std::string& text) {
    problem("session \"" + session.name + "\" of uid " + std::to_string(session.uid) + " (number " +
            std::to_string(session.id) + "): " + text);
  }

  template <class Check>
  void part(Check check) {
    if (stop_) return;
    try {
      check();
    } catch (const SQLite::Exception& error) {
      problem(std::string("the database can't be read to its end: ") + error.what());
    }
  }

  // Each row of a question that finds what is wrong, `tell` making a sentence of it.
  template <class Tell>
  void each_row(const char* sql, Tell tell) {
    SQLite::Statement statement(database_, sql);
    while (problems_.size() < problems_max && statement.executeStep()) problem(tell(statement));
  }

  // ---- the file

  void check_file() {
    each_row(("PRAGMA integrity_check(" + std::to_string(problems_max) + ")").c_str(),
             [](auto& row) { return "the database's integrity: " + row.getColumn(0).getString(); });
    if (problems_.size() == 1 && problems_.front().ends_with(": ok")) problems_.clear();
    const auto pragma = [this](const char* name) {
      return database_.execAndGet(std::string("PRAGMA ") + name).getInt();
    };
    if (pragma("application_id") != application_id) problem("the file's application_id is not Tidemark's");
    if (const int version = pragma("user_version"); version != schema_version()) {
      problem("the file has schema " + std::to_string(version) + ", not " + std::to_string(schema_version()));
    }
  }

  void check_references() {
    each_row("SELECT \"table\", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2", [](auto& row) {
      return row.getColumn(2).getString() + " rows of " + row.getColumn(0).getString() + " refer to rows of " +
             row.getColumn(1).getString() + " that are not there";
    });
    each_row("SELECT s.uid, s.name, a.uid, a.name FROM sessions s JOIN agents a USING (agent_id) WHERE a.uid <> s.uid",
             [](auto& row) {
               return "session \"" + row.getColumn(1).getString() + "\" of uid " + row.getColumn(0).getString() +
                      " has another user's agent, \"" + row.getColumn(3).getString() + "\" of uid " +
                      row.getColumn(2).getString();
             });
  }

  // ---- sessions and what belongs to them

  void check_sessions() {
    Cursor segments(
        database_,
        "SELECT g.session_id, start_generation, end_generation, phase, sealed, key, commit_id, a.uid, owner_id,"
        " g.provider, stalled FROM segments g LEFT JOIN agents a ON a.agent_id = owner_id ORDER BY session_id, "
        "start_generation");
    Cursor marks(database_, "SELECT session_id, mark_id FROM marks ORDER BY session_id, mark_id");
    Cursor turns(database_,
                 "SELECT session_id, generation, turn, cancelled FROM turns ORDER BY session_id, generation");
    Cursor open_turns(database_, "SELECT session_id, turn FROM open_turns ORDER BY session_id");
    Cursor sessions(database_,
                    "SELECT session_id, uid, name, generation, watermark, accepted FROM sessions ORDER BY session_id");
    SQLite::Statement mark(database_,
                           "SELECT generation, turn, agent_id, a.uid FROM marks LEFT JOIN agents a USING (agent_id)"
                           " WHERE mark_id = ?");
    for (; !sessions.over() && problems_.size() < problems_max; sessions.next()) {
      Session session{sessions.session_id(),
                      sessions.integer(1),
                      sessions.text(2),
                      sessions.integer(3),
                      sessions.integer(4),
                      sessions.integer(5),
                      0};
      // Rows of no session are found as references. In the log they are left of a session that was forgotten.
      for (Cursor* cursor : {&segments, &marks, &turns, &open_turns}) {
        while (cursor->before(session.id)) cursor->next();
      }
      if (session.uid == deleting_uid) {
        check_deleting(session, segments, open_turns);
        continue;
      }
      if (session.watermark < 0 || session.watermark > session.accepted || session.accepted > session.generation) {
        problem(session, "watermark " + std::to_string(session.watermark) + ", accepted " +
                             std::to_string(session.accepted) + " and generation " +
                             std::to_string(session.generation) + " are not in this order");
      }
      check_segments(session, segments);
      TurnKeys keys;
      check_marks(session, marks, mark, keys);
      check_turns(session, turns, keys);
      for (; open_turns.at(session.id); open_turns.next()) {
        if (keys.contains(turn_key(open_turns.text(1)))) {
          problem(session, "turn \"" + open_turns.text(1) + "\" is open and has ended, too");
        }
      }
    }
  }

  void check_deleting(const Session& session, const Cursor& segments, const Cursor& open_turns) {
    if (session.name != std::to_string(session.id)) {
      problem(session, "it is being deleted, and yet has a name other than its number");
    }
    if (segments.at(session.id) || open_turns.at(session.id)) {
      problem(session, "it is being deleted, and yet has segments or open turns");
    }
  }

  void check_segments(const Session& session, Cursor& segments) {
    Generation expected = session.watermark + 1;
    int in_flight = 0;
    for (bool front = true; segments.at(session.id); segments.next(), front = false) {
      const Generation start = segments.integer(1), end = segments.integer(2);
      const std::string phase = segments.text(3);
      const bool sealed = segments.integer(4) != 0, keyed = !segments.null(5);
      const std::string which = "segment " + range_text(start, end);
      if (start != expected) {
        problem(session, which + " should begin at " + std::to_string(expected) +
                             (start > expected ? ": there is a gap" : ": it overlaps what is before it"));
      }
      expected = end + 1;
      in_flight += phase == "in_flight";
      if (front && phase == "confirmed") problem(session, which + " is confirmed and the watermark is not behind it");
      if ((phase == "confirming" || phase == "confirmed") && end > session.accepted) {
        problem(session, which + " is " + phase + ", but accepted is only " + std::to_string(session.accepted));
      }
      if (sealed && !keyed) problem(session, which + " is sealed without a key");
      if (phase == "in_flight" && !keyed) problem(session, which + " is in flight without a key");
      if (keyed && !sealed && phase != "in_flight" && phase != "confirmed") {
        problem(session, which + " has a key, but is neither sealed nor in flight");
      }
      if (!segments.null(7) && segments.integer(7) != session.uid) {
        problem(session, which + " is owned by an agent of uid " + segments.text(7));
      }
      if (phase == "confirming" && segments.null(9)) problem(session, which + " is confirming, but no provider has it");
      if (phase != "confirming" && segments.integer(10) != 0) {
        problem(session, which + " is stalled, but not confirming");
      }
      if (phase == "in_flight" || (sealed && !segments.null(6))) check_attempt_of(session, segments, which);
    }
    if (expected != session.generation + 1) {
      problem(session, "its dirty generations are " + range_text(session.watermark + 1, session.generation) +
                           ", but its segments end at " + std::to_string(expected - 1));
    }
    if (in_flight > 1) problem(session, std::to_string(in_flight) + " of its segments are in flight");
  }

  // The latest attempt of a segment that is out or sealed. A finished one may have been forgotten.
  void check_attempt_of(const Session& session, const Cursor& segment, const std::string& which) {
    const std::string phase = segment.text(3);
    const bool unfinished = phase == "in_flight" || phase == "confirming";
    if (!attempt_of_) {
      attempt_of_.emplace(database_,
                          "SELECT t.state, t.uid = ?1 AND t.session = ?2 AND t.key = g.key"
                          " AND t.start_generation = g.start_generation AND t.end_generation = g.end_generation"
                          " FROM segments g JOIN attempts t ON t.commit_id = g.commit_id"
                          " WHERE g.session_id = ?3 AND g.start_generation = ?4");
    }
    Bound row(*attempt_of_);
    row.integer(session.uid).text(session.name).integer(session.id).integer(segment.integer(1));
    const bool found = row.step();
    if (unfinished && (!found || row.text_at(0) != phase)) {
      problem(session, which + " is " + phase + ", but attempt " + segment.text(6) + " of the history is " +
                           (found ? row.text_at(0) : "not there"));
    } else if (found && !row.flag_at(1)) {
      problem(session,
              which + " and its attempt " + segment.text(6) + " of the history differ in session, range or key");
    }
  }

  void check_marks(Session& session, Cursor& marks, SQLite::Statement& mark, TurnKeys& keys) {
    session.reached = session.generation;
    Generation before = 0;
    for (; marks.at(session.id); marks.next()) {
      Bound row(mark);
      if (!row.integer(marks.integer(1)).step()) continue;
      const Generation generation = row.integer_at(0);
      const std::string which = "generation " + std::to_string(generation) + " of the log";
      const Generation expected = before > 0 ? before + 1 : std::min(generation, session.generation + 1);
      if (generation != expected) problem(session, which + " should be " + std::to_string(expected));
      before = generation;
      if (generation <= session.watermark) continue;
      session.reached = std::max(session.reached, generation);
      if (!row.null_at(2) && generation > session.generation && (row.null_at(3) || row.integer_at(3) != session.uid)) {
        problem(session, which + " has an owner that is " + (row.null_at(3) ? "not there" : "another user's"));
      }
      if (!row.null_at(1)) remember_turn(session, keys, row.text_at(1), generation);
    }
    if (before > 0 && before < session.generation) {
      problem(session, "the log ends at generation " + std::to_string(before) + ", before " +
                           std::to_string(session.generation));
    }
  }

  // The same turn may stand in the log and, already moved, among the turns.
  void remember_turn(const Session& session, TurnKeys& keys, const std::string& turn, Generation generation) {
    const auto [known, fresh] = keys.try_emplace(turn_key(turn), generation);
    if (fresh || (known->second == generation && generation != 0)) return;
    const auto what = [](Generation of) { return of == 0 ? "cancelled" : "generation " + std::to_string(of); };
    problem(session,
            "turn \"" + turn + "\" is there twice: as " + what(known->second) + ", and as " + what(generation));
  }

  void check_turns(const Session& session, Cursor& turns, TurnKeys& keys) {
    Generation before = 0;
    for (; turns.at(session.id); turns.next()) {
      const std::string turn = turns.text(2);
      if (turns.integer(3) != 0) {
        remember_turn(session, keys, turn, 0);
        continue;
      }
      const Generation generation = turns.integer(1);
      if (generation < 1 || generation > session.reached) {
        problem(session, "turn \"" + turn + "\" is generation " + std::to_string(generation) +
                             ", which was never reached: the last is " + std::to_string(session.reached));
      }
      if (generation == before) problem(session, "generation " + std::to_string(generation) + " has several turn ids");
      before = generation;
      // Of a settled turn the row may just not be deleted yet, though its id is forgotten and may be taken again.
      if (generation > session.watermark) remember_turn(session, keys, turn, generation);
    }
  }

  // ---- the history, and what is counted

  void check_attempts() {
    each_row(
        "SELECT commit_id, uid, session, state FROM attempts AS t WHERE finished_at IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM sessions JOIN segments USING (session_id) WHERE uid = t.uid AND name = t.session"
        " AND commit_id = t.commit_id AND phase = t.state)",
        [](auto& row) {
          return "attempt " + row.getColumn(0).getString() + " of the history, for session \"" +
                 row.getColumn(2).getString() + "\" of uid " + row.getColumn(1).getString() + ", is " +
                 row.getColumn(3).getString() + ", but no segment is";
        });
  }

  void check_counts() {
    each_row(
        "SELECT uid, coalesce(u.sessions, 0), coalesce(s.sessions, 0) FROM users AS u FULL JOIN"
        " (SELECT uid, count(*) AS sessions FROM sessions WHERE uid <> 4294967295 GROUP BY uid) AS s USING (uid)"
        " WHERE coalesce(u.sessions, 0) <> coalesce(s.sessions, 0)",
        [](auto& row) {
          return "uid " + row.getColumn(0).getString() + " is said to have " + row.getColumn(1).getString() +
                 " sessions, and has " + row.getColumn(2).getString();
        });
    each_row(
        "SELECT max(epoch), coalesce((SELECT value FROM counters WHERE name = 'epoch'), 0) AS counted FROM agents"
        " HAVING max(epoch) > counted",
        [](auto& row) {
          return "the counter of registrations stands at " + row.getColumn(1).getString() + ", behind an agent's, " +
                 row.getColumn(0).getString();
        });
    each_row(
        "SELECT what, most, coalesce((SELECT seq FROM sqlite_sequence WHERE name = what), 0) AS counted FROM ("
        "SELECT 'agents' AS what, max(agent_id) AS most FROM agents"
        " UNION ALL SELECT 'sessions', max(session_id) FROM sessions"
        " UNION ALL SELECT 'sessions', max(session_id) FROM marks"
        " UNION ALL SELECT 'attempts', max(commit_id) FROM attempts"
        " UNION ALL SELECT 'attempts', max(commit_id) FROM segments) WHERE most > counted",
        [](auto& row) {
          return "the numbers given out in " + row.getColumn(0).getString() + " stand at " +
                 row.getColumn(2).getString() + ", behind " + row.getColumn(1).getString();
        });
  }

  SQLite::Database& database_;
  const std::atomic<bool>& stop_;
  std::optional<SQLite::Statement> attempt_of_;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> verify_database(const std::filesystem::path& file, const std::atomic<bool>& stop) {
  forget_log(file);
  // Not opened as read-only: then SQLite would not look at CHECK constraints.
  SQLite::Database database(file.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_NOFOLLOW | SQLite::OPEN_NOMUTEX);
  database.exec("PRAGMA query_only = ON");
  database.exec("PRAGMA temp_store = MEMORY");
  database.exec("PRAGMA cache_size = -16384");
  return Verification(database, stop).run();
}

}  // namespace tidemark::store
