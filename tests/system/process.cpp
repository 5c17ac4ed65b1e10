// See process.h.
#include "tests/system/process.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

namespace tidemark::system_test {

bool wait_until(const std::function<bool()>& condition, Milliseconds at_most) {
  const auto deadline = std::chrono::steady_clock::now() + at_most;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(Milliseconds(2));
  }
  return true;
}

std::string content_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TemporaryFolder::TemporaryFolder() {
  std::string name = "/tmp/tidemark-system-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  ::chmod(name.c_str(), 0711);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Process Process::spawn(std::vector<std::string> arguments, const std::string& output) {
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("cannot fork");
  if (pid > 0) return Process(pid);
  // There may be other threads: nothing but system calls from here on.
  const int descriptor = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that dies takes its children along
  if (descriptor >= 0 && ::getppid() == parent && ::dup2(descriptor, STDOUT_FILENO) >= 0 &&
      ::dup2(descriptor, STDERR_FILENO) >= 0) {
    ::execv(pointers.front(), pointers.data());
  }
  ::_exit(127);
}

Process Process::fork(const std::function<void()>& body, std::optional<uid_t> uid) {
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("cannot fork");
  if (pid > 0) return Process(pid);
  bool good = true;
  if (uid && *uid != ::getuid()) {
    good = ::setgroups(0, nullptr) == 0 && ::setgid(*uid) == 0 && ::setuid(*uid) == 0;
    if (!good) std::fprintf(stderr, "cannot become user %u\n", static_cast<unsigned>(*uid));
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  try {
    if (good) body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "in the child: %s\n", error.what());
    good = false;
  }
  std::fflush(nullptr);
  ::_exit(good && !::testing::Test::HasFailure() ? 0 : 1);
}

Process::~Process() {
  if (pid_ != 0 && !ended()) kill();
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), status_(std::exchange(other.status_, std::nullopt)) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(status_, other.status_);
  return *this;
}

void Process::signal(int number) const {
  if (pid_ != 0 && !status_) ::kill(pid_, number);
}

void Process::kill() {
  signal(SIGKILL);
  wait_exit();
}

bool Process::ended() {
  if (pid_ == 0 || status_) return true;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return true;
}

int Process::wait_exit() {
  return wait_until([this] { return ended(); }) ? status_.value_or(-1) : -1;
}

bool holds_as(uid_t uid, const std::function<void()>& body) {
  return Process::fork(body, uid).wait_exit() == 0;
}

}  // namespace tidemark::system_test
