// Sessions: committing, boundaries, letting go, looking. `uid`, where it stands, is for admins: whose session is meant.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/described.h"
#include "ipc/wire_types.h"
#include "ipc/words.h"

namespace tidemark::ipc {

struct SessionCommitResult {
  bool committed = false;  ///< outcome == Outcome::committed
  Outcome outcome = Outcome::clean;
  std::optional<std::int64_t> start;  ///< the range that was attempted, both ends included
  std::optional<std::int64_t> end;
  std::optional<std::string> error;
  std::int64_t generation = 0;
  std::int64_t watermark = 0;
};
BOOST_DESCRIBE_STRUCT(SessionCommitResult, (), (committed, outcome, start, end, error, generation, watermark))

struct SessionCommitParams {
  static constexpr std::string_view method = "session.commit";
  using Result = SessionCommitResult;
  Name session;
  std::optional<Name> agent;
  Flag<false> wait;
  std::optional<Milliseconds> timeout_ms;  ///< absent: as long as the attempt takes
  Flag<false> detach;                      ///< a boundary without the wait, for all that is dirty
  std::optional<Text> reason;
  std::optional<Uid> uid;
};
BOOST_DESCRIBE_STRUCT(SessionCommitParams, (), (session, agent, wait, timeout_ms, detach, reason, uid))

struct SessionFlushResult {
  bool committed = false;
  Outcome outcome = Outcome::clean;
  std::int64_t segments = 0;  ///< that were committed or accepted
  std::int64_t generation = 0;
  std::int64_t watermark = 0;
};
BOOST_DESCRIBE_STRUCT(SessionFlushResult, (), (committed, outcome, segments, generation, watermark))

struct SessionFlushParams {
  static constexpr std::string_view method = "session.flush";
  using Result = SessionFlushResult;
  Name session;
  std::optional<Milliseconds> timeout_ms;
  std::optional<Uid> uid;
};
BOOST_DESCRIBE_STRUCT(SessionFlushParams, (), (session, timeout_ms, uid))

/// Of the session that was left.
struct SessionRotateResult {
  std::int64_t due_segments = 0;
  std::int64_t generation = 0;
  std::int64_t watermark = 0;
};
BOOST_DESCRIBE_STRUCT(SessionRotateResult, (), (due_segments, generation, watermark))

struct SessionRotateParams {
  static constexpr std::string_view method = "session.rotate";
  using Result = SessionRotateResult;
  Name from;
  std::optional<Name> to;
  std::optional<Name> agent;
  std::optional<Uid> uid;
};
BOOST_DESCRIBE_STRUCT(SessionRotateParams, (), (from, to, agent, uid))

struct SessionEvictResult {
  bool evicted = false;
  Outcome outcome = Outcome::clean;
  std::optional<std::string> error;
  std::int64_t generation = 0;
  std::int64_t watermark = 0;
};
BOOST_DESCRIBE_STRUCT(SessionEvictResult, (), (evicted, outcome, error, generation, watermark))

struct SessionEvictParams {
  static constexpr std::string_view method = "session.evict";
  using Result = SessionEvictResult;
  Name session;
  std::optional<Milliseconds> timeout_ms;
  std::optional<Uid> uid;
};
BOOST_DESCRIBE_STRUCT(SessionEvictParams, (), (session, timeout_ms, uid))

struct SessionDiscardResult {
  bool discarded = false;
};
BOOST_DESCRIBE_STRUCT(SessionDiscardResult, (), (discarded))

struct SessionDiscardParams {
  static constexpr std::string_view method = "session.discard";
  using Result = SessionDiscardResult;
  Name session;
  std::optional<Uid> uid;
};
BOOST_DESCRIBE_STRUCT(SessionDiscardParams, (), (session, uid))

struct SessionForgetResult {
  bool forgotten = false;
  std::int64_t dropped = 0;  ///< generations
};
BOOST_DESCRIBE_STRUCT(SessionForgetResult, (), (forgotten, dropped))

struct SessionForgetParams {
  static constexpr std::string_view method = "session.forget";
  using Result = SessionForgetResult;
  Name session;
  Text reason;
  std::optional<Uid> uid;
};
BOOST_DESCRIBE_STRUCT(SessionForgetParams, (), (session, reason, uid))

/// A run of dirty generations, `start` to `end`, both included.
struct SegmentStatus {
  std::int64_t start = 0;
  std::int64_t end = 0;
  Nullable<std::string> owner;
  SegmentState state = SegmentState::open;
  bool due = false;
  bool sealed = false;
  std::int64_t attempts = 0;
  Nullable<Utc> next_attempt_at;  ///< null unless backing off
  Nullable<std::string> last_error;
  Nullable<std::string> commit;  ///< the latest attempt's id
  Nullable<std::string> key;
  std::optional<std::string> provider;
  Flag<false> orphaned;
  Flag<false> stalled;
  std::optional<RawJson> evidence;
};
BOOST_DESCRIBE_STRUCT(SegmentStatus, (),
                      (start, end, owner, state, due, sealed, attempts, next_attempt_at, last_error, commit, key,
                       provider, orphaned, stalled, evidence))

/// A session as a list shows it.
struct SessionSummary {
  std::string session;
  Uid uid = 0;
  std::int64_t generation = 0;
  std::int64_t watermark = 0;
  std::int64_t accepted = 0;
  std::int64_t uncommitted = 0;  ///< generations above the watermark
  bool in_flight = false;
  Nullable<std::string> agent;  ///< the current one
  std::int64_t turns_open = 0;
  Nullable<Utc> last_turn_at;
};
BOOST_DESCRIBE_STRUCT(SessionSummary, (),
                      (session, uid, generation, watermark, accepted, uncommitted, in_flight, agent, turns_open,
                       last_turn_at))

struct SessionStatusResult : SessionSummary {
  std::vector<SegmentStatus> segments;  ///< oldest first
};
BOOST_DESCRIBE_STRUCT(SessionStatusResult, (SessionSummary), (segments))

struct SessionStatusParams {
  static constexpr std::string_view method = "session.status";
  using Result = SessionStatusResult;
  Name session;
  std::optional<Uid> uid;
};
BOOST_DESCRIBE_STRUCT(SessionStatusParams, (), (session, uid))

struct SessionListResult {
  std::vector<SessionSummary> sessions;
  std::optional<std::string> cursor;  ///< absent: that was all
};
BOOST_DESCRIBE_STRUCT(SessionListResult, (), (sessions, cursor))

struct SessionListParams {
  static constexpr std::string_view method = "session.list";
  using Result = SessionListResult;
  std::optional<ListFilter> filter;  ///< absent: all
  std::optional<PageEntries> limit;  ///< bounds::page_entries if absent
  std::optional<Text> cursor;        ///< of the page before, as it was given
  std::optional<UidSelector> uid;
};
BOOST_DESCRIBE_STRUCT(SessionListParams, (), (filter, limit, cursor, uid))

}  // namespace tidemark::ipc
