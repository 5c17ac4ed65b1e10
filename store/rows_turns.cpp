// The log of completed turns, the turn ids that are remembered, and open turns.
#include "store/rows.h"
#include "store/statement.h"

namespace tidemark::store {

using lifecycle::SessionId;

void Rows::insert_mark(const MarkRow& mark) {
  if (!insert_mark_) {
    insert_mark_ = std::make_unique<SQLite::Statement>(
        database_, "INSERT INTO marks (mark_id, session_id, generation, agent_id, turn, at) VALUES (?, ?, ?, ?, ?, ?)");
  }
  Bound insert(*insert_mark_);
  insert.integer(mark.mark_id).integer(mark.session_id).integer(mark.generation).integer_or_null(mark.agent_id);
  if (mark.turn.empty()) {
    insert.null();
  } else {
    insert.lasting_text(mark.turn);
  }
  insert.time(mark.at).run();
}

void Rows::read_marks(std::int64_t after, int limit, const std::function<void(const MarkRow&)>& each) {
  Bound select(
      statement("SELECT mark_id, session_id, generation, agent_id, turn, at FROM marks WHERE mark_id > ?"
                " ORDER BY mark_id LIMIT ?"));
  select.integer(after).integer(limit);
  MarkRow row;
  while (select.step()) {
    row.mark_id = select.integer_at(0);
    row.session_id = select.integer_at(1);
    row.generation = select.integer_at(2);
    row.agent_id = select.integer_at(3);
    row.turn = select.text_at(4);
    row.at = select.time_at(5);
    each(row);
  }
}

void Rows::delete_marks_through(std::int64_t mark_id) {
  Bound(statement("DELETE FROM marks WHERE mark_id <= ?")).integer(mark_id).run();
}

std::int64_t Rows::first_mark() {
  Bound select(statement("SELECT min(mark_id) FROM marks"));
  return select.step() ? select.integer_at(0) : 0;
}

std::int64_t Rows::last_mark() {
  Bound select(statement("SELECT max(mark_id) FROM marks"));
  return select.step() ? select.integer_at(0) : 0;
}

void Rows::insert_turn(SessionId id, const TurnRow& turn) {
  // A completed one may be written again by a fold that is repeated. A cancelled one counts for more than a completed
  // one of its id, which is forgotten and just not deleted yet.
  Bound(statement(turn.cancelled
                      ? "INSERT OR REPLACE INTO turns (session_id, generation, turn, cancelled) VALUES (?, ?, ?, ?)"
                      : "INSERT OR IGNORE INTO turns (session_id, generation, turn, cancelled) VALUES (?, ?, ?, ?)"))
      .integer(id)
      .integer(turn.generation)
      .text(turn.turn)
      .integer(turn.cancelled)
      .run();
}

void Rows::read_turns(SessionId id, const std::function<void(const TurnRow&)>& each) {
  Bound select(statement("SELECT generation, turn, cancelled FROM turns WHERE session_id = ? ORDER BY generation"));
  select.integer(id);
  while (select.step()) each({select.integer_at(0), select.text_at(1), select.flag_at(2)});
}

void Rows::delete_cancelled_turn(SessionId id, lifecycle::Generation place) {
  Bound(statement("DELETE FROM turns WHERE session_id = ? AND generation = ? AND cancelled = 1"))
      .integer(id)
      .integer(place)
      .run();
}

bool Rows::delete_turns_before(SessionId id, lifecycle::Generation from, int limit) {
  lifecycle::Generation through = from - 1;
  bool more = false;
  {
    Bound select(
        statement("SELECT generation FROM turns WHERE session_id = ? AND generation < ? AND cancelled = 0"
                  " ORDER BY generation LIMIT 1 OFFSET ?"));
    more = select.integer(id).integer(from).integer(limit).step();
    if (more) through = select.integer_at(0);
  }
  Bound(statement("DELETE FROM turns WHERE session_id = ? AND generation <= ? AND cancelled = 0"))
      .integer(id)
      .integer(through)
      .run();
  return more;
}

void Rows::insert_open_turn(SessionId id, const lifecycle::OpenTurn& open) {
  Bound(statement("INSERT INTO open_turns (session_id, turn, agent_id, began_at) VALUES (?, ?, ?, ?)"))
      .integer(id)
      .text(open.turn)
      .integer_or_null(open.agent ? open.agent->id : 0)
      .time(open.began_at)
      .run();
}

void Rows::delete_open_turn(SessionId id, std::string_view turn) {
  Bound(statement("DELETE FROM open_turns WHERE session_id = ? AND turn = ?")).integer(id).text(turn).run();
}

}  // namespace tidemark::store
