// The daemon itself.
#include "daemon/clock.h"
#include "daemon/methods_detail.h"
#include "daemon/version.h"

namespace tidemark::daemon {

void Methods::hello(const Client& client, ipc::Call call, ipc::HelloParams params) {
  if (params.protocol && *params.protocol != protocol_version) {
    call.fail(ipc::Error::make(ipc::ErrorReason::protocol_mismatch, "this daemon speaks protocol " +
                                                                        std::to_string(protocol_version) + ", not " +
                                                                        std::to_string(*params.protocol)));
    return;
  }
  const Limits& limits = context_.config.limits_of(client.uid);
  const store::UserPolicy& policy = context_.config.policies.of(client.uid);
  ipc::HelloResult result;
  result.server = "tidemarkd";
  result.version = version;
  result.protocol = protocol_version;
  result.instance = context_.instance;
  result.uid = client.uid;
  result.admin = client.admin;
  using namespace ipc;
  result.limits.max_frame_bytes = limits.frame_bytes_max;
  result.limits.name_bytes = static_cast<std::int64_t>(bounds::name_bytes_max);
  result.limits.text_bytes = static_cast<std::int64_t>(bounds::text_bytes_max);
  result.limits.json_depth = static_cast<std::int64_t>(bounds::json_depth_max);
  result.limits.batch_members = static_cast<std::int64_t>(bounds::batch_members_max);
  result.limits.calls_outstanding = static_cast<std::int64_t>(bounds::calls_outstanding_max);
  result.limits.output_bytes = static_cast<std::int64_t>(bounds::output_bytes_max);
  result.limits.page_entries = bounds::page_entries_max;
  result.limits.connections = limits.connections;
  result.limits.connections_per_user = limits.connections_per_user;
  result.limits.agents_per_connection = static_cast<std::int64_t>(agents_per_connection_max);
  result.limits.drains_per_user = drains_per_user_max;
  result.limits.open_turns_per_session = static_cast<std::int64_t>(store::open_turns_max);
  result.limits.waiting_calls = limits.waiting_calls;
  result.limits.dirty_sessions_per_user = policy.dirty_sessions_max;
  result.limits.segments_per_session = policy.segments_max;
  result.limits.subscriptions_per_user = subscriptions_per_user_max;
  result.limits.watch_queue = limits.watch_queue;
  result.limits.watch_bytes_per_user = watch_bytes_per_user_max;
  result.limits.backups = store::backups_max;
  call.reply(result);
}

void Methods::ping(const Client&, ipc::Call call, ipc::PingParams) {
  call.reply(ipc::Empty{});
}

void Methods::watch(const Client& client, ipc::Call call, ipc::WatchParams params) {
  const Whose whose = whose_list(client, call, params.uid);
  if (whose.allowed) context_.watchers.watch(client, std::move(call), whose.uid, params);
}

void Methods::unwatch(const Client& client, ipc::Call call, ipc::UnwatchParams params) {
  context_.watchers.unwatch(client, std::move(call), params.subscription);
}

void Methods::daemon_status(const Client& client, ipc::Call call, ipc::DaemonStatusParams) {
  const std::optional<uid_t> uid = client.admin ? std::nullopt : std::optional(client.uid);
  store::Count command;
  command.uid = uid;
  context_.ledger.submit(command, answer<store::Count>(std::move(call), [this, uid](const store::Counts& counts) {
                           const store::JournalHealth health = context_.ledger.health();
                           const store::Recovered recovered = context_.ledger.recovered(uid);
                           ipc::DaemonStatusResult result;
                           result.version = version;
                           result.instance = context_.instance;
                           result.uptime_ms = now().steady - context_.started;
                           result.schema = store::schema_version();
                           result.sessions = counts.sessions;
                           result.dirty = counts.dirty;
                           result.due = counts.due;
                           result.in_flight = counts.in_flight;
                           result.confirming = counts.confirming;
                           result.stalled = counts.stalled;
                           result.in_doubt = counts.in_doubt;
                           result.orphaned = counts.orphaned;
                           result.stuck = counts.stuck;
                           result.agents_online = context_.dispatcher.agents_online(uid);
                           result.providers = provider_statuses(uid);
                           result.journal.healthy = health.healthy;
                           result.journal.bytes = health.bytes;
                           if (!health.error.empty()) result.journal.error = health.error;
                           result.recovered = {recovered.sessions, recovered.generations, recovered.in_doubt};
                           return result;
                         }));
}

// `uid` none = an admin asks: all of them.
std::vector<ipc::ProviderStatus> Methods::provider_statuses(std::optional<uid_t> uid) const {
  std::vector<ipc::ProviderStatus> statuses;
  for (const auto& [name, line] : context_.providers.all()) {
    if (!line.provider || (uid && !line.config.users.contains(*uid))) continue;
    ipc::ProviderStatus status;
    status.name = name;
    status.kind = kind_of(line.config);
    status.state = line.queue.paused() ? ipc::ProviderState::paused : ipc::ProviderState::ok;
    if (line.queue.paused_by_hand()) {
      status.error = "paused by hand" + (line.queue.error().empty() ? "" : ": " + line.queue.error());
    } else if (line.queue.paused()) {
      status.error = line.queue.error();
    }
    status.since = line.since;
    statuses.push_back(std::move(status));
  }
  return statuses;
}

void Methods::pause_provider(const Client&, ipc::Call call, ipc::ProviderPauseParams params) {
  const std::string name = params.provider.value;
  if (!context_.providers.find(name)) return call.fail(no_provider(name));
  store::PauseProvider command;
  command.provider = name;
  if (params.reason) command.reason = params.reason->value;
  context_.ledger.submit(std::move(command), answer<store::PauseProvider>(
                                                 std::move(call), [this, name](const store::PausedProvider& paused) {
                                                   if (ProviderLine* line = context_.providers.find(name))
                                                     context_.dispatcher.pause(*line, paused);
                                                   return ipc::Empty{};
                                                 }));
}

void Methods::resume_provider(const Client&, ipc::Call call, ipc::ProviderResumeParams params) {
  const std::string name = params.provider.value;
  if (!context_.providers.find(name)) return call.fail(no_provider(name));
  store::ResumeProvider command;
  command.provider = name;
  context_.ledger.submit(std::move(command),
                         answer<store::ResumeProvider>(std::move(call), [this, name](store::Nothing) {
                           if (ProviderLine* line = context_.providers.find(name)) context_.dispatcher.resume(*line);
                           return ipc::Empty{};
                         }));
}

void Methods::metrics(const Client&, ipc::Call call, ipc::DaemonMetricsParams) {
  auto waiting = std::make_shared<ipc::Call>(std::move(call));
  context_.metrics.make([waiting](std::string page) { waiting->reply(ipc::DaemonMetricsResult{std::move(page)}); });
}

void Methods::reload(const Client&, ipc::Call call, ipc::DaemonReloadParams) {
  const std::string problem = context_.reload();
  if (problem.empty()) {
    call.reply(ipc::Empty{});
  } else {
    call.fail(ipc::Error::make(ipc::ErrorReason::invalid_request, "the configuration was not taken over: " + problem));
  }
}

}  // namespace tidemark::daemon
