// See screen.h.
#include "tests/cli/screen.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

#include "tests/cli/program.h"

namespace tidemark::cli {

Screen::Screen(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), TIDEMARK_PROGRAM);
  std::vector<char*> pointers;
  for (auto& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  ::setenv("TERM", "xterm", 1);
  ::unsetenv("NO_COLOR");
  process_ = ::forkpty(&terminal_, nullptr, nullptr, nullptr);
  if (process_ < 0) throw std::runtime_error("no pseudo-terminal");
  if (process_ == 0) {
    ::execv(pointers.front(), pointers.data());
    ::_exit(127);
  }
  ::fcntl(terminal_, F_SETFL, O_NONBLOCK);
}

Screen::~Screen() {
  if (process_ != 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  ::close(terminal_);
}

void Screen::read_some() {
  std::array<char, 4096> bytes;
  for (ssize_t count; (count = ::read(terminal_, bytes.data(), bytes.size())) > 0;)
    written_.append(bytes.data(), static_cast<std::size_t>(count));
}

bool Screen::wait_shown(std::string const& text) {
  return wait_until([&] {
    read_some();
    return written_.find(text) != std::string::npos;
  });
}

int Screen::wait_exit() {
  int status = 0;
  bool const ended = wait_until([&] {
    read_some();
    return ::waitpid(process_, &status, WNOHANG) == process_;
  });
  if (!ended) return -1;
  process_ = 0;
  read_some();
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace tidemark::cli
