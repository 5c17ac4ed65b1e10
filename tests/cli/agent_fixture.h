// What the tests of `tidemark agent` share: a daemon that registers everybody, the agent's process, commands that wait
// at a gate.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/cli/fake_daemon.h"
#include "tests/cli/program.h"

namespace tidemark::cli {

class AgentTest : public ::testing::Test {
 protected:
  AgentTest() { daemon.answers("agent.register", {R"({"agent":"codex","epoch":7,"due_segments":0})"}); }

  /// Starts the agent `codex` with a command that runs in the test's folder, and waits until it is registered.
  void start(std::vector<std::string> const& command, std::vector<std::string> options = {}) {
    auto const before = std::filesystem::current_path();
    std::filesystem::current_path(folder.path());
    options.insert(options.begin(), {"--socket", socket, "agent", "codex"});
    options.emplace_back("--exec");
    options.insert(options.end(), command.begin(), command.end());
    agent = std::make_unique<Program>(folder.path(), options);
    std::filesystem::current_path(before);
    ASSERT_TRUE(agent->wait_printed("registered (epoch 7)")) << agent->errors();
  }

  static ipc::AgentCommitParams request(std::string const& commit, std::string const& key) {
    ipc::AgentCommitParams params;
    params.commit = commit;
    params.key = key;
    params.session = "chat 42";
    params.agent = "codex";
    params.start = 1;
    params.end = 3;
    params.attempt = 2;
    params.reason = "rotate";
    params.timeout_ms = std::chrono::minutes(2);
    return params;
  }

  std::string read(std::string const& name) const { return content_of(folder.path() + "/" + name); }

  /// A command that notes its key in `runs`, and goes on once its gate is open.
  static constexpr char const* gate_script =
      R"(echo $TIDEMARK_KEY >> runs; while ! test -e open-$TIDEMARK_KEY; do sleep 0.01; done)";
  bool begun(std::string const& key) const { return read("runs").find(key + "\n") != std::string::npos; }
  void open_gate(std::string const& key) const { std::ofstream(folder.path() + "/open-" + key) << ""; }

  TemporaryFolder folder;
  std::string const socket = folder.path() + "/daemon.sock";
  FakeDaemon daemon{socket};
  std::unique_ptr<Program> agent;
};

}  // namespace tidemark::cli
