// The protocol's methods: one table row each, one function each. A row says who may call; the dispatch function checks
// that and the parameters, so that a handler sees only what makes sense. I/O thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "daemon/client.h"
#include "daemon/config.h"
#include "daemon/counters.h"
#include "daemon/dispatcher.h"
#include "daemon/drain.h"
#include "daemon/metrics.h"
#include "daemon/watchers.h"
#include "store/backup.h"
#include "store/ledger.h"

namespace tidemark::daemon {

// Drains of one user that may be under way at once.
inline constexpr std::int64_t drains_per_user_max = 8;

// Agents that one connection may serve.
inline constexpr std::size_t agents_per_connection_max = 4'096;

// What the methods work with; all of it outlives them.
struct MethodContext {
  boost::asio::io_context& io;
  const Config& config;
  store::Ledger& ledger;
  Dispatcher& dispatcher;
  ProviderLines& providers;
  Watchers& watchers;
  Counters& counters;
  Metrics& metrics;
  store::Backups& backups;
  std::string instance;                 // a new UUID at every start
  lifecycle::Steady started;            // when the daemon did
  std::function<std::string()> reload;  // reads the configuration again; returns what is wrong with it, or nothing
};

class Methods {
 public:
  explicit Methods(MethodContext context);

  void dispatch(const Client& client, ipc::Call call, std::string_view method, const boost::json::object& params);
  // How often each was called.
  std::map<std::string_view, std::int64_t> calls() const;

 private:
  struct Row {
    bool admin = false;  // only admins may call it
    void (*handler)(Methods&, const Client&, ipc::Call, const boost::json::object&) = nullptr;
    std::int64_t calls = 0;
  };
  using Rows = std::unordered_map<std::string_view, Row>;
  static Rows table();
  template <class Params, auto handler>
  static void run(Methods& methods, const Client& client, ipc::Call call, const boost::json::object& params);

  // methods_session.cpp
  void complete(const Client& client, ipc::Call call, ipc::TurnCompleteParams params);
  void begin(const Client& client, ipc::Call call, ipc::TurnBeginParams params);
  void cancel(const Client& client, ipc::Call call, ipc::TurnCancelParams params);
  void register_agent(const Client& client, ipc::Call call, ipc::AgentRegisterParams params);
  void unregister_agent(const Client& client, ipc::Call call, ipc::AgentUnregisterParams params);
  void rotate(const Client& client, ipc::Call call, ipc::SessionRotateParams params);
  void discard(const Client& client, ipc::Call call, ipc::SessionDiscardParams params);
  void forget(const Client& client, ipc::Call call, ipc::SessionForgetParams params);
  void status(const Client& client, ipc::Call call, ipc::SessionStatusParams params);
  void list(const Client& client, ipc::Call call, ipc::SessionListParams params);

  // methods_commit.cpp
  void commit(const Client& client, ipc::Call call, ipc::SessionCommitParams params);
  void flush(const Client& client, ipc::Call call, ipc::SessionFlushParams params);
  void evict(const Client& client, ipc::Call call, ipc::SessionEvictParams params);
  void drain(const Client& client, ipc::Call call, ipc::DrainParams params);
  void progress(const Client& client, ipc::Call call, ipc::CommitProgressParams params);
  void retry(const Client& client, ipc::Call call, ipc::CommitRetryParams params);
  void settle(const Client& client, ipc::Call call, ipc::CommitSettleParams params);
  void abandon(const Client& client, ipc::Call call, ipc::CommitAbandonParams params);
  void history(const Client& client, ipc::Call call, ipc::CommitHistoryParams params);
  void drop_through(ipc::Call call, uid_t uid, std::string session, std::int64_t through, std::string reason,
                    bool settle);
  void detach(ipc::Call call, uid_t uid, ipc::SessionCommitParams params);
  void begin_drain(uid_t uid, Drain::Scope scope, lifecycle::Milliseconds deadline,
                   const std::shared_ptr<ipc::Call>& call);
  bool may_wait(const Client& client, ipc::Call& call);
  // Answers `call` with what `fill` makes of the result, once how far the session has come is known.
  template <class Result, class Fill>
  void answer_wait(ipc::Call call, uid_t uid, const std::string& session, WaitResult result, Fill fill);

  // methods_daemon.cpp
  void hello(const Client& client, ipc::Call call, ipc::HelloParams params);
  void ping(const Client& client, ipc::Call call, ipc::PingParams params);
  void watch(const Client& client, ipc::Call call, ipc::WatchParams params);
  void unwatch(const Client& client, ipc::Call call, ipc::UnwatchParams params);
  void daemon_status(const Client& client, ipc::Call call, ipc::DaemonStatusParams params);
  void metrics(const Client& client, ipc::Call call, ipc::DaemonMetricsParams params);
  void reload(const Client& client, ipc::Call call, ipc::DaemonReloadParams params);
  void pause_provider(const Client& client, ipc::Call call, ipc::ProviderPauseParams params);
  void resume_provider(const Client& client, ipc::Call call, ipc::ProviderResumeParams params);
  std::vector<ipc::ProviderStatus> provider_statuses(std::optional<uid_t> uid) const;

  // methods_journal.cpp
  void backup(const Client& client, ipc::Call call, ipc::DaemonBackupParams params);
  void verify(const Client& client, ipc::Call call, ipc::DaemonVerifyParams params);
  void after_earlier_calls(ipc::Call call, std::function<void(std::shared_ptr<ipc::Call>)> then);

  MethodContext context_;
  Rows rows_;
  std::map<uid_t, std::int64_t> drains_;  // under way, each with a place in the queue of every dirty session
};

}  // namespace tidemark::daemon
