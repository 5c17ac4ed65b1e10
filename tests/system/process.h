// Real processes for the system tests: a program that runs until the test ends it, a piece of the test that runs as
// another user, waiting for conditions. Whatever is started is ended with its object, by process id.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace tidemark::system_test {

using Milliseconds = std::chrono::milliseconds;

/// How long a condition may take to become true. Wide, since the machine may be busy; nothing waits that long when all
/// is well.
inline constexpr Milliseconds patience{20'000};

/// Waits until `condition` holds; false if that takes longer than `at_most`.
bool wait_until(const std::function<bool()>& condition, Milliseconds at_most = patience);
/// The content of a file; empty if it isn't there.
std::string content_of(const std::string& path);

/// A folder under /tmp that others may enter, and that ends with its object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A process of ours.
class Process {
 public:
  /// Runs a program; what it prints is appended to `output`.
  static Process spawn(std::vector<std::string> arguments, const std::string& output);
  /// Runs `body` in a copy of this process, which must have one thread only; the status is 1 if a check failed in it.
  /// With a `uid` other than this process's, as that user (needs root).
  static Process fork(const std::function<void()>& body, std::optional<uid_t> uid = {});
  ~Process();
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  /// SIGKILL, and waits until the process is gone.
  void kill();
  /// Whether it has ended; then the status is known.
  bool ended();
  /// Waits for its end. The exit status; -1 if a signal ended it, or if it takes longer than `patience`.
  int wait_exit();

 private:
  explicit Process(pid_t pid) : pid_(pid) {}
  pid_t pid_ = 0;  // 0 = none
  std::optional<int> status_;
};

/// Runs `body` as `uid` in a process of its own, and says whether all its checks held.
bool holds_as(uid_t uid, const std::function<void()>& body);

}  // namespace tidemark::system_test
