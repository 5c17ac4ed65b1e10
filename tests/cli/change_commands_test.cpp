// The commands that change something: what they send, what a person and a program see, and the exit status.
#include "tests/cli/command_test.h"

namespace tidemark::cli {
namespace {

using ChangeCommands = CommandTest;

TEST_F(ChangeCommands, Complete) {
  daemon.answers("turn.complete", {R"({"generation":5})", R"({"generation":5,"duplicate":true})",
                                   R"({"generation":5,"counted":false})"});
  EXPECT_EQ(tidemark({"complete", "a", "--agent", "codex", "--turn", "t1"}).out, "a: turn 5 completed\n");
  EXPECT_EQ(sent("turn.complete"), R"({"session":"a","agent":"codex","turn":"t1"})");
  EXPECT_EQ(tidemark({"complete", "a"}).out, "a: turn 5 was completed before\n");
  EXPECT_EQ(sent("turn.complete"), R"({"session":"a"})");
  auto const cancelled = tidemark({"complete", "a"});
  EXPECT_EQ(cancelled.out, "a: not counted, as that turn was cancelled\n");
  EXPECT_EQ(cancelled.exit, Exit::done);
  EXPECT_EQ(tidemark({"complete", "a", "--json"}).out, "{\"generation\":5,\"counted\":false}\n");
}

TEST_F(ChangeCommands, CommitSendsWhatWasSaid) {
  daemon.answers("session.commit",
                 {R"({"committed":true,"outcome":"committed","start":1,"end":3,"generation":4,"watermark":3})"});
  auto const ran = tidemark({"commit", "a"});
  EXPECT_EQ(ran.exit, Exit::done);
  EXPECT_EQ(ran.out, "a: committed: turns 1 to 3 (watermark 3 of 4)\n");
  EXPECT_EQ(sent("session.commit"), R"({"session":"a"})");
  tidemark({"commit", "a", "--agent", "codex", "--wait", "--timeout", "10s", "--uid", "5"});
  EXPECT_EQ(sent("session.commit"), R"({"session":"a","agent":"codex","wait":true,"timeout_ms":10000,"uid":5})");
  tidemark({"commit", "a", "--timeout", "off"});
  EXPECT_EQ(sent("session.commit"), R"({"session":"a"})");
}

TEST_F(ChangeCommands, CommitExitsByItsOutcome) {
  for (auto const& [outcome, word] : ipc::EnumWords<ipc::Outcome>::rows) {
    bool const good = word == "committed" || word == "clean" || word == "accepted";
    auto const result = R"({"committed":)" + std::string(word == "committed" ? "true" : "false") + R"(,"outcome":")" +
                        std::string(word) + R"(","error":"says who","generation":4,"watermark":3})";
    daemon.answers("session.commit", {result});
    auto const ran = tidemark({"commit", "a"});
    EXPECT_EQ(ran.exit, good ? Exit::done : Exit::refused) << word;
    EXPECT_EQ(ran.out.empty(), !good) << word;
    EXPECT_EQ(ran.err.empty(), good) << word;
    EXPECT_TRUE(good || ran.err.starts_with("tidemark: a: ")) << ran.err;
    EXPECT_TRUE(good || ran.err.find("\n  ") != std::string::npos) << "what can be done? " << ran.err;
    auto const json = tidemark({"commit", "a", "--json"});
    EXPECT_EQ(json.exit, ran.exit) << word;
    EXPECT_EQ(json.out, result + "\n");
    EXPECT_EQ(json.err, "");
  }
}

TEST_F(ChangeCommands, CommitTellsTheProvidersError) {
  daemon.answers("session.commit",
                 {R"({"committed":false,"outcome":"failed","error":"HTTP 500","generation":4,"watermark":3})"});
  EXPECT_EQ(tidemark({"commit", "a"}).err,
            "tidemark: a: the commit failed: HTTP 500\n"
            "  it is tried again by itself; when: tidemark show a; now: tidemark commit a\n");
}

TEST_F(ChangeCommands, Flush) {
  daemon.answers("session.flush",
                 {R"({"committed":true,"outcome":"committed","segments":2,"generation":4,"watermark":4})",
                  R"({"committed":false,"outcome":"stuck","segments":1,"generation":4,"watermark":3})"});
  auto const ran = tidemark({"flush", "a", "--timeout", "2m"});
  EXPECT_EQ(ran.exit, Exit::done);
  EXPECT_EQ(ran.out, "a: committed, 2 segments done (watermark 4 of 4)\n");
  EXPECT_EQ(sent("session.flush"), R"({"session":"a","timeout_ms":120000})");
  auto const stuck = tidemark({"flush", "a"});
  EXPECT_EQ(stuck.exit, Exit::refused);
  EXPECT_EQ(stuck.err,
            "tidemark: a: the oldest turns are stuck, 1 segment done (watermark 3 of 4)\n"
            "  why, and how to retry, settle or abandon them: tidemark show a\n");
}

TEST_F(ChangeCommands, Rotate) {
  std::string const result = R"({"due_segments":2,"generation":4,"watermark":1})";
  daemon.answers("session.rotate", {result});
  auto const ran = tidemark({"rotate", "a", "b", "--agent", "codex"});
  EXPECT_EQ(ran.exit, Exit::done);
  EXPECT_EQ(ran.out, "a: 2 segments to commit (watermark 1 of 4)\n");
  EXPECT_EQ(sent("session.rotate"), R"({"from":"a","to":"b","agent":"codex"})");
  EXPECT_EQ(tidemark({"rotate", "a", "--json"}).out, result + "\n");
  EXPECT_EQ(sent("session.rotate"), R"({"from":"a"})");
}

TEST_F(ChangeCommands, Evict) {
  daemon.answers("session.evict", {R"({"evicted":true,"outcome":"clean","generation":4,"watermark":4})",
                                   R"({"evicted":false,"outcome":"running","generation":4,"watermark":3})"});
  auto const ran = tidemark({"evict", "a", "--timeout", "500ms"});
  EXPECT_EQ(ran.exit, Exit::done);
  EXPECT_EQ(ran.out, "a: evicted (watermark 4 of 4)\n");
  EXPECT_EQ(sent("session.evict"), R"({"session":"a","timeout_ms":500})");
  auto const running = tidemark({"evict", "a"});
  EXPECT_EQ(running.exit, Exit::refused);
  EXPECT_EQ(running.err,
            "tidemark: a: not evicted, a turn is running\n"
            "  again once it has ended; whether it has: tidemark show a\n");
  EXPECT_EQ(tidemark({"evict", "a", "--json"}).exit, Exit::refused);
}

TEST_F(ChangeCommands, Discard) {
  daemon.answers("session.discard", {R"({"discarded":true})", R"({"discarded":false})"});
  EXPECT_EQ(tidemark({"discard", "a"}).out, "a: discarded\n");
  EXPECT_EQ(sent("session.discard"), R"({"session":"a"})");
  auto const dirty = tidemark({"discard", "a"});
  EXPECT_EQ(dirty.exit, Exit::refused);
  EXPECT_EQ(dirty.err,
            "tidemark: a: not discarded, as turns of it are uncommitted\n"
            "  to commit them: tidemark flush a; to drop them: tidemark forget a --reason TEXT\n");
  auto const json = tidemark({"discard", "a", "--json"});
  EXPECT_EQ(json.out, "{\"discarded\":false}\n");
  EXPECT_EQ(json.exit, Exit::refused);
}

TEST_F(ChangeCommands, Forget) {
  daemon.answers("session.forget", {R"({"forgotten":true,"dropped":3})", R"({"forgotten":false,"dropped":0})"});
  EXPECT_EQ(tidemark({"forget", "a", "--reason", "by mistake"}).out, "a: forgotten, 3 turns dropped\n");
  EXPECT_EQ(sent("session.forget"), R"({"session":"a","reason":"by mistake"})");
  auto const unknown = tidemark({"forget", "a", "--reason", "r"});
  EXPECT_EQ(unknown.exit, Exit::refused);
  EXPECT_EQ(unknown.err, "tidemark: a: no such session\n  those that are known: tidemark ls\n");
  EXPECT_EQ(tidemark({"forget", "a", "--reason", "r", "--json"}).out, "{\"forgotten\":false,\"dropped\":0}\n");
}

TEST_F(ChangeCommands, Drain) {
  daemon.answers("drain", {R"({"drained":true,"committed":3,"remaining":[]})",
                           R"({"drained":false,"committed":0,"remaining":["a","b"]})"});
  EXPECT_EQ(tidemark({"drain"}).out, "drained, 3 segments committed\n");
  EXPECT_EQ(sent("drain"), "{}");
  auto const left = tidemark({"drain", "--scope", "all", "--deadline", "30s"});
  EXPECT_EQ(left.exit, Exit::refused);
  EXPECT_EQ(left.err,
            "tidemark: not drained, no segments committed, 2 sessions left\n"
            "  which, and whose: tidemark --uid all ls --dirty\n");
  EXPECT_EQ(sent("drain"), R"({"scope":"all","deadline_ms":30000})");
  auto const json = tidemark({"drain", "--deadline", "off", "--json"});
  EXPECT_EQ(json.out, "{\"drained\":false,\"committed\":0,\"remaining\":[\"a\",\"b\"]}\n");
  EXPECT_EQ(json.exit, Exit::refused);
  EXPECT_EQ(sent("drain"), R"({"deadline_ms":)" + std::to_string(ipc::bounds::duration_max.count()) + "}");
}

TEST_F(ChangeCommands, DrainTellsWhatEachSessionLeftWaitsFor) {
  daemon.answers("drain", {R"({"drained":false,"committed":3,"remaining":["a b","b","gone"]})"});
  auto const status = [](std::string const& name, std::string const& segment) {
    return R"({"session":")" + name +
           R"(","uid":0,"generation":3,"watermark":0,"accepted":0,"uncommitted":3,"in_flight":false,"agent":null,)"
           R"("turns_open":0,"last_turn_at":null,"segments":[{"start":1,"end":2,"owner":"codex","due":true,)"
           R"("sealed":false,"attempts":1,"next_attempt_at":null,"commit":null,"key":null,)" +
           segment + "}]}";
  };
  daemon.answers("session.status", {status("a b", R"("state":"stuck","last_error":"too long")"),
                                    status("b", R"("state":"waiting","last_error":null)"),
                                    ipc::Error::make(ipc::ErrorReason::not_found, "no such session gone")});
  auto const ran = tidemark({"drain"});
  EXPECT_EQ(ran.exit, Exit::refused);
  EXPECT_EQ(ran.err,
            "tidemark: not drained, 3 segments committed, 3 sessions left\n"
            "  what is left is due, and goes on by itself\n");
  EXPECT_EQ(ran.out,
            "SESSION  TURNS   STATE    WAITS FOR                          WHAT CAN BE DONE\n"
            "a b      1 to 2  stuck    a decision (last error: too long)  tidemark show 'a b'\n"
            "b        1 to 2  waiting  agent codex to be there and free   tidemark agent codex --exec COMMAND\n");
}

TEST_F(ChangeCommands, RetrySettleAbandon) {
  daemon.answers("commit.retry", {R"({"due_segments":1})"});
  EXPECT_EQ(tidemark({"retry", "a"}).out, "a: 1 segment to commit\n");
  EXPECT_EQ(sent("commit.retry"), R"({"session":"a"})");
  daemon.answers("commit.settle", {R"({"watermark":9})"});
  EXPECT_EQ(tidemark({"settle", "a", "--through", "9", "--reason", "seen"}).out, "a: settled; the watermark is 9\n");
  EXPECT_EQ(sent("commit.settle"), R"({"session":"a","through":9,"reason":"seen"})");
  daemon.answers("commit.abandon", {R"({"watermark":9})"});
  EXPECT_EQ(tidemark({"abandon", "a", "--through", "9", "--reason", "bad", "--uid", "3"}).out,
            "a: abandoned; the watermark is 9\n");
  EXPECT_EQ(sent("commit.abandon"), R"({"session":"a","through":9,"reason":"bad","uid":3})");
  EXPECT_EQ(tidemark({"--json", "retry", "a"}).out, "{\"due_segments\":1}\n");
  EXPECT_EQ(tidemark({"--json", "settle", "a", "--through", "9", "--reason", "r"}).out, "{\"watermark\":9}\n");
  daemon.answers("commit.retry", {ipc::Error::make(ipc::ErrorReason::not_found, "no such session")});
  EXPECT_EQ(tidemark({"retry", "a"}).exit, Exit::refused);
}

TEST_F(ChangeCommands, PauseAndResume) {
  daemon.answers("provider.pause", {"{}"});
  daemon.answers("provider.resume", {"{}"});
  auto const paused = tidemark({"pause", "mem", "--reason", "being moved"});
  EXPECT_EQ(paused.exit, Exit::done);
  EXPECT_EQ(paused.out, "provider mem is paused: what it would commit waits until it is resumed\n");
  EXPECT_EQ(sent("provider.pause"), R"({"provider":"mem","reason":"being moved"})");
  EXPECT_EQ(tidemark({"--json", "pause", "mem"}).out, "{}\n");
  EXPECT_EQ(sent("provider.pause"), R"({"provider":"mem"})");
  EXPECT_EQ(tidemark({"resume", "mem"}).out, "provider mem is asked again\n");
  EXPECT_EQ(sent("provider.resume"), R"({"provider":"mem"})");
  for (std::string const command : {"pause", "resume"}) {
    EXPECT_EQ(tidemark({command}).exit, Exit::usage);
    EXPECT_EQ(tidemark({"--uid", "7", command, "mem"}).exit, Exit::usage) << "it is nobody's in particular";
  }
  daemon.answers("provider.pause", {ipc::Error::make(ipc::ErrorReason::forbidden, "only admins may pause")});
  auto const refused = tidemark({"pause", "mem"});
  EXPECT_EQ(refused.exit, Exit::refused);
  EXPECT_EQ(refused.err, "tidemark: only admins may pause\n");
}

}  // namespace
}  // namespace tidemark::cli
