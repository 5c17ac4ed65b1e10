// The command line: what is wrong usage, which socket is meant, help, and a daemon that isn't there or goes away.
#include "cli/run.h"

#include <stdlib.h>

#include <fstream>
#include <optional>

#include "cli/commands.h"
#include "tests/cli/command_test.h"

namespace tidemark::cli {
namespace {

using Line = std::vector<std::string>;

// A variable of the environment, as it was afterwards.
class Variable {
 public:
  Variable(char const* name, std::optional<std::string> const& value) : name_(name) {
    if (char const* const before = ::getenv(name)) before_ = before;
    set(value);
  }
  Variable(Variable const&) = delete;
  Variable& operator=(Variable const&) = delete;
  ~Variable() { set(before_); }

 private:
  void set(std::optional<std::string> const& value) {
    if (value) {
      ::setenv(name_, value->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }
  char const* name_;
  std::optional<std::string> before_;
};

TEST(Usage, WrongOnesExitWithTwoAndSayWhereToReadOn) {
  std::vector<Line> const lines{{},
                                {"frobnicate"},
                                {"--nonsense", "status"},
                                {"status", "--nonsense"},
                                {"status", "extra"},
                                {"show"},
                                {"show", ""},
                                {"show", "a\nb"},
                                {"show", "a\xff"},
                                {"show", std::string(257, 'a')},
                                {"show", "a", "b"},
                                {"ls", "--dirty", "--stuck"},
                                {"ls", "--limit", "0"},
                                {"ls", "--limit", "many"},
                                {"commit", "a", "--timeout", "10"},
                                {"commit", "a", "--timeout"},
                                {"commit", "a", "--agent", ""},
                                {"drain", "--scope", "world"},
                                {"drain", "--deadline", "soon"},
                                {"forget", "a"},
                                {"settle", "a", "--reason", "r"},
                                {"settle", "a", "--through", "0", "--reason", "r"},
                                {"abandon", "a", "--through", "3"},
                                {"--uid", "root", "ls"},
                                {"--uid", "-1", "ls"},
                                {"--uid", "4294967296", "ls"},
                                {"watch", ""},
                                {"watch", "--type", "commit.unheard"},
                                {"watch", "--type"},
                                {"metrics", "a"},
                                {"backup"},
                                {"backup", ""},
                                {"backup", "a", "b"},
                                {"backup", "folder/"},
                                {"verify", "a"},
                                {"agent", "a"},
                                {"agent", "a", "--exec"},
                                {"agent", "a", "--exec=true"},
                                {"agent", "--exec", "true"},
                                {"agent", "a", "--session", "", "--exec", "true"},
                                {"agent", "a", "--max-in-flight", "2000", "--exec", "true"},
                                {"show", "agent", "--exec", "true"}};
  for (auto line : lines) {
    line.insert(line.begin(), {"--socket", "/nonexistent/socket"});
    auto const ran = run_line(line);
    std::string const shown = ::testing::PrintToString(line);
    EXPECT_EQ(ran.exit, Exit::usage) << shown << ran.err;
    EXPECT_EQ(ran.out, "") << shown;
    EXPECT_TRUE(ran.err.starts_with("tidemark: ")) << shown << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << shown << ran.err;
  }
  EXPECT_NE(run_line({"frobnicate"}).err.find("no command or option frobnicate; see `tidemark --help`"),
            std::string::npos);
  EXPECT_NE(run_line({"show"}).err.find("see `tidemark show --help`"), std::string::npos);
}

TEST(Usage, UidFitsTheCommand) {
  Line const where{"--socket", "/nonexistent/socket"};
  auto const with = [&](Line line) {
    line.insert(line.begin(), where.begin(), where.end());
    return run_line(line).exit;
  };
  EXPECT_EQ(with({"--uid", "all", "show", "a"}), Exit::usage);
  EXPECT_EQ(with({"--uid", "5", "status"}), Exit::usage);
  EXPECT_EQ(with({"--uid", "5", "complete", "a"}), Exit::usage);
  EXPECT_EQ(with({"--uid", "5", "agent", "a", "--exec", "true"}), Exit::usage);
  EXPECT_EQ(with({"--uid", "5", "metrics"}), Exit::usage);
  EXPECT_EQ(with({"--uid", "5", "verify"}), Exit::usage);
  EXPECT_EQ(with({"--uid", "5", "backup", "/tmp/tidemark-test-backup"}), Exit::usage);
  EXPECT_EQ(with({"--uid", "all", "watch"}), Exit::no_daemon);
  EXPECT_EQ(with({"--uid", "5", "show", "a"}), Exit::no_daemon);
  EXPECT_EQ(with({"--uid", "all", "ls"}), Exit::no_daemon);
  EXPECT_EQ(with({"history", "--uid", "all"}), Exit::no_daemon);
}

TEST(Help, StandsForEveryCommandWithAnExample) {
  auto const all = run_line({"--help"});
  EXPECT_EQ(all.exit, Exit::done);
  for (auto const& command : commands()) {
    EXPECT_NE(all.out.find(command.name), std::string::npos);
    auto const ran = run_line({std::string(command.name), "--help"});
    EXPECT_EQ(ran.exit, Exit::done);
    EXPECT_EQ(ran.err, "");
    EXPECT_NE(ran.out.find(command.summary), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("Example:\n  tidemark " + std::string(command.name)), std::string::npos) << ran.out;
  }
  EXPECT_TRUE(run_line({"--version"}).out.starts_with("tidemark "));
}

TEST(Socket, IsTheOneGivenOrTheVariablesOrTheUsersOrTheSystems) {
  TemporaryFolder const folder;
  Variable const runtime("XDG_RUNTIME_DIR", folder.path());
  {
    Variable const named("TIDEMARK_SOCKET", "/from/variable");
    EXPECT_EQ(socket_path("/given"), "/given");
    EXPECT_EQ(socket_path(""), "/from/variable");
  }
  Variable const unnamed("TIDEMARK_SOCKET", {});
  EXPECT_EQ(socket_path(""), "/run/tidemark/tidemark.sock");
  auto const own = folder.path() + "/tidemark/tidemark.sock";
  std::filesystem::create_directory(folder.path() + "/tidemark");
  std::ofstream(own) << "";
  EXPECT_EQ(socket_path(""), own);
  Variable const no_runtime("XDG_RUNTIME_DIR", {});
  EXPECT_EQ(socket_path(""), "/run/tidemark/tidemark.sock");
}

TEST(NoDaemon, ExitsWithThreeAndSaysHowToStartOne) {
  TemporaryFolder const folder;
  auto const missing = folder.path() + "/none.sock";
  for (Line const& line : std::vector<Line>{{"status"},
                                            {"ls"},
                                            {"show", "a"},
                                            {"history"},
                                            {"complete", "a"},
                                            {"commit", "a"},
                                            {"flush", "a"},
                                            {"rotate", "a", "b"},
                                            {"evict", "a"},
                                            {"discard", "a"},
                                            {"forget", "a", "--reason", "r"},
                                            {"drain"},
                                            {"retry", "a"},
                                            {"settle", "a", "--through", "1", "--reason", "r"},
                                            {"abandon", "a", "--through", "1", "--reason", "r"},
                                            {"watch", "a", "b", "--type", "commit.failed"},
                                            {"metrics"},
                                            {"backup", folder.path() + "/backup"},
                                            {"verify"},
                                            {"--json", "status"}}) {
    auto with_socket = line;
    with_socket.insert(with_socket.begin(), {"--socket", missing});
    auto const ran = run_line(with_socket);
    EXPECT_EQ(ran.exit, Exit::no_daemon) << line.front();
    EXPECT_EQ(ran.out, "");
    EXPECT_EQ(ran.err, "tidemark: no daemon answers at " + missing + "; start one with `tidemarkd --socket " + missing +
                           "`, or name its socket with --socket or TIDEMARK_SOCKET\n");
  }
}

TEST(NoDaemon, ASocketThatNobodyListensOnIsNone) {
  TemporaryFolder const folder;
  auto const dead = folder.path() + "/dead.sock";
  std::ofstream(dead) << "";
  EXPECT_EQ(run_line({"--socket", dead, "status"}).exit, Exit::no_daemon);
}

using Answers = CommandTest;

TEST_F(Answers, ThatAreErrorsExitWithOneAndTheirMessage) {
  auto error = ipc::Error::make(ipc::ErrorReason::journal_unavailable, "the disk is full");
  error.retry_after_ms = 2'000;
  daemon.answers("turn.complete", {error});
  auto const ran = tidemark({"complete", "a"});
  EXPECT_EQ(ran.exit, Exit::refused);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "tidemark: the disk is full; try again in 2 s\n");
}

TEST_F(Answers, ThatNeverComeAreToldAsUnknown) {
  daemon.ends_at("turn.complete");
  auto const ran = tidemark({"complete", "a"});
  EXPECT_EQ(ran.exit, Exit::refused);
  EXPECT_NE(ran.err.find("can't be known"), std::string::npos) << ran.err;
}

TEST_F(Answers, ThatMakeNoSenseAreTold) {
  daemon.answers("turn.complete", {R"({"generation":"many"})", R"([])"});
  for (int round = 0; round < 2; ++round) {
    auto const ran = tidemark({"complete", "a"});
    EXPECT_EQ(ran.exit, Exit::refused);
    EXPECT_NE(ran.err.find("not understood"), std::string::npos) << ran.err;
  }
}

TEST_F(Answers, AreShownSafelyWhateverTheyHold) {
  daemon.answers("turn.complete", {ipc::Error::make(ipc::ErrorReason::internal, "a\x1b[2Jb\nc")});
  EXPECT_EQ(tidemark({"complete", "a"}).err, "tidemark: a [2Jb c\n");
}

TEST_F(Answers, NamesThatLookLikeCommandsOrOptionsAreNames) {
  daemon.answers("turn.complete", {R"({"generation":1})"});
  EXPECT_EQ(tidemark({"complete", "status"}).exit, Exit::done);
  EXPECT_EQ(sent("turn.complete"), R"({"session":"status"})");
  EXPECT_EQ(tidemark({"complete", "--", "--json"}).exit, Exit::done);
  EXPECT_EQ(sent("turn.complete"), R"({"session":"--json"})");
  EXPECT_EQ(tidemark({"complete", "agent"}).exit, Exit::done);
  EXPECT_EQ(sent("turn.complete"), R"({"session":"agent"})");
}

}  // namespace
}  // namespace tidemark::cli
