// metrics, backup and verify: what a person and a program see, and what becomes of the files.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/cli/command_test.h"
#include "tests/cli/program.h"

namespace tidemark::cli {
namespace {

using DaemonCommands = CommandTest;

TEST_F(DaemonCommands, MetricsArePrintedAsTheyAre) {
  daemon.answers("daemon.metrics", {R"({"text":"# TYPE a gauge\na 1\n# EOF\n"})"});
  auto const ran = tidemark({"metrics"});
  EXPECT_EQ(ran.exit, Exit::done);
  EXPECT_EQ(ran.out, "# TYPE a gauge\na 1\n# EOF\n");
  EXPECT_EQ(tidemark({"metrics", "--json"}).out, "{\"text\":\"# TYPE a gauge\\na 1\\n# EOF\\n\"}\n");
}

TEST_F(DaemonCommands, VerifyListsTheProblems) {
  daemon.answers("daemon.verify", {R"({"ok":true,"problems":[]})"});
  auto const good = tidemark({"verify"});
  EXPECT_EQ(good.exit, Exit::done);
  EXPECT_EQ(good.out, "the journal is whole, and every row keeps the contract\n");
  EXPECT_EQ(tidemark({"verify", "--json"}).out, "{\"ok\":true,\"problems\":[]}\n");
  daemon.answers("daemon.verify", {R"({"ok":false,"problems":["row 3\nof b","row 4"]})"});
  auto const bad = tidemark({"verify"});
  EXPECT_EQ(bad.exit, Exit::refused);
  EXPECT_EQ(bad.out, "row 3 of b\nrow 4\n");
  EXPECT_TRUE(bad.err.starts_with("tidemark: the journal has 2 problems\n  ")) << bad.err;
  auto const json = tidemark({"verify", "--json"});
  EXPECT_EQ(json.exit, Exit::refused);
  EXPECT_EQ(json.out, "{\"ok\":false,\"problems\":[\"row 3\\nof b\",\"row 4\"]}\n");
  EXPECT_EQ(json.err, "");
  daemon.answers("daemon.verify", {ipc::Error::make(ipc::ErrorReason::forbidden, "only admins may verify")});
  EXPECT_EQ(tidemark({"verify"}).err, "tidemark: only admins may verify\n");
}

class Backup : public CommandTest {
 protected:
  Backup() {
    std::filesystem::create_directory(folder.path() + "/target");
    make_source();
  }
  // The daemon's own copy, and its answer.
  void make_source(std::int64_t bytes_told = 3 << 20) {
    std::ofstream(source) << content;
    ::chmod(source.c_str(), 0640);
    daemon.answers("daemon.backup", {R"({"path":")" + source + R"(","bytes":)" + std::to_string(bytes_told) + "}"});
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (auto const& entry : std::filesystem::directory_iterator(folder.path() + "/target"))
      names.push_back(entry.path().filename());
    return names;
  }

  std::string const source = folder.path() + "/made by the daemon";
  std::string const target = folder.path() + "/target/backup.db";
  std::string const content = std::string(3 << 20, 'x');
};

TEST_F(Backup, IsCopiedOutAndTheDaemonsCopyRemoved) {
  auto const ran = tidemark({"backup", target});
  EXPECT_EQ(ran.exit, Exit::done) << ran.err;
  EXPECT_EQ(ran.out, "backup of 3.0 MiB at " + target + "\n");
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(sent("daemon.backup"), "{}");
  EXPECT_EQ(content_of(target), content);
  struct stat status {};
  ASSERT_EQ(::stat(target.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
  EXPECT_EQ(files(), std::vector<std::string>{"backup.db"});
  EXPECT_FALSE(std::filesystem::exists(source));
}

TEST_F(Backup, TellsAProgramWhereTheCopyIs) {
  auto const before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path() + "/target");
  auto const ran = tidemark({"--json", "backup", "backup.db"});
  std::filesystem::current_path(before);
  EXPECT_EQ(ran.out, R"({"path":")" + target + R"(","bytes":3145728})" + "\n");
  EXPECT_EQ(content_of(target), content);
}

TEST_F(Backup, NeverReplacesAFileUnlessToldTo) {
  std::ofstream(target) << "older";
  auto const refused = tidemark({"backup", target});
  EXPECT_EQ(refused.exit, Exit::refused);
  EXPECT_EQ(refused.err, "tidemark: " + target + " is there already; --force replaces it\n");
  EXPECT_TRUE(daemon.seen("daemon.backup").empty()) << "the daemon has nothing to do for it";
  EXPECT_EQ(content_of(target), "older");
  EXPECT_EQ(tidemark({"backup", target, "--force"}).exit, Exit::done);
  EXPECT_EQ(content_of(target), content);
  EXPECT_EQ(files(), std::vector<std::string>{"backup.db"});
}

TEST_F(Backup, NeverReplacesAFileThatCameMeanwhile) {
  daemon.holds("daemon.backup");
  std::optional<Ran> ran;
  std::thread caller([&] { ran = tidemark({"backup", target}); });
  EXPECT_TRUE(daemon.wait_seen("daemon.backup", 1));
  std::ofstream(target) << "somebody else's";
  daemon.release("daemon.backup");
  caller.join();
  EXPECT_EQ(ran->exit, Exit::refused);
  EXPECT_EQ(ran->err,
            "tidemark: cannot write " + target + ": File exists; the daemon's own copy stays at " + source + "\n");
  EXPECT_EQ(content_of(target), "somebody else's");
  EXPECT_EQ(files(), std::vector<std::string>{"backup.db"});
  EXPECT_EQ(content_of(source), content);
}

TEST_F(Backup, SeesBeforehandWhereNothingCanBeWritten) {
  auto const nowhere = folder.path() + "/none/backup.db";
  EXPECT_EQ(tidemark({"backup", nowhere}).err, "tidemark: " + folder.path() + "/none is no folder\n");
  EXPECT_EQ(tidemark({"backup", folder.path(), "--force"}).err,
            "tidemark: " + folder.path() + " is a folder; name a file in it\n");
  std::filesystem::create_symlink("dangling", target);
  EXPECT_NE(tidemark({"backup", target}).err.find("is there already"), std::string::npos);
  EXPECT_TRUE(daemon.seen("daemon.backup").empty());
}

TEST_F(Backup, ThatCannotBeReadSaysWhereItStays) {
  std::filesystem::remove(source);
  auto const ran = tidemark({"backup", target});
  EXPECT_EQ(ran.exit, Exit::refused);
  EXPECT_EQ(ran.err, "tidemark: cannot read " + source +
                         ": No such file or directory; the daemon's own copy stays at " + source + "\n");
  EXPECT_TRUE(files().empty());
}

TEST_F(Backup, OfAnotherLengthThanMadeIsAnError) {
  make_source(7);
  auto const ran = tidemark({"backup", target});
  EXPECT_EQ(ran.exit, Exit::refused);
  EXPECT_NE(ran.err.find("3145728 bytes where it should have 7"), std::string::npos) << ran.err;
  EXPECT_TRUE(std::filesystem::exists(source));
  EXPECT_TRUE(files().empty());
}

TEST_F(Backup, ThatTheDaemonRefusesLeavesNothing) {
  daemon.answers("daemon.backup", {ipc::Error::make(ipc::ErrorReason::forbidden, "only admins may back up")});
  EXPECT_EQ(tidemark({"backup", target}).err, "tidemark: only admins may back up\n");
  EXPECT_TRUE(files().empty());
}

}  // namespace
}  // namespace tidemark::cli
