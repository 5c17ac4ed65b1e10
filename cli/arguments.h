// Arguments of commands, straight into the members of messages. Each target outlives the parsing; what breaks the
// protocol's rules is wrong usage, and never gets to the daemon.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ipc/wire_types.h"

namespace tidemark::cli {

CLI::Option* add_name(CLI::App& app, std::string const& option, ipc::Name& target, std::string const& help);
CLI::Option* add_name(CLI::App& app, std::string const& option, std::optional<ipc::Name>& target,
                      std::string const& help);
/// May be given again and again.
CLI::Option* add_names(CLI::App& app, std::string const& option, std::vector<ipc::Name>& target,
                       std::string const& help);
CLI::Option* add_text(CLI::App& app, std::string const& option, ipc::Text& target, std::string const& help);
/// `off` becomes `if_off`.
CLI::Option* add_duration(CLI::App& app, std::string const& option, std::optional<ipc::Milliseconds>& target,
                          std::optional<ipc::Milliseconds> if_off, std::string const& help);
/// From 1 to `most`.
CLI::Option* add_count(CLI::App& app, std::string const& option, std::optional<std::int64_t>& target, std::int64_t most,
                       std::string const& help);

/// The session that nearly every command is about.
inline CLI::Option* add_session(CLI::App& app, ipc::Name& target) {
  return add_name(app, "session", target, "the session's name")->required();
}

/// What an argument must be to be a name; empty: it is one.
std::string name_error(std::string const& text);

}  // namespace tidemark::cli
