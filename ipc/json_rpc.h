// One frame as JSON-RPC 2.0: a request, a response, or a batch of them; and the way back, appended to a string as text.
// Nothing here knows a method. A frame that cannot be used becomes an `Invalid` that holds the answer to it.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "ipc/json_text.h"

namespace tidemark::ipc {

/// Why a call is refused: `data.reason` on the wire, each with its code.
enum class ErrorReason {
  parse_error,
  invalid_request,
  method_not_found,
  invalid_params,
  internal,
  journal_unavailable,
  forbidden,
  limit,
  not_found,
  protocol_mismatch,
  outcome_unknown,
};

/// The JSON-RPC code that stands for `reason`.
int code_of(ErrorReason reason);
/// `reason` as it is written in `data.reason`.
std::string_view word_of(ErrorReason reason);

/// An error as it stands on the wire. An agent may send codes of its own, so the code is a number; ours come from
/// `make`.
struct Error {
  int code = 0;
  std::string message;                         ///< a sentence for a person
  std::string reason;                          ///< data.reason; empty: none was sent
  std::string limit;                           ///< data.limit, the name of the bound that was met; empty: none
  std::optional<std::int64_t> retry_after_ms;  ///< data.retry_after_ms
  bool permanent = false;                      ///< data.permanent: the peer asks for no further attempt

  static Error make(ErrorReason reason, std::string message);
  /// -32003: `bound` is the name of the limit as `hello` gives it.
  static Error at_limit(std::string bound, std::string message);
  /// Whether this is the protocol's error `reason`.
  bool is(ErrorReason expected) const { return code == code_of(expected) && reason == word_of(expected); }
  bool operator==(Error const&) const = default;
};

/// A call's id as JSON text: `7`, `"a"`, `null`, `1.50`. Empty for a notification, which is a call without an id.
using CallId = std::string;

/// A call from the peer. The views live until the parser's next frame.
struct Request {
  CallId id;
  std::string_view method;
  boost::json::object const* params;  ///< never null: absent parameters are an empty object
};

/// An answer from the peer: to `id`, a result or else an error. The pointer lives until the parser's next frame.
struct Response {
  CallId id;
  boost::json::value const* result;  ///< null if it is an error
  Error error;
};

/// What is neither; `error` is what the peer is to be answered, under `id`: `null` where it can't be told, empty for a
/// notification, which gets no answer.
struct Invalid {
  CallId id;
  Error error;
};

using Message = std::variant<Request, Response, Invalid>;

/// Parses frames, one at a time, into memory that it keeps for the next. One for each thread is enough. An object with
/// two members of one name is refused, and so is invalid UTF-8 and what is nested deeper than `json_depth_max`.
class Parser {
 public:
  Parser();
  ~Parser();
  Parser(Parser&&) noexcept;
  Parser& operator=(Parser&&) noexcept;

  /// Parses one line. The messages, at least one, live until the next call.
  std::span<Message> parse(std::string_view frame);

  /// Whether the frame just parsed was a batch, so that its answers go back as one array. False for a batch that is
  /// refused as a whole.
  bool batch() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Appends an answer without a line end; `append_result` is called with `out` to append the result's JSON text.
template <class AppendResult>
void append_response(std::string& out, std::string_view id, AppendResult&& append_result) {
  out += R"({"jsonrpc":"2.0","id":)";
  out += id;
  out += R"(,"result":)";
  std::forward<AppendResult>(append_result)(out);
  out += '}';
}

/// Appends an answer that is an error, without a line end.
void append_error(std::string& out, std::string_view id, Error const& error);

/// Appends a request (or, with an empty id, a notification) without a line end; `append_params` appends the object.
template <class AppendParams>
void append_request(std::string& out, std::string_view id, std::string_view method, AppendParams&& append_params) {
  out += R"({"jsonrpc":"2.0",)";
  if (!id.empty()) {
    out += R"("id":)";
    out += id;
    out += ',';
  }
  out += R"("method":)";
  append_string(out, method);
  out += R"(,"params":)";
  std::forward<AppendParams>(append_params)(out);
  out += '}';
}

}  // namespace tidemark::ipc
