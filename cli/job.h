// One piece of work for a serving agent's command: a commit key, those who asked for it, and the process that does it.
#pragma once

#include <sys/types.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "ipc/connection.h"
#include "ipc/messages_agent.h"

namespace tidemark::cli {

struct Job {
  /// A request on the connection of now; those of an ended one are gone, as nobody can be answered there.
  struct Asking {
    ipc::CommitId commit;
    ipc::Call call;
  };

  Job(boost::asio::io_context& context, ipc::AgentCommitParams first, boost::json::object const& params);

  bool running() const { return process != 0; }
  /// `commit of chat-42, turns 1 to 3`.
  std::string text() const;
  /// What the command finds in its environment, beside what we have ourselves.
  std::vector<std::string> environment() const;
  void answer_committed();
  void answer_failed(std::string const& message);

  ipc::AgentCommitParams request;  ///< the first that asked for this key
  std::string input;               ///< its parameters as JSON, on one line
  std::vector<Asking> askings;
  pid_t process = 0;  ///< also its group; 0 until started
  std::chrono::steady_clock::time_point started_at;
  boost::asio::steady_timer progress_timer;
};

}  // namespace tidemark::cli
