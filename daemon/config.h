// The daemon's configuration: built-in defaults, and over them what one TOML file says. Read at the start and at a
// reload; a value afterwards, so any thread may hold a copy. docs/configuration.md is the page for its readers.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "daemon/providers/provider_config.h"
#include "lifecycle/time.h"
#include "store/database.h"
#include "store/policy.h"

namespace tidemark::daemon {

using lifecycle::Milliseconds;

/// What a peer may take up of the daemon. Bounds on what is journaled are in store::UserPolicy.
struct Limits {
  std::int64_t frame_bytes_max = 1'048'576;
  std::int64_t connections = 16'384;  ///< everybody's together; no user has his own
  std::int64_t connections_per_user = 12'288;
  std::int64_t waiting_calls = 1'024;  ///< a connection
  std::int64_t watch_queue = 10'000;   ///< events that a subscriber may be behind
};

/// How long owners get.
struct UserTimes {
  Milliseconds commit_timeout{120'000};
  Milliseconds orphan_grace{30'000};
};

/// Where something listens.
struct ListenAddress {
  std::string address;  ///< of the internet protocol, IPv4 or IPv6, in numbers
  std::uint16_t port = 0;
};

struct Config {
  std::string socket;
  mode_t socket_mode = 0600;
  std::string state_dir;  ///< empty: not set, and the process has no home to put it in
  std::string log_level = "info";
  Milliseconds drain_deadline{30'000};
  std::string admin_group;  ///< the name of a group that was there when the file was read; empty = none

  std::optional<ListenAddress> metrics_listen;  ///< none: metrics are to be had by `daemon.metrics` only

  store::Synchronous synchronous = store::Synchronous::full;

  // Everybody's; the maps hold whole values for the users who have a section of their own.
  Milliseconds commit_timeout = UserTimes().commit_timeout;
  Milliseconds orphan_grace = UserTimes().orphan_grace;
  std::map<uid_t, UserTimes> user_times;
  store::Policies policies;
  Limits limits;
  std::map<uid_t, Limits> user_limits;

  std::map<std::string, ProviderConfig> providers;  ///< by name; what agents register with

  UserTimes times_of(uid_t uid) const;
  const Limits& limits_of(uid_t uid) const;
};

/// The configuration of an empty file, for a process of `uid` with this process's environment. Where the socket and
/// the state lie follows from both: a system service, root and other users have different places.
Config default_config(uid_t uid = ::geteuid());

/// The file that is read when none is named, whether it exists or not; empty if the process has no home to look in.
std::string default_config_path(uid_t uid = ::geteuid());

/// Reads `path` over the defaults. Either the configuration, or every problem found, in the file's order, each as
/// "path:line: text" ("path: text" where no line is to blame). A file that isn't TOML has one problem: the first.
std::variant<Config, std::vector<std::string>> load_config(const std::string& path);

}  // namespace tidemark::daemon
