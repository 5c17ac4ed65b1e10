// What the commands show of a real daemon's providers, and do with them: an exec provider, and OpenViking's stand-in.
#include <filesystem>

#include "tests/cli/command_test.h"
#include "tests/cli/real_daemon.h"
#include "tests/system/openviking.h"
#include "tests/system/peer.h"

namespace tidemark::cli {
namespace {

using system_test::OpenViking;
using system_test::Peer;

bool has(std::string const& text, std::string const& part) {
  return text.find(part) != std::string::npos;
}

class RealProvider : public RealDaemonTest {
 protected:
  // Starts the daemon anew, with these providers.
  void configure(std::string const& providers, std::string const& others = {}) {
    daemon.write_config(std::string(config) + providers + others);
    daemon.kill_and_start();
  }
  // An agent that serves nobody, whose turns a provider commits.
  void mark_for(std::string const& provider, std::string const& session, int turns = 1) {
    Peer peer(daemon);
    ipc::AgentRegisterParams registration;
    registration.agent = "hook";
    registration.provider = ipc::Name(provider);
    registration.serves = false;
    peer.call(registration);
    peer.complete_turns(session, turns, "hook");
  }
  std::string state_of(std::string const& session) const {
    auto const shown = result({"show", session});
    auto const& segments = shown.at("segments").as_array();
    return segments.empty() ? "clean" : std::string(segments.at(0).at("state").as_string());
  }
  bool wait_state(std::string const& session, std::string const& state) const {
    return wait_until([&] { return state_of(session) == state; });
  }

  std::string const exec =
      "[providers.mem]\nkind = \"exec\"\ncommand = [\"sh\", \"-c\", \"echo kept; echo $TIDEMARK_KEY >> " +
      folder.path() + "/keys\"]\n";
};

TEST_F(RealProvider, IsPausedAndResumedByHandOverARestart) {
  configure(exec);
  auto const sound = tidemark({"status", "--check"});
  EXPECT_EQ(sound.status, 0) << sound.out;
  EXPECT_TRUE(has(sound.out, "PROVIDER  KIND  STATE  SINCE  WHY\nmem       exec  ok     ")) << sound.out;

  auto const watching = std::make_unique<Program>(
      folder.path(), line({"watch", "--type", "provider.paused", "--type", "provider.resumed"}));
  ASSERT_TRUE(wait_until([&] { return has(tidemark({"metrics"}).out, "\ntidemark_subscriptions 1\n"); }));
  EXPECT_EQ(tidemark({"pause", "mem", "--reason", "being moved"}).status, 0);
  EXPECT_TRUE(wait_until([&] { return has(watching->output(), "provider.paused    provider mem"); }))
      << watching->output();
  mark_for("mem", "a");
  auto const refused = tidemark({"commit", "a"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(has(refused.err, "the provider is paused") && has(refused.err, "tidemark status")) << refused.err;
  auto const shown = tidemark({"show", "a"});
  EXPECT_TRUE(has(shown.out, "hook   mem       waiting")) << shown.out;
  EXPECT_TRUE(has(shown.out, "see what ails the provider  tidemark status")) << shown.out;

  daemon.kill_and_start();
  auto const paused = tidemark({"status", "--check"});
  EXPECT_EQ(paused.status, 1);
  EXPECT_TRUE(has(paused.out, "paused by hand: being moved\n")) << paused.out;
  EXPECT_TRUE(has(paused.out, "  provider mem, paused by hand  tidemark resume mem\n")) << paused.out;
  EXPECT_EQ(result({"status", "--check"}, 1).at("providers").at(0).at("state"), "paused");
  EXPECT_EQ(state_of("a"), "waiting");

  EXPECT_EQ(tidemark({"resume", "mem"}).status, 0);
  EXPECT_TRUE(wait_state("a", "clean"));
  EXPECT_EQ(tidemark({"status", "--check"}).status, 0);
  auto const history = tidemark({"history", "a", "--evidence"});
  EXPECT_TRUE(has(history.out, "\nEvidence of a, turn 1, attempt 1:\n  exit    0\n  output  kept ")) << history.out;
  EXPECT_TRUE(has(history.out, "hook   mem  ")) << history.out;

  EXPECT_EQ(tidemark({"pause", "none"}).status, 1);
  EXPECT_TRUE(has(tidemark({"resume", "none"}).err, "none")) << "names what isn't there";
}

TEST_F(RealProvider, ThatIsAtFaultIsShownWithWhyAndGoesOnOnceMended) {
  auto const program = folder.path() + "/commit-memory";
  configure("[providers.mem]\nkind = \"exec\"\ncommand = [\"" + program + "\"]\nprobe = \"1h\"\n");
  mark_for("mem", "a");
  EXPECT_EQ(tidemark({"commit", "a"}).status, 1);
  auto const paused = tidemark({"status", "--check"});
  EXPECT_EQ(paused.status, 1);
  EXPECT_TRUE(has(paused.out, "cannot start " + program)) << paused.out;
  EXPECT_TRUE(
      has(paused.out, "  provider mem, once its fault is mended (it is also tried by itself)  tidemark resume mem"))
      << paused.out;
  auto const history = tidemark({"history", "a"});
  EXPECT_TRUE(has(history.out, "  void ")) << "it doesn't count: " << history.out;
  EXPECT_TRUE(has(history.out, "what can be done: tidemark show a\n")) << history.out;

  std::ofstream(program) << "#!/bin/sh\n";
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  EXPECT_EQ(tidemark({"resume", "mem"}).status, 0);
  EXPECT_TRUE(wait_state("a", "clean"));
  EXPECT_EQ(tidemark({"status", "--check"}).status, 0);
}

TEST_F(RealProvider, IsPausedByAdminsOnly) {
  configure(exec + "users = [\"root\", 12345]\n", "[daemon]\nsocket_mode = \"0666\"\n");
  EXPECT_TRUE(system_test::holds_as(system_test::stranger, [&] {
    for (std::string const command : {"pause", "resume"}) {
      auto const ran = run_line(line({command, "mem"}));
      EXPECT_EQ(ran.exit, Exit::refused);
      EXPECT_TRUE(has(ran.err, "admin")) << ran.err;
    }
    EXPECT_TRUE(has(run_line(line({"status"})).out, "mem       exec  ok")) << "but seen by those who may use it";
  }));
}

class RealOpenViking : public RealProvider {
 protected:
  RealOpenViking() {
    configure("[providers.mem]\nkind = \"openviking\"\nurl = \"" + server.url() +
              "\"\npoll_initial = \"20ms\"\npoll_max = \"50ms\"\nstalled_after = \"300ms\"\n");
  }

  OpenViking server;
};

TEST_F(RealOpenViking, ConfirmingStalledAndConfirmedAreShown) {
  server.add("a", {"one", "two"});
  server.script(R"({"tasks": {"session": "a", "outcome": "running"}})");
  mark_for("mem", "a", 2);
  auto const accepted = tidemark({"commit", "a"});
  EXPECT_EQ(accepted.status, 0) << accepted.err;
  EXPECT_TRUE(has(accepted.out, "accepted")) << accepted.out;
  EXPECT_TRUE(has(tidemark({"ls", "--confirming"}).out, "\na ")) << "whether it is stalled or not";
  ASSERT_TRUE(wait_until([&] { return result({"status"}).at("stalled") == 1; }));
  auto const checked = tidemark({"status", "--check"});
  EXPECT_EQ(checked.status, 1);
  EXPECT_TRUE(has(checked.out, "what its provider doesn't finish  tidemark ls --stalled")) << checked.out;
  auto const listed = tidemark({"ls", "--stalled"});
  EXPECT_TRUE(has(listed.out, "\na ") && has(listed.out, "tidemark show a\n")) << listed.out;
  auto const shown = tidemark({"show", "a"});
  EXPECT_TRUE(has(shown.out, "confirming, stalled")) << shown.out;
  EXPECT_TRUE(has(shown.out, "provider mem to finish, without progress for long")) << shown.out;
  EXPECT_TRUE(has(shown.out, "\nEvidence of turns 1 to 2:\n")) << shown.out;
  EXPECT_TRUE(has(shown.out, "archive_001\n") && has(shown.out, "\n  task   ")) << shown.out;
  EXPECT_TRUE(has(shown.out, "\n  before         {\"commit_count\":0,")) << shown.out;
  EXPECT_TRUE(has(shown.out, "tidemark settle a --through 2")) << shown.out;
  EXPECT_TRUE(has(tidemark({"history", "a"}).out, "  confirming  "));

  server.script(R"({"finish": {"session": "a", "outcome": "completed", "memories": {"events": 3}}})");
  EXPECT_TRUE(wait_state("a", "clean"));
  EXPECT_EQ(tidemark({"status", "--check"}).status, 0);
  auto const history = tidemark({"history", "a", "--evidence"});
  EXPECT_TRUE(has(history.out, "  memories_extracted  {\"events\":3}\n")) << history.out;
}

TEST_F(RealOpenViking, ALossThatIsSuspectedIsStuckWithWhatToDo) {
  mark_for("mem", "a");
  EXPECT_EQ(tidemark({"commit", "a"}).status, 1);
  EXPECT_EQ(tidemark({"status", "--check"}).status, 1);
  EXPECT_TRUE(has(tidemark({"ls", "--stuck"}).out, "tidemark show a\n"));
  auto const shown = tidemark({"show", "a"});
  EXPECT_TRUE(has(shown.out, "suspected loss: OpenViking knows no such session")) << shown.out;
  EXPECT_TRUE(has(shown.out, "Look at provider mem first")) << shown.out;
  EXPECT_TRUE(has(shown.out, "  they are in the memory after all ")) << shown.out;

  server.add("a", {"one"});
  EXPECT_EQ(tidemark({"retry", "a"}).status, 0);
  EXPECT_TRUE(wait_state("a", "clean"));
}

TEST_F(RealOpenViking, AnExtractionThatFailedIsStuckWithWhatToDo) {
  server.add("a", {"one"});
  server.script(R"({"tasks": {"session": "a", "outcome": "failed", "error": "no model"}})");
  mark_for("mem", "a");
  EXPECT_EQ(tidemark({"commit", "a"}).status, 0) << "accepted";
  ASSERT_TRUE(wait_state("a", "stuck"));
  auto const shown = tidemark({"show", "a"});
  EXPECT_TRUE(has(shown.out, "extraction failed (")) << shown.out;
  EXPECT_TRUE(has(shown.out, "They have reached provider mem, which made no memories of them.")) << shown.out;
  EXPECT_TRUE(has(shown.out, "archive_001")) << shown.out;
  EXPECT_EQ(tidemark({"settle", "a", "--through", "1", "--reason", "done by hand"}).status, 0);
  EXPECT_EQ(state_of("a"), "clean");
}

TEST_F(RealProvider, OrphansThatNobodyMayCommitAreShownForAsLongAsItTakes) {
  daemon.write_config("[commit]\norphan_grace = \"50ms\"\n");
  daemon.kill_and_start();
  {
    auto const agent = serve("codex", {"true"});
    complete("a", 1, "codex");
  }
  ASSERT_TRUE(wait_until([&] { return has(tidemark({"ls", "--orphaned"}).out, "\na "); }));
  auto const status = tidemark({"status", "--check"});
  EXPECT_EQ(status.status, 0) << "it goes on by itself once somebody serves";
  EXPECT_TRUE(has(status.out, "what its agent has left for good  tidemark ls --orphaned")) << status.out;
  auto const shown = tidemark({"show", "a"});
  EXPECT_TRUE(has(shown.out, "agent codex, which is gone for good, or whoever may stand in for it")) << shown.out;
  EXPECT_TRUE(has(shown.out, "tidemark agent codex --exec COMMAND")) << shown.out;
}

}  // namespace
}  // namespace tidemark::cli
