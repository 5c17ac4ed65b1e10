// A client for programs with one thread: connects, calls and waits, or sends many calls and takes the answers as they
// come, and serves the daemon's own requests whenever it waits. Belongs to one thread; nothing happens between its
// calls.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/system/result.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ipc/bounds.h"
#include "ipc/described.h"
#include "ipc/frame.h"
#include "ipc/json_rpc.h"
#include "ipc/wire_types.h"

namespace tidemark::ipc {

/// Why there is no connection: a sentence that names the path.
struct ConnectError {
  enum class Kind {
    no_daemon,  ///< nobody listens there
    refused,    ///< somebody may, but not to us: permissions
    failed,     ///< anything else
  };
  Kind kind;
  std::string text;
};
[[noreturn]] void throw_exception_from_error(ConnectError const& error, boost::source_location const&);

/// Why a call has no result.
struct CallError {
  enum class Kind {
    refused,         ///< the daemon's answer is `error`
    timeout,         ///< no answer in the time given; it can still be received later
    ended,           ///< the connection ended: what became of the call can't be known
    invalid_answer,  ///< an answer came that is no result of this call
  };
  Kind kind;
  Error error;  ///< its message is always there

  std::string const& message() const { return error.message; }
};
[[noreturn]] void throw_exception_from_error(CallError const& error, boost::source_location const&);

template <class Result>
using Called = boost::system::result<Result, CallError>;

/// The answer to a request of the daemon: a result as JSON text, or an error.
using RequestAnswer = std::variant<std::string, Error>;

/// What a described struct is as a RequestAnswer.
template <DescribedStruct Result>
RequestAnswer as_answer(Result const& result) {
  std::string text;
  encode(text, result);
  return text;
}

/// A request of the daemon, valid while its handler runs; only `id` is to be kept, for an answer later.
struct IncomingRequest {
  CallId const& id;
  std::string_view method;
  boost::json::object const& params;
};

class Client {
 public:
  using Timeout = std::optional<Milliseconds>;  // absent: as long as it takes
  using OnRequest = std::function<std::optional<RequestAnswer>(IncomingRequest const&)>;
  using OnNotification = std::function<void(std::string_view method, boost::json::object const& params)>;
  using CallNumber = std::uint64_t;

  static boost::system::result<Client, ConnectError> connect(std::string const& path);
  /// Takes over a connected stream socket.
  explicit Client(int descriptor);
  ~Client();
  Client(Client&& other) noexcept;
  Client& operator=(Client&& other) noexcept;

  /// Calls and waits for the answer. Requests and notifications that come meanwhile are served.
  template <class Params>
  Called<typename Params::Result> call(Params const& params, Timeout timeout = {}) {
    return receive<typename Params::Result>(send(params), timeout);
  }
  /// The same for any method, with parameters and result as JSON text.
  Called<std::string> call_json(std::string_view method, std::string_view params, Timeout timeout = {});

  /// Sends a call without waiting for its answer. A connection that has ended is told of when receiving.
  template <class Params>
  CallNumber send(Params const& params) {
    return send_request(Params::method, [&](std::string& out) { encode(out, params); });
  }
  /// Waits for the answer to one call that was sent. Each answer can be received once.
  template <class Result>
  Called<Result> receive(CallNumber number, Timeout timeout = {});
  /// Waits for the answer to any call that was sent.
  Called<std::pair<CallNumber, RequestAnswer>> receive_any(Timeout timeout = {});

  /// A call without an id: it takes effect and gets no answer.
  template <class Params>
  void notify(Params const& params) {
    append_request(output_, {}, Params::method, [&](std::string& out) { encode(out, params); });
    output_ += '\n';
    write_some();
  }

  /// What answers the daemon's requests (without it: `method_not_found`). An empty answer means later, by `answer`. It
  /// is called while this client waits, and may itself call.
  void on_request(OnRequest handler) { on_request_ = std::move(handler); }
  void on_notification(OnNotification handler) { on_notification_ = std::move(handler); }
  void answer(CallId const& id, RequestAnswer const& answer);

  /// Serves until `done` says so, which is asked after everything that was handled. False if the time was over or the
  /// connection ended before.
  bool run_until(std::function<bool()> const& done, Timeout timeout = {});

  /// One line as it is, for what no method covers.
  void send_frame(std::string_view frame);
  /// The next line as it is; nothing is served. Empty: time over, or connection ended.
  std::optional<std::string> receive_frame(Timeout timeout = {});
  /// Writes what is pending and ends the sending; answers can still be received.
  void finish_sending();

  /// Whether the daemon has not ended the connection, as far as was seen.
  bool connected() const { return descriptor_ >= 0 && !ended_; }
  int descriptor() const { return descriptor_; }

 private:
  using Deadline = std::optional<std::chrono::steady_clock::time_point>;
  enum class Progress { some, timeout, ended };
  // Takes the awaited answer while its values live; false: it wasn't awaited.
  using Take = std::function<bool(CallNumber, Response const&)>;

  static Deadline deadline_of(Timeout timeout);
  template <class AppendParams>
  CallNumber send_request(std::string_view method, AppendParams&& append_params) {
    CallNumber const number = ++call_number_;
    append_request(output_, std::to_string(number), method, std::forward<AppendParams>(append_params));
    output_ += '\n';
    write_some();
    return number;
  }
  std::optional<CallError> wait_for(CallNumber number, Timeout timeout,
                                    std::function<void(Response const&)> const& take);
  void write_some();
  Progress wait_io(Deadline deadline, bool for_input = true);
  Progress next_frame(std::string_view& frame, Deadline deadline);
  Progress serve_frame(Deadline deadline, Take const& take);
  void serve(Request const& request);
  static CallError error_of(Progress progress);

  int descriptor_ = -1;
  bool ended_ = false;
  bool output_broken_ = false;
  CallNumber call_number_ = 0;
  std::string output_;
  FrameReader frames_{bounds::output_bytes_max};
  std::vector<Parser> parsers_;                  // those not in use; a handler that calls takes another
  std::map<CallNumber, RequestAnswer> answers_;  // received while another was waited for
  OnRequest on_request_;
  OnNotification on_notification_;
};

template <class Result>
Called<Result> Client::receive(CallNumber number, Timeout timeout) {
  Called<Result> called{CallError{}};
  auto const failed = wait_for(number, timeout, [&](Response const& response) {
    if (response.result == nullptr) {
      called = CallError{CallError::Kind::refused, response.error};
      return;
    }
    auto decoded = decode<Result>(*response.result, Strictness::lenient);
    if (decoded) {
      called = std::move(*decoded);
    } else {
      called = CallError{CallError::Kind::invalid_answer,
                         Error::make(ErrorReason::internal, "the daemon's answer: " + decoded.error().text)};
    }
  });
  if (failed) return *failed;
  return called;
}

}  // namespace tidemark::ipc
