// Commands as child processes, each in a process group of its own.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <boost/system/result.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidemark::process {

struct StartError {
  std::string text;  ///< a sentence
  int code = 0;      ///< an errno
};

/// Starts `command` (a program, looked up in PATH, and its arguments; never a shell) with exactly `environment` (each
/// NAME=VALUE). It reads `input` and then the end on its standard input, writes both its outputs to `output`, and
/// inherits no other descriptor, no blocked and no ignored signal. The process leads a new group; the child is the
/// caller's to reap.
boost::system::result<pid_t, StartError> start_process(std::vector<std::string> const& command,
                                                       std::vector<std::string> const& environment,
                                                       std::string_view input, int output = STDERR_FILENO);

/// The exit status by which a command says: not now, try again later.
inline constexpr int try_again_status = 75;

/// Why a command that ended so (a status of waitpid) failed; empty: it didn't.
std::optional<std::string> failure_of(int wait_status);

/// Our environment without what begins with `TIDEMARK_`, except the socket's name.
std::vector<std::string> inherited_environment();

}  // namespace tidemark::process
