// Commands as child processes, each in a process group of its own.
#pragma once

#include <sys/types.h>

#include <boost/system/result.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace tidemark::cli {

/// Starts `command` (a program, looked up in PATH, and its arguments; never a shell) with exactly `environment` (each
/// NAME=VALUE). It reads `input` and then the end on its standard input, writes to our stderr, and inherits no other
/// descriptor, no blocked and no ignored signal. The process leads a new group. The error is a sentence; the child is
/// the caller's to reap.
boost::system::result<pid_t, std::string> start_process(std::vector<std::string> const& command,
                                                        std::vector<std::string> const& environment,
                                                        std::string_view input);

/// Our environment without what begins with `TIDEMARK_`, except the socket's name.
std::vector<std::string> inherited_environment();

}  // namespace tidemark::cli
