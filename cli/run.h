// The command line as a whole: arguments in, exit status out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"

namespace tidemark::cli {

/// Parses and runs; `arguments` without the program's name. Faults come out as exceptions.
Exit run(std::vector<std::string> arguments, Terminal terminal);

/// Where the daemon's socket is: what was given, else TIDEMARK_SOCKET, else the user's own if it is there, else the
/// system's. Empty counts as not given.
std::string socket_path(std::string const& given);

}  // namespace tidemark::cli
