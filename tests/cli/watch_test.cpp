// watch: what it asks for, what it prints as it happens, how it outlives a daemon, and when it gives up.
#include <boost/json/parse.hpp>
#include <memory>
#include <optional>

#include "tests/cli/command_test.h"
#include "tests/cli/program.h"

namespace tidemark::cli {
namespace {

class WatchTest : public ::testing::Test {
 protected:
  WatchTest() { start_daemon("one"); }

  void start_daemon(std::string const& instance) {
    daemon.emplace(socket);
    ipc::HelloResult hello;
    hello.instance = instance;
    std::string greeting;
    ipc::encode(greeting, hello);
    daemon->answers("hello", {greeting});
    daemon->answers("watch", {R"({"subscription":3})"});
  }
  // Starts a watch, and waits until it is subscribed.
  void start(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--socket", socket});
    watch = std::make_unique<Program>(folder.path(), arguments);
    ASSERT_TRUE(daemon->wait_seen("watch", 1));
  }
  static ipc::EventParams event(std::int64_t seq, std::string const& type) {
    ipc::EventParams params;
    params.subscription = 3;
    params.seq = seq;
    params.at = ipc::Utc(std::chrono::milliseconds(1'767'225'600'250));
    params.type = type;
    return params;
  }
  bool wait_output(std::string const& text) const {
    return wait_until([&] { return watch->output().find(text) != std::string::npos; });
  }

  TemporaryFolder folder;
  std::string const socket = folder.path() + "/daemon.sock";
  std::optional<FakeDaemon> daemon;
  std::unique_ptr<Program> watch;
};

TEST_F(WatchTest, AsksForWhatIsToBeWatched) {
  start({"watch", "a", "b c", "--type", "commit.failed", "--type", "session.clean", "--uid", "all"});
  EXPECT_EQ(daemon->seen("watch").back().params,
            R"({"sessions":["a","b c"],"types":["commit.failed","session.clean"],"uid":"all"})");
  start({"watch", "--uid", "7"});
  ASSERT_TRUE(daemon->wait_seen("watch", 2));
  EXPECT_EQ(daemon->seen("watch").back().params, R"({"uid":7})");
}

TEST_F(WatchTest, PrintsALineAnEventAsItComes) {
  ::setenv("TZ", "UTC", 1);
  start({"watch"});
  auto failed = event(1, "commit.failed");
  failed.session = "chat\n42";
  failed.agent = "codex";
  failed.generation = 5;
  failed.watermark = 3;
  failed.commit = "c7";
  failed.error = "HTTP 500";
  daemon->notify(failed);
  ASSERT_TRUE(wait_output("HTTP 500\n"));
  daemon->notify(event(2, "of.the.future"));
  ASSERT_TRUE(wait_output("future"));
  EXPECT_EQ(watch->output(),
            "2026-01-01 00:00:00  commit.failed      chat 42  agent codex  generation 5  watermark 3  commit c7  "
            "error: HTTP 500\n"
            "2026-01-01 00:00:00  of.the.future    \n");
  EXPECT_EQ(watch->errors(), "");
}

TEST_F(WatchTest, SaysWhereToLookOnWhenNothingMendsItself) {
  ::setenv("TZ", "UTC", 1);
  start({"watch"});
  std::string expected;
  std::int64_t seq = 0;
  auto const tell = [&](std::string const& type, bool with_session, std::string const& line) {
    auto told = event(++seq, type);
    if (with_session) {
      told.session = "a b";
      told.commit = "c7";
    } else {
      told.provider = "mem";
    }
    daemon->notify(told);
    expected += "2026-01-01 00:00:00  " + line + "\n";
  };
  tell("commit.accepted", true, "commit.accepted    a b  commit c7");
  tell("commit.stalled", true, "commit.stalled     a b  commit c7  -> tidemark show 'a b'");
  tell("commit.stuck", true, "commit.stuck       a b  commit c7  -> tidemark show 'a b'");
  tell("provider.paused", false, "provider.paused    provider mem  -> tidemark status");
  tell("provider.resumed", false, "provider.resumed   provider mem");
  ASSERT_TRUE(wait_output("provider.resumed   provider mem\n")) << watch->output();
  EXPECT_EQ(watch->output(), expected);
}

TEST_F(WatchTest, PrintsWhoseSessionsWhereEverybodysAreWatched) {
  start({"watch", "--uid", "all"});
  auto clean = event(1, "session.clean");
  clean.uid = 1'000;
  clean.session = "a";
  daemon->notify(clean);
  EXPECT_TRUE(wait_output("session.clean      uid 1000  a\n")) << watch->output();
}

TEST_F(WatchTest, PrintsTheEventAsItIsForAProgram) {
  start({"--json", "watch"});
  auto clean = event(1, "session.clean");
  clean.session = "a";
  daemon->notify(clean);
  ASSERT_TRUE(wait_output("\n"));
  std::string expected;
  ipc::encode(expected, clean);
  EXPECT_EQ(watch->output(), expected + "\n");
}

TEST_F(WatchTest, ThatIsDroppedEndsAndSaysSo) {
  start({"watch"});
  daemon->notify(event(8, "watch.overflow"));
  EXPECT_EQ(watch->wait_exit(), 1);
  EXPECT_NE(watch->output().find("watch.overflow"), std::string::npos);
  EXPECT_NE(watch->errors().find("has dropped this watch, as what it prints was not read fast enough"),
            std::string::npos)
      << watch->errors();
}

TEST_F(WatchTest, GoesOnWithTheNextDaemon) {
  start({"watch", "a"});
  daemon.reset();
  ASSERT_TRUE(watch->wait_printed("the daemon has ended; waiting until one answers again"));
  start_daemon("two");
  ASSERT_TRUE(daemon->wait_seen("watch", 1));
  EXPECT_EQ(daemon->seen("watch").back().params, R"({"sessions":["a"]})");
  ASSERT_TRUE(watch->wait_printed("connected again; what happened in between is not shown"));
  daemon->notify(event(1, "session.clean"));
  EXPECT_TRUE(wait_output("session.clean"));
}

TEST_F(WatchTest, ThatTheSameDaemonCutOffIsDropped) {
  start({"watch"});
  daemon->end_connection();
  EXPECT_EQ(watch->wait_exit(), 1);
  EXPECT_NE(watch->errors().find("has dropped this watch"), std::string::npos) << watch->errors();
}

TEST_F(WatchTest, IsPatientWithADaemonThatEndsConnections) {
  daemon->ends_at("hello");
  watch = std::make_unique<Program>(folder.path(), std::vector<std::string>{"--socket", socket, "watch"});
  ASSERT_TRUE(daemon->wait_seen("hello", 4));
  auto const tries = daemon->seen("hello").size();
  auto const begun = std::chrono::steady_clock::now();
  ASSERT_TRUE(daemon->wait_seen("hello", tries + 1));
  EXPECT_GT(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(100)) << "no busy loop";
}

TEST_F(WatchTest, ThatIsRefusedEnds) {
  daemon->answers("watch", {ipc::Error::make(ipc::ErrorReason::forbidden, "only admins may watch everybody's")});
  start({"watch", "--uid", "all"});
  EXPECT_EQ(watch->wait_exit(), 1);
  EXPECT_EQ(watch->errors(), "tidemark: only admins may watch everybody's\n");
}

TEST_F(WatchTest, EndsWhenItIsInterrupted) {
  start({"watch"});
  watch->signal(SIGINT);
  EXPECT_EQ(watch->wait_exit(), -1) << "by the signal, as its callers expect";
}

}  // namespace
}  // namespace tidemark::cli
