// Agents and turns, and what the daemon asks of and tells agents and watchers.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ipc/bounds.h"
#include "ipc/described.h"
#include "ipc/wire_types.h"
#include "ipc/words.h"

namespace tidemark::ipc {

/// A result that says nothing but that it is done.
struct Empty {};
BOOST_DESCRIBE_STRUCT(Empty, (), ())

struct AgentRegisterResult {
  std::string agent;
  std::int64_t epoch = 0;  ///< tells registrations apart; never goes back
  std::int64_t due_segments = 0;
};
BOOST_DESCRIBE_STRUCT(AgentRegisterResult, (), (agent, epoch, due_segments))

/// At most one of `provider` and `fallback`; `external_id` only with `session`.
struct AgentRegisterParams {
  static constexpr std::string_view method = "agent.register";
  using Result = AgentRegisterResult;
  Name agent;
  std::optional<Name> session;
  std::optional<Name> group;
  std::optional<Name> provider;
  std::optional<Name> fallback;
  std::optional<Name> external_id;
  Flag<true> serves;
  Flag<false> serves_orphans;
  std::optional<Integer<1, bounds::in_flight_max>> max_in_flight;  ///< bounds::in_flight if absent
};
BOOST_DESCRIBE_STRUCT(AgentRegisterParams, (),
                      (agent, session, group, provider, fallback, external_id, serves, serves_orphans, max_in_flight))

/// Exactly one: `session` forgets its current agent, `agent` is gone for good.
struct AgentUnregisterParams {
  static constexpr std::string_view method = "agent.unregister";
  using Result = Empty;
  std::optional<Name> session;
  std::optional<Name> agent;
};
BOOST_DESCRIBE_STRUCT(AgentUnregisterParams, (), (session, agent))

struct TurnBeginParams {
  static constexpr std::string_view method = "turn.begin";
  using Result = Empty;
  Name session;
  Name turn;
  std::optional<Name> agent;
};
BOOST_DESCRIBE_STRUCT(TurnBeginParams, (), (session, turn, agent))

struct TurnCompleteResult {
  std::int64_t generation = 0;
  Flag<false> duplicate;  ///< that turn id was known
  Flag<true> counted;     ///< false: ephemeral, or cancelled before
};
BOOST_DESCRIBE_STRUCT(TurnCompleteResult, (), (generation, duplicate, counted))

struct TurnCompleteParams {
  static constexpr std::string_view method = "turn.complete";
  using Result = TurnCompleteResult;
  Name session;
  std::optional<Name> agent;
  std::optional<Name> turn;
  Flag<false> ephemeral;
};
BOOST_DESCRIBE_STRUCT(TurnCompleteParams, (), (session, agent, turn, ephemeral))

struct TurnCancelParams {
  static constexpr std::string_view method = "turn.cancel";
  using Result = Empty;
  Name session;
  Name turn;
  std::optional<Text> reason;
};
BOOST_DESCRIBE_STRUCT(TurnCancelParams, (), (session, turn, reason))

struct AgentCommitResult {
  std::optional<CommitStatus> status;  ///< absent: committed
};
BOOST_DESCRIBE_STRUCT(AgentCommitResult, (), (status))

/// From the daemon: commit the generations `start` to `end` of `session`, both included.
struct AgentCommitParams {
  static constexpr std::string_view method = "commit";
  using Result = AgentCommitResult;
  CommitId commit;  ///< the attempt's id
  std::string key;  ///< the same at every try that may repeat work
  Name session;
  std::optional<Name> external_id;
  Name agent;
  std::optional<Name> provider;
  std::int64_t start = 0;
  std::int64_t end = 0;
  std::int64_t attempt = 0;  ///< from 1
  std::string reason;
  Milliseconds timeout_ms{};
};
BOOST_DESCRIBE_STRUCT(AgentCommitParams, (),
                      (commit, key, session, external_id, agent, provider, start, end, attempt, reason, timeout_ms))

/// From the daemon: another connection registered this name; this one is asked no longer.
struct AgentFencedParams {
  static constexpr std::string_view method = "agent.fenced";
  Name agent;
  std::int64_t epoch = 0;
};
BOOST_DESCRIBE_STRUCT(AgentFencedParams, (), (agent, epoch))

/// From the daemon: it is stopping, and drains for so long.
struct DaemonDrainingParams {
  static constexpr std::string_view method = "daemon.draining";
  Milliseconds deadline_ms{};
};
BOOST_DESCRIBE_STRUCT(DaemonDrainingParams, (), (deadline_ms))

/// From the daemon, to a subscriber.
struct EventParams {
  static constexpr std::string_view method = "event";
  std::int64_t subscription = 0;
  std::int64_t seq = 0;  ///< without gaps
  Utc at{};
  std::string type;  ///< word_of(EventType), or one that only a newer daemon knows
  Uid uid = 0;
  std::optional<std::string> session;
  std::optional<std::string> agent;
  std::optional<std::int64_t> generation;
  std::optional<std::int64_t> watermark;
  std::optional<std::int64_t> accepted;
  std::optional<std::string> commit;
  std::optional<std::string> provider;
  std::optional<std::string> error;
};
BOOST_DESCRIBE_STRUCT(EventParams, (),
                      (subscription, seq, at, type, uid, session, agent, generation, watermark, accepted, commit,
                       provider, error))

}  // namespace tidemark::ipc
