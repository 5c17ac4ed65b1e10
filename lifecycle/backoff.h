// Retries: exponential backoff with jitter (contract, section 9). Pure: chance is an argument.
#pragma once

#include <cstdint>

#include "lifecycle/time.h"

namespace tidemark::lifecycle {

struct RetryPolicy {
  Milliseconds initial{5'000};
  Milliseconds max{600'000};
  double jitter = 0.2;        // 0..1: each wait is spread evenly over ± this share of itself
  std::int64_t attempts = 0;  // after so many failed attempts a segment is stuck; 0 = never

  // The longest wait that backoff() can return; what is left of a journaled wait is clamped to it.
  Milliseconds wait_max() const;
};

// The wait before the next attempt.
//   attempts  attempts made so far, at least 1
//   chance    0 <= chance < 1, evenly distributed
Milliseconds backoff(const RetryPolicy& policy, std::int64_t attempts, double chance);

}  // namespace tidemark::lifecycle
