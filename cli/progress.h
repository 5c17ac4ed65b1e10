// A line on a terminal that says, second by second, how a long wait goes on.
#pragma once

#include <chrono>
#include <functional>
#include <iosfwd>
#include <string>
#include <thread>

namespace tidemark::cli {

class Progress {
 public:
  using Line = std::function<std::string(std::chrono::seconds waited)>;

  /// From the first second on shows what `line` says, which is asked on a thread of its own; at the end wipes it.
  /// Nobody else may write to the terminal meanwhile.
  Progress(std::ostream& terminal, Line line);

 private:
  std::jthread thread_;
};

/// What is going on, and for how long: `making a backup: 12 s`.
Progress::Line waiting_line(std::string what);

}  // namespace tidemark::cli
