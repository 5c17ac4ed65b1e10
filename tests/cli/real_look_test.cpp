// The commands that look, against a real daemon.
#include <algorithm>
#include <chrono>

#include "tests/cli/real_daemon.h"

namespace tidemark::cli {
namespace {

using RealLook = RealDaemonTest;

bool has(std::string const& text, std::string const& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(RealLook, Status) {
  auto const empty = tidemark({"status"});
  EXPECT_EQ(empty.status, 0) << empty.err;
  EXPECT_TRUE(empty.out.starts_with("daemon         version ")) << empty.out;
  EXPECT_TRUE(has(empty.out, "\njournal        healthy, ")) << empty.out;
  EXPECT_TRUE(has(empty.out, "\n  stuck        0\n")) << empty.out;
  EXPECT_EQ(tidemark({"status", "--check"}).status, 0);

  auto const agent = serve("codex", {"false"});
  complete("chat-42", 2, "codex");
  EXPECT_EQ(tidemark({"commit", "chat-42"}).status, 1);
  auto const stuck = tidemark({"status", "--check"});
  EXPECT_EQ(stuck.status, 1);
  EXPECT_TRUE(has(stuck.out, "\n  dirty        1\n")) << stuck.out;
  EXPECT_TRUE(has(stuck.out, "\n  stuck        1\n")) << stuck.out;
  EXPECT_TRUE(has(stuck.out, "what is stuck, to retry, settle or abandon  tidemark ls --stuck")) << stuck.out;
  EXPECT_TRUE(has(stuck.out, "\nagents online  1\n")) << stuck.out;
  auto const json = result({"status"});
  EXPECT_EQ(json.at("stuck"), 1);
  EXPECT_TRUE(json.at("journal").at("healthy").as_bool());
  EXPECT_EQ(result({"status", "--check"}, 1).at("stuck"), 1);
}

TEST_F(RealLook, Ls) {
  EXPECT_EQ(tidemark({"ls"}).out, "no sessions\n");
  EXPECT_EQ(result({"ls"}).at("sessions").as_array().size(), 0U);
  complete("chat 42", 2, "codex");
  complete("other", 1);
  auto const ran = tidemark({"ls"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.out,
            "SESSION  AGENT  NOW    UNCOMMITTED  GENERATION  WATERMARK  LAST TURN\n"
            "chat 42  codex  dirty            2           2          0  now\n"
            "other    -      dirty            1           1          0  now\n");
  EXPECT_EQ(tidemark({"ls", "--stuck"}).out, "no sessions that are stuck\n");
  auto const json = result({"ls", "--dirty"});
  EXPECT_EQ(json.at("sessions").at(0).at("session"), "chat 42");
  EXPECT_EQ(json.at("sessions").at(0).at("uncommitted"), 2);
  EXPECT_FALSE(json.contains("cursor"));
  auto const one = tidemark({"ls", "--limit", "1"});
  EXPECT_TRUE(has(one.out, "there are more; see them with a higher --limit")) << one.out;
  EXPECT_TRUE(has(tidemark({"--uid", "all", "ls"}).out, "UID")) << "root may";
  EXPECT_EQ(tidemark({"--uid", "12345", "ls"}).out, "no sessions\n");
}

TEST_F(RealLook, LsHasMoreSessionsThanOnePage) {
  ipc::Client client = daemon.connect();
  std::vector<ipc::Client::CallNumber> marks;
  for (int session = 0; session < 1'500; ++session) {
    ipc::TurnCompleteParams params;
    params.session = "s" + std::to_string(session);
    marks.push_back(client.send(params));
  }
  for (auto const mark : marks) ASSERT_TRUE(client.receive<ipc::TurnCompleteResult>(mark));
  EXPECT_EQ(result({"ls"}).at("sessions").as_array().size(), 1'500U);
}

TEST_F(RealLook, Show) {
  auto const agent = serve("codex", {"false"});
  complete("chat-42", 2, "codex");
  auto const open = tidemark({"show", "chat-42"});
  EXPECT_EQ(open.status, 0);
  EXPECT_TRUE(has(open.out,
                  "TURNS   OWNER  STATE  ATTEMPTS  WAITS FOR\n"
                  "1 to 2  codex  open          0  a boundary or a commit\n"))
      << open.out;
  EXPECT_EQ(tidemark({"commit", "chat-42"}).status, 1);
  auto const stuck = tidemark({"show", "chat-42"});
  EXPECT_TRUE(has(stuck.out, "1 to 2  codex  stuck         1  a decision (last error: the command ended with exit"))
      << stuck.out;
  EXPECT_TRUE(has(stuck.out, "  try again                  tidemark retry chat-42\n")) << stuck.out;
  auto const json = result({"show", "chat-42"});
  EXPECT_EQ(json.at("segments").at(0).at("state"), "stuck");
  auto const unknown = tidemark({"show", "nobody"});
  EXPECT_EQ(unknown.status, 1);
  EXPECT_EQ(unknown.out, "");
  EXPECT_TRUE(unknown.err.starts_with("tidemark: ") && has(unknown.err, "session")) << unknown.err;
  EXPECT_EQ(tidemark({"--json", "show", "nobody"}).status, 1);
}

TEST_F(RealLook, History) {
  EXPECT_EQ(tidemark({"history"}).out, "no attempts\n");
  auto const agent = serve("codex", {"true"});
  complete("chat-42", 2, "codex");
  EXPECT_EQ(tidemark({"commit", "chat-42"}).status, 0);
  complete("chat-42", 1, "codex");
  EXPECT_EQ(tidemark({"abandon", "chat-42", "--through", "3", "--reason", "by mistake"}).status, 0);
  auto const json = result({"history", "chat-42"});
  ASSERT_EQ(json.at("commits").as_array().size(), 2U);
  EXPECT_TRUE(json.at("commits").at(0).at("key").is_null()) << "never attempted";
  auto const key = std::string(json.at("commits").at(1).at("key").as_string());
  EXPECT_EQ(key.size(), 36U);
  auto const ran = tidemark({"history", "chat-42"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_TRUE(has(ran.out, "chat-42  3       codex  -      -         abandoned        -  now")) << ran.out;
  EXPECT_TRUE(has(ran.out, "chat-42  1 to 2  codex  codex  " + key.substr(0, 8) + "  committed        1  now"))
      << ran.out;
  EXPECT_TRUE(has(ran.out, "by mistake")) << ran.out;
  EXPECT_TRUE(has(tidemark({"history", "--limit", "1"}).out, "there are more"));
  EXPECT_EQ(tidemark({"history", "nobody"}).out, "no attempts\n");
}

TEST_F(RealLook, EveryCommandSaysThatThereIsNoDaemon) {
  EXPECT_EQ(daemon.stop(), 0);
  for (std::vector<std::string> const& command :
       std::vector<std::vector<std::string>>{{"status"},
                                             {"ls"},
                                             {"show", "a"},
                                             {"history"},
                                             {"watch"},
                                             {"complete", "a"},
                                             {"commit", "a"},
                                             {"flush", "a"},
                                             {"rotate", "a"},
                                             {"evict", "a"},
                                             {"discard", "a"},
                                             {"forget", "a", "--reason", "r"},
                                             {"drain"},
                                             {"retry", "a"},
                                             {"settle", "a", "--through", "1", "--reason", "r"},
                                             {"abandon", "a", "--through", "1", "--reason", "r"},
                                             {"pause", "p"},
                                             {"resume", "p"},
                                             {"metrics"},
                                             {"backup", folder.path() + "/backup"},
                                             {"verify"}}) {
    for (bool const json : {false, true}) {
      auto arguments = command;
      if (json) arguments.insert(arguments.begin(), "--json");
      auto const ran = tidemark(arguments);
      EXPECT_EQ(ran.status, 3) << command.front();
      EXPECT_EQ(ran.out, "") << command.front();
      EXPECT_TRUE(ran.err.starts_with("tidemark: no daemon answers at ")) << command.front() << ran.err;
    }
  }
}

}  // namespace
}  // namespace tidemark::cli
