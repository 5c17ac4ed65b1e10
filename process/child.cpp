// See child.h. The input is a file in memory: whatever its length and whether it is read at all, nobody waits.
#include "process/child.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace tidemark::process {

namespace {

std::string words_of(int error) {
  return std::generic_category().message(error);
}

class InputFile {
 public:
  explicit InputFile(std::string_view input) : descriptor_(::memfd_create("request", MFD_CLOEXEC)) {
    while (good() && !input.empty()) {
      ssize_t const count = ::write(descriptor_, input.data(), input.size());
      if (count > 0) {
        input.remove_prefix(static_cast<std::size_t>(count));
      } else if (errno != EINTR) {
        ::close(std::exchange(descriptor_, -1));
      }
    }
    if (good()) ::lseek(descriptor_, 0, SEEK_SET);
  }
  InputFile(InputFile const&) = delete;
  InputFile& operator=(InputFile const&) = delete;
  ~InputFile() {
    if (good()) ::close(descriptor_);
  }
  bool good() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

std::vector<char*> pointers_of(std::vector<std::string> const& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (auto const& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

boost::system::result<pid_t, StartError> start_process(std::vector<std::string> const& command,
                                                       std::vector<std::string> const& environment,
                                                       std::string_view input, int output) {
  InputFile const file(input);
  if (!file.good()) return StartError{"cannot hold the command's input: " + words_of(errno), errno};

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, file.descriptor(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);

  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);

  pid_t process = 0;
  auto const arguments = pointers_of(command);
  auto const variables = pointers_of(environment);
  int const error =
      ::posix_spawnp(&process, arguments.front(), &actions, &attributes, arguments.data(), variables.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return StartError{"cannot start " + command.front() + ": " + words_of(error), error};
  return process;
}

std::optional<std::string> failure_of(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    int const number = WTERMSIG(wait_status);
    char const* const description = ::sigdescr_np(number);
    return "the command was ended by signal " + std::to_string(number) +
           (description != nullptr ? " (" + std::string(description) + ")" : "");
  }
  int const status = WEXITSTATUS(wait_status);
  if (status == 0) return std::nullopt;
  if (status == try_again_status)
    return "the command asks to try again later (exit status " + std::to_string(status) + ")";
  return "the command ended with exit status " + std::to_string(status);
}

std::vector<std::string> inherited_environment() {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    std::string_view const text(*variable);
    if (!text.starts_with("TIDEMARK_") || text.starts_with("TIDEMARK_SOCKET=")) variables.emplace_back(text);
  }
  return variables;
}

}  // namespace tidemark::process
