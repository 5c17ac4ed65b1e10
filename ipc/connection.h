// One connection: calls in, answers out, and the other way round. Everything runs on the one thread of its io_context;
// the handler is called from there, and answers come from there, in any order. All that an event of the socket or the
// owner adds to the output is written together, once, at the end of the round.
#pragma once

#include <array>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>

#include "ipc/bounds.h"
#include "ipc/described.h"
#include "ipc/frame.h"
#include "ipc/json_rpc.h"
#include "ipc/peer.h"

namespace tidemark::ipc {

class Connection;

namespace detail {
// The answers to one batch, gathered until the last is there.
struct BatchAnswers {
  std::string text;
  std::size_t missing = 0;
};
}  // namespace detail

/// A call that was received and is owed an answer. It is answered once, on the connection's thread; to answer it again,
/// or after the connection has ended, does nothing. A notification is owed one as well, which goes nowhere, so that it
/// is known to be done. May be moved to and destroyed on any thread. A fault if it is dropped unanswered: its caller
/// waits and the connection counts it for ever.
class Call {
 public:
  Call() = default;
  Call(Call&&) noexcept = default;
  Call& operator=(Call&&) noexcept = default;

  /// Whether it is still to be answered (and was ever a call).
  explicit operator bool() const { return owed_; }

  template <DescribedStruct Result>
  void reply(Result const& result);
  /// Answers with a result that is JSON text already.
  void reply_json(std::string_view result);
  void fail(Error const& error);

  /// From now on it waits for a provider, and doesn't hold up the calls behind it: it no longer counts among those that
  /// stop the reading.
  void set_waiting();

 private:
  friend class Connection;
  template <class Append>
  void answer(Append&& append);

  std::weak_ptr<Connection> connection_;
  std::shared_ptr<detail::BatchAnswers> batch_;
  CallId id_;
  bool owed_ = false;
  bool waiting_ = false;
};

/// Why a connection ended.
enum class CloseReason {
  peer_closed,      ///< the peer ended it, and all that it had sent was handled
  owner,            ///< `close` or `end` was called here
  oversized,        ///< the peer sent a frame over the bound
  output_overflow,  ///< the peer left more unread than is kept for it
  write_stalled,    ///< the peer took nothing for too long
};

/// What the owner of connections provides; outlives them.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;

  /// A call or a notification came in. `method` and `params` live only until this returns; `call` is to be answered,
  /// now or later. Calls of one connection come in the order sent.
  virtual void on_call(Connection& connection, Call call, std::string_view method,
                       boost::json::object const& params) = 0;

  /// All frames that could be handled in this round have been: the time to hand on what was gathered from them.
  virtual void on_frames_handled(Connection&) {}

  /// The peer has taken what `tell_when_taken` asked about. Comes from the io_context, never from inside another call.
  virtual void on_output_taken(Connection&) {}

  /// The connection has ended; comes exactly once, from the io_context and never from inside another call. Requests
  /// that were out have been told before. Nothing follows.
  virtual void on_closed(Connection& connection, CloseReason reason) = 0;
};

/// What all connections of a thread share: memory that is only used from one event to its end.
struct Workspace {
  Parser parser;
  std::array<char, bounds::read_bytes> read_buffer;
  std::map<std::string, std::int64_t> errors;  // calls answered with one, by reason
};

struct ConnectionOptions {
  std::size_t frame_bytes_max = bounds::frame_bytes_max;
  std::size_t calls_outstanding_max = bounds::calls_outstanding_max;
  std::size_t output_bytes_pause = bounds::output_bytes_pause;
  std::size_t output_bytes_max = bounds::output_bytes_max;
  std::chrono::milliseconds write_stall_max = bounds::write_stall_max;
  std::chrono::milliseconds linger_max = bounds::linger_max;
};

/// The connection ended before an answer came: what became of the request can't be known.
struct Ended {};

/// How a request to the peer ended.
template <class Result>
using Answer = std::variant<Result, Error, Ended>;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;

  /// Takes over a connected socket. Nothing is read before `start`. `handler` and `workspace` outlive the connection;
  /// until it has closed, its own pending waits keep it alive.
  static std::shared_ptr<Connection> make(Socket socket, Peer peer, ConnectionHandler& handler, Workspace& workspace,
                                          ConnectionOptions options = {});
  Connection(Connection const&) = delete;
  Connection& operator=(Connection const&) = delete;

  void start();

  /// Sends a request. `on_answer` is called once, on this thread and never from inside here: with the answer, however
  /// late; an answer that is not a valid result counts as an error; `Ended` if the connection ends, or can bring no
  /// answer as the peer has ended its sending. False, and `on_answer` is never called, if that is so already, or if
  /// `requests_outstanding_max` are out.
  template <class Params>
  bool request(Params const& params, std::function<void(Answer<typename Params::Result>)> on_answer);

  /// Sends a notification; does nothing on a connection that has ended.
  template <class Params>
  void notify(Params const& params);

  /// Asks for `on_output_taken`, once: when of the unsent bytes, of which there are more, at most `output_bytes_low`
  /// are left. Does nothing if the connection ends before.
  void tell_when_taken() { tell_when_taken_ = true; }

  /// Ends it at once; what is unwritten is lost.
  void close() { close(CloseReason::owner); }

  /// Ends it kindly: reads no further, lets the calls that were read be answered and the answers be taken, all within
  /// `linger_max`.
  void end() { end(CloseReason::owner); }

  bool closed() const { return closed_; }
  Peer const& peer() const { return peer_; }
  /// Bytes that the peer has not taken, answers of unfinished batches included.
  std::size_t output_bytes() const { return unsent_bytes() + batch_bytes_; }
  /// The same without those answers, which no reading of the peer's could make less.
  std::size_t unsent_bytes() const { return output_.size() - written_; }
  /// Calls that were read and not answered, the waiting ones not counted.
  std::size_t calls_outstanding() const { return calls_outstanding_; }
  std::size_t calls_waiting() const { return calls_waiting_; }

 private:
  friend class Call;

  enum class Input {
    open,
    discarding,  // nothing is handled any more, what comes is thrown away
    ended,       // the peer has ended its sending
  };
  using Clock = std::chrono::steady_clock;
  using AnswerHandler = std::function<void(Response const*)>;  // null: ended

  Connection(Socket socket, Peer peer, ConnectionHandler& handler, Workspace& workspace, ConnectionOptions options);

  template <class Append>
  void answer(Call const& call, Append&& append);
  void append_batch_if_whole(detail::BatchAnswers& batch);
  void output_added();
  void schedule_round();
  void round();
  void handle_frames();
  void handle(std::string_view frame);
  void handle(Message& message, std::shared_ptr<detail::BatchAnswers> const& batch);
  void handle_oversized();
  bool paused() const;

  void wait_readable();
  void on_readable();
  void on_input_ended();
  void wait_gone();
  void flush();
  void wait_writable();
  void watch_stall();
  void end_requests();
  void end(CloseReason reason);
  void finish_if_done();
  void close(CloseReason reason);

  Socket socket_;
  boost::asio::steady_timer stall_timer_;
  boost::asio::steady_timer linger_timer_;
  Peer peer_;
  ConnectionHandler& handler_;
  Workspace& workspace_;
  ConnectionOptions options_;

  FrameReader frames_;
  bool tell_when_taken_ = false;
  bool drained_ = true;  // no whole frame is left in frames_
  Input input_ = Input::open;
  std::size_t discarded_ = 0;
  std::size_t calls_outstanding_ = 0;
  std::size_t calls_waiting_ = 0;

  std::string output_;
  std::size_t written_ = 0;       // the beginning of output_ that the kernel has taken
  std::size_t batch_bytes_ = 0;   // gathered in batches that still miss an answer
  Clock::time_point written_at_;  // since when, or when last, the peer took of what is pending; zero: nothing is

  std::unordered_map<std::uint64_t, AnswerHandler> requests_;
  std::uint64_t request_id_ = 0;

  CloseReason end_reason_ = CloseReason::peer_closed;
  bool round_scheduled_ = false;  // or under way
  bool waiting_readable_ = false;
  bool waiting_writable_ = false;
  bool waiting_gone_ = false;
  bool watching_stall_ = false;
  bool output_broken_ = false;  // the peer takes nothing any more; what it has sent is still handled
  bool peer_gone_ = false;
  bool shut_ = false;  // our sending has been ended
  bool closed_ = false;
};

template <class Append>
void Call::answer(Append&& append) {
  if (!std::exchange(owed_, false)) return;
  auto const connection = connection_.lock();
  if (connection != nullptr) connection->answer(*this, std::forward<Append>(append));
  connection_.reset();
  batch_.reset();
}

template <DescribedStruct Result>
void Call::reply(Result const& result) {
  answer([&](std::string& out) { append_response(out, id_, [&](std::string& text) { encode(text, result); }); });
}

template <class Append>
void Connection::answer(Call const& call, Append&& append) {
  if (closed_) return;
  --(call.waiting_ ? calls_waiting_ : calls_outstanding_);
  if (!call.id_.empty() && !output_broken_) {
    if (call.batch_ != nullptr) {
      std::size_t const before = call.batch_->text.size();
      if (before > 0) call.batch_->text += ',';
      append(call.batch_->text);
      batch_bytes_ += call.batch_->text.size() - before;
      append_batch_if_whole(*call.batch_);
    } else {
      append(output_);
      output_ += '\n';
    }
  }
  output_added();
}

template <class Params>
bool Connection::request(Params const& params, std::function<void(Answer<typename Params::Result>)> on_answer) {
  using Result = typename Params::Result;
  if (closed_ || output_broken_ || input_ != Input::open || requests_.size() >= bounds::requests_outstanding_max)
    return false;
  std::uint64_t const number = ++request_id_;
  requests_.emplace(number, [on_answer = std::move(on_answer)](Response const* response) {
    if (response == nullptr) return on_answer(Ended{});
    if (response->result == nullptr) return on_answer(response->error);
    auto decoded = decode<Result>(*response->result, Strictness::lenient);
    if (decoded) return on_answer(std::move(*decoded));
    on_answer(
        Error::make(ErrorReason::invalid_request, "the answer is no result of this call: " + decoded.error().text));
  });
  append_request(output_, std::to_string(number), Params::method, [&](std::string& out) { encode(out, params); });
  output_ += '\n';
  output_added();
  return true;
}

template <class Params>
void Connection::notify(Params const& params) {
  if (closed_ || output_broken_) return;
  append_request(output_, {}, Params::method, [&](std::string& out) { encode(out, params); });
  output_ += '\n';
  output_added();
}

}  // namespace tidemark::ipc
