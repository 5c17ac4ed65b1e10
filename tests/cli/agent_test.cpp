// `tidemark agent`: registering, what its commands are given, and what becomes of how they end.
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>

#include "tests/cli/agent_fixture.h"

namespace tidemark::cli {
namespace {

TEST_F(AgentTest, RegistersEachSessionAndEndsOnASignal) {
  daemon.answers("agent.register", {R"({"agent":"codex","epoch":6,"due_segments":0})",
                                    R"({"agent":"codex","epoch":7,"due_segments":0})"});
  Program serving(folder.path(), {"--json", "--socket", socket, "agent", "codex", "--session", "a", "--session", "b",
                                  "--group", "g", "--serves-orphans", "--max-in-flight", "2", "--exec", "true"});
  ASSERT_TRUE(serving.wait_printed("agent codex registered (epoch 7), serving commits\n"));
  auto const calls = daemon.seen("agent.register");
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0].params, R"({"agent":"codex","session":"a","group":"g","serves_orphans":true,"max_in_flight":2})");
  EXPECT_EQ(calls[1].params, R"({"agent":"codex","session":"b","group":"g","serves_orphans":true,"max_in_flight":2})");
  serving.signal(SIGINT);
  EXPECT_EQ(serving.wait_exit(), 0);
  EXPECT_EQ(
      serving.output(),
      "{\"agent\":\"codex\",\"epoch\":6,\"due_segments\":0}\n{\"agent\":\"codex\",\"epoch\":7,\"due_segments\":0}\n");
}

TEST_F(AgentTest, CommandsGetTheRequestAndNothingElse) {
  start({"sh", "-c", R"(cat > in; env | grep ^TIDEMARK_ | sort > env; printf '%s|' "$@" > args;
                        ls /proc/self/fd | wc -l > fds; echo to-out; echo to-err >&2)",
         "name", "a b", "*", "--json", "--", "$HOME"});
  auto params = request("c1", "k1");
  params.external_id = "ext";
  daemon.ask(params);
  EXPECT_EQ(daemon.answer_to("c1"), "committed");
  EXPECT_EQ(read("env"),
            "TIDEMARK_AGENT=codex\nTIDEMARK_ATTEMPT=2\nTIDEMARK_END=3\nTIDEMARK_EXTERNAL_ID=ext\nTIDEMARK_KEY=k1\n"
            "TIDEMARK_REASON=rotate\nTIDEMARK_SESSION=chat 42\nTIDEMARK_START=1\n");
  EXPECT_EQ(read("args"), "a b|*|--json|--|$HOME|");
  std::string json;
  ipc::encode(json, params);
  EXPECT_EQ(read("in"), json + "\n");
  // Standard input, output and error, and the folder that `ls` reads.
  EXPECT_EQ(read("fds"), "4\n");
  EXPECT_NE(agent->errors().find("to-out\n"), std::string::npos);
  EXPECT_NE(agent->errors().find("to-err\n"), std::string::npos);
  EXPECT_EQ(agent->output(), "");
  EXPECT_TRUE(agent->wait_printed("commit of chat 42, turns 1 to 3: begun (attempt 2, process "));
  EXPECT_TRUE(agent->wait_printed("commit of chat 42, turns 1 to 3: committed after "));
}

TEST_F(AgentTest, TheWayACommandEndsIsTheAnswer) {
  start({"--", "sh", "-c", R"(case $TIDEMARK_KEY in later) exit 75;; bad) exit 3;; killed) kill -9 $$;; esac)"});
  for (auto const& [key, answer] :
       std::map<std::string, std::string>{{"good", "committed"},
                                          {"later", "error: the command asks to try again later (exit status 75)"},
                                          {"bad", "error: the command ended with exit status 3"},
                                          {"killed", "error: the command was ended by signal 9 (Killed)"}}) {
    daemon.ask(request(key, key));
    EXPECT_EQ(daemon.answer_to(key), answer);
  }
}

TEST_F(AgentTest, ACommandThatCannotStartIsAnError) {
  start({"/nonexistent/program"});
  daemon.ask(request("c1", "k1"));
  EXPECT_EQ(daemon.answer_to("c1"), "error: cannot start /nonexistent/program: No such file or directory");
}

TEST_F(AgentTest, RunsNoMoreThanAreAllowedAtATime) {
  start({"sh", "-c", gate_script}, {"--max-in-flight", "2"});
  for (std::string const key : {"k1", "k2", "k3"}) daemon.ask(request(key, key));
  ASSERT_TRUE(wait_until([&] { return begun("k1") && begun("k2"); }));
  EXPECT_FALSE(begun("k3"));
  open_gate("k2");
  EXPECT_EQ(daemon.answer_to("k2"), "committed");
  ASSERT_TRUE(wait_until([&] { return begun("k3"); }));
  open_gate("k1");
  open_gate("k3");
  EXPECT_EQ(daemon.answer_to("k1"), "committed");
  EXPECT_EQ(daemon.answer_to("k3"), "committed");
}

TEST_F(AgentTest, AKeyAskedForAgainJoinsTheWork) {
  start({"sh", "-c", gate_script});
  daemon.ask(request("c1", "k1"));
  ASSERT_TRUE(wait_until([&] { return begun("k1"); }));
  daemon.ask(request("c2", "k1"));
  ASSERT_TRUE(agent->wait_printed("asked for again, joined"));
  open_gate("k1");
  EXPECT_EQ(daemon.answer_to("c1"), "committed");
  EXPECT_EQ(daemon.answer_to("c2"), "committed");
  EXPECT_EQ(read("runs"), "k1\n");
}

TEST_F(AgentTest, TellsProgressWhileACommandRuns) {
  daemon.answers("commit.progress", {"{}"});
  start({"sh", "-c", gate_script});
  auto params = request("c1", "k1");
  params.timeout_ms = ipc::Milliseconds(90);
  daemon.ask(params);
  ASSERT_TRUE(daemon.wait_seen("commit.progress", 4));
  EXPECT_EQ(daemon.seen("commit.progress").front().params, R"({"commit":"c1"})");
  open_gate("k1");
  EXPECT_EQ(daemon.answer_to("c1"), "committed");
}

TEST_F(AgentTest, AnEndedConnectionLeavesTheCommandRunning) {
  start({"sh", "-c", gate_script}, {"--session", "a", "--session", "b"});
  daemon.ask(request("c1", "k1"));
  ASSERT_TRUE(wait_until([&] { return begun("k1"); }));
  daemon.end_connection();
  EXPECT_EQ(daemon.answer_to("c1"), "ended");
  ASSERT_TRUE(agent->wait_printed("registered (epoch 7)", 2));
  EXPECT_EQ(daemon.seen("agent.register").size(), 4u);
  daemon.ask(request("c2", "k1"));
  ASSERT_TRUE(agent->wait_printed("asked for again, joined"));
  open_gate("k1");
  EXPECT_EQ(daemon.answer_to("c2"), "committed");
  EXPECT_EQ(read("runs"), "k1\n");
}

TEST_F(AgentTest, ASuccessThatNobodyHeardIsToldWhenAskedAgain) {
  start({"sh", "-c", gate_script});
  daemon.ask(request("c1", "k1"));
  ASSERT_TRUE(wait_until([&] { return begun("k1"); }));
  daemon.end_connection();
  ASSERT_TRUE(agent->wait_printed("registered (epoch 7)", 2));
  open_gate("k1");
  ASSERT_TRUE(agent->wait_printed("committed after"));
  daemon.ask(request("c2", "k1"));
  EXPECT_EQ(daemon.answer_to("c2"), "committed");
  EXPECT_EQ(read("runs"), "k1\n");
}

TEST_F(AgentTest, WaitsForADaemonThatIsNotThereYet) {
  auto const later = folder.path() + "/later.sock";
  Program waiting(folder.path(), {"--socket", later, "agent", "codex", "--exec", "true"});
  ASSERT_TRUE(waiting.wait_printed("no daemon answers at " + later));
  {
    FakeDaemon first(later);
    first.answers("agent.register", {R"({"agent":"codex","epoch":1,"due_segments":0})"});
    ASSERT_TRUE(waiting.wait_printed("registered (epoch 1)"));
  }
  ASSERT_TRUE(waiting.wait_printed("has ended the connection"));
  FakeDaemon second(later);
  second.answers("agent.register", {R"({"agent":"codex","epoch":2,"due_segments":0})"});
  ASSERT_TRUE(waiting.wait_printed("registered (epoch 2)"));
  waiting.signal(SIGTERM);
  EXPECT_EQ(waiting.wait_exit(), 0);
}

TEST_F(AgentTest, ARefusedRegistrationIsTheEndAFailedOneIsTriedAgain) {
  daemon.answers("agent.register", {ipc::Error::make(ipc::ErrorReason::journal_unavailable, "the disk is full"),
                                    R"({"agent":"codex","epoch":7,"due_segments":0})"});
  start({"true"});
  EXPECT_NE(agent->errors().find("the daemon can't register now: the disk is full\n"), std::string::npos);
  daemon.answers("agent.register", {ipc::Error::make(ipc::ErrorReason::invalid_params, "no such group")});
  daemon.end_connection();
  EXPECT_EQ(agent->wait_exit(), 1);
  EXPECT_NE(agent->errors().find("the daemon refuses to register: no such group\n"), std::string::npos);
}

}  // namespace
}  // namespace tidemark::cli
