// Every SQL statement of the ledger, prepared once. Reads and writes rows; knows no rule and keeps no state of its own.
// Ledger thread only; each call runs within whatever transaction is open, leaves no statement open, and throws
// SQLite::Exception on a fault.
#pragma once

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lifecycle/session.h"
#include "store/effects.h"

namespace tidemark::store {

// One row of the log of completed turns.
struct MarkRow {
  std::int64_t mark_id = 0;
  lifecycle::SessionId session_id = 0;
  lifecycle::Generation generation = 0;
  lifecycle::AgentId agent_id = 0;  // 0 = ownerless
  std::string turn;                 // empty = none
  lifecycle::Utc at{};
};

struct TurnRow {
  lifecycle::Generation generation = 0;  // of a cancelled one, its place among the session's cancelled ones instead
  std::string turn;
  bool cancelled = false;
};

// One row of the history.
struct AttemptRow {
  lifecycle::CommitId commit_id = 0;
  uid_t uid = 0;
  std::string session;
  lifecycle::Key key = lifecycle::no_key;
  std::string owner;  // empty = nobody
  std::string asked;
  lifecycle::Generation start = 0;
  lifecycle::Generation end = 0;
  std::string state;
  std::int64_t attempt = 0;
  std::string reason;
  lifecycle::Utc started_at{};
  std::optional<lifecycle::Utc> finished_at;
  std::string error;
  std::string evidence;
};

// A session's row and segments as read; agents still by number.
struct SessionRow {
  lifecycle::SessionId id = 0;
  uid_t uid = 0;
  std::string name;
  lifecycle::Generation generation = 0, watermark = 0, accepted = 0;
  lifecycle::AgentId agent_id = 0;
  std::string external_id;
  lifecycle::Utc last_turn_at{};
  std::string provider_state;
};

class Rows {
 public:
  explicit Rows(SQLite::Database& database);

  // ---- counters: 0 if never written
  std::int64_t counter(const char* name);
  void write_counter(const char* name, std::int64_t value);
  // The highest number ever given out in an AUTOINCREMENT table.
  std::int64_t last_number(const char* table);
  std::map<uid_t, std::int64_t> session_counts();
  void write_session_count(uid_t uid, std::int64_t sessions);

  // ---- agents
  std::optional<lifecycle::Agent> find_agent(uid_t uid, std::string_view name);
  std::optional<lifecycle::Agent> find_agent(lifecycle::AgentId id);
  void write_agent(const lifecycle::Agent& agent, lifecycle::Utc seen_at);
  // A piece of a retention pass: bounded by the rows looked at, not by the rows found, so that it never takes long.
  template <class Id>
  struct Page {
    std::vector<Id> found;
    Id last = 0;  // the last one looked at: where the next piece begins; 0 = the pass is over
  };
  // Among the next `limit` agents after `after`: those seen last before `before` that are nobody's current one and own
  // nothing.
  Page<lifecycle::AgentId> forgettable_agents(lifecycle::Utc before, lifecycle::AgentId after, int limit);
  void delete_agent(lifecycle::AgentId id);

  // ---- sessions
  std::optional<SessionRow> find_session(uid_t uid, std::string_view name);
  std::optional<SessionRow> find_session(lifecycle::SessionId id);
  void insert_session(const lifecycle::Session& session);
  // The session's row, its changed segments; segments at or before the watermark go.
  void write_session(lifecycle::Session& session);
  // Nobody can see the session any more, and at least `turns` of its turns are deleted, or all that is left of it. True
  // if more is left, to be deleted by further calls; after a restart too: deleting_sessions() says of which.
  bool delete_session(lifecycle::SessionId id, int turns);
  std::vector<lifecycle::SessionId> deleting_sessions();
  using AgentById = std::function<lifecycle::AgentPointer(lifecycle::AgentId)>;
  std::list<lifecycle::Segment> segments(lifecycle::SessionId id, const AgentById& agent_by_id,
                                         const lifecycle::Now& now);
  std::vector<lifecycle::OpenTurn> open_turns(lifecycle::SessionId id, const AgentById& agent_by_id,
                                              const lifecycle::Now& now);
  // Sessions with segments or open turns: what must be in memory.
  std::vector<lifecycle::SessionId> live_sessions();
  // By (uid, name) after the given pair; `uid` empty = everybody's.
  std::vector<SessionRow> sessions_after(std::optional<uid_t> uid, uid_t after_uid, std::string_view after_name,
                                         int limit);
  // Among the next `limit` sessions after `after`: the clean ones without a turn, or a registration of their current
  // agent, since `before`.
  Page<lifecycle::SessionId> sessions_idle_since(lifecycle::Utc before, lifecycle::SessionId after, int limit);

  // ---- turns
  void insert_mark(const MarkRow& mark);
  // Rows of the log after `after`, oldest first.
  void read_marks(std::int64_t after, int limit, const std::function<void(const MarkRow&)>& each);
  void delete_marks_through(std::int64_t mark_id);
  std::int64_t first_mark();  // 0 = the log is empty
  std::int64_t last_mark();
  void insert_turn(lifecycle::SessionId id, const TurnRow& turn);
  void delete_cancelled_turn(lifecycle::SessionId id, lifecycle::Generation place);
  // Cancelled ones in the order of their places.
  void read_turns(lifecycle::SessionId id, const std::function<void(const TurnRow&)>& each);
  // Completed ones, the oldest `limit` or a few more. True if more may be left.
  bool delete_turns_before(lifecycle::SessionId id, lifecycle::Generation from, int limit);
  void insert_open_turn(lifecycle::SessionId id, const lifecycle::OpenTurn& open);
  void delete_open_turn(lifecycle::SessionId id, std::string_view turn);

  // ---- providers that are paused by hand
  void write_paused_provider(const PausedProvider& paused);
  void delete_paused_provider(std::string_view provider);
  std::vector<PausedProvider> paused_providers();

  // ---- history
  void insert_attempt(const AttemptRow& attempt);
  void finish_attempt(lifecycle::CommitId commit, std::string_view state, lifecycle::Utc at, std::string_view error,
                      std::string_view evidence);
  // The attempt that is out: what is known of it so far, and who has it now (empty = as before).
  void note_attempt(lifecycle::CommitId commit, std::string_view asked, std::string_view evidence);
  // Its provider has accepted it.
  void accept_attempt(lifecycle::CommitId commit, std::string_view evidence);
  std::string attempt_state(lifecycle::CommitId commit);  // empty = not (or no longer) in the history
  // Whether some attempt under that key succeeded, or was settled by hand; among the session's latest 2,048.
  bool key_settled(uid_t uid, std::string_view session, const lifecycle::Key& key);
  // Newest first, before the commit `before` (0 = from the newest); `session` empty = all of that uid's.
  std::vector<AttemptRow> history(std::optional<uid_t> uid, std::string_view session, lifecycle::CommitId before,
                                  int limit);
  // A piece of a retention pass: of the next `limit` attempts after `after`, deletes the finished ones that began
  // before `before` or have a number up to `through`. Returns where the next piece begins; 0 = the pass is over.
  lifecycle::CommitId delete_history(lifecycle::Utc before, lifecycle::CommitId through, lifecycle::CommitId after,
                                     int limit);

 private:
  // A prepared statement by its text, made at its first use. Reset and unbound by Bound's destructor.
  SQLite::Statement& statement(const char* sql);

  SQLite::Database& database_;
  std::map<const char*, std::unique_ptr<SQLite::Statement>> statements_;
  std::unique_ptr<SQLite::Statement> insert_mark_;
};

}  // namespace tidemark::store
