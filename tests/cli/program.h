// `tidemark` as a process of its own, which is ended with the test.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace tidemark::cli {

class Program {
 public:
  /// Runs the program with `arguments`; what it prints goes to files in `folder`.
  Program(std::string const& folder, std::vector<std::string> arguments);
  ~Program();
  Program(Program const&) = delete;
  Program& operator=(Program const&) = delete;

  void signal(int number) const;
  pid_t process() const { return process_; }
  /// Waits for the end: the exit status, or -1 if it was a signal or takes too long.
  int wait_exit();
  /// What it has printed so far, to stderr and stdout.
  std::string errors() const;
  std::string output() const;
  /// Waits until `text` has been printed to stderr so often.
  bool wait_printed(std::string const& text, int times = 1) const;

 private:
  std::string folder_;
  pid_t process_ = 0;
};

struct Ended {
  int status;
  std::string out;
  std::string err;
};
/// Runs the program to its end, in a folder of its own.
Ended run_program(std::vector<std::string> arguments);

/// Waits until `condition` holds; false if that takes too long.
bool wait_until(std::function<bool()> const& condition);
/// The content of a file; empty if it isn't there.
std::string content_of(std::string const& path);

}  // namespace tidemark::cli
