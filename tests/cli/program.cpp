// See program.h.
#include "tests/cli/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "tests/cli/fake_daemon.h"

namespace tidemark::cli {

namespace {
constexpr std::chrono::seconds patience{20};
}

bool wait_until(std::function<bool()> const& condition) {
  auto const deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

std::string content_of(std::string const& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

Program::Program(std::string const& folder, std::vector<std::string> arguments) : folder_(folder) {
  arguments.insert(arguments.begin(), TIDEMARK_PROGRAM);
  std::vector<char*> pointers;
  pointers.reserve(arguments.size() + 1);
  for (auto& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  auto const open = [&](int descriptor, std::string const& name) {
    ::posix_spawn_file_actions_addopen(&actions, descriptor, (folder_ + name).c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                       0600);
  };
  open(STDOUT_FILENO, "/program.out");
  open(STDERR_FILENO, "/program.err");
  int const error = ::posix_spawn(&process_, TIDEMARK_PROGRAM, &actions, nullptr, pointers.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot start " TIDEMARK_PROGRAM);
}

Program::~Program() {
  if (process_ == 0) return;
  ::kill(process_, SIGTERM);
  wait_exit();
}

void Program::signal(int number) const {
  ::kill(process_, number);
}

int Program::wait_exit() {
  int status = 0;
  if (!wait_until([&] { return ::waitpid(process_, &status, WNOHANG) == process_; })) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, &status, 0);
  }
  process_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string Program::errors() const {
  return content_of(folder_ + "/program.err");
}

std::string Program::output() const {
  return content_of(folder_ + "/program.out");
}

Ended run_program(std::vector<std::string> arguments) {
  TemporaryFolder const folder;
  Program program(folder.path(), std::move(arguments));
  int const status = program.wait_exit();
  return {status, program.output(), program.errors()};
}

bool Program::wait_printed(std::string const& text, int times) const {
  return wait_until([&] {
    auto const printed = errors();
    int count = 0;
    for (auto at = printed.find(text); at != std::string::npos; at = printed.find(text, at + 1)) ++count;
    return count >= times;
  });
}

}  // namespace tidemark::cli
