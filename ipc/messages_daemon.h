// The daemon itself: greeting, watching, its state, and what only admins may ask.
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

/// The bounds in force for the caller. `data.limit` of an error names one of these members.
struct Limits {
  std::int64_t max_frame_bytes = 0;
  std::int64_t name_bytes = 0;
  std::int64_t text_bytes = 0;
  std::int64_t json_depth = 0;
  std::int64_t batch_members = 0;
  std::int64_t calls_outstanding = 0;
  std::int64_t output_bytes = 0;
  std::int64_t page_entries = 0;
  std::int64_t connections = 0;
  std::int64_t connections_per_user = 0;
  std::int64_t waiting_calls = 0;
  std::int64_t agents_per_connection = 0;
  std::int64_t drains_per_user = 0;
  std::int64_t open_turns_per_session = 0;
  std::int64_t dirty_sessions_per_user = 0;
  std::int64_t segments_per_session = 0;
  std::int64_t subscriptions_per_user = 0;
  std::int64_t watch_queue = 0;
  std::int64_t watch_bytes_per_user = 0;
  std::int64_t backups = 0;
};
BOOST_DESCRIBE_STRUCT(Limits, (),
                      (max_frame_bytes, name_bytes, text_bytes, json_depth, batch_members, calls_outstanding,
                       output_bytes, page_entries, connections, connections_per_user, waiting_calls,
                       agents_per_connection, drains_per_user, open_turns_per_session, dirty_sessions_per_user,
                       segments_per_session, subscriptions_per_user, watch_queue, watch_bytes_per_user, backups))

struct HelloResult {
  std::string server;
  std::string version;
  std::int64_t protocol = 0;
  std::string instance;  ///< a new UUID at every start
  Uid uid = 0;
  bool admin = false;
  Limits limits;
};
BOOST_DESCRIBE_STRUCT(HelloResult, (), (server, version, protocol, instance, uid, admin, limits))

struct HelloParams {
  static constexpr std::string_view method = "hello";
  using Result = HelloResult;
  std::optional<Text> client;
  std::optional<Text> version;
  std::optional<std::int64_t> protocol;
};
BOOST_DESCRIBE_STRUCT(HelloParams, (), (client, version, protocol))

struct PingParams {
  static constexpr std::string_view method = "ping";
  using Result = Empty;
};
BOOST_DESCRIBE_STRUCT(PingParams, (), ())

struct WatchResult {
  std::int64_t subscription = 0;
};
BOOST_DESCRIBE_STRUCT(WatchResult, (), (subscription))

struct WatchParams {
  static constexpr std::string_view method = "watch";
  using Result = WatchResult;
  std::optional<std::vector<Name>> sessions;    ///< absent: all
  std::optional<std::vector<EventType>> types;  ///< absent: all
  std::optional<UidSelector> uid;
};
BOOST_DESCRIBE_STRUCT(WatchParams, (), (sessions, types, uid))

struct UnwatchParams {
  static constexpr std::string_view method = "unwatch";
  using Result = Empty;
  std::int64_t subscription = 0;
};
BOOST_DESCRIBE_STRUCT(UnwatchParams, (), (subscription))

struct ProviderStatus {
  std::string name;
  std::string kind;
  ProviderState state = ProviderState::ok;
  std::optional<std::string> error;
  Utc since{};
};
BOOST_DESCRIBE_STRUCT(ProviderStatus, (), (name, kind, state, error, since))

struct JournalStatus {
  bool healthy = false;
  std::int64_t bytes = 0;
  std::optional<std::string> error;
};
BOOST_DESCRIBE_STRUCT(JournalStatus, (), (healthy, bytes, error))

/// What the last start found in the journal.
struct RecoveredStatus {
  std::int64_t sessions = 0;
  std::int64_t generations = 0;
  std::int64_t in_doubt = 0;
};
BOOST_DESCRIBE_STRUCT(RecoveredStatus, (), (sessions, generations, in_doubt))

/// Counts of the caller's sessions; for an admin, of everybody's.
struct DaemonStatusResult {
  std::string version;
  std::string instance;
  Milliseconds uptime_ms{};
  std::int64_t schema = 0;
  std::int64_t sessions = 0;
  std::int64_t dirty = 0;
  std::int64_t due = 0;
  std::int64_t in_flight = 0;
  std::int64_t confirming = 0;
  std::int64_t stalled = 0;
  std::int64_t in_doubt = 0;
  std::int64_t orphaned = 0;
  std::int64_t stuck = 0;
  std::int64_t agents_online = 0;
  std::vector<ProviderStatus> providers;
  JournalStatus journal;
  RecoveredStatus recovered;
};
BOOST_DESCRIBE_STRUCT(DaemonStatusResult, (),
                      (version, instance, uptime_ms, schema, sessions, dirty, due, in_flight, confirming, stalled,
                       in_doubt, orphaned, stuck, agents_online, providers, journal, recovered))

struct DaemonStatusParams {
  static constexpr std::string_view method = "daemon.status";
  using Result = DaemonStatusResult;
};
BOOST_DESCRIBE_STRUCT(DaemonStatusParams, (), ())

struct DaemonMetricsResult {
  std::string text;  ///< OpenMetrics
};
BOOST_DESCRIBE_STRUCT(DaemonMetricsResult, (), (text))

struct DaemonMetricsParams {
  static constexpr std::string_view method = "daemon.metrics";
  using Result = DaemonMetricsResult;
};
BOOST_DESCRIBE_STRUCT(DaemonMetricsParams, (), ())

struct DaemonBackupResult {
  std::string path;
  std::int64_t bytes = 0;
};
BOOST_DESCRIBE_STRUCT(DaemonBackupResult, (), (path, bytes))

struct DaemonBackupParams {
  static constexpr std::string_view method = "daemon.backup";
  using Result = DaemonBackupResult;
  std::optional<Name> name;  ///< of the file, in the state folder's `backup/`
};
BOOST_DESCRIBE_STRUCT(DaemonBackupParams, (), (name))

struct DaemonVerifyResult {
  bool ok = false;
  std::vector<std::string> problems;
};
BOOST_DESCRIBE_STRUCT(DaemonVerifyResult, (), (ok, problems))

struct DaemonVerifyParams {
  static constexpr std::string_view method = "daemon.verify";
  using Result = DaemonVerifyResult;
};
BOOST_DESCRIBE_STRUCT(DaemonVerifyParams, (), ())

struct DaemonReloadParams {
  static constexpr std::string_view method = "daemon.reload";
  using Result = Empty;
};
BOOST_DESCRIBE_STRUCT(DaemonReloadParams, (), ())

struct ProviderPauseParams {
  static constexpr std::string_view method = "provider.pause";
  using Result = Empty;
  Name provider;
  std::optional<Text> reason;
};
BOOST_DESCRIBE_STRUCT(ProviderPauseParams, (), (provider, reason))

struct ProviderResumeParams {
  static constexpr std::string_view method = "provider.resume";
  using Result = Empty;
  Name provider;
  std::optional<Text> reason;
};
BOOST_DESCRIBE_STRUCT(ProviderResumeParams, (), (provider, reason))

}  // namespace tidemark::ipc
