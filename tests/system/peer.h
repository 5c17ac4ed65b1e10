// What talks to the daemon in the tests: a peer is one connection with the calls that tests make most, an agent is a
// peer that has registered and answers commits as the test says. All in the test's own thread: requests are served
// while their connection waits for something.
#pragma once

#include <deque>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "ipc/client.h"
#include "ipc/messages.h"
#include "tests/system/daemon.h"

namespace tidemark::system_test {

using ipc::Outcome;
using ipc::SegmentState;

/// A call's parameters that say only which session is meant.
template <class Params>
Params about(const std::string& session) {
  Params params;
  params.session = session;
  return params;
}

class Peer {
 public:
  explicit Peer(ipc::Client connected) : client(std::move(connected)) {}
  explicit Peer(const Daemon& daemon) : Peer(daemon.connect()) {}
  virtual ~Peer() = default;
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  /// Calls, and throws if there is no result.
  template <class Params>
  typename Params::Result call(const Params& params) {
    auto called = client.call(params, patience);
    return std::move(called.value());
  }
  /// Waits for the result of a call that was sent; throws if there is none.
  template <class Params>
  typename Params::Result receive(ipc::Client::CallNumber number) {
    auto called = client.receive<typename Params::Result>(number, patience);
    return std::move(called.value());
  }
  /// Calls what must be refused: the error's reason (and limit, after a colon), or "" if it was not refused.
  template <class Params>
  std::string refusal(const Params& params) {
    return reason_of(client.call(params, patience));
  }
  template <class Result>
  static std::string reason_of(const ipc::Called<Result>& called) {
    if (called.has_value()) return {};
    const ipc::Error& error = called.error().error;
    return error.limit.empty() ? error.reason : error.reason + ":" + error.limit;
  }

  ipc::TurnCompleteResult complete(const std::string& session, const std::string& agent = {},
                                   const std::string& turn = {});
  /// Completes so many turns.
  void complete_turns(const std::string& session, int turns, const std::string& agent = {});
  void begin(const std::string& session, const std::string& turn, const std::string& agent = {});
  ipc::SessionCommitResult commit(const std::string& session, const std::string& agent = {});
  Outcome detach(const std::string& session, const std::string& agent = {});
  ipc::SessionStatusResult status(const std::string& session);
  std::int64_t watermark(const std::string& session) { return status(session).watermark; }
  /// The states of a session's segments, such as "1-2 waiting, 3-3 open".
  std::string segments(const std::string& session);
  std::vector<ipc::CommitRecord> history(const std::string& session);
  ipc::DaemonStatusResult daemon() { return call(ipc::DaemonStatusParams{}); }

  /// Serves for a moment.
  void serve(Milliseconds time);
  /// Waits, serving, until `condition` holds, which may call on this connection.
  bool serve_until(const std::function<bool()>& condition);

  ipc::Client client;
};

/// Waits until `condition` holds while all these connections serve.
bool serve_until(std::initializer_list<Peer*> peers, const std::function<bool()>& condition);

/// What an agent can answer; an empty answer means that it doesn't, for now.
using Answer = std::optional<ipc::RequestAnswer>;
Answer committed();
Answer skipped();
Answer failed(const std::string& message = "the provider said no");
Answer failed_for_good(const std::string& message = "the provider will never take this");
/// No answer, until the test gives one with `Agent::release`.
Answer held();

class Agent : public Peer {
 public:
  /// Connects and registers.
  Agent(const Daemon& daemon, ipc::AgentRegisterParams registration);
  Agent(ipc::Client connected, ipc::AgentRegisterParams registration);
  /// The usual: a name, and a session whose current agent it becomes.
  Agent(const Daemon& daemon, const std::string& name, const std::string& session = {});

  /// How it answers the next requests: each of `first` once, then `rest` always.
  void answers(std::vector<Answer> first, Answer rest = committed());
  /// Waits until it has been asked so often in all.
  bool wait_asked(std::size_t times);
  /// Answers the oldest request that it holds.
  void release(const Answer& answer = committed());

  std::vector<ipc::AgentCommitParams> asked;  // all requests, in order
  std::vector<std::string> notified;          // the methods of all notifications, in order
  ipc::AgentRegisterResult registered;

 private:
  Answer on_request(const ipc::IncomingRequest& request);

  std::deque<Answer> first_;
  Answer rest_ = committed();
  std::deque<ipc::CallId> held_;
};

/// A registration as `Agent` takes it.
ipc::AgentRegisterParams registration(const std::string& agent, const std::string& session = {},
                                      const std::string& group = {});

}  // namespace tidemark::system_test
