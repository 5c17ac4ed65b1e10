// A daemon that says what it is told to, on a socket in a folder of its own and a thread of its own. It notes every
// call, and can ask a connected agent. All members may be called from the test's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "ipc/connection.h"
#include "ipc/messages.h"
#include "ipc/server.h"

namespace tidemark::cli {

/// A folder that is gone with it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(TemporaryFolder const&) = delete;
  TemporaryFolder& operator=(TemporaryFolder const&) = delete;
  std::string const& path() const { return path_; }

 private:
  std::string path_;
};

class FakeDaemon : private ipc::ConnectionHandler {
 public:
  using Answer = std::variant<std::string, ipc::Error>;  // a result as JSON text, or an error
  struct Seen {
    std::string method;
    std::string params;  // JSON text
  };

  explicit FakeDaemon(std::string socket);
  ~FakeDaemon();

  /// What `method` is answered, each time; the last of several answers stays. Without any: an error.
  void answers(std::string const& method, std::vector<Answer> answers);
  /// To close the connection instead of answering `method`.
  void ends_at(std::string const& method);
  /// To leave calls of `method` without an answer until they are released.
  void holds(std::string const& method);
  void release(std::string const& method);

  std::vector<Seen> seen(std::string const& method);
  /// Waits until `method` was called so often; false if that takes too long.
  bool wait_seen(std::string const& method, std::size_t times);

  /// Asks the connection that called last. Its answer is kept under the commit's id.
  void ask(ipc::AgentCommitParams const& params);
  /// The answer to a commit, waited for: `committed`, `error CODE: …`, `ended`; empty if it takes too long.
  std::string answer_to(std::string const& commit);
  template <class Params>
  void notify(Params const& params) {
    post_and_wait([this, &params] { connection_->notify(params); });
  }
  void end_connection();

 private:
  void on_call(ipc::Connection& connection, ipc::Call call, std::string_view method,
               boost::json::object const& params) override;
  void on_closed(ipc::Connection& connection, ipc::CloseReason reason) override;
  void answer(std::string const& method, ipc::Call call);
  void post_and_wait(std::function<void()> const& what);
  bool wait_until(std::function<bool()> const& condition);

  ipc::Workspace workspace_;
  boost::asio::io_context context_{1};
  std::shared_ptr<ipc::Listener> listener_;
  std::map<ipc::Connection*, std::shared_ptr<ipc::Connection>> connections_;  // daemon's thread only
  std::shared_ptr<ipc::Connection> connection_;                               // daemon's thread only

  std::map<std::string, std::vector<ipc::Call>> held_;  // daemon's thread only

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::vector<Answer>> answers_;
  std::map<std::string, bool> ends_at_;
  std::map<std::string, bool> holds_;
  std::vector<Seen> seen_;
  std::map<std::string, std::string> commit_answers_;
  std::thread thread_;
};

}  // namespace tidemark::cli
