// What only a terminal sees: colours, and how long waits go on.
#include "tests/cli/screen.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/cli/command_test.h"
#include "tests/cli/program.h"

namespace tidemark::cli {
namespace {

class ScreenTest : public CommandTest {
 protected:
  void SetUp() override {
    int const terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0) GTEST_SKIP() << "this machine has no pseudo-terminals (/dev/pts)";
    ::close(terminal);
  }
  std::vector<std::string> line(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--socket", socket});
    return arguments;
  }
};

std::string const verified = R"({"ok":true,"problems":[]})";

TEST_F(ScreenTest, AloneIsColoured) {
  daemon.answers("session.list", {R"({"sessions":[{"session":"a","uid":0,"generation":1,"watermark":0,"accepted":0,)"
                                  R"("uncommitted":1,"in_flight":false,"agent":null,"turns_open":0,)"
                                  R"("last_turn_at":null}]})"});
  Screen screen(line({"ls"}));
  EXPECT_EQ(screen.wait_exit(), 0);
  EXPECT_NE(screen.written().find("\x1b[2mSESSION\x1b[0m"), std::string::npos) << screen.written();
  auto const piped = run_program(line({"ls"}));
  EXPECT_EQ(piped.status, 0);
  EXPECT_TRUE(piped.out.starts_with("SESSION ")) << piped.out;
  EXPECT_EQ(piped.out.find('\x1b'), std::string::npos);
}

TEST_F(ScreenTest, ShowsHowLongAVerifyTakes) {
  daemon.answers("daemon.verify", {verified});
  daemon.holds("daemon.verify");
  Screen screen(line({"verify"}));
  EXPECT_TRUE(screen.wait_shown("\rverifying a copy of the journal: 1 s\x1b[K")) << screen.written();
  daemon.release("daemon.verify");
  EXPECT_EQ(screen.wait_exit(), 0);
  EXPECT_TRUE(screen.written().ends_with("\r\x1b[Kthe journal is whole, and every row keeps the contract\r\n"))
      << screen.written();
}

TEST_F(ScreenTest, ShowsNothingOfAQuickCall) {
  daemon.answers("daemon.verify", {verified});
  Screen screen(line({"verify"}));
  EXPECT_EQ(screen.wait_exit(), 0);
  EXPECT_EQ(screen.written(), "the journal is whole, and every row keeps the contract\r\n");
}

TEST_F(ScreenTest, ShowsHowLongABackupTakes) {
  daemon.answers("daemon.backup", {ipc::Error::make(ipc::ErrorReason::internal, "no room")});
  daemon.holds("daemon.backup");
  Screen screen(line({"backup", folder.path() + "/backup.db"}));
  EXPECT_TRUE(screen.wait_shown("making the backup: 1 s"));
  daemon.release("daemon.backup");
  EXPECT_EQ(screen.wait_exit(), 1);
  EXPECT_TRUE(screen.written().ends_with("\r\x1b[Ktidemark: no room\r\n")) << screen.written();
}

TEST_F(ScreenTest, ShowsHowFarADrainIs) {
  auto const list = [](int first, int second) {
    auto const session = [](std::string const& name, int uncommitted, char const* in_flight) {
      return R"({"session":")" + name + R"(","uid":0,"generation":9,"watermark":0,"accepted":0,"uncommitted":)" +
             std::to_string(uncommitted) + R"(,"in_flight":)" + in_flight +
             R"(,"agent":null,"turns_open":0,"last_turn_at":null})";
    };
    return R"({"sessions":[)" + session("a", first, "true") + "," + session("b", second, "false") + "]}";
  };
  daemon.answers("drain", {R"({"drained":true,"committed":2,"remaining":[]})"});
  daemon.answers("session.list", {list(4, 3), list(1, 1), R"({"sessions":[],"cursor":"c"})"});
  daemon.holds("drain");
  Screen screen(line({"drain", "--uid", "7"}));
  EXPECT_TRUE(screen.wait_shown("no turns committed, 7 turns left in 2 sessions, 1 commit in flight"));
  EXPECT_TRUE(screen.wait_shown("5 turns committed, 2 turns left in 2 sessions, 1 commit in flight"));
  EXPECT_TRUE(screen.wait_shown("over 1000 sessions left")) << screen.written();
  EXPECT_EQ(sent("session.list"), R"({"filter":"dirty","limit":1000,"uid":7})");
  daemon.release("drain");
  EXPECT_EQ(screen.wait_exit(), 0);
  EXPECT_TRUE(screen.written().ends_with("\r\x1b[Kdrained, 2 segments committed\r\n")) << screen.written();
}

TEST_F(ScreenTest, IsNeededForAllThat) {
  daemon.answers("daemon.verify", {verified});
  daemon.holds("daemon.verify");
  Program piped(folder.path(), line({"verify"}));
  Screen screen(line({"verify"}));
  EXPECT_TRUE(screen.wait_shown("2 s"));
  EXPECT_TRUE(daemon.wait_seen("daemon.verify", 2));
  daemon.release("daemon.verify");
  EXPECT_EQ(piped.wait_exit(), 0);
  EXPECT_EQ(piped.errors(), "");
  EXPECT_EQ(screen.wait_exit(), 0);
}

}  // namespace
}  // namespace tidemark::cli
