// `tidemark` on a terminal: a process whose output goes to a pseudo-terminal.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace tidemark::cli {

class Screen {
 public:
  explicit Screen(std::vector<std::string> arguments);
  ~Screen();
  Screen(Screen const&) = delete;
  Screen& operator=(Screen const&) = delete;

  /// Waits until `text` has been shown at some time; false if that takes too long.
  bool wait_shown(std::string const& text);
  /// Waits for the end: the exit status, or -1.
  int wait_exit();
  /// All that was written, in order, as it was.
  std::string const& written() const { return written_; }

 private:
  void read_some();

  pid_t process_ = 0;
  int terminal_ = -1;
  std::string written_;
};

}  // namespace tidemark::cli
