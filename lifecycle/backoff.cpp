#include "lifecycle/backoff.h"

#include <cassert>

namespace tidemark::lifecycle {

Milliseconds RetryPolicy::wait_max() const {
  return Milliseconds(static_cast<std::int64_t>(static_cast<double>(max.count()) * (1.0 + jitter)) + 1);
}

Milliseconds backoff(const RetryPolicy& policy, std::int64_t attempts, double chance) {
  assert(attempts >= 1);
  assert(chance >= 0.0 && chance < 1.0);
  Milliseconds wait = policy.initial;
  for (std::int64_t doubled = 1; doubled < attempts && wait < policy.max; ++doubled) wait *= 2;
  wait = std::min(wait, policy.max);
  const double spread = 1.0 + policy.jitter * (2.0 * chance - 1.0);
  return Milliseconds(static_cast<std::int64_t>(static_cast<double>(wait.count()) * spread));
}

}  // namespace tidemark::lifecycle
