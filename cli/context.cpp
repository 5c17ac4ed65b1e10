// See context.h.
#include "cli/context.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <stdexcept>

namespace tidemark::cli {

void throw_exception_from_error(Exit exit, boost::source_location const&) {
  throw std::logic_error("an answer was taken that there isn't; exit status " + std::to_string(static_cast<int>(exit)));
}

Context::Context(Options options, Terminal terminal) : options_(std::move(options)), terminal_(terminal) {}

ipc::Utc Context::now() const {
  return std::chrono::floor<ipc::Milliseconds>(std::chrono::system_clock::now());
}

void Context::print_json(boost::json::object const& result) {
  if (options_.json) terminal_.out << boost::json::serialize(result) << '\n';
}

Exit Context::refuse(std::string_view sentence, Exit exit) {
  terminal_.err << "tidemark: " << printable(sentence) << '\n';
  return exit;
}

Exit Context::refuse_outcome(std::string_view sentence, std::string_view cure) {
  if (options_.json) return Exit::refused;
  refuse(sentence);
  if (!cure.empty()) terminal_.err << "  " << printable(cure) << '\n';
  return Exit::refused;
}

bool Context::set_uid(std::optional<ipc::Uid>& uid) {
  if (!options_.uid) return true;
  if (options_.uid->is_all()) {
    refuse("this command acts for one user: give --uid a number", Exit::usage);
    return false;
  }
  uid = options_.uid->uid;
  return true;
}

boost::system::result<ipc::Client*, Exit> Context::connection() {
  using ConnectKind = ipc::ConnectError::Kind;
  if (client_) return &*client_;
  auto connected = ipc::Client::connect(options_.socket);
  if (!connected) {
    auto const& error = connected.error();
    switch (error.kind) {
      case ConnectKind::no_daemon:
        return refuse("no daemon answers at " + options_.socket + "; start one with `tidemarkd --socket " +
                          shell_word(options_.socket) + "`, or name its socket with --socket or TIDEMARK_SOCKET",
                      Exit::no_daemon);
      case ConnectKind::refused:
        return refuse(error.text + "; ask who runs that daemon for access to its socket");
      case ConnectKind::failed:
        return refuse(error.text, Exit::no_daemon);
    }
  }
  client_ = std::move(*connected);
  return &*client_;
}

bool Context::reconnect() {
  client_.reset();
  auto connected = ipc::Client::connect(options_.socket);
  if (connected) client_ = std::move(*connected);
  return client_.has_value();
}

boost::system::result<boost::json::object, Exit> Context::ask_json(std::string_view method, std::string const& params,
                                                                   Patience const& patience) {
  using CallKind = ipc::CallError::Kind;
  auto const client = connection();
  if (!client) return client.error();
  std::optional<Progress> progress;
  if (terminal_.live && patience.line) progress.emplace(terminal_.err, patience.line);
  auto const called = (*client)->call_json(method, params, patience.timeout);
  progress.reset();
  if (!called) {
    auto const& error = called.error();
    switch (error.kind) {
      case CallKind::refused:
        return refuse(error.error.retry_after_ms ? error.message() + "; try again in " +
                                                       duration_text(ipc::Milliseconds(*error.error.retry_after_ms))
                                                 : error.message());
      case CallKind::timeout:
        return refuse("the daemon at " + options_.socket +
                      " gave no answer in a minute; whether the call took effect can't be known");
      case CallKind::ended:
        return refuse("the daemon at " + options_.socket +
                      " ended the connection before it answered; whether the call took effect can't be known");
      case CallKind::invalid_answer:
        return refuse(error.message());
    }
  }
  auto value = boost::json::parse(*called);
  if (auto* object = value.if_object()) return std::move(*object);
  return refuse("the daemon's answer is not understood: a JSON object is expected");
}

}  // namespace tidemark::cli
