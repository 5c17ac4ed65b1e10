// The table of the configuration file's keys: one row says what a key is, what it may be and where it goes. Used by
// config.cpp alone.
#pragma once

#include <toml++/toml.h>

#include <boost/system/error_code.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/config.h"

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

std::string in_quotes(std::string_view text);

/// What was found, in words: `the integer 30`, `the text "on"`, `a list`.
std::string found(const toml::node& node);

/// The duration as the file would say it, in the largest unit that is exact: `90d`.
std::string toml_text(Milliseconds duration);

/// Why a user or group that the file names can't be taken.
std::string unknown_name(std::string_view kind, const std::string& name, const boost::system::error_code& error);

}  // namespace tidemark::daemon
