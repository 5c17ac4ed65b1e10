// What holds without a file: the places of the socket, the state and the file itself.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/config.h"

namespace tidemark::daemon {
namespace {

// The environment's variables that the places follow from: none but those given, until the object ends.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& variables) {
    for (const char* name :
         {"RUNTIME_DIRECTORY", "STATE_DIRECTORY", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "HOME"}) {
      const char* value = ::getenv(name);
      before_[name] = value ? std::optional<std::string>(value) : std::nullopt;
      ::unsetenv(name);
    }
    for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const auto& [name, value] : before_) {
      value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
    }
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::map<std::string, std::optional<std::string>> before_;
};

struct Places {
  std::map<std::string, std::string> environment;
  uid_t uid;
  std::string socket;
  std::string state_dir;
  std::string config;
  mode_t mode = 0600;
};

TEST(ConfigDefaultsTest, ThePlacesFollowFromUserAndEnvironment) {
  const uid_t nobody = 4'294'967'000;  // no such account, hence no home but the environment's
  const std::string machine_config = "/etc/tidemark/tidemarkd.toml";
  const std::vector<Places> rows = {
      {{}, 0, "/run/tidemark/tidemark.sock", "/var/lib/tidemark", machine_config},
      {{{"XDG_RUNTIME_DIR", "/run/user/0"}, {"XDG_STATE_HOME", "/s"}, {"HOME", "/root"}},
       0,
       "/run/tidemark/tidemark.sock",
       "/var/lib/tidemark",
       machine_config},
      // The service manager's folders win; of several, the first.
      {{{"RUNTIME_DIRECTORY", "/run/a:/run/b"}, {"STATE_DIRECTORY", "/var/lib/a:/var/lib/b"}},
       nobody,
       "/run/a/tidemark.sock",
       "/var/lib/a",
       machine_config,
       0666},
      {{{"STATE_DIRECTORY", "/var/lib/a"}, {"HOME", "/h"}},
       nobody,
       "/run/tidemark/tidemark.sock",
       "/var/lib/a",
       machine_config,
       0666},
      {{{"RUNTIME_DIRECTORY", "/run/a"}}, 0, "/run/a/tidemark.sock", "/var/lib/tidemark", machine_config, 0666},
      // A user's own service.
      {{{"STATE_DIRECTORY", "/h/state"}, {"XDG_RUNTIME_DIR", "/run/user/7"}, {"HOME", "/h"}},
       nobody,
       "/run/user/7/tidemark/tidemark.sock",
       "/h/state",
       "/h/.config/tidemark/tidemarkd.toml"},
      // A user.
      {{{"XDG_RUNTIME_DIR", "/run/user/7"}, {"XDG_STATE_HOME", "/s"}, {"XDG_CONFIG_HOME", "/c"}, {"HOME", "/h"}},
       nobody,
       "/run/user/7/tidemark/tidemark.sock",
       "/s/tidemark",
       "/c/tidemark/tidemarkd.toml"},
      {{{"HOME", "/h"}},
       nobody,
       "/tmp/tidemark-4294967000/tidemark.sock",
       "/h/.local/state/tidemark",
       "/h/.config/tidemark/tidemarkd.toml"},
      // Paths that don't begin at the root count as not set.
      {{{"RUNTIME_DIRECTORY", ""}, {"XDG_RUNTIME_DIR", "run"}, {"XDG_STATE_HOME", "s"}, {"HOME", "h"}},
       nobody,
       "/tmp/tidemark-4294967000/tidemark.sock",
       "",
       ""},
  };
  for (const Places& row : rows) {
    const Environment environment(row.environment);
    SCOPED_TRACE(testing::PrintToString(row.environment));
    const Config config = default_config(row.uid);
    EXPECT_EQ(config.socket, row.socket);
    EXPECT_EQ(config.state_dir, row.state_dir);
    EXPECT_EQ(config.socket_mode, row.mode);
    EXPECT_EQ(default_config_path(row.uid), row.config);
  }
}

TEST(ConfigDefaultsTest, TheAccountsHomeStandsInForAMissingVariable) {
  const Environment environment({});
  const std::string path = default_config_path(1);  // daemon, on every Unix
  EXPECT_TRUE(path.ends_with("/.config/tidemark/tidemarkd.toml")) << path;
}

}  // namespace
}  // namespace tidemark::daemon
