// Time as an argument. What is journaled is UTC; what is waited for runs on the steady clock, so that a step of the
// wall clock neither fires nor withholds anything. The two meet only in `Now`.
#pragma once

#include <algorithm>
#include <chrono>

namespace tidemark::lifecycle {

using Milliseconds = std::chrono::milliseconds;
using Utc = std::chrono::sys_time<Milliseconds>;
using Steady = std::chrono::time_point<std::chrono::steady_clock, Milliseconds>;

// One instant, as both clocks tell it.
struct Now {
  Utc utc;
  Steady steady;

  // Where a journaled instant lies on the steady clock of this process. An instant in the future (the wall clock was
  // set back since) counts as now, so that no wait ever gets longer than its own maximum.
  Steady steady_at(Utc then) const { return steady - std::max(utc - then, Milliseconds(0)); }

  // The instant at which a journaled deadline is reached: never in the past, never further away than `wait_max`.
  Steady deadline_at(Utc then, Milliseconds wait_max) const {
    return steady + std::clamp(then - utc, Milliseconds(0), wait_max);
  }
};

}  // namespace tidemark::lifecycle
