// The daemon: puts ledger, dispatcher, methods and connections together, and runs the one io_context. Everything but
// the ledger's own work happens on the thread that calls run().
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "daemon/client.h"
#include "daemon/config.h"
#include "daemon/confirmations.h"
#include "daemon/dispatcher.h"
#include "daemon/methods.h"
#include "daemon/metrics_listener.h"
#include "daemon/service_manager.h"
#include "daemon/watchers.h"
#include "ipc/server.h"
#include "store/ledger.h"

namespace tidemark::daemon {

class Daemon final : public Clients, private ipc::ConnectionHandler {
 public:
  // `config_path` empty = none was read, so a reload has nothing to read either.
  Daemon(Config config, std::string config_path);
  ~Daemon() override;

  // Opens the journal and the socket, serves until it is told to stop, and returns the exit status. Throws
  // store::OpenError, or std::runtime_error with a text for the operator, if it can't start.
  int run();

  Client* find_client(ClientId id) override;

 private:
  void on_call(ipc::Connection& connection, ipc::Call call, std::string_view method,
               const boost::json::object& params) override;
  void on_frames_handled(ipc::Connection& connection) override;
  void on_output_taken(ipc::Connection& connection) override;
  void on_closed(ipc::Connection& connection, ipc::CloseReason reason) override;

  void open_ledger();
  void open_listener();
  void on_connection(ipc::Listener::Socket socket, boost::system::result<ipc::Peer, ipc::PeerError> peer);
  void on_delivery(store::Delivery delivery);
  void on_journal_failure(const std::string& why);
  void watch_journal();
  void wait_for_signal();
  void on_signal(int signal);
  // What is wrong with the configuration; empty = it has been taken over.
  std::string reload();
  std::string read_configuration_again();
  bool is_admin(const ipc::Peer& peer, int descriptor) const;
  void stop();
  void end_now();

  Config config_;
  std::string config_path_;
  boost::asio::io_context io_{1};
  boost::asio::signal_set signals_;
  boost::asio::steady_timer end_timer_;
  ServiceManager service_manager_;
  std::unique_ptr<store::StateDirLock> lock_;
  ipc::Workspace workspace_;
  std::unordered_map<const ipc::Connection*, Client> clients_;
  std::unordered_map<ClientId, Client*> clients_by_id_;
  std::map<uid_t, std::int64_t> connections_of_;
  ClientId last_client_ = 0;
  std::shared_ptr<ipc::Listener> listener_;
  Counters counters_;
  Watchers watchers_;
  ProviderLines provider_lines_;
  Dispatcher dispatcher_;
  Confirmations confirmations_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<Methods> methods_;
  std::unique_ptr<MetricsListener> metrics_listener_;  // null: none is configured
  bool journal_healthy_ = true;
  bool stopping_ = false;
  std::size_t stop_waits_ = 0;
  int exit_status_ = 0;
  std::unique_ptr<store::Ledger> ledger_;    // last but one: its thread posts to io_
  std::unique_ptr<store::Backups> backups_;  // last: its thread uses the ledger, too
};

}  // namespace tidemark::daemon
