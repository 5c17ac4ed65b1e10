// The commands that mark, commit and let go, against a real daemon.
#include <algorithm>

#include "tests/cli/real_daemon.h"
#include "tests/system/peer.h"

namespace tidemark::cli {
namespace {

using RealChange = RealDaemonTest;
using system_test::Peer;

TEST_F(RealChange, Complete) {
  EXPECT_EQ(tidemark({"complete", "a", "--agent", "codex", "--turn", "t1"}).out, "a: turn 1 completed\n");
  EXPECT_EQ(tidemark({"complete", "a", "--turn", "t1"}).out, "a: turn 1 was completed before\n");
  EXPECT_EQ(result({"complete", "a"}).at("generation"), 2);
  Peer peer(daemon);
  peer.begin("a", "t3");
  ipc::TurnCancelParams cancel;
  cancel.session = "a";
  cancel.turn = "t3";
  peer.call(cancel);
  auto const cancelled = tidemark({"complete", "a", "--turn", "t3"});
  EXPECT_EQ(cancelled.status, 0);
  EXPECT_EQ(cancelled.out, "a: not counted, as that turn was cancelled\n");
  daemon.write_config(std::string(config) + "[limits]\ndirty_sessions_per_user = 1\n");
  daemon.kill_and_start();
  auto const refused = tidemark({"complete", "b"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(refused.out, "");
  EXPECT_TRUE(refused.err.starts_with("tidemark: ")) << refused.err;
  EXPECT_EQ(tidemark({"--json", "complete", "b"}).status, 1);
}

TEST_F(RealChange, Commit) {
  auto const unknown = tidemark({"commit", "a"});
  EXPECT_EQ(unknown.status, 1);
  EXPECT_EQ(unknown.err, "tidemark: a: no such session\n  those that are known: tidemark ls\n");
  complete("a", 1);
  EXPECT_EQ(tidemark({"commit", "a"}).err,
            "tidemark: a: nobody owns these turns\n  to have an agent adopt them: tidemark commit a --agent NAME\n");
  complete("b", 2, "codex");
  auto const offline = tidemark({"commit", "b"});
  EXPECT_EQ(offline.status, 1);
  EXPECT_TRUE(offline.err.starts_with("tidemark: b: the agent that owns these turns is offline\n  ")) << offline.err;
  EXPECT_EQ(result({"commit", "b"}, 1).at("outcome"), "owner_offline");

  auto const agent = serve("codex", {"true"});
  ASSERT_TRUE(wait_until([&] { return result({"show", "b"}).at("watermark") == 2; })) << "it is due";
  EXPECT_EQ(tidemark({"commit", "b"}).out, "b: nothing to commit (watermark 2 of 2)\n");
  auto const adopted = tidemark({"commit", "a", "--agent", "codex"});
  EXPECT_EQ(adopted.status, 0) << adopted.err;
  EXPECT_EQ(adopted.out, "a: committed: turn 1 (watermark 1 of 1)\n");
  complete("a", 2, "codex");
  auto const json = result({"commit", "a", "--wait", "--timeout", "1m"});
  EXPECT_TRUE(json.at("committed").as_bool());
  EXPECT_EQ(json.at("start"), 2);
  EXPECT_EQ(json.at("end"), 3);
}

TEST_F(RealChange, CommitThatFailsOrIsOut) {
  {
    auto const agent = serve("codex", {"sh", "-c", "exit 3"});
    complete("a", 1, "codex");
    auto const failed = tidemark({"commit", "a"});
    EXPECT_EQ(failed.status, 1);
    EXPECT_EQ(failed.err,
              "tidemark: a: the commit failed: the command ended with exit status 3\n"
              "  it is tried again by itself; when: tidemark show a; now: tidemark commit a\n");
    auto const stuck = tidemark({"commit", "a"});
    EXPECT_EQ(stuck.status, 1);
    EXPECT_TRUE(stuck.err.ends_with("\n  why, and how to retry, settle or abandon them: tidemark show a\n"))
        << stuck.err;
  }
  auto const agent = serve("slow", gate());
  complete("b", 1, "slow");
  EXPECT_EQ(result({"commit", "b", "--timeout", "1ms"}, 1).at("outcome"), "timeout");
  ASSERT_TRUE(wait_begun());
  auto const busy = tidemark({"commit", "b"});
  EXPECT_EQ(busy.status, 1);
  EXPECT_EQ(busy.err,
            "tidemark: b: a commit is in flight already\n"
            "  to wait for it and then commit what is left: tidemark commit b --wait\n");
  open_gate();
  EXPECT_EQ(result({"commit", "b", "--wait"}).at("outcome"), "clean");
}

TEST_F(RealChange, CommitOfANameThatWasForgottenWhileItsAttemptIsOut) {
  auto const agent = serve("slow", gate());
  complete("a", 1, "slow");
  EXPECT_EQ(result({"commit", "a", "--timeout", "1ms"}, 1).at("outcome"), "timeout");
  ASSERT_TRUE(wait_begun());
  EXPECT_EQ(tidemark({"forget", "a", "--reason", "r"}).status, 0);
  EXPECT_EQ(result({"commit", "a"}, 1).at("outcome"), "unknown");
  complete("a", 1, "slow");
  EXPECT_EQ(result({"commit", "a"}, 1).at("outcome"), "busy") << "what is out keeps the name's slot";
  open_gate();
  EXPECT_EQ(result({"commit", "a", "--wait"}).at("committed"), true);
}

TEST_F(RealChange, Flush) {
  EXPECT_EQ(tidemark({"flush", "a"}).status, 1);
  auto const agent = serve("codex", {"true"});
  auto const other = serve("other", {"true"});
  complete("a", 2, "codex");
  complete("a", 1, "other");
  auto const ran = tidemark({"flush", "a"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "a: committed, 2 segments done (watermark 3 of 3)\n");
  EXPECT_EQ(result({"flush", "a"}).at("outcome"), "clean");
  complete("a", 1, "gone");
  auto const offline = tidemark({"flush", "a", "--timeout", "5s"});
  EXPECT_EQ(offline.status, 1);
  EXPECT_TRUE(offline.err.starts_with("tidemark: a: the agent that owns these turns is offline")) << offline.err;
}

TEST_F(RealChange, Rotate) {
  complete("a", 2, "codex");
  EXPECT_EQ(tidemark({"rotate", "a", "b", "--agent", "codex"}).out, "a: 1 segment to commit (watermark 0 of 2)\n");
  EXPECT_EQ(result({"ls", "--due"}).at("sessions").at(0).at("session"), "a");
  EXPECT_EQ(result({"show", "b"}).at("agent"), "codex");
  EXPECT_EQ(result({"rotate", "nobody"}).at("due_segments"), 0);
}

TEST_F(RealChange, Evict) {
  auto const agent = serve("codex", {"true"});
  complete("a", 1, "codex");
  Peer peer(daemon);
  peer.begin("a", "t", "codex");
  auto const running = tidemark({"evict", "a"});
  EXPECT_EQ(running.status, 1);
  EXPECT_TRUE(running.err.starts_with("tidemark: a: not evicted, a turn is running\n  ")) << running.err;
  peer.complete("a", "codex", "t");
  auto const ran = tidemark({"evict", "a", "--timeout", "20s"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "a: evicted (watermark 2 of 2)\n");
  EXPECT_TRUE(result({"show", "a"}).at("agent").is_null());
  EXPECT_EQ(result({"evict", "nobody"}).at("outcome"), "unknown");
}

TEST_F(RealChange, DiscardAndForget) {
  complete("a", 3);
  auto const dirty = tidemark({"discard", "a"});
  EXPECT_EQ(dirty.status, 1);
  EXPECT_TRUE(dirty.err.starts_with("tidemark: a: not discarded, as turns of it are uncommitted\n  ")) << dirty.err;
  EXPECT_EQ(result({"discard", "a"}, 1).at("discarded"), false);
  EXPECT_EQ(tidemark({"forget", "a", "--reason", "by mistake"}).out, "a: forgotten, 3 turns dropped\n");
  EXPECT_EQ(tidemark({"forget", "a", "--reason", "by mistake"}).status, 1);
  EXPECT_EQ(result({"forget", "a", "--reason", "by mistake"}, 1).at("forgotten"), false);
  EXPECT_EQ(tidemark({"discard", "a"}).out, "a: discarded\n");
}

TEST_F(RealChange, Drain) {
  EXPECT_EQ(tidemark({"drain"}).out, "drained, no segments committed\n");
  auto const agent = serve("codex", {"true"});
  complete("a", 2, "codex");
  complete("b", 1, "codex");
  EXPECT_EQ(result({"drain", "--deadline", "20s"}).at("committed"), 2);
  complete("b", 1, "codex");
  complete("c", 2, "gone");
  auto const left = tidemark({"drain"});
  EXPECT_EQ(left.status, 1);
  EXPECT_EQ(left.err,
            "tidemark: not drained, 1 segment committed, 1 session left\n"
            "  what is left is due, and goes on by itself\n");
  EXPECT_EQ(left.out,
            "SESSION  TURNS   STATE    WAITS FOR                        WHAT CAN BE DONE\n"
            "c        1 to 2  waiting  agent gone to be there and free  tidemark agent gone --exec COMMAND\n");
  auto const json = result({"drain", "--scope", "all"}, 1);
  EXPECT_EQ(json.at("remaining").at(0), "c");
}

TEST_F(RealChange, RetrySettleAbandon) {
  auto const unknown = tidemark({"retry", "a"});
  EXPECT_EQ(unknown.status, 1);
  EXPECT_TRUE(unknown.err.starts_with("tidemark: ")) << unknown.err;
  {
    auto const agent = serve("codex", {"false"});
    complete("a", 4, "codex");
    EXPECT_EQ(tidemark({"commit", "a"}).status, 1);
    EXPECT_EQ(tidemark({"retry", "a"}).out, "a: 1 segment to commit\n");
    ASSERT_TRUE(wait_until([&] { return result({"show", "a"}).at("segments").at(0).at("state") == "stuck"; }));
  }
  EXPECT_EQ(tidemark({"settle", "a", "--through", "2", "--reason", "seen there"}).out,
            "a: settled; the watermark is 2\n");
  EXPECT_EQ(result({"abandon", "a", "--through", "4", "--reason", "refused"}).at("watermark"), 4);
  EXPECT_EQ(tidemark({"settle", "nobody", "--through", "2", "--reason", "r"}).status, 1);
  EXPECT_EQ(tidemark({"abandon", "a", "--through", "99", "--reason", "r"}).status, 1);
}

TEST_F(RealChange, OtherUsersAreTheAdminsBusinessAlone) {
  daemon.write_config(std::string(config) + "[daemon]\nsocket_mode = \"0666\"\n");
  daemon.kill_and_start();
  Peer stranger(daemon.connect_as(system_test::stranger));
  stranger.complete("theirs");
  EXPECT_EQ(tidemark({"show", "theirs"}).status, 1);
  EXPECT_EQ(result({"--uid", "12345", "show", "theirs"}).at("uid"), 12'345);
  EXPECT_EQ(tidemark({"--uid", "12345", "complete", "a"}).status, 2) << "a mark is one's own";
}

}  // namespace
}  // namespace tidemark::cli
