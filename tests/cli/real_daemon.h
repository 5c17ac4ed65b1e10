// What the tests of commands against a real daemon share: the daemon, the program as people run it, agents that serve.
#pragma once

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/cli/fake_daemon.h"
#include "tests/cli/program.h"
#include "tests/system/daemon.h"

namespace tidemark::cli {

class RealDaemonTest : public ::testing::Test {
 protected:
  // What fails is stuck at once, and nothing else happens by itself.
  static constexpr char const* config =
      "[commit]\norphan_grace = \"24h\"\n[retry]\nattempts = 1\ninitial = \"1h\"\nmax = \"1h\"\n";

  std::vector<std::string> line(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--socket", daemon.socket()});
    return arguments;
  }
  Ended tidemark(std::vector<std::string> arguments) const { return run_program(line(std::move(arguments))); }
  /// The result that a program gets; its exit status must be this one.
  boost::json::object result(std::vector<std::string> arguments, int status = 0) const {
    arguments.insert(arguments.begin(), "--json");
    auto const ran = tidemark(std::move(arguments));
    EXPECT_EQ(ran.status, status) << ran.out << ran.err;
    EXPECT_EQ(ran.err, "");
    EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 1) << ran.out;
    auto const json = boost::json::parse(ran.out.empty() ? "{}" : ran.out);
    return json.as_object();
  }
  /// Marks so many turns.
  void complete(std::string const& session, int turns, std::string const& agent = {}) const {
    for (int turn = 0; turn < turns; ++turn) {
      std::vector<std::string> arguments{"complete", session};
      if (!agent.empty()) arguments.insert(arguments.end(), {"--agent", agent});
      ASSERT_EQ(tidemark(arguments).status, 0);
    }
  }

  /// An agent that commits by `command`, registered.
  std::unique_ptr<Program> serve(std::string const& agent, std::vector<std::string> const& command) {
    auto arguments = line({"agent", agent, "--exec"});
    arguments.insert(arguments.end(), command.begin(), command.end());
    auto program = std::make_unique<Program>(folder.path(), arguments);
    EXPECT_TRUE(program->wait_printed("agent " + agent + " registered")) << program->errors();
    return program;
  }
  /// A command that notes that it began, and ends once the gate is opened.
  std::vector<std::string> gate() const {
    return {"sh", "-c", "touch " + begun_path + "; while ! test -e " + gate_path + "; do sleep 0.01; done"};
  }
  bool wait_begun() const {
    return wait_until([this] { return std::ifstream(begun_path).good(); });
  }
  void open_gate() const { std::ofstream(gate_path) << ""; }

  TemporaryFolder folder;
  std::string const gate_path = folder.path() + "/gate";
  std::string const begun_path = folder.path() + "/begun";
  system_test::RunningDaemon daemon{config};
};

}  // namespace tidemark::cli
