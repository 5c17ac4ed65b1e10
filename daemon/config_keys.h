// The table of the configuration file's keys: one row says what a key is, what it may be and where it goes. Used by
// config.cpp alone.
#pragma once

#include <toml++/toml.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/config.h"
#include "daemon/config_values.h"

namespace tidemark::daemon {

struct ConfigKey {
  std::string_view section;
  std::string_view name;
  bool per_user;  // may stand in [users.NAME] too
  /// Takes the value into the configuration. Answers what is wrong with it, leaving the configuration as it was, or
  /// an empty text.
  std::function<std::string(const toml::node&, Config&)> set;
};

/// All keys; those of a section stand together.
const std::vector<ConfigKey>& config_keys();

}  // namespace tidemark::daemon
