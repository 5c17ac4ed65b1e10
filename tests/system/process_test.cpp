// The daemon as a process: how it starts and ends, what signals do, what it refuses to start on.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>

#include "tests/system/peer.h"

namespace tidemark::system_test {
namespace {

// Runs tidemarkd to its end: its exit status, and what it printed.
struct Ran {
  int status;
  std::string printed;
};
Ran run(const Daemon& daemon, std::vector<std::string> command) {
  const std::string output = daemon.folder() + "/other-log";
  ::unlink(output.c_str());
  Process process = Process::spawn(std::move(command), output);
  const int status = process.wait_exit();
  return {status, content_of(output)};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Stopping, TriesWhatIsDueEndsWhatIsOutAndLeavesTheRest) {
  RunningDaemon daemon("[retry]\ninitial = \"1h\"\nmax = \"1h\"\n");
  Agent agent(daemon, "agent");
  for (const char* session : {"out", "due", "open"}) agent.complete_turns(session, 2, "agent");
  agent.answers({failed(), held()});
  EXPECT_EQ(agent.commit("due").outcome, Outcome::failed);
  agent.detach("out");
  ASSERT_TRUE(agent.wait_asked(2));
  daemon.signal(SIGTERM);
  EXPECT_TRUE(agent.client.run_until([&] { return !agent.notified.empty(); }, patience));
  EXPECT_EQ(agent.notified, std::vector<std::string>{"daemon.draining"});
  EXPECT_FALSE(ipc::Client::connect(daemon.socket()).has_value()) << "nobody new is let in";
  agent.release();
  EXPECT_FALSE(agent.client.run_until([] { return false; }, patience)) << "until the connection ends";
  EXPECT_EQ(daemon.process().wait_exit(), 0);
  ASSERT_EQ(agent.asked.size(), 3U);
  EXPECT_EQ(agent.asked[2].session.value, "due");
  daemon.start();
  Peer peer(daemon);
  EXPECT_EQ(peer.watermark("out"), 2);
  EXPECT_EQ(peer.watermark("due"), 2);
  EXPECT_EQ(peer.segments("open"), "1-2 open") << "stopping is no boundary";
  EXPECT_EQ(peer.daemon().recovered.in_doubt, 0);
}

TEST(Stopping, EndsWithinItsDeadlineDespiteAnAgentThatHangs) {
  RunningDaemon daemon("[daemon]\ndrain_deadline = \"200ms\"\n");
  Agent agent(daemon, "agent", "s");
  agent.answers({}, held());
  agent.complete("s");
  agent.detach("s");
  ASSERT_TRUE(agent.wait_asked(1));
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, Milliseconds(8'000));
  daemon.start();
  Agent back(daemon, "agent");
  ASSERT_TRUE(back.serve_until([&] { return back.watermark("s") == 1; }));
  EXPECT_EQ(back.asked[0].key, agent.asked[0].key);
}

TEST(Stopping, ASecondSignalEndsItAtOnce) {
  RunningDaemon daemon("[daemon]\ndrain_deadline = \"1h\"\n");
  Agent agent(daemon, "agent", "s");
  agent.answers({}, held());
  agent.complete("s");
  agent.detach("s");
  ASSERT_TRUE(agent.wait_asked(1));
  daemon.signal(SIGINT);
  EXPECT_TRUE(daemon.wait_logged("stopping"));
  EXPECT_FALSE(daemon.process().ended());
  EXPECT_EQ(daemon.stop(), 0);
}

TEST(Stopping, WithoutAnythingToDoItEndsAtOnce) {
  RunningDaemon daemon("[daemon]\ndrain_deadline = \"1h\"\n");
  Peer peer(daemon);
  peer.complete("s");
  peer.complete("hook's", "hook");
  peer.detach("hook's");
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_NE(::access(daemon.socket().c_str(), F_OK), 0) << "its socket file is gone";
}

TEST(Reload, TakesOverAGoodConfigurationAndNoBadOne) {
  RunningDaemon daemon("[limits]\nsegments_per_session = 10\n");
  Peer peer(daemon);
  const auto limit = [&] { return peer.call(ipc::HelloParams{}).limits.segments_per_session; };
  daemon.write_config("[limits]\nsegments_per_session = 20\n");
  EXPECT_EQ(limit(), 10);
  daemon.signal(SIGHUP);
  EXPECT_TRUE(wait_until([&] { return limit() == 20; }));
  daemon.write_config("[limits]\nsegments_per_session = 0\n");
  daemon.signal(SIGHUP);
  EXPECT_TRUE(daemon.wait_logged("segments_per_session"));
  EXPECT_EQ(limit(), 20);
  const auto refused = peer.client.call(ipc::DaemonReloadParams{}, patience);
  ASSERT_FALSE(refused.has_value());
  EXPECT_TRUE(has(refused.error().message(), "config.toml:2")) << refused.error().message();
  daemon.write_config("[limits]\nsegments_per_session = 30\n");
  peer.call(ipc::DaemonReloadParams{});
  EXPECT_EQ(limit(), 30);
}

TEST(Reload, ChangesWhenSessionsFallDue) {
  RunningDaemon daemon("[commit]\nidle = \"off\"\n");
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  daemon.write_config("[commit]\nidle = \"20ms\"\n");
  agent.call(ipc::DaemonReloadParams{});
  EXPECT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 1; }));
}

TEST(Start, ASecondDaemonOnTheSameStateFolderEndsAtOnce) {
  RunningDaemon daemon;
  auto command = daemon.command();
  command[2] = daemon.folder() + "/other-socket";
  const Ran second = run(daemon, command);
  EXPECT_EQ(second.status, 1);
  EXPECT_TRUE(has(second.printed, "another tidemarkd is using the state folder " + daemon.state_dir()))
      << second.printed;
  Peer(daemon).complete("s");
}

TEST(Start, ALiveSocketIsNeverReplaced) {
  RunningDaemon daemon;
  auto command = daemon.command();
  command[4] = daemon.folder() + "/other-state";
  const Ran second = run(daemon, command);
  EXPECT_EQ(second.status, 1);
  EXPECT_TRUE(has(second.printed, "another process listens on " + daemon.socket())) << second.printed;
  Peer(daemon).complete("s");
}

TEST(Start, ADeadSocketIsReplacedAndOtherFilesAreNot) {
  RunningDaemon daemon;
  daemon.kill();
  EXPECT_EQ(::access(daemon.socket().c_str(), F_OK), 0);
  daemon.start();
  EXPECT_EQ(daemon.stop(), 0);
  std::ofstream(daemon.socket()) << "precious";
  const Ran refused = run(daemon, daemon.command());
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(has(refused.printed, "is not a socket")) << refused.printed;
  EXPECT_EQ(content_of(daemon.socket()), "precious");
}

TEST(Start, TheStateFolderIsPrivateAndOnesOwn) {
  RunningDaemon daemon;
  struct stat status {};
  ASSERT_EQ(::stat(daemon.state_dir().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
  EXPECT_EQ(daemon.stop(), 0);
  ASSERT_EQ(::chmod(daemon.state_dir().c_str(), 0755), 0);
  daemon.start();
  ASSERT_EQ(::stat(daemon.state_dir().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
  if (::getuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  EXPECT_EQ(daemon.stop(), 0);
  ASSERT_EQ(::chown(daemon.state_dir().c_str(), stranger, stranger), 0);
  const Ran refused = run(daemon, daemon.command());
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(has(refused.printed, "belongs to uid 12345")) << refused.printed;
}

TEST(Start, TheConfigurationIsChecked) {
  const Daemon daemon("[retry]\ninitial = \"5s\"\n");
  auto command = daemon.command();
  command.emplace_back("--check-config");
  Ran ran = run(daemon, command);
  EXPECT_EQ(ran.status, 0);
  EXPECT_TRUE(has(ran.printed, "good")) << ran.printed;
  daemon.write_config("[retry]\ninitial = \"soon\"\n\n[typo]\nx = 1\n");
  ran = run(daemon, command);
  EXPECT_EQ(ran.status, 1);
  EXPECT_TRUE(has(ran.printed, "config.toml:2")) << ran.printed;
  EXPECT_TRUE(has(ran.printed, "typo")) << ran.printed;
  EXPECT_NE(::access(daemon.state_dir().c_str(), F_OK), 0) << "nothing but a check";
  EXPECT_EQ(run(daemon, daemon.command()).status, 1);
  EXPECT_EQ(run(daemon, {TIDEMARKD_PROGRAM, "--no-such-option"}).status, 2);
  ran = run(daemon, {TIDEMARKD_PROGRAM, "--version"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_TRUE(has(ran.printed, "tidemarkd ")) << ran.printed;
}

}  // namespace
}  // namespace tidemark::system_test
