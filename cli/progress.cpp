// See progress.h.
#include "cli/progress.h"

#include <condition_variable>
#include <mutex>
#include <ostream>
#include <utility>

#include "cli/format.h"

namespace tidemark::cli {

Progress::Progress(std::ostream& terminal, Line line) {
  thread_ = std::jthread([&terminal, line = std::move(line)](std::stop_token const& stop) {
    auto const begun = std::chrono::steady_clock::now();
    std::mutex mutex;
    std::condition_variable_any never;  // only the stop ends a wait early
    std::unique_lock lock(mutex);
    bool shown = false;
    for (std::chrono::seconds waited{1};; ++waited) {
      never.wait_until(lock, stop, begun + waited, [] { return false; });
      if (stop.stop_requested()) break;
      auto const text = line(std::chrono::floor<std::chrono::seconds>(std::chrono::steady_clock::now() - begun));
      terminal << "\r" + printable(text) + "\x1b[K" << std::flush;
      shown = true;
    }
    if (shown) terminal << "\r\x1b[K" << std::flush;
  });
}

Progress::Line waiting_line(std::string what) {
  return [what = std::move(what)](std::chrono::seconds waited) { return what + ": " + duration_text(waited); };
}

}  // namespace tidemark::cli
