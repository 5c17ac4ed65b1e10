// The table, and the one function that checks it.
#include "daemon/methods.h"

#include <array>
#include <unordered_map>

#include "daemon/methods_detail.h"

namespace tidemark::daemon {

template <class Params, auto handler>
void Methods::run(Methods& methods, const Client& client, ipc::Call call, const boost::json::object& params) {
  auto decoded = ipc::decode<Params>(params, ipc::Strictness::strict);
  if (!decoded) {
    call.fail(ipc::Error::make(ipc::ErrorReason::invalid_params, decoded.error().text));
    return;
  }
  (methods.*handler)(client, std::move(call), std::move(*decoded));
}

Methods::Rows Methods::table() {
  constexpr bool admin = true;
  return {
      {"turn.complete", {false, run<ipc::TurnCompleteParams, &Methods::complete>}},
      {"turn.begin", {false, run<ipc::TurnBeginParams, &Methods::begin>}},
      {"turn.cancel", {false, run<ipc::TurnCancelParams, &Methods::cancel>}},
      {"agent.register", {false, run<ipc::AgentRegisterParams, &Methods::register_agent>}},
      {"agent.unregister", {false, run<ipc::AgentUnregisterParams, &Methods::unregister_agent>}},
      {"session.commit", {false, run<ipc::SessionCommitParams, &Methods::commit>}},
      {"session.flush", {false, run<ipc::SessionFlushParams, &Methods::flush>}},
      {"session.rotate", {false, run<ipc::SessionRotateParams, &Methods::rotate>}},
      {"session.evict", {false, run<ipc::SessionEvictParams, &Methods::evict>}},
      {"session.discard", {false, run<ipc::SessionDiscardParams, &Methods::discard>}},
      {"session.forget", {false, run<ipc::SessionForgetParams, &Methods::forget>}},
      {"session.status", {false, run<ipc::SessionStatusParams, &Methods::status>}},
      {"session.list", {false, run<ipc::SessionListParams, &Methods::list>}},
      {"drain", {false, run<ipc::DrainParams, &Methods::drain>}},
      {"commit.progress", {false, run<ipc::CommitProgressParams, &Methods::progress>}},
      {"commit.retry", {false, run<ipc::CommitRetryParams, &Methods::retry>}},
      {"commit.settle", {false, run<ipc::CommitSettleParams, &Methods::settle>}},
      {"commit.abandon", {false, run<ipc::CommitAbandonParams, &Methods::abandon>}},
      {"commit.history", {false, run<ipc::CommitHistoryParams, &Methods::history>}},
      {"watch", {false, run<ipc::WatchParams, &Methods::watch>}},
      {"unwatch", {false, run<ipc::UnwatchParams, &Methods::unwatch>}},
      {"hello", {false, run<ipc::HelloParams, &Methods::hello>}},
      {"ping", {false, run<ipc::PingParams, &Methods::ping>}},
      {"daemon.status", {false, run<ipc::DaemonStatusParams, &Methods::daemon_status>}},
      {"daemon.backup", {admin, run<ipc::DaemonBackupParams, &Methods::backup>}},
      {"daemon.verify", {admin, run<ipc::DaemonVerifyParams, &Methods::verify>}},
      {"daemon.metrics", {false, run<ipc::DaemonMetricsParams, &Methods::metrics>}},
      {"provider.pause", {admin, run<ipc::ProviderPauseParams, &Methods::pause_provider>}},
      {"provider.resume", {admin, run<ipc::ProviderResumeParams, &Methods::resume_provider>}},
      {"daemon.reload", {admin, run<ipc::DaemonReloadParams, &Methods::reload>}},
  };
}

Methods::Methods(MethodContext context) : context_(std::move(context)), rows_(table()) {}

std::map<std::string_view, std::int64_t> Methods::calls() const {
  std::map<std::string_view, std::int64_t> calls;
  for (const auto& [method, row] : rows_) calls.emplace(method, row.calls);
  return calls;
}

void Methods::dispatch(const Client& client, ipc::Call call, std::string_view method,
                       const boost::json::object& params) {
  const auto found = rows_.find(method);
  if (found == rows_.end()) {
    call.fail(ipc::Error::make(ipc::ErrorReason::method_not_found,
                               "there is no method \"" + std::string(method.substr(0, 64)) + "\""));
    return;
  }
  Row& row = found->second;
  ++row.calls;
  if (row.admin && !client.admin) {
    call.fail(ipc::Error::make(ipc::ErrorReason::forbidden, "only admins may call " + std::string(method)));
    return;
  }
  row.handler(*this, client, std::move(call), params);
}

}  // namespace tidemark::daemon
