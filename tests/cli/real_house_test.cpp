// metrics, backup, verify and watch against a real daemon.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "tests/cli/command_test.h"
#include "tests/cli/real_daemon.h"
#include "tests/system/peer.h"

namespace tidemark::cli {
namespace {

using RealHouse = RealDaemonTest;
using system_test::Peer;

TEST_F(RealHouse, Metrics) {
  complete("a-name-that-nobody-shall-see", 1);
  auto const ran = tidemark({"metrics"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_NE(ran.out.find("\ntidemark_sessions_dirty 1\n"), std::string::npos) << ran.out;
  EXPECT_TRUE(ran.out.ends_with("\n# EOF\n")) << ran.out;
  EXPECT_EQ(ran.out.find("nobody"), std::string::npos);
  EXPECT_TRUE(result({"metrics"}).at("text").as_string().ends_with("# EOF\n"));
}

TEST_F(RealHouse, BackupHoldsAllThatWasAnsweredBefore) {
  complete("a", 3, "codex");
  auto const path = folder.path() + "/backup.db";
  auto const ran = tidemark({"backup", path});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.err, "");
  EXPECT_TRUE(ran.out.starts_with("backup of ") && ran.out.ends_with(" at " + path + "\n")) << ran.out;
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
  EXPECT_TRUE(std::filesystem::is_empty(daemon.state_dir() + "/backup")) << "the daemon's own copy is gone";

  EXPECT_EQ(tidemark({"backup", path}).status, 1);
  complete("a", 1, "codex");
  auto const json = result({"backup", path, "--force"});
  EXPECT_EQ(json.at("path").as_string(), path);
  EXPECT_EQ(json.at("bytes").as_int64(), static_cast<std::int64_t>(std::filesystem::file_size(path)));

  system_test::Daemon restored(config);
  std::filesystem::create_directory(restored.state_dir());
  std::filesystem::copy_file(path, restored.state_dir() + "/tidemark.db");
  restored.start();
  auto const shown = run_program({"--socket", restored.socket(), "--json", "show", "a"});
  EXPECT_EQ(shown.status, 0) << shown.err;
  EXPECT_EQ(boost::json::parse(shown.out).at("generation"), 4);
  EXPECT_EQ(run_program({"--socket", restored.socket(), "verify"}).status, 0);
}

TEST_F(RealHouse, VerifyFindsAPlantedFault) {
  complete("a", 2, "codex");
  auto const good = tidemark({"verify"});
  EXPECT_EQ(good.status, 0) << good.out << good.err;
  EXPECT_EQ(good.out, "the journal is whole, and every row keeps the contract\n");
  EXPECT_TRUE(result({"verify"}).at("ok").as_bool());
  ASSERT_EQ(daemon.stop(), 0);
  auto const plant = "python3 -c 'import sqlite3; c = sqlite3.connect(\"" + daemon.state_dir() +
                     "/tidemark.db\"); c.execute(\"UPDATE users SET sessions = 7\"); c.commit()'";
  ASSERT_EQ(std::system(plant.c_str()), 0);
  daemon.start();
  auto const bad = tidemark({"verify"});
  EXPECT_EQ(bad.status, 1) << bad.out;
  EXPECT_NE(bad.out.find("session"), std::string::npos) << bad.out;
  EXPECT_TRUE(bad.err.starts_with("tidemark: the journal has 1 problem\n  ")) << bad.err;
  EXPECT_EQ(result({"verify"}, 1).at("problems").as_array().size(), 1U);
}

TEST_F(RealHouse, BackupAndVerifyAreForAdmins) {
  daemon.write_config("[daemon]\nsocket_mode = \"0666\"\n");
  daemon.kill_and_start();
  EXPECT_TRUE(system_test::holds_as(system_test::stranger, [&] {
    for (auto const& command :
         std::vector<std::vector<std::string>>{{"backup", "/tmp/tidemark-stranger.db"}, {"verify"}}) {
      auto const ran = run_line(line(command));
      EXPECT_EQ(ran.exit, Exit::refused);
      EXPECT_NE(ran.err.find("admin"), std::string::npos) << ran.err;
    }
    EXPECT_EQ(run_line(line({"metrics"})).exit, Exit::done);
    EXPECT_EQ(run_line(line({"--uid", "all", "watch"})).exit, Exit::refused);
  }));
}

class RealWatch : public RealDaemonTest {
 protected:
  static constexpr int behind_max = 200;

  RealWatch() {
    daemon.write_config(std::string(config) + "[limits]\nwatch_queue = " + std::to_string(behind_max) + "\n");
    daemon.kill_and_start();
  }
  std::unique_ptr<Program> watch(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--json", "watch"});
    auto program = std::make_unique<Program>(watch_folder.path(), line(arguments));
    EXPECT_TRUE(wait_until([&] { return subscriptions() == 1; }));
    return program;
  }
  std::int64_t subscriptions() const {
    auto const text = tidemark({"metrics"}).out;
    std::string const name = "\ntidemark_subscriptions ";
    auto const at = text.find(name);
    return at == std::string::npos ? -1 : std::stoll(text.substr(at + name.size()));
  }
  // Makes far more events than are kept for anybody, in small waves; each wave's marks are all answered.
  void flood() {
    Peer peer(daemon);
    for (int wave = 0; wave < 100; ++wave) peer.complete_turns("flood", 100);
    EXPECT_EQ(peer.status("flood").generation, 10'000);
  }

  TemporaryFolder watch_folder;
};

TEST_F(RealWatch, FollowsWhatHappens) {
  auto const agent = serve("codex", {"true"});
  auto const watching = watch({"a"});
  complete("a", 1, "codex");
  complete("b", 1, "codex");
  EXPECT_EQ(tidemark({"commit", "a"}).status, 0);
  EXPECT_TRUE(wait_until([&] { return watching->output().find("session.clean") != std::string::npos; }));
  std::istringstream lines(watching->output());
  std::string types;
  std::int64_t count = 0;
  for (std::string each; std::getline(lines, each);) {
    auto const event = boost::json::parse(each);
    EXPECT_EQ(event.at("seq").as_int64(), ++count);
    EXPECT_EQ(event.at("session"), "a");
    types.append(event.at("type").as_string()).append(" ");
  }
  EXPECT_EQ(types, "turn.completed session.due commit.started commit.succeeded session.clean ");
  EXPECT_EQ(watching->errors(), "");
}

TEST_F(RealWatch, OutlivesTheDaemon) {
  auto const watching = watch({"--type", "turn.completed"});
  complete("a", 1);
  daemon.kill();
  EXPECT_TRUE(watching->wait_printed("the daemon has ended; waiting until one answers again")) << watching->errors();
  daemon.start();
  EXPECT_TRUE(watching->wait_printed("connected again; what happened in between is not shown"));
  complete("a", 1);
  EXPECT_TRUE(wait_until([&] { return watching->output().find("\"generation\":2") != std::string::npos; }))
      << watching->output() << watching->errors();
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_TRUE(watching->wait_printed("the daemon has ended; waiting until one answers again", 2)) << watching->errors();
  daemon.start();
  EXPECT_TRUE(watching->wait_printed("connected again; what happened in between is not shown", 2));
  complete("a", 1);
  EXPECT_TRUE(wait_until([&] { return watching->output().find("\"generation\":3") != std::string::npos; }))
      << watching->output() << watching->errors();
}

TEST_F(RealWatch, ThatIsNotReadIsDroppedAndSaysSo) {
  auto const pipe = watch_folder.path() + "/program.out";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  int const reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  auto const watching = watch({});
  flood();
  EXPECT_TRUE(daemon.wait_logged("was dropped"));
  EXPECT_EQ(subscriptions(), 0);

  std::string printed;
  bool const read_to_its_end = wait_until([&] {
    std::array<char, 65'536> bytes;
    ssize_t const count = ::read(reader, bytes.data(), bytes.size());
    if (count > 0) printed.append(bytes.data(), static_cast<std::size_t>(count));
    return count == 0;
  });
  ::close(reader);
  EXPECT_TRUE(read_to_its_end);
  EXPECT_EQ(watching->wait_exit(), 1);
  ASSERT_TRUE(printed.ends_with("\n"));
  printed.pop_back();
  auto const last = boost::json::parse(printed.substr(printed.rfind('\n') + 1));
  EXPECT_EQ(last.at("type"), "watch.overflow");
  EXPECT_NE(watching->errors().find("has dropped this watch, as what it prints was not read fast enough"),
            std::string::npos)
      << watching->errors();
}

TEST_F(RealWatch, ThatIsStoppedIsDroppedAndSaysSo) {
  auto const watching = watch({});
  watching->signal(SIGSTOP);
  flood();
  EXPECT_TRUE(daemon.wait_logged("was dropped"));
  watching->signal(SIGCONT);
  EXPECT_EQ(watching->wait_exit(), 1);
  EXPECT_NE(watching->output().find("watch.overflow"), std::string::npos);
  EXPECT_NE(watching->errors().find("has dropped this watch"), std::string::npos) << watching->errors();
}

}  // namespace
}  // namespace tidemark::cli
