// What is counted while the daemon runs, for its metrics. Kept where it happens and read where it is shown, both on the
// I/O thread.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tidemark::daemon {

// How many values lie at or below each of some bounds, given once, in seconds and ascending.
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds_seconds) : bounds_(bounds_seconds) {}

  void add(std::chrono::nanoseconds value) {
    const double seconds = std::chrono::duration<double>(value).count();
    std::size_t at = 0;
    while (at < bounds_.size() && seconds > bounds_[at]) ++at;
    ++counts_[at];
    sum_seconds_ += seconds;
  }
  std::span<const double> bounds() const { return bounds_; }
  // Of values above the bound before this one; the last has no bound of its own.
  std::int64_t count(std::size_t at) const { return counts_[at]; }
  double sum_seconds() const { return sum_seconds_; }

  static constexpr std::size_t bounds_max = 15;

 private:
  std::span<const double> bounds_;  // static, at most bounds_max
  std::array<std::int64_t, bounds_max + 1> counts_{};
  double sum_seconds_ = 0;
};

struct Counters {
  static constexpr std::array<double, 13> batch_bounds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                                       0.025,  0.05,    0.1,    0.25,  0.5,    1};
  static constexpr std::array<double, 12> attempt_bounds{0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 600};

  std::int64_t turns_completed = 0;
  std::int64_t turns_repeated = 0;   // their id was known
  std::int64_t turns_uncounted = 0;  // ephemeral, or cancelled before
  std::int64_t attempts_begun = 0;
  // How attempts ended.
  std::int64_t attempts_committed = 0, attempts_skipped = 0, attempts_accepted = 0, attempts_failed = 0,
               attempts_in_doubt = 0, attempts_withdrawn = 0;
  std::int64_t commands = 0;  // of the ledger
  Histogram batch_duration{batch_bounds};
  Histogram attempt_duration{attempt_bounds};  // from the asking to the end
};

}  // namespace tidemark::daemon
