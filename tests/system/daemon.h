// A real tidemarkd with a state folder and a socket of its own, which a test starts, kills, stops and starts again.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "ipc/client.h"
#include "tests/system/process.h"

namespace tidemark::system_test {

/// A user who is nobody on this machine, and no admin.
inline constexpr uid_t stranger = 12'345;

class Daemon {
 public:
  /// Doesn't start it. `config` is the text of its configuration file.
  explicit Daemon(std::string config = {});
  /// Kills it; after a failed check, shows what it has logged.
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  /// Starts it and waits until it answers. Throws, with what it printed, if it ends instead.
  void start();
  /// Starts it and waits for nothing.
  void launch();
  /// SIGKILL; it is gone afterwards.
  void kill();
  void kill_and_start();
  /// SIGTERM, and waits for its end: the exit status.
  int stop();
  void signal(int number) const { process_->signal(number); }
  Process& process() { return *process_; }

  void write_config(const std::string& text) const;
  /// All that it has printed, over all its starts.
  std::string log() const { return content_of(folder_.path() + "/log"); }
  /// Waits until it has printed `text`.
  bool wait_logged(const std::string& text) const;
  /// The command line that runs it on this state folder and socket.
  std::vector<std::string> command() const;

  const std::string& folder() const { return folder_.path(); }
  std::string socket() const { return folder_.path() + "/socket"; }
  std::string state_dir() const { return folder_.path() + "/state"; }
  std::string config_path() const { return folder_.path() + "/config.toml"; }

  /// A new connection; throws if there is none to be had.
  ipc::Client connect() const;
  /// The same as another user (needs root): the kernel reports whoever this process is while it connects.
  ipc::Client connect_as(uid_t uid) const;

 private:
  TemporaryFolder folder_;
  std::unique_ptr<Process> process_;
};

class RunningDaemon : public Daemon {
 public:
  explicit RunningDaemon(std::string config = {}) : Daemon(std::move(config)) { start(); }
};

}  // namespace tidemark::system_test
