// A command as a provider: its deadline, its end, and what is left when the daemon ends while it runs (kind "exec").
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/types.h>

#include <filesystem>
#include <fstream>

#include "tests/system/provider_fixture.h"

namespace tidemark::system_test {
namespace {

// Who has ended and isn't reaped yet runs no more: some machines' init takes its time.
bool runs(pid_t process) {
  const std::string stat = content_of("/proc/" + std::to_string(process) + "/stat");
  const std::size_t name_end = stat.rfind(") ");
  return name_end != std::string::npos && stat[name_end + 2] != 'Z';
}

class ProviderExec : public ::testing::Test {
 protected:
  // What should have ended, and has not.
  void TearDown() override {
    for (const auto& file : std::filesystem::directory_iterator(folder_.path())) {
      if (file.path().extension() != ".pids") continue;
      std::ifstream numbers(file.path());
      for (pid_t process; numbers >> process;) {
        if (HasFailure() && runs(process)) ::kill(process, SIGKILL);
      }
    }
  }

  // A daemon whose provider "script" runs these lines of sh, in $FOLDER; "hook" commits by it.
  void serve(const std::string& lines, const std::string& keys = {}) {
    write_script(lines);
    daemon.write_config(config(keys));
    daemon.start();
    peer = std::make_unique<Peer>(daemon);
    peer->call(hook("hook", "script"));
  }
  void write_script(const std::string& lines) const {
    // Under another name first: nobody may run half of it.
    std::ofstream(path("script.new")) << "FOLDER=" << folder_.path() << "\n" << lines << "\n";
    std::filesystem::rename(path("script.new"), path("script"));
  }
  std::string config(const std::string& keys) const {
    return "[daemon]\nlog_level = \"debug\"\ndrain_deadline = \"500ms\"\n"
           "[retry]\ninitial = \"20ms\"\nmax = \"100ms\"\n"
           "[providers.script]\nkind = \"exec\"\nprobe = \"50ms\"\n" +
           (keys.find("command") == std::string::npos ? "command = [\"/bin/sh\", \"" + path("script") + "\"]\n" : "") +
           keys + "\n";
  }
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  void mark() { peer->complete("s", "hook"); }
  std::string content(const std::string& name) const { return content_of(path(name)); }
  // The processes whose numbers the script has written to that file.
  std::vector<pid_t> processes(const std::string& name, std::size_t count) const {
    std::vector<pid_t> all;
    EXPECT_TRUE(wait_until([&] {
      all.clear();
      std::ifstream file(path(name));
      for (pid_t process; file >> process;) all.push_back(process);
      return all.size() >= count && !content(name).empty() && content(name).back() == '\n';
    }));
    return all;
  }
  ipc::CommitRecord latest() { return peer->history("s").at(0); }
  std::vector<std::string> lines(const std::string& name) const {
    std::vector<std::string> all;
    std::ifstream file(path(name));
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }

  Daemon daemon;
  std::unique_ptr<Peer> peer;

 private:
  TemporaryFolder folder_;
};

TEST_F(ProviderExec, CommitsByRunningACommand) {
  serve("echo extracted $TIDEMARK_SESSION $TIDEMARK_START..$TIDEMARK_END; cat > $FOLDER/input");
  mark();
  mark();
  EXPECT_EQ(peer->commit("s").outcome, Outcome::committed);
  EXPECT_EQ(latest().by, "script");
  EXPECT_NE(latest().evidence.value_or(ipc::RawJson{}).text.find("extracted s 1..2"), std::string::npos);
  EXPECT_NE(content("input").find("\"start\":1,\"end\":2,\"attempt\":1"), std::string::npos) << content("input");
}

TEST_F(ProviderExec, NothingIsLeftOfItAfterItsDeadline) {
  serve(
      "trap '' TERM\n"
      "sh -c 'trap \"\" TERM; echo $$ >> '$FOLDER'/left.pids; while :; do sleep 0.05; done' &\n"
      "echo $$ >> $FOLDER/left.pids\n"
      "while :; do sleep 0.05; done",
      "timeout = \"1s\"");
  mark();
  peer->detach("s");
  const std::vector<pid_t> left = processes("left.pids", 2);
  ASSERT_TRUE(peer->serve_until([&] { return !peer->history("s").empty() && peer->history("s").size() >= 2; }));
  EXPECT_EQ(peer->history("s").back().state, ipc::AttemptState::in_doubt);
  EXPECT_NE(peer->history("s").back().error.value_or("").find("had not ended after"), std::string::npos);
  for (const pid_t process : {left[0], left[1]}) {
    EXPECT_TRUE(wait_until([&] { return !runs(process); })) << process;
  }
  write_script("exit 0");
  ASSERT_TRUE(peer->serve_until([&] { return peer->watermark("s") == 1; }));
  for (const pid_t process : processes("left.pids", 2))
    EXPECT_TRUE(wait_until([&] { return !runs(process); })) << process;
}

TEST_F(ProviderExec, AGrandchildThatHoldsItsOutputOpenHoldsNothingUp) {
  serve("sleep 1000 & echo $! > $FOLDER/left.pids; exit 0");
  mark();
  EXPECT_EQ(peer->commit("s").outcome, Outcome::committed);
  const pid_t grandchild = processes("left.pids", 1).at(0);
  EXPECT_TRUE(wait_until([&] { return !runs(grandchild); }));
}

TEST_F(ProviderExec, SeventyFiveIsTriedAgainAndAnyOtherFails) {
  serve("test -e $FOLDER/ready || { echo not yet >&2; exit 75; }");
  mark();
  const auto failed = peer->commit("s");
  EXPECT_EQ(failed.outcome, Outcome::failed);
  EXPECT_NE(failed.error.value_or("").find("not yet"), std::string::npos) << failed.error.value_or("");
  std::ofstream(path("ready")) << "yes";
  ASSERT_TRUE(peer->serve_until([&] { return peer->watermark("s") == 1; }));
  write_script("echo refused; exit 3");
  mark();
  EXPECT_EQ(peer->commit("s").outcome, Outcome::failed);
  EXPECT_NE(latest().error.value_or("").find("refused"), std::string::npos) << latest().error.value_or("");
  EXPECT_NE(latest().evidence.value_or(ipc::RawJson{}).text.find("\"exit\":3"), std::string::npos);
}

TEST_F(ProviderExec, OneThatIsNotThereIsPausedAndProbed) {
  serve("exit 0", "command = [\"" + path("later") + "\"]");
  mark();
  peer->detach("s");
  ASSERT_TRUE(peer->serve_until([&] { return peer->daemon().providers.at(0).state == ipc::ProviderState::paused; }));
  EXPECT_NE(peer->daemon().providers.at(0).error.value_or("").find("later"), std::string::npos);
  EXPECT_EQ(peer->status("s").segments.at(0).attempts, 0);
  std::ofstream(path("new")) << "#!/bin/sh\nexit 0\n";
  std::filesystem::permissions(path("new"), std::filesystem::perms::owner_all);
  std::filesystem::rename(path("new"), path("later"));
  ASSERT_TRUE(peer->serve_until([&] { return peer->watermark("s") == 1; }));
  EXPECT_EQ(latest().attempt, 1);
  EXPECT_EQ(peer->daemon().providers.at(0).state, ipc::ProviderState::ok);
}

TEST_F(ProviderExec, StoppedOrKilledWhileItRunsItIsInDoubtAndRepeatedUnderItsKey) {
  for (const bool killed : {false, true}) {
    const std::string name = killed ? "killed" : "stopped";
    const std::string lines_of =
        "echo $$ >> $FOLDER/" + name + ".pids; echo $TIDEMARK_KEY >> $FOLDER/" + name + ".keys; ";
    if (killed) {
      write_script(lines_of + "sleep 1000");
    } else {
      serve(lines_of + "sleep 1000");
    }
    mark();
    peer->detach("s");
    const pid_t process = processes(name + ".pids", 1).at(0);
    const auto started = latest();
    if (killed) {
      daemon.kill();
      ::kill(-process, SIGKILL);  // nobody is left to end it
    } else {
      EXPECT_EQ(daemon.stop(), 0);
      EXPECT_TRUE(wait_until([&] { return !runs(process); })) << "the daemon ends what it has started";
    }
    write_script(lines_of);
    daemon.start();
    peer = std::make_unique<Peer>(daemon);
    ASSERT_TRUE(peer->serve_until([&] { return peer->status("s").segments.empty(); }));
    const std::vector<std::string> keys = lines(name + ".keys");
    ASSERT_EQ(keys.size(), 2U) << name;
    EXPECT_EQ(keys[0], keys[1]) << name;
    const auto history = peer->history("s");
    EXPECT_EQ(history.at(1).state, ipc::AttemptState::in_doubt);
    EXPECT_EQ(history.at(1).commit, started.commit);
    EXPECT_EQ(history.at(0).state, ipc::AttemptState::committed);
    EXPECT_EQ(history.at(0).attempt, 2);
  }
}

}  // namespace
}  // namespace tidemark::system_test
