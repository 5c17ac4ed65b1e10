// What a command works with: the options that stand before it, the connection, made when first needed, and the places
// to print to. A command asks, tells, and returns how it went.
#pragma once

#include <boost/json/object.hpp>
#include <boost/system/result.hpp>
#include <concepts>
#include <iosfwd>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/format.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "ipc/client.h"
#include "ipc/wire_types.h"

namespace tidemark::cli {

/// The exit status: other programs rely on the numbers.
enum class Exit { done = 0, refused = 1, usage = 2, no_daemon = 3 };

struct Options {
  std::string socket;
  bool json = false;
  std::optional<ipc::UidSelector> uid;
  std::vector<std::string> exec;  ///< the command that stood behind --exec
};

/// Where to print. The streams outlive it.
struct Terminal {
  std::ostream& out;
  std::ostream& err;
  bool coloured = false;  ///< what goes to `out`
  bool live = false;      ///< `err` is a terminal, on which a line can be written over
};

/// What the daemon answered: as it came, and what is understood of it.
template <class Result>
struct Received {
  boost::json::object json;
  Result result;
};

/// A received answer, or how the command ends because there is none; why has been told by then.
template <class Result>
using Asked = boost::system::result<Received<Result>, Exit>;
[[noreturn]] void throw_exception_from_error(Exit exit, boost::source_location const&);

/// How long an answer is waited for, and what a terminal shows meanwhile.
struct Patience {
  ipc::Client::Timeout timeout;  ///< absent: as long as it takes
  Progress::Line line;           ///< empty: nothing
};

/// A minute, unless the call itself waits for a provider.
template <class Params>
Patience usual_patience() {
  if constexpr (
      requires(Params params) { params.timeout_ms; } || requires(Params params) { params.deadline_ms; })
    return {};
  return {std::chrono::minutes(1), {}};
}

class Context {
 public:
  Context(Options options, Terminal terminal);

  Options const& options() const { return options_; }
  bool coloured() const { return terminal_.coloured; }
  ipc::Utc now() const;

  /// For a person; goes nowhere with --json.
  std::ostream& human() { return options_.json ? nowhere_ : terminal_.out; }
  void print(Table const& table) { table.print(human(), coloured()); }
  /// One line of JSON, with --json only.
  void print_json(boost::json::object const& result);
  /// The streams as they are.
  Terminal& terminal() { return terminal_; }

  /// Tells on stderr why the command ends so.
  Exit refuse(std::string_view sentence, Exit exit = Exit::refused);
  /// The same for an outcome that the JSON result says already: a person is told, and in a line below what can be done
  /// about it; a program isn't told twice.
  Exit refuse_outcome(std::string_view sentence, std::string_view cure);

  /// The connection, made when first needed. Why there is none has been told by then.
  boost::system::result<ipc::Client*, Exit> connection();
  /// Puts a new connection in the place of one that ended; false: nobody answers there now.
  bool reconnect();

  /// Asks the daemon, in the name of --uid where the call has one.
  template <class Params>
  Asked<typename Params::Result> ask(Params params, Patience const& patience = usual_patience<Params>());

  /// Asks, prints the result with --json, and lets `tell` say it to a person and how that ends.
  template <class Params, class Tell>
  Exit call(Params params, Tell&& tell, Patience const& patience = usual_patience<Params>()) {
    auto const asked = ask(std::move(params), patience);
    if (!asked) return asked.error();
    print_json(asked->json);
    return std::forward<Tell>(tell)(asked->result);
  }

  /// Puts --uid into what is to be asked; false: it doesn't fit, which has been told.
  template <class Params>
  bool set_user(Params& params);

 private:
  bool set_uid(std::optional<ipc::Uid>& uid);
  boost::system::result<boost::json::object, Exit> ask_json(std::string_view method, std::string const& params,
                                                            Patience const& patience);

  Options options_;
  Terminal terminal_;
  std::ostream nowhere_{nullptr};
  std::optional<ipc::Client> client_;
};

template <class Params>
bool Context::set_user(Params& params) {
  if constexpr (requires { requires std::same_as<decltype(params.uid), std::optional<ipc::UidSelector>>; }) {
    params.uid = options_.uid;
  } else if constexpr (requires { params.uid; }) {
    return set_uid(params.uid);
  } else if (options_.uid) {
    refuse("--uid has no meaning for this command", Exit::usage);
    return false;
  }
  return true;
}

template <class Params>
Asked<typename Params::Result> Context::ask(Params params, Patience const& patience) {
  using Result = typename Params::Result;
  if (!set_user(params)) return Exit::usage;
  std::string text;
  ipc::encode(text, params);
  auto json = ask_json(Params::method, text, patience);
  if (!json) return json.error();
  auto decoded = ipc::decode<Result>(*json, ipc::Strictness::lenient);
  if (!decoded) return refuse("the daemon's answer is not understood: " + decoded.error().text);
  return Received<Result>{std::move(*json), std::move(*decoded)};
}

}  // namespace tidemark::cli
