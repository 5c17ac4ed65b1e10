// tidemarkd: the command line, the configuration, and the exit status. 0 = stopped as told, 1 = could not start or had
// to end, 2 = wrong usage.
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <string>
#include <variant>

#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/version.h"

namespace {

using tidemark::daemon::Config;

// Prints what is wrong; returns nothing then.
std::optional<Config> read_config(const std::string& path) {
  if (path.empty()) return tidemark::daemon::default_config();
  auto loaded = tidemark::daemon::load_config(path);
  if (auto* config = std::get_if<Config>(&loaded)) return std::move(*config);
  for (const std::string& problem : std::get<std::vector<std::string>>(loaded)) {
    std::fprintf(stderr, "%s\n", problem.c_str());
  }
  return std::nullopt;
}

void set_up_log(const std::string& level) {
  auto logger = spdlog::stderr_color_st("tidemarkd");
  // Under systemd the journal has its own time stamps.
  logger->set_pattern(std::getenv("JOURNAL_STREAM") ? "%l: %v" : "%Y-%m-%dT%H:%M:%S.%e %l: %v");
  spdlog::set_default_logger(std::move(logger));
  spdlog::set_level(spdlog::level::from_str(level));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "tidemarkd keeps, for all agents of this machine, the list of conversation turns that their memory has\n"
      "not committed yet. It runs in the foreground and logs to standard error."};
  app.footer(
      "Signals: TERM and INT stop it (finishing what is out, within drain_deadline), HUP reads the configuration\n"
      "again. Example: tidemarkd --socket /tmp/t.sock --state-dir /tmp/t-state");
  std::string socket;
  std::string state_dir;
  std::string config_path;
  bool check_config = false;
  app.add_option("--socket", socket, "the Unix socket to listen on")->type_name("PATH");
  app.add_option("--state-dir", state_dir, "the folder of the journal; made if missing")->type_name("DIR");
  app.add_option("--config", config_path, "the configuration file (TOML)")->type_name("FILE");
  app.add_flag("--check-config", check_config, "only say whether the configuration is good");
  app.set_version_flag("--version", std::string("tidemarkd ") + tidemark::daemon::version);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (config_path.empty()) {
    const std::string path = tidemark::daemon::default_config_path();
    std::error_code ignored;
    if (!path.empty() && std::filesystem::exists(path, ignored)) config_path = path;
  }
  std::optional<Config> config = read_config(config_path);
  if (check_config) {
    if (config)
      std::printf("%s: good\n", config_path.empty() ? "no configuration file, defaults" : config_path.c_str());
    return config ? 0 : 1;
  }
  if (!config) return 1;
  if (!socket.empty()) config->socket = socket;
  if (!state_dir.empty()) config->state_dir = state_dir;
  if (config->state_dir.empty()) {
    std::fprintf(stderr, "tidemarkd: no state folder: give --state-dir, or set state_dir in the configuration\n");
    return 1;
  }
  set_up_log(config->log_level);
  try {
    tidemark::daemon::Daemon daemon(std::move(*config), config_path);
    return daemon.run();
  } catch (const std::exception& error) {
    spdlog::critical("{}", error.what());
    return 1;
  }
}
