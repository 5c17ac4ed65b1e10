// The file's [providers.NAME]. Used by config.cpp alone.
#pragma once

#include <toml++/toml.h>

#include <map>
#include <string>
#include <vector>

#include "daemon/config_problems.h"
#include "daemon/providers/provider_config.h"

namespace tidemark::daemon {

/// Reads all of `node`, which is what the file has under `providers`. What is wrong goes to `problems`; a provider
/// with a problem isn't to be used.
void read_providers(const toml::node& node, Line line, std::map<std::string, ProviderConfig>& providers,
                    std::vector<Problem>& problems);

}  // namespace tidemark::daemon
