// Drain and the operator's hand on commits. `uid`, where it stands, is for admins: whose sessions are meant.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/described.h"
#include "ipc/messages_agent.h"
#include "ipc/wire_types.h"
#include "ipc/words.h"

namespace tidemark::ipc {

struct DrainResult {
  bool drained = false;
  std::int64_t committed = 0;          ///< segments
  std::vector<std::string> remaining;  ///< names of sessions
};
BOOST_DESCRIBE_STRUCT(DrainResult, (), (drained, committed, remaining))

struct DrainParams {
  static constexpr std::string_view method = "drain";
  using Result = DrainResult;
  std::optional<DrainScope> scope;          ///< absent: user
  std::optional<Milliseconds> deadline_ms;  ///< absent: the daemon's `drain_deadline`
  std::optional<Uid> uid;
};
BOOST_DESCRIBE_STRUCT(DrainParams, (), (scope, deadline_ms, uid))

/// From the agent that was asked: the attempt is alive, its timeout starts again.
struct CommitProgressParams {
  static constexpr std::string_view method = "commit.progress";
  using Result = Empty;
  CommitId commit;
  std::optional<Uid> uid;
};
BOOST_DESCRIBE_STRUCT(CommitProgressParams, (), (commit, uid))

struct CommitRetryResult {
  std::int64_t due_segments = 0;
};
BOOST_DESCRIBE_STRUCT(CommitRetryResult, (), (due_segments))

struct CommitRetryParams {
  static constexpr std::string_view method = "commit.retry";
  using Result = CommitRetryResult;
  Name session;
  std::optional<Uid> uid;
};
BOOST_DESCRIBE_STRUCT(CommitRetryParams, (), (session, uid))

struct WatermarkResult {
  std::int64_t watermark = 0;
};
BOOST_DESCRIBE_STRUCT(WatermarkResult, (), (watermark))

/// The operator says that everything up to `through` did land.
struct CommitSettleParams {
  static constexpr std::string_view method = "commit.settle";
  using Result = WatermarkResult;
  Name session;
  GenerationNumber through;
  Text reason;
  std::optional<Uid> uid;
};
BOOST_DESCRIBE_STRUCT(CommitSettleParams, (), (session, through, reason, uid))

/// Drops the turns up to `through`.
struct CommitAbandonParams {
  static constexpr std::string_view method = "commit.abandon";
  using Result = WatermarkResult;
  Name session;
  GenerationNumber through;
  Text reason;
  std::optional<Uid> uid;
};
BOOST_DESCRIBE_STRUCT(CommitAbandonParams, (), (session, through, reason, uid))

/// One attempt on the record.
struct CommitRecord {
  std::string commit;
  Nullable<std::string> key;  ///< null: turns that were dropped without an attempt
  Uid uid = 0;
  std::string session;
  Nullable<std::string> owner;
  Nullable<std::string> by;  ///< who was asked
  std::int64_t start = 0;
  std::int64_t end = 0;
  AttemptState state = AttemptState::in_flight;
  std::int64_t attempt = 0;
  std::string reason;
  Nullable<Utc> started_at;
  Nullable<Utc> finished_at;
  std::optional<std::string> error;
  std::optional<RawJson> evidence;
};
BOOST_DESCRIBE_STRUCT(CommitRecord, (),
                      (commit, key, uid, session, owner, by, start, end, state, attempt, reason, started_at,
                       finished_at, error, evidence))

struct CommitHistoryResult {
  std::vector<CommitRecord> commits;
  std::optional<std::string> cursor;  ///< absent: that was all
};
BOOST_DESCRIBE_STRUCT(CommitHistoryResult, (), (commits, cursor))

struct CommitHistoryParams {
  static constexpr std::string_view method = "commit.history";
  using Result = CommitHistoryResult;
  std::optional<Name> session;
  std::optional<PageEntries> limit;  ///< bounds::page_entries if absent
  std::optional<Text> cursor;        ///< of the page before, as it was given
  std::optional<UidSelector> uid;
};
BOOST_DESCRIBE_STRUCT(CommitHistoryParams, (), (session, limit, cursor, uid))

}  // namespace tidemark::ipc
