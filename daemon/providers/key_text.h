// A commit key as agents, providers and people see it.
#pragma once

#include <string>

#include "lifecycle/segment.h"

namespace tidemark::daemon {

// A UUID's text; empty for no_key.
std::string key_text(const lifecycle::Key& key);

}  // namespace tidemark::daemon
