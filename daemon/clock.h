// The real clocks, read together.
#pragma once

#include "lifecycle/time.h"

namespace tidemark::daemon {

inline lifecycle::Now now() {
  using std::chrono::floor;
  return {floor<lifecycle::Milliseconds>(std::chrono::system_clock::now()),
          floor<lifecycle::Milliseconds>(std::chrono::steady_clock::now())};
}

}  // namespace tidemark::daemon
