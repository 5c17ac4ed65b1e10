// What the parts of tidemark-load share: what to measure, what came of it, and the two clocks.
#pragma once

#include <cstdint>
#include <string>

#include "bench/latency_histogram.h"

namespace tidemark::bench {

enum class Mode { marks, cycles, echo, fdatasync };
enum class Order { random, sequential };

struct Options {
  Mode mode = Mode::marks;
  std::string socket;
  std::string directory = ".";
  std::uint32_t connections = 64;
  std::uint32_t outstanding = 16;
  std::uint32_t sessions = 1000;
  Order order = Order::random;
  bool turn_ids = true;
  bool agents = false;
  bool verify = false;
  /// Marks a second, whether they are answered or not; 0: a new one upon each answer.
  std::uint32_t rate_per_second = 0;
  double seconds = 5;
  double warmup_seconds = 1;
  std::uint64_t seed = 0;
};

struct Verification {
  std::uint64_t sessions_asked = 0;
  std::uint64_t generations_expected = 0;
  std::uint64_t generations_found = 0;
  std::uint64_t sessions_wrong = 0;
};

struct Report {
  /// Of the measured time only, without the warm-up.
  LatencyHistogram latency;
  double seconds = 0;
  double cpu_seconds = 0;
  /// Of the whole run, warm-up and the last outstanding answers included.
  std::uint64_t durable_marks = 0;
  std::uint64_t errors = 0;
  std::string first_error;
  Verification verification;
};

std::uint64_t now_ns();

/// User and system time of this process so far.
double cpu_seconds();

/// Each runs one mode to its end. Throws std::runtime_error if the peer goes away, falls silent or speaks something
/// else than the protocol, and std::system_error if the system refuses.
Report run_marks(const Options& options);
Report run_cycles(const Options& options);
Report run_echo(const Options& options);
Report run_fdatasync(const Options& options);

}  // namespace tidemark::bench
