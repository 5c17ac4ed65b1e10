// What the tests of commands share: a scripted daemon, and a way to run a command line in this process.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <sstream>
#include <string>
#include <vector>

#include "cli/run.h"
#include "tests/cli/fake_daemon.h"

namespace tidemark::cli {

struct Ran {
  Exit exit;
  std::string out;
  std::string err;
};

inline Ran run_line(std::vector<std::string> arguments, bool coloured = false) {
  std::ostringstream out;
  std::ostringstream err;
  auto const exit = run(std::move(arguments), {out, err, coloured});
  return {exit, out.str(), err.str()};
}

/// A time as the daemon writes it.
inline std::string utc(std::chrono::milliseconds from_now) {
  std::string text;
  ipc::detail::append_utc(text, std::chrono::floor<ipc::Milliseconds>(std::chrono::system_clock::now() + from_now));
  return text;
}

class CommandTest : public ::testing::Test {
 protected:
  TemporaryFolder folder;
  std::string const socket = folder.path() + "/daemon.sock";
  FakeDaemon daemon{socket};

  /// Runs a command against the daemon.
  Ran tidemark(std::vector<std::string> arguments, bool coloured = false) {
    arguments.insert(arguments.begin(), {"--socket", socket});
    return run_line(std::move(arguments), coloured);
  }
  /// The parameters that came with the latest call of `method`.
  std::string sent(std::string const& method) {
    auto const calls = daemon.seen(method);
    return calls.empty() ? "never called" : calls.back().params;
  }
};

inline std::ostream& operator<<(std::ostream& out, Exit exit) {
  return out << static_cast<int>(exit);
}

}  // namespace tidemark::cli
