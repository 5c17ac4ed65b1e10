// An agent that serves commits by running a command for each. One thread, one io_context, plain handlers. The
// connection comes and goes; the work is known by its commit keys and goes on without it.
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"
#include "cli/job.h"
#include "ipc/connection.h"
#include "ipc/messages_agent.h"

namespace tidemark::cli {

struct AgentOptions {
  std::string socket;
  ipc::AgentRegisterParams registration;  ///< its session is taken from `sessions`, one after the other
  std::vector<ipc::Name> sessions;
  std::vector<std::string> command;  ///< not empty
  bool json = false;
};

class ServingAgent : private ipc::ConnectionHandler {
 public:
  ServingAgent(AgentOptions options, Terminal terminal);

  /// Serves until a signal (done), or until it is fenced or refused (refused). Its commands have ended by then. Belongs
  /// in a process of its own: it takes SIGTERM, SIGINT and SIGCHLD, and reaps every child.
  Exit run();

 private:
  using Clock = std::chrono::steady_clock;

  void connect();
  void connect_later(std::string const& why);
  void register_all();
  void on_registered(ipc::Answer<ipc::AgentRegisterResult> const& answer);
  void end_if_fenced();

  void on_call(ipc::Connection& connection, ipc::Call call, std::string_view method,
               boost::json::object const& params) override;
  void on_closed(ipc::Connection& connection, ipc::CloseReason reason) override;

  void on_commit(ipc::Call call, boost::json::object const& params);
  std::list<Job>::iterator find_job(std::string_view key);
  void start_waiting();
  bool start(Job& job);
  void wait_progress(Job& job);
  void wait_children();
  void on_child(std::list<Job>::iterator job, int wait_status);

  void wait_signals();
  void end(Exit exit, std::string const& why);
  void kill_groups(int signal);
  void end_when_idle();
  void tell(std::string const& line);

  AgentOptions options_;
  Terminal terminal_;
  std::size_t commands_max_;

  ipc::Workspace workspace_;
  boost::asio::io_context context_{1};
  boost::asio::signal_set signals_;
  boost::asio::signal_set children_;
  boost::asio::steady_timer connect_timer_;
  boost::asio::steady_timer end_timer_;

  std::shared_ptr<ipc::Connection> connection_;  // null: none, or not yet
  std::chrono::milliseconds connect_pause_;
  bool told_unconnected_ = false;
  std::size_t registrations_missing_ = 0;
  std::int64_t epoch_ = 0;         // of the latest registration on this connection
  std::int64_t fenced_epoch_ = 0;  // the highest that was called fenced

  std::list<Job> jobs_;              // in the order asked; those that don't run yet wait for a free place
  std::deque<std::string> unheard_;  // keys committed while nobody could be told, latest last

  std::optional<Exit> ending_;
  std::vector<pid_t> groups_;  // those to be gone before the end
  Clock::time_point kill_at_;
  bool killed_ = false;
};

}  // namespace tidemark::cli
