// The protocol's methods: one table row each, one function each. A row says who may call; the dispatch function checks
// that and the parameters, so that a handler sees only what makes sense. I/O thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "daemon/client.h"
#include "daemon/config.h"
#include "daemon/dispatcher.h"
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
  std::string instance;                 // a new UUID at every start
  lifecycle::Steady started;            // when the daemon did
  std::function<std::string()> reload;  // reads the configuration again; returns what is wrong with it, or nothing
};

class Methods {
 public:
  explicit Methods(MethodContext context) : context_(std::move(context)) {}

  void dispatch(const Client& client, ipc::Call call, std::string_view method, const boost::json::object& params);

 private:
  struct Row;
  static const Row* find_row(std::string_view method);
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
  bool may_wait(const Client& client, ipc::Call& call);
  // Answers `call` with what `fill` makes of the result, once how far the session has come is known.
  template <class Result, class Fill>
  void answer_wait(ipc::Call call, uid_t uid, const std::string& session, WaitResult result, Fill fill);

  // methods_daemon.cpp
  void hello(const Client& client, ipc::Call call, ipc::HelloParams params);
  void ping(const Client& client, ipc::Call call, ipc::PingParams params);
  void daemon_status(const Client& client, ipc::Call call, ipc::DaemonStatusParams params);
  void reload(const Client& client, ipc::Call call, ipc::DaemonReloadParams params);

  MethodContext context_;
  std::map<uid_t, std::int64_t> drains_;  // under way, each with a place in the queue of every dirty session
};

}  // namespace tidemark::daemon
