// The history: one row an attempt.
#include "store/rows.h"
#include "store/statement.h"

namespace tidemark::store {

using lifecycle::CommitId;
using lifecycle::Utc;

void Rows::insert_attempt(const AttemptRow& attempt) {
  Bound insert(
      statement("INSERT INTO attempts (commit_id, uid, session, key, owner, asked, start_generation,"
                " end_generation, state, attempt, reason, started_at, finished_at, error, evidence)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  insert.integer(attempt.commit_id)
      .integer(attempt.uid)
      .text(attempt.session)
      .key_or_null(attempt.key)
      .text_or_null(attempt.owner)
      .text_or_null(attempt.asked)
      .integer(attempt.start)
      .integer(attempt.end)
      .text(attempt.state)
      .integer(attempt.attempt)
      .text(attempt.reason)
      .time(attempt.started_at);
  if (attempt.finished_at) {
    insert.time(*attempt.finished_at);
  } else {
    insert.null();
  }
  insert.text_or_null(attempt.error).text_or_null(attempt.evidence).run();
}

void Rows::finish_attempt(CommitId commit, std::string_view state, Utc at, std::string_view error,
                          std::string_view evidence) {
  Bound(statement("UPDATE attempts SET state = ?, finished_at = ?, error = ?, evidence = coalesce(?, evidence)"
                  " WHERE commit_id = ?"))
      .text(state)
      .time(at)
      .text_or_null(error)
      .text_or_null(evidence)
      .integer(commit)
      .run();
}

void Rows::note_attempt(CommitId commit, std::string_view asked, std::string_view evidence) {
  Bound(statement("UPDATE attempts SET asked = coalesce(?, asked), evidence = coalesce(?, evidence)"
                  " WHERE commit_id = ? AND finished_at IS NULL"))
      .text_or_null(asked)
      .text_or_null(evidence)
      .integer(commit)
      .run();
}

void Rows::accept_attempt(CommitId commit, std::string_view evidence) {
  Bound(statement("UPDATE attempts SET state = 'confirming', evidence = coalesce(?, evidence) WHERE commit_id = ?"))
      .text_or_null(evidence)
      .integer(commit)
      .run();
}

std::string Rows::attempt_state(CommitId commit) {
  Bound select(statement("SELECT state FROM attempts WHERE commit_id = ?"));
  return select.integer(commit).step() ? select.text_at(0) : std::string();
}

bool Rows::key_settled(uid_t uid, std::string_view session, const lifecycle::Key& key) {
  Bound select(
      statement("SELECT 1 FROM (SELECT key, state FROM attempts WHERE uid = ? AND session = ?"
                " ORDER BY commit_id DESC LIMIT 2048)"
                " WHERE key = ? AND state IN ('committed', 'skipped', 'settled') LIMIT 1"));
  return select.integer(uid).text(session).key_or_null(key).step();
}

#define ATTEMPT_COLUMNS                                                                                    \
  "commit_id, uid, session, key, owner, asked, start_generation, end_generation, state, attempt, reason, " \
  "started_at, finished_at, error, evidence FROM attempts "

std::vector<AttemptRow> Rows::history(std::optional<uid_t> uid, std::string_view session, CommitId before, int limit) {
  std::vector<AttemptRow> found;
  const CommitId end = before > 0 ? before : INT64_MAX;
  const auto read = [&](Bound& select) {
    while (select.step()) {
      AttemptRow row;
      row.commit_id = select.integer_at(0);
      row.uid = static_cast<uid_t>(select.integer_at(1));
      row.session = select.text_at(2);
      row.key = select.key_at(3);
      row.owner = select.text_at(4);
      row.asked = select.text_at(5);
      row.start = select.integer_at(6);
      row.end = select.integer_at(7);
      row.state = select.text_at(8);
      row.attempt = select.integer_at(9);
      row.reason = select.text_at(10);
      row.started_at = select.time_at(11);
      if (!select.null_at(12)) row.finished_at = select.time_at(12);
      row.error = select.text_at(13);
      row.evidence = select.text_at(14);
      found.push_back(std::move(row));
    }
  };
  if (!session.empty() && uid) {
    Bound select(statement("SELECT " ATTEMPT_COLUMNS
                           "WHERE uid = ? AND session = ? AND commit_id < ? ORDER BY commit_id DESC LIMIT ?"));
    read(select.integer(*uid).text(session).integer(end).integer(limit));
  } else if (!session.empty()) {
    Bound select(
        statement("SELECT " ATTEMPT_COLUMNS "WHERE session = ? AND commit_id < ? ORDER BY commit_id DESC LIMIT ?"));
    read(select.text(session).integer(end).integer(limit));
  } else if (uid) {
    Bound select(
        statement("SELECT " ATTEMPT_COLUMNS "WHERE commit_id < ? AND uid = ? ORDER BY commit_id DESC LIMIT ?"));
    read(select.integer(end).integer(*uid).integer(limit));
  } else {
    Bound select(statement("SELECT " ATTEMPT_COLUMNS "WHERE commit_id < ? ORDER BY commit_id DESC LIMIT ?"));
    read(select.integer(end).integer(limit));
  }
  return found;
}

CommitId Rows::delete_history(Utc before, CommitId through, CommitId after, int limit) {
  CommitId last = 0;
  std::vector<CommitId> doomed;
  {
    // Attempts begin in the order of their numbers, so the first that is young enough ends the search.
    Bound select(
        statement("SELECT commit_id, started_at, finished_at IS NOT NULL FROM attempts WHERE commit_id > ?"
                  " ORDER BY commit_id LIMIT ?"));
    select.integer(after).integer(limit);
    while (select.step()) {
      if (select.time_at(1) >= before && select.integer_at(0) > through) {
        last = 0;
        break;
      }
      last = select.integer_at(0);
      if (select.flag_at(2)) doomed.push_back(last);
    }
  }
  for (const CommitId commit : doomed) {
    Bound(statement("DELETE FROM attempts WHERE commit_id = ?")).integer(commit).run();
  }
  return last;
}

}  // namespace tidemark::store
