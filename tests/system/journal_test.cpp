// The journal as a whole: backups of it, restored and started on; looking through it; and what becomes of either when
// the daemon ends in the middle.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <thread>

#include "tests/system/peer.h"

namespace tidemark::system_test {
namespace {

using std::filesystem::path;

// Statements on the journal of a daemon that isn't running; against all that protects it.
void execute(const Daemon& daemon, const std::string& sql) {
  sqlite3* database = nullptr;
  sqlite3_open((daemon.state_dir() + "/tidemark.db").c_str(), &database);
  const std::string all =
      "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; BEGIN; " + sql + "; COMMIT;";
  char* error = nullptr;
  sqlite3_exec(database, all.c_str(), nullptr, nullptr, &error);
  const std::string text = error ? error : "";
  sqlite3_free(error);
  sqlite3_close(database);
  if (!text.empty()) throw std::runtime_error(text);
}

// Makes the journal, with so long a history that a copy takes its time: at least 4 ms a MiB.
void have_history(Daemon& daemon, int mebibytes) {
  daemon.start();
  daemon.stop();
  execute(daemon, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
                      std::to_string(mebibytes * 256) +
                      ") INSERT INTO attempts (uid, session, start_generation, end_generation, state, attempt, reason,"
                      " started_at, finished_at, evidence) SELECT 0, 'long ago', 1, 1, 'committed', 1, 'idle',"
                      " unixepoch() * 1000, unixepoch() * 1000, hex(randomblob(1990)) FROM n");
}

std::set<std::string> backups_of(const Daemon& daemon) {
  std::set<std::string> names;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(daemon.state_dir() + "/backup", none)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

ipc::DaemonBackupParams backup(const std::string& name) {
  ipc::DaemonBackupParams params;
  params.name = ipc::Name(name);
  return params;
}

void restore(const path& copy, const Daemon& daemon) {
  std::filesystem::create_directories(daemon.state_dir());
  std::filesystem::copy_file(copy, daemon.state_dir() + "/tidemark.db");
}

TEST(Backup, HoldsWhatItsConnectionAskedForBeforeAndIsAStateToStartOn) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.complete_turns("s", 3);
  EXPECT_TRUE(agent.commit("s").committed);
  agent.begin("s", "open");
  // Nobody has waited for these answers when the backup is asked for.
  for (int turn = 0; turn < 500; ++turn) {
    auto params = about<ipc::TurnCompleteParams>("s");
    params.turn = "turn-" + std::to_string(turn);
    agent.client.send(params);
  }
  const auto made = agent.call(backup("copy.db"));
  EXPECT_EQ(made.path, daemon.state_dir() + "/backup/copy.db");
  EXPECT_EQ(made.bytes, static_cast<std::int64_t>(std::filesystem::file_size(made.path)));
  struct stat status {};
  ASSERT_EQ(::lstat(made.path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode, static_cast<mode_t>(S_IFREG | 0600));
  agent.complete_turns("s", 5);
  Daemon restored;
  restore(made.path, restored);
  restored.start();
  Agent back(restored, "agent");
  EXPECT_EQ(back.status("s").generation, 503);
  EXPECT_EQ(back.watermark("s"), 3);
  EXPECT_EQ(back.status("s").turns_open, 1);
  EXPECT_TRUE(back.complete("s", {}, "turn-499").duplicate);
  EXPECT_EQ(back.history("s").size(), 1U);
  EXPECT_TRUE(back.commit("s").committed);
  EXPECT_TRUE(back.call(ipc::DaemonVerifyParams{}).ok);
  EXPECT_EQ(agent.refusal(backup("copy.db")), "invalid_params");
  EXPECT_EQ(agent.refusal(backup("../copy.db")), "invalid_params");
  EXPECT_EQ(backups_of(daemon), std::set<std::string>{"copy.db"});
}

TEST(Backup, LosesNothingOfWhatWasAcknowledgedWhileOthersMark) {
  Daemon daemon;
  have_history(daemon, 16);
  daemon.start();
  std::atomic<bool> over{false};
  std::atomic<std::int64_t> acknowledged{0};
  std::thread marker([&] {
    Peer peer(daemon);
    while (!over) acknowledged = peer.complete("s", "agent").generation;
  });
  EXPECT_TRUE(wait_until([&] { return acknowledged > 20; }));
  Peer peer(daemon);
  const std::int64_t before = acknowledged;
  const auto made = peer.call(ipc::DaemonBackupParams{});
  EXPECT_GT(acknowledged, before);
  EXPECT_TRUE(peer.call(ipc::DaemonVerifyParams{}).ok);
  over = true;
  marker.join();
  Daemon restored;
  restore(made.path, restored);
  restored.start();
  EXPECT_GE(Peer(restored).status("s").generation, before);
}

TEST(Backup, HoldsUpNeitherItsConnectionNorAnother) {
  Daemon daemon;
  have_history(daemon, 64);
  daemon.start();
  Peer peer(daemon);
  const auto made = peer.client.send(backup("first"));
  for (int turn = 0; turn < 5; ++turn) peer.complete("s", "agent");
  EXPECT_TRUE(wait_until([&] { return backups_of(daemon).contains("first.partial"); })) << "it is still under way";
  Peer other(daemon);
  EXPECT_EQ(other.refusal(backup("second")), "limit:backups");
  EXPECT_EQ(other.refusal(ipc::DaemonVerifyParams{}), "limit:backups");
  EXPECT_EQ(other.call(ipc::HelloParams{}).limits.backups, 1);
  EXPECT_EQ(path(peer.receive<ipc::DaemonBackupParams>(made).path).filename(), "first");
  other.call(backup("second"));
}

TEST(Backup, IsGivenUpWhenTheDaemonStops) {
  Daemon daemon;
  have_history(daemon, 64);
  daemon.start();
  Peer peer(daemon);
  const auto made = peer.client.send(backup("a"));
  ASSERT_TRUE(wait_until([&] { return backups_of(daemon).contains("a.partial"); }));
  daemon.signal(SIGTERM);
  const auto answer = peer.client.receive<ipc::DaemonBackupResult>(made, patience);
  EXPECT_EQ(Peer::reason_of(answer), "journal_unavailable");
  EXPECT_EQ(daemon.process().wait_exit(), 0);
  EXPECT_TRUE(backups_of(daemon).empty());
}

TEST(Backup, LeavesOnlyWhatTheNextStartRemovesWhenTheDaemonIsKilled) {
  Daemon daemon;
  have_history(daemon, 64);
  for (const bool verifying : {false, true}) {
    daemon.start();
    Peer peer(daemon);
    peer.complete("s", "agent");
    if (verifying) {
      peer.client.send(ipc::DaemonVerifyParams{});
    } else {
      peer.client.send(backup("a"));
    }
    ASSERT_TRUE(wait_until([&] { return !backups_of(daemon).empty(); }));
    daemon.kill();
    EXPECT_EQ(backups_of(daemon), std::set<std::string>{verifying ? "verify.partial" : "a.partial"});
  }
  daemon.start();
  EXPECT_TRUE(backups_of(daemon).empty());
  Peer peer(daemon);
  EXPECT_EQ(peer.status("s").generation, 2);
  EXPECT_TRUE(peer.call(ipc::DaemonVerifyParams{}).ok);
  peer.call(backup("a"));
}

TEST(Backup, WithoutRoomIsRefusedAndNothingElseNoticesIt) {
  if (::getuid() != 0) GTEST_SKIP() << "only root can make a small disk";
  const bool mounts = holds_as(0, [] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) ::_exit(1);
  });
  if (!mounts) GTEST_SKIP() << "this machine lets nobody mount in a namespace of his own";
  // In a namespace of its own, which takes the mount along when it ends.
  EXPECT_TRUE(holds_as(0, [] {
    Daemon daemon;
    have_history(daemon, 8);
    const std::string folder = daemon.state_dir() + "/backup";
    std::filesystem::create_directory(folder);
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(::mount("small", folder.c_str(), "tmpfs", 0, "size=20m"), 0);
    daemon.start();
    Peer peer(daemon);
    const auto refused = peer.client.call(backup("a"), patience);
    ASSERT_EQ(Peer::reason_of(refused), "journal_unavailable");
    EXPECT_NE(refused.error().message().find("no room"), std::string::npos) << refused.error().message();
    EXPECT_EQ(peer.refusal(ipc::DaemonVerifyParams{}), "journal_unavailable");
    EXPECT_TRUE(backups_of(daemon).empty());
    EXPECT_EQ(peer.complete("s", "agent").generation, 1);
    EXPECT_TRUE(peer.daemon().journal.healthy);
    EXPECT_EQ(daemon.stop(), 0);
  }));
}

TEST(Verify, TellsWhatIsWrongAndLeavesNothingBehind) {
  Daemon daemon;
  daemon.start();
  {
    Peer peer(daemon);
    peer.complete("s", "agent");
    peer.complete("clean", "agent");
    EXPECT_TRUE(peer.call(ipc::DaemonVerifyParams{}).ok);
  }
  daemon.stop();
  execute(daemon, "UPDATE sessions SET accepted = 7, generation = 7, watermark = 8 WHERE name = 'clean'");
  execute(daemon, "UPDATE users SET sessions = 9");
  daemon.start();
  Peer peer(daemon);
  const auto verified = peer.call(ipc::DaemonVerifyParams{});
  EXPECT_FALSE(verified.ok);
  std::string problems;
  for (const std::string& problem : verified.problems) problems += problem + "\n";
  EXPECT_NE(problems.find("session \"clean\" of uid 0"), std::string::npos) << problems;
  EXPECT_NE(problems.find("said to have 9 sessions, and has 2"), std::string::npos) << problems;
  EXPECT_EQ(problems.find("session \"s\""), std::string::npos) << problems;
  EXPECT_TRUE(backups_of(daemon).empty());
  EXPECT_EQ(peer.complete("s").generation, 2);
}

}  // namespace
}  // namespace tidemark::system_test
