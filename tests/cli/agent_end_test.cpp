// `tidemark agent`: how it ends, told to or fenced, and what becomes of its commands then.
#include <signal.h>

#include <cerrno>
#include <chrono>

#include "tests/cli/agent_fixture.h"

namespace tidemark::cli {
namespace {

class AgentEndTest : public AgentTest {
 protected:
  /// The number that a command has written to a file.
  pid_t number_in(std::string const& name) {
    wait_until([&] { return read(name).ends_with("\n"); });
    auto const text = read(name);
    return text.empty() ? 0 : static_cast<pid_t>(std::stol(text));
  }
  static bool is_gone(pid_t process) { return process > 0 && ::kill(process, 0) != 0 && errno == ESRCH; }
};

TEST_F(AgentEndTest, ASignalEndsTheCommandsWithAllTheyStarted) {
  start({"sh", "-c", "sleep 1000 & echo $! > child; echo $$ > leader; wait"});
  daemon.ask(request("c1", "k1"));
  pid_t const child = number_in("child");
  pid_t const leader = number_in("leader");
  agent->signal(SIGTERM);
  EXPECT_EQ(agent->wait_exit(), 0);
  EXPECT_TRUE(is_gone(leader));
  // Its parent is gone: it is somebody else's to reap, so it may be there a moment longer.
  EXPECT_TRUE(wait_until([&] { return is_gone(child); }));
  // It was ended halfway: nobody can say what became of it.
  EXPECT_EQ(daemon.answer_to("c1"), "ended");
  EXPECT_NE(agent->errors().find("given up after"), std::string::npos);
}

TEST_F(AgentEndTest, ACommandThatFinishesItsWorkWhenToldToEndIsCommitted) {
  start({"sh", "-c", "trap 'exit 0' TERM; echo $$ > leader; while :; do sleep 0.01; done"});
  daemon.ask(request("c1", "k1"));
  number_in("leader");
  agent->signal(SIGTERM);
  EXPECT_EQ(daemon.answer_to("c1"), "committed");
  EXPECT_EQ(agent->wait_exit(), 0);
}

TEST_F(AgentEndTest, TakesNoMoreOnceItEnds) {
  start({"sh", "-c", "trap '' TERM; echo $$ > leader; while ! test -e open; do sleep 0.01; done"},
        {"--max-in-flight", "1"});
  daemon.ask(request("c1", "k1"));
  number_in("leader");
  daemon.ask(request("c2", "k2"));
  agent->signal(SIGTERM);
  EXPECT_EQ(daemon.answer_to("c2"), "error: this agent is ending");
  daemon.ask(request("c3", "k3"));
  EXPECT_EQ(daemon.answer_to("c3"), "error: this agent is ending");
  std::ofstream(folder.path() + "/open") << "";
  EXPECT_EQ(daemon.answer_to("c1"), "committed");
  EXPECT_EQ(agent->wait_exit(), 0);
}

TEST_F(AgentEndTest, ACommandThatIgnoresTheSignalIsKilledAfterFiveSeconds) {
  start({"sh", "-c", "trap '' TERM; echo $$ > leader; while :; do sleep 0.1; done"});
  daemon.ask(request("c1", "k1"));
  pid_t const leader = number_in("leader");
  auto const begun_at = std::chrono::steady_clock::now();
  agent->signal(SIGTERM);
  EXPECT_EQ(agent->wait_exit(), 0);
  auto const took = std::chrono::steady_clock::now() - begun_at;
  EXPECT_TRUE(is_gone(leader));
  EXPECT_GE(took, std::chrono::seconds(5));
  EXPECT_EQ(daemon.answer_to("c1"), "ended");
}

TEST_F(AgentEndTest, ASecondSignalKillsAtOnce) {
  start({"sh", "-c", "trap 'echo told > told' TERM; echo $$ > leader; while :; do sleep 0.01; done"});
  daemon.ask(request("c1", "k1"));
  pid_t const leader = number_in("leader");
  agent->signal(SIGTERM);
  ASSERT_TRUE(wait_until([&] { return read("told") == "told\n"; }));
  auto const second_at = std::chrono::steady_clock::now();
  agent->signal(SIGTERM);
  EXPECT_EQ(agent->wait_exit(), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - second_at, std::chrono::seconds(4));
  EXPECT_TRUE(is_gone(leader));
}

ipc::AgentFencedParams fenced(std::string const& name, std::int64_t epoch) {
  ipc::AgentFencedParams params;
  params.agent = name;
  params.epoch = epoch;
  return params;
}

TEST_F(AgentEndTest, FencedItEndsItsCommandsAndExitsWithOne) {
  start({"sh", "-c", "trap 'exit 0' TERM; echo $$ > leader; while :; do sleep 0.01; done"});
  daemon.ask(request("c1", "k1"));
  number_in("leader");
  daemon.notify(fenced("codex", 7));
  EXPECT_EQ(daemon.answer_to("c1"), "committed");
  EXPECT_EQ(agent->wait_exit(), 1);
  EXPECT_NE(agent->errors().find("agent codex is fenced: another process has registered this name"), std::string::npos);
}

TEST_F(AgentEndTest, FencingOfAnotherOrAnEarlierRegistrationIsNotItsOwn) {
  start({"true"});
  daemon.notify(fenced("codex", 6));
  daemon.notify(fenced("other", 7));
  daemon.ask(request("c1", "k1"));
  EXPECT_EQ(daemon.answer_to("c1"), "committed");
  agent->signal(SIGTERM);
  EXPECT_EQ(agent->wait_exit(), 0);
}

TEST_F(AgentEndTest, EndsWhileItWaitsForADaemon) {
  Program waiting(folder.path(), {"--socket", folder.path() + "/none", "agent", "codex", "--exec", "true"});
  ASSERT_TRUE(waiting.wait_printed("trying again until one does"));
  waiting.signal(SIGTERM);
  EXPECT_EQ(waiting.wait_exit(), 0);
}

}  // namespace
}  // namespace tidemark::cli
