// What holds when nothing is configured, and where the configuration lies. The environment decides: a service manager
// names the folders; root and a system service have the machine's, other users their own.
#include <cstdlib>

#include "daemon/config.h"
#include "daemon/config_accounts.h"

namespace tidemark::daemon {
namespace {

// The absolute path in an environment variable, or an empty text. Of a list, as the service manager makes it of
// several folders, the first.
std::string folder(const char* variable) {
  const char* const value = std::getenv(variable);
  if (!value || *value != '/') return {};
  const std::string text = value;
  return text.substr(0, text.find(':'));
}

std::string home(uid_t uid) {
  const std::string named = folder("HOME");
  if (!named.empty()) return named;
  const auto found = find_home(uid);
  return found ? *found : std::string();
}

// The user's folder of one kind: the variable's, or that in his home.
std::string user_folder(uid_t uid, const char* variable, const char* in_home) {
  const std::string named = folder(variable);
  if (!named.empty()) return named;
  const std::string base = home(uid);
  return base.empty() ? base : base + in_home;
}

// A service of the machine's manager: that of a user always comes with XDG_RUNTIME_DIR.
bool system_service() {
  const bool service = !folder("RUNTIME_DIRECTORY").empty() || !folder("STATE_DIRECTORY").empty();
  return service && folder("XDG_RUNTIME_DIR").empty();
}

std::string default_socket(uid_t uid, bool machine) {
  std::string base = folder("RUNTIME_DIRECTORY");
  if (base.empty() && machine) base = "/run/tidemark";
  if (base.empty()) {
    const std::string runtime = folder("XDG_RUNTIME_DIR");
    base = runtime.empty() ? "/tmp/tidemark-" + std::to_string(uid) : runtime + "/tidemark";
  }
  return base + "/tidemark.sock";
}

std::string default_state_dir(uid_t uid, bool machine) {
  const std::string given = folder("STATE_DIRECTORY");
  if (!given.empty()) return given;
  if (machine) return "/var/lib/tidemark";
  const std::string base = user_folder(uid, "XDG_STATE_HOME", "/.local/state");
  return base.empty() ? base : base + "/tidemark";
}

}  // namespace

Config default_config(uid_t uid) {
  const bool machine = uid == 0 || system_service();
  Config config;
  config.socket = default_socket(uid, machine);
  config.state_dir = default_state_dir(uid, machine);
  // Everybody may connect to the machine's daemon: who calls is what the kernel says.
  if (system_service()) config.socket_mode = 0666;
  return config;
}

std::string default_config_path(uid_t uid) {
  if (uid == 0 || system_service()) return "/etc/tidemark/tidemarkd.toml";
  const std::string base = user_folder(uid, "XDG_CONFIG_HOME", "/.config");
  return base.empty() ? base : base + "/tidemark/tidemarkd.toml";
}

}  // namespace tidemark::daemon
