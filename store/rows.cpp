// Agents, sessions and segments. Those of turns are in rows_turns.cpp, the history's in rows_history.cpp.
#include "store/rows.h"

#include <sqlite3.h>

#include <array>

#include "store/statement.h"

namespace tidemark::store {

using lifecycle::Agent;
using lifecycle::AgentId;
using lifecycle::Phase;
using lifecycle::Segment;
using lifecycle::Session;
using lifecycle::SessionId;
using lifecycle::Utc;

namespace {

constexpr std::array<std::string_view, 5> phase_names{"pending", "in_flight", "confirming", "confirmed", "stuck"};

std::string_view phase_name(Phase phase) {
  return phase_names[static_cast<std::size_t>(phase)];
}

Phase phase_by_name(std::string_view name) {
  for (std::size_t index = 0; index < phase_names.size(); ++index) {
    if (phase_names[index] == name) return static_cast<Phase>(index);
  }
  throw SQLite::Exception("segments.phase holds an unknown word", SQLITE_CORRUPT);
}

constexpr const char* agent_columns =
    "agent_id, uid, name, epoch, agent_group, provider, fallback, served, lost FROM agents";

Agent read_agent(const Bound& row) {
  Agent agent;
  agent.id = row.integer_at(0);
  agent.uid = static_cast<uid_t>(row.integer_at(1));
  agent.name = row.text_at(2);
  agent.epoch = row.integer_at(3);
  agent.group = row.text_at(4);
  agent.provider = row.text_at(5);
  agent.fallback = row.text_at(6);
  agent.served = row.flag_at(7);
  agent.lost = row.flag_at(8);
  return agent;
}

// A session that is being deleted in pieces goes on under the user id that no process can have, its number for a name,
// as long as its turns refer to it.
#define DELETING_UID "4294967295"

#define SESSION_COLUMNS                                                                           \
  "session_id, uid, name, generation, watermark, accepted, agent_id, external_id, last_turn_at, " \
  "provider_state FROM sessions "

SessionRow read_session(const Bound& row) {
  return {row.integer_at(0), static_cast<uid_t>(row.integer_at(1)),
          row.text_at(2),    row.integer_at(3),
          row.integer_at(4), row.integer_at(5),
          row.integer_at(6), row.text_at(7),
          row.time_at(8),    row.text_at(9)};
}

}  // namespace

Rows::Rows(SQLite::Database& database) : database_(database) {}

SQLite::Statement& Rows::statement(const char* sql) {
  auto& slot = statements_[sql];
  if (!slot) slot = std::make_unique<SQLite::Statement>(database_, sql);
  return *slot;
}

std::int64_t Rows::counter(const char* name) {
  Bound select(statement("SELECT value FROM counters WHERE name = ?"));
  return select.text(name).step() ? select.integer_at(0) : 0;
}

void Rows::write_counter(const char* name, std::int64_t value) {
  Bound(statement("INSERT INTO counters (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"))
      .text(name)
      .integer(value)
      .run();
}

std::int64_t Rows::last_number(const char* table) {
  Bound select(statement("SELECT seq FROM sqlite_sequence WHERE name = ?"));
  return select.text(table).step() ? select.integer_at(0) : 0;
}

std::map<uid_t, std::int64_t> Rows::session_counts() {
  std::map<uid_t, std::int64_t> counts;
  Bound select(statement("SELECT uid, sessions FROM users"));
  while (select.step()) counts[static_cast<uid_t>(select.integer_at(0))] = select.integer_at(1);
  return counts;
}

void Rows::write_session_count(uid_t uid, std::int64_t sessions) {
  Bound(statement("INSERT INTO users (uid, sessions) VALUES (?, ?)"
                  " ON CONFLICT DO UPDATE SET sessions = excluded.sessions"))
      .integer(uid)
      .integer(sessions)
      .run();
}

std::optional<Agent> Rows::find_agent(uid_t uid, std::string_view name) {
  static const std::string sql = std::string("SELECT ") + agent_columns + " WHERE uid = ? AND name = ?";
  Bound select(statement(sql.c_str()));
  if (!select.integer(uid).text(name).step()) return std::nullopt;
  return read_agent(select);
}

std::optional<Agent> Rows::find_agent(AgentId id) {
  static const std::string sql = std::string("SELECT ") + agent_columns + " WHERE agent_id = ?";
  Bound select(statement(sql.c_str()));
  if (!select.integer(id).step()) return std::nullopt;
  return read_agent(select);
}

void Rows::write_agent(const Agent& agent, Utc seen_at) {
  Bound(statement("INSERT INTO agents (agent_id, uid, name, epoch, agent_group, provider, fallback, served, lost,"
                  " seen_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (agent_id) DO UPDATE SET"
                  " epoch = excluded.epoch, agent_group = excluded.agent_group, provider = excluded.provider,"
                  " fallback = excluded.fallback, served = excluded.served, lost = excluded.lost,"
                  " seen_at = excluded.seen_at"))
      .integer(agent.id)
      .integer(agent.uid)
      .text(agent.name)
      .integer(agent.epoch)
      .text_or_null(agent.group)
      .text_or_null(agent.provider)
      .text_or_null(agent.fallback)
      .integer(agent.served)
      .integer(agent.lost)
      .time(seen_at)
      .run();
}

Rows::Page<AgentId> Rows::forgettable_agents(Utc before, AgentId after, int limit) {
  Page<AgentId> page;
  Bound select(
      statement("SELECT agent_id, seen_at < ? AND NOT EXISTS (SELECT 1 FROM sessions WHERE agent_id = a.agent_id)"
                " AND NOT EXISTS (SELECT 1 FROM segments WHERE owner_id = a.agent_id)"
                " AND NOT EXISTS (SELECT 1 FROM open_turns WHERE agent_id = a.agent_id)"
                " FROM agents AS a WHERE agent_id > ? ORDER BY agent_id LIMIT ?"));
  select.time(before).integer(after).integer(limit);
  while (select.step()) {
    page.last = select.integer_at(0);
    if (select.flag_at(1)) page.found.push_back(page.last);
  }
  return page;
}

void Rows::delete_agent(AgentId id) {
  Bound(statement("DELETE FROM agents WHERE agent_id = ?")).integer(id).run();
}

std::optional<SessionRow> Rows::find_session(uid_t uid, std::string_view name) {
  Bound select(statement("SELECT " SESSION_COLUMNS "WHERE uid = ? AND name = ?"));
  if (!select.integer(uid).text(name).step()) return std::nullopt;
  return read_session(select);
}

std::optional<SessionRow> Rows::find_session(SessionId id) {
  Bound select(statement("SELECT " SESSION_COLUMNS "WHERE session_id = ? AND uid <> " DELETING_UID));
  if (!select.integer(id).step()) return std::nullopt;
  return read_session(select);
}

void Rows::insert_session(const Session& session) {
  Bound(statement("INSERT INTO sessions (session_id, uid, name, generation, watermark, accepted, agent_id, external_id,"
                  " last_turn_at) VALUES (?, ?, ?, 0, 0, 0, ?, ?, 0)"))
      .integer(session.id)
      .integer(session.uid)
      .text(session.name)
      .integer_or_null(session.agent ? session.agent->id : 0)
      .text_or_null(session.external_id)
      .run();
}

void Rows::write_session(Session& session) {
  Bound(statement("UPDATE sessions SET generation = ?, watermark = ?, accepted = ?, agent_id = ?, external_id = ?,"
                  " last_turn_at = ?, provider_state = ? WHERE session_id = ?"))
      .integer(session.generation)
      .integer(session.watermark)
      .integer(session.accepted)
      .integer_or_null(session.agent ? session.agent->id : 0)
      .text_or_null(session.external_id)
      .time(session.last_turn_at)
      .text_or_null(session.provider_state)
      .integer(session.id)
      .run();
  Bound(statement("DELETE FROM segments WHERE session_id = ? AND start_generation <= ?"))
      .integer(session.id)
      .integer(session.watermark)
      .run();
  for (Segment& segment : session.segments) {
    if (!segment.changed) continue;
    Bound(statement("INSERT OR REPLACE INTO segments (session_id, start_generation, end_generation, owner_id,"
                    " external_id, phase, due, reason, sealed, key, commit_id, attempts, began_at, next_attempt_at,"
                    " last_turn_at, last_error, evidence, provider, stalled)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"))
        .integer(session.id)
        .integer(segment.start)
        .integer(segment.end)
        .integer_or_null(segment.owner ? segment.owner->id : 0)
        .text_or_null(segment.external_id)
        .text(phase_name(segment.phase))
        .integer(segment.due)
        .text_or_null(segment.reason)
        .integer(segment.sealed)
        .key_or_null(segment.key)
        .integer_or_null(segment.commit)
        .integer(segment.attempts)
        .time(segment.began_at)
        .time(segment.next_attempt_at)
        .time(segment.last_turn_at)
        .text_or_null(segment.last_error)
        .text_or_null(segment.evidence)
        .text_or_null(segment.provider)
        .integer(segment.stalled)
        .run();
    segment.changed = false;
  }
}

bool Rows::delete_session(SessionId id, int turns) {
  lifecycle::Generation through = 0;
  {
    Bound select(statement("SELECT generation FROM turns WHERE session_id = ? ORDER BY generation LIMIT 1 OFFSET ?"));
    if (!select.integer(id).integer(turns).step()) {
      // The rest goes with it.
      Bound(statement("DELETE FROM sessions WHERE session_id = ?")).integer(id).run();
      return false;
    }
    through = select.integer_at(0);
  }
  const int hidden = Bound(statement("UPDATE sessions SET uid = " DELETING_UID ", name = session_id, agent_id = NULL"
                                     " WHERE session_id = ? AND uid <> " DELETING_UID))
                         .integer(id)
                         .run_counted();
  if (hidden > 0) {
    Bound(statement("DELETE FROM segments WHERE session_id = ?")).integer(id).run();
    Bound(statement("DELETE FROM open_turns WHERE session_id = ?")).integer(id).run();
  }
  Bound(statement("DELETE FROM turns WHERE session_id = ? AND generation <= ?")).integer(id).integer(through).run();
  return true;
}

std::vector<SessionId> Rows::deleting_sessions() {
  std::vector<SessionId> ids;
  Bound select(statement("SELECT session_id FROM sessions WHERE uid = " DELETING_UID));
  while (select.step()) ids.push_back(select.integer_at(0));
  return ids;
}

std::list<Segment> Rows::segments(SessionId id, const AgentById& agent_by_id, const lifecycle::Now& now) {
  std::list<Segment> segments;
  Bound select(
      statement("SELECT start_generation, end_generation, owner_id, external_id, phase, due, reason, sealed,"
                " key, commit_id, attempts, began_at, next_attempt_at, last_turn_at, last_error, evidence,"
                " provider, stalled FROM segments"
                " WHERE session_id = ? ORDER BY start_generation"));
  select.integer(id);
  while (select.step()) {
    Segment segment;
    segment.start = select.integer_at(0);
    segment.end = select.integer_at(1);
    if (!select.null_at(2)) segment.owner = agent_by_id(select.integer_at(2));
    segment.external_id = select.text_at(3);
    segment.phase = phase_by_name(select.text_at(4));
    segment.due = select.flag_at(5);
    segment.reason = select.text_at(6);
    segment.sealed = select.flag_at(7);
    segment.key = select.key_at(8);
    segment.commit = select.integer_at(9);
    segment.attempts = select.integer_at(10);
    segment.began_at = select.time_at(11);
    segment.began = now.steady_at(segment.began_at);
    segment.next_attempt_at = select.time_at(12);
    segment.last_turn_at = select.time_at(13);
    segment.last_error = select.text_at(14);
    segment.evidence = select.text_at(15);
    segment.provider = select.text_at(16);
    segment.stalled = select.flag_at(17);
    segment.changed = false;
    segments.push_back(std::move(segment));
  }
  return segments;
}

std::vector<lifecycle::OpenTurn> Rows::open_turns(SessionId id, const AgentById& agent_by_id,
                                                  const lifecycle::Now& now) {
  std::vector<lifecycle::OpenTurn> turns;
  Bound select(statement("SELECT turn, agent_id, began_at FROM open_turns WHERE session_id = ?"));
  select.integer(id);
  while (select.step()) {
    turns.push_back({select.text_at(0), select.null_at(1) ? nullptr : agent_by_id(select.integer_at(1)),
                     select.time_at(2), now.steady_at(select.time_at(2))});
  }
  return turns;
}

std::vector<SessionId> Rows::live_sessions() {
  std::vector<SessionId> ids;
  Bound select(statement("SELECT session_id FROM segments UNION SELECT session_id FROM open_turns"));
  while (select.step()) ids.push_back(select.integer_at(0));
  return ids;
}

std::vector<SessionRow> Rows::sessions_after(std::optional<uid_t> uid, uid_t after_uid, std::string_view after_name,
                                             int limit) {
  std::vector<SessionRow> found;
  const auto read = [&](Bound& select) {
    while (select.step()) found.push_back(read_session(select));
  };
  if (uid) {
    Bound select(statement("SELECT " SESSION_COLUMNS "WHERE uid = ? AND name > ? ORDER BY name LIMIT ?"));
    read(select.integer(*uid).text(after_name).integer(limit));
  } else {
    Bound select(statement("SELECT " SESSION_COLUMNS "WHERE (uid, name) > (?, ?) AND uid <> " DELETING_UID
                           " ORDER BY uid, name LIMIT ?"));
    read(select.integer(after_uid).text(after_name).integer(limit));
  }
  return found;
}

void Rows::write_paused_provider(const PausedProvider& paused) {
  Bound(statement("INSERT OR REPLACE INTO paused_providers (provider, reason, paused_at) VALUES (?, ?, ?)"))
      .text(paused.provider)
      .text(paused.reason)
      .time(paused.at)
      .run();
}

void Rows::delete_paused_provider(std::string_view provider) {
  Bound(statement("DELETE FROM paused_providers WHERE provider = ?")).text(provider).run();
}

std::vector<PausedProvider> Rows::paused_providers() {
  std::vector<PausedProvider> paused;
  Bound select(statement("SELECT provider, reason, paused_at FROM paused_providers"));
  while (select.step()) paused.push_back({select.text_at(0), select.text_at(1), select.time_at(2)});
  return paused;
}

Rows::Page<SessionId> Rows::sessions_idle_since(Utc before, SessionId after, int limit) {
  Page<SessionId> page;
  Bound select(statement("SELECT session_id, generation = watermark AND last_turn_at < ?1 AND uid <> " DELETING_UID
                         " AND NOT EXISTS (SELECT 1 FROM agents AS a WHERE a.agent_id = s.agent_id AND a.seen_at >= ?1)"
                         " FROM sessions AS s WHERE session_id > ?2 ORDER BY session_id LIMIT ?3"));
  select.time(before).integer(after).integer(limit);
  while (select.step()) {
    page.last = select.integer_at(0);
    if (select.flag_at(1)) page.found.push_back(page.last);
  }
  return page;
}

}  // namespace tidemark::store
