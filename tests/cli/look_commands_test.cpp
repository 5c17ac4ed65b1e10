// ls, show and history: what they ask, what a person sees, what a program sees.
#include <boost/json/parse.hpp>

#include "tests/cli/command_test.h"

namespace tidemark::cli {
namespace {

using LookCommands = CommandTest;

std::string session_text(std::string const& name, std::string const& uncommitted, std::string const& rest) {
  return R"({"session":")" + name + R"(","uid":1000,"generation":14,"watermark":10,"accepted":12,"uncommitted":)" +
         uncommitted + "," + rest;
}
std::string const with_agent = R"("in_flight":true,"agent":"codex","turns_open":0,"last_turn_at":)";
std::string const without_agent = R"("in_flight":false,"agent":null,"turns_open":1,"last_turn_at":null})";

TEST_F(LookCommands, LsIsATableOfSessions) {
  daemon.answers("session.list",
                 {R"({"sessions":[)" + session_text("one", "4", with_agent + utc(std::chrono::minutes(-2)) + "},") +
                  session_text("two words", "0", without_agent) + "]}"});
  auto const ran = tidemark({"ls"});
  EXPECT_EQ(ran.exit, Exit::done);
  EXPECT_EQ(ran.out,
            "SESSION    AGENT  NOW         UNCOMMITTED  GENERATION  WATERMARK  LAST TURN\n"
            "one        codex  committing            4          14         10  2 min ago\n"
            "two words  -      turn open             0          14         10  never\n");
  EXPECT_EQ(sent("session.list"), R"({"limit":1000})");
}

TEST_F(LookCommands, LsShowsWhoseSessionsWhereThatIsAsked) {
  daemon.answers("session.list", {R"({"sessions":[)" + session_text("one", "0", without_agent) + "]}"});
  auto const ran = tidemark({"--uid", "all", "ls"});
  EXPECT_TRUE(ran.out.starts_with(" UID  SESSION")) << ran.out;
  EXPECT_NE(ran.out.find("\n1000  one"), std::string::npos) << ran.out;
  EXPECT_EQ(sent("session.list"), R"({"limit":1000,"uid":"all"})");
}

TEST_F(LookCommands, LsFilters) {
  daemon.answers("session.list", {R"({"sessions":[]})"});
  for (std::string const word :
       {"dirty", "due", "in_flight", "confirming", "stalled", "in_doubt", "orphaned", "stuck"}) {
    std::string option = "--" + word;
    std::replace(option.begin(), option.end(), '_', '-');
    auto const ran = tidemark({"ls", option});
    EXPECT_EQ(ran.out, "no sessions that are " + prose(word) + "\n") << "and nothing to do about it";
    EXPECT_EQ(sent("session.list"), R"({"filter":")" + word + R"(","limit":1000})");
  }
  EXPECT_EQ(tidemark({"ls"}).out, "no sessions\n");
  EXPECT_EQ(tidemark({"ls", "--json"}).out, "{\"sessions\":[]}\n");
}

TEST_F(LookCommands, LsPagesByTheCursorToTheEnd) {
  auto const pages = [&] {
    daemon.answers("session.list",
                   {R"({"sessions":[)" + session_text("one", "0", without_agent) + R"(],"cursor":"c1","extra":1})",
                    R"({"sessions":[)" + session_text("two", "0", without_agent) + R"(],"cursor":"c2"})",
                    R"({"sessions":[)" + session_text("three", "0", without_agent) + "]}"});
  };
  pages();
  auto const ran = tidemark({"ls"});
  EXPECT_NE(ran.out.find("\nthree"), std::string::npos) << ran.out;
  EXPECT_EQ(ran.out.find("more"), std::string::npos) << ran.out;
  auto const calls = daemon.seen("session.list");
  ASSERT_EQ(calls.size(), 3u);
  EXPECT_EQ(calls[1].params, R"({"limit":1000,"cursor":"c1"})");
  EXPECT_EQ(calls[2].params, R"({"limit":1000,"cursor":"c2"})");

  pages();
  auto const json = boost::json::parse(tidemark({"ls", "--json"}).out).as_object();
  EXPECT_EQ(json.at("sessions").as_array().size(), 3u);
  EXPECT_EQ(json.at("extra"), 1);
  EXPECT_FALSE(json.contains("cursor"));

  pages();
  auto const two = tidemark({"ls", "--limit", "2"});
  EXPECT_EQ(daemon.seen("session.list").back().params, R"({"limit":1,"cursor":"c1"})");
  EXPECT_EQ(two.out.find("\nthree"), std::string::npos) << two.out;
  EXPECT_NE(two.out.find("there are more"), std::string::npos) << two.out;
  pages();
  auto const cut = boost::json::parse(tidemark({"ls", "--limit", "2", "--json"}).out).as_object();
  EXPECT_EQ(cut.at("cursor"), "c2");
}

std::string segment_text(std::string const& range, std::string const& owner, std::string const& state,
                         std::string const& rest) {
  return "{" + range + R"(,"owner":)" + owner + R"(,"state":")" + state +
         R"(","due":true,"sealed":false,"attempts":2,"commit":null,"key":null)" + rest + "}";
}
std::string const plain_rest = R"(,"next_attempt_at":null,"last_error":null)";

TEST_F(LookCommands, ShowSaysWhatEachSegmentWaitsFor) {
  daemon.answers(
      "session.status",
      {session_text("chat 42", "9", with_agent + utc(std::chrono::hours(-3))) + R"(,"segments":[)" +
       segment_text(R"("start":1,"end":2)", R"("codex")", "confirming",
                    plain_rest + R"(,"provider":"mem","stalled":true)") +
       "," + segment_text(R"("start":3,"end":3)", R"("codex")", "confirming", plain_rest + R"(,"provider":"mem")") +
       "," +
       segment_text(R"("start":4,"end":5)", R"("codex")", "stuck",
                    R"(,"next_attempt_at":null,"last_error":"too\nlong")") +
       "," + segment_text(R"("start":6,"end":6)", R"("other")", "waiting", plain_rest) + "," +
       segment_text(R"("start":7,"end":7)", "null", "open", plain_rest) + "]}"});
  auto const ran = tidemark({"show", "chat 42"});
  EXPECT_EQ(ran.exit, Exit::done);
  EXPECT_EQ(ran.out,
            "session      chat 42\n"
            "agent        codex\n"
            "generation   14\n"
            "watermark    10\n"
            "accepted     12\n"
            "uncommitted  9 turns\n"
            "turns open   0\n"
            "last turn    3 h ago\n"
            "\n"
            "TURNS   OWNER   PROVIDER  STATE                ATTEMPTS  WAITS FOR\n"
            "1 to 2  codex   mem       confirming, stalled         2  provider mem to finish, without progress for "
            "long\n"
            "3       codex   mem       confirming                  2  provider mem to finish\n"
            "4 to 5  codex   -         stuck                       2  a decision (last error: too long)\n"
            "6       other   -         waiting                     2  turns 4 to 5 to be committed first\n"
            "7       nobody  -         open                        2  a boundary or a commit\n"
            "\n"
            "Held up: turns 1 to 2. What can be done:\n"
            "  see whether it is paused   tidemark status\n"
            "  they did reach the memory  tidemark settle 'chat 42' --through 2 --reason TEXT\n"
            "  drop them                  tidemark abandon 'chat 42' --through 2 --reason TEXT\n"
            "\n"
            "Stuck, and holding back what is younger: turns 4 to 5. What can be done:\n"
            "  try again                  tidemark retry 'chat 42'\n"
            "  they did reach the memory  tidemark settle 'chat 42' --through 5 --reason TEXT\n"
            "  drop them                  tidemark abandon 'chat 42' --through 5 --reason TEXT\n");
}

TEST_F(LookCommands, ShowKnowsTheOldestSegmentsWait) {
  struct Case {
    std::string segment;
    std::string waits;
  };
  auto const range = R"("start":1,"end":1)";
  for (auto const& [segment, waits] :
       {Case{segment_text(range, R"("codex")", "in_flight", plain_rest), "the answer of agent codex"},
        Case{segment_text(range, R"("codex")", "in_flight", plain_rest + R"(,"provider":"mem")"),
             "the answer of agent codex or provider mem"},
        Case{segment_text(range, R"("codex")", "orphaned", plain_rest + R"(,"orphaned":true)"),
             "agent codex, which is gone for good, or whoever may stand in for it"},
        Case{segment_text(range, R"("codex")", "orphaned", plain_rest + R"(,"orphaned":true,"provider":"mem")"),
             "provider mem to be there and free"},
        Case{segment_text(
                 range, R"("codex")", "orphaned",
                 R"(,"last_error":"no","orphaned":true,"next_attempt_at":)" + utc(std::chrono::milliseconds(150'500))),
             "the next attempt, in 2 min (last error: no)"},
        Case{segment_text(range, R"("codex")", "waiting", plain_rest), "agent codex to be there and free"},
        Case{segment_text(range, R"("codex")", "in_doubt", plain_rest + R"(,"provider":"mem")"),
             "agent codex or provider mem to be there and free"},
        Case{segment_text(range, R"("codex")", "waiting",
                          R"(,"last_error":"no","next_attempt_at":)" + utc(std::chrono::milliseconds(150'500))),
             "the next attempt, in 2 min (last error: no)"},
        Case{segment_text(range, "null", "waiting", plain_rest), "an agent, as nobody owns it"}}) {
    daemon.answers("session.status",
                   {session_text("a", "1", with_agent + utc({})) + R"(,"segments":[)" + segment + "]}"});
    auto const out = tidemark({"show", "a"}).out;
    EXPECT_NE(out.find("  " + waits + "\n"), std::string::npos) << out;
  }
}

TEST_F(LookCommands, ShowSaysWhatCanBeDoneWhereNothingMovesByItself) {
  struct Case {
    std::string segment;
    std::string ways;
  };
  auto const range = R"("start":1,"end":2)";
  std::string const title = "\nHeld up: turns 1 to 2. What can be done:\n";
  for (auto const& [segment, ways] :
       {Case{segment_text(range, R"("my agent")", "orphaned", plain_rest),
             title +
                 "  commit them in the agent's place                        tidemark agent 'my agent' --exec COMMAND\n"
                 "  see whether a provider that stands in for it is paused  tidemark status\n"
                 "  drop them                                               tidemark abandon a --through 2 --reason "
                 "TEXT\n"},
        Case{segment_text(range, R"("codex")", "orphaned", plain_rest + R"(,"orphaned":true,"provider":"mem")"),
             title + "  see what ails the provider  tidemark status\n"},
        Case{segment_text(range, R"("codex")", "waiting", plain_rest),
             title + "  commit them in the agent's place  tidemark agent codex --exec COMMAND\n"},
        Case{segment_text(range, "null", "waiting", plain_rest),
             title + "  have an agent adopt them  tidemark commit a --agent NAME\n"},
        Case{segment_text(range, R"("codex")", "waiting", plain_rest + R"(,"provider":"mem")"),
             title + "  see what ails the provider  tidemark status\n"},
        Case{segment_text(range, R"("codex")", "confirming", plain_rest + R"(,"provider":"mem","stalled":true)"),
             title + "  see whether it is paused   tidemark status\n"
                     "  they did reach the memory  tidemark settle a --through 2 --reason TEXT\n"
                     "  drop them                  tidemark abandon a --through 2 --reason TEXT\n"},
        Case{segment_text(range, R"("codex")", "in_doubt",
                          R"(,"last_error":"no","next_attempt_at":)" + utc(std::chrono::minutes(2))),
             title + "  try now  tidemark commit a\n"},
        Case{segment_text(range, R"("codex")", "in_flight", plain_rest), ""},
        Case{segment_text(range, R"("codex")", "open", plain_rest), ""}}) {
    daemon.answers("session.status",
                   {session_text("a", "1", with_agent + utc({})) + R"(,"segments":[)" + segment + "]}"});
    auto const out = tidemark({"show", "a"}).out;
    EXPECT_TRUE(out.ends_with(ways)) << out;
    EXPECT_EQ(out.find("What can be done") == std::string::npos, ways.empty()) << out;
  }
}

TEST_F(LookCommands, ShowSaysWhatIsKnownOfALossAndOfAFailedExtraction) {
  auto const show = [&](std::string const& error, std::string const& rest) {
    daemon.answers("session.status", {session_text("a", "1", with_agent + utc({})) + R"(,"segments":[)" +
                                      segment_text(R"("start":1,"end":2)", R"("codex")", "stuck",
                                                   R"(,"next_attempt_at":null,"last_error":")" + error + "\"" + rest) +
                                      "]}"});
    return tidemark({"show", "a"}).out;
  };
  std::string const title = "\nStuck, and holding back what is younger: turns 1 to 2. ";
  auto const lost = show("suspected loss: no such session", R"(,"provider":"mem")");
  EXPECT_TRUE(lost.ends_with(title +
                             "Look at provider mem first: whether it has these turns, and under which account. What "
                             "can be done:\n"
                             "  try again, once what is wrong there is mended  tidemark retry a\n"
                             "  they are in the memory after all               tidemark settle a --through 2 --reason "
                             "TEXT\n"
                             "  they are lost                                  tidemark abandon a --through 2 "
                             "--reason TEXT\n"))
      << lost;
  EXPECT_NE(show("suspected loss: none", "").find(title + "Look at the provider first"), std::string::npos);
  auto const failed = show("extraction failed (no model); the messages are in x", R"(,"provider":"mem")");
  EXPECT_TRUE(failed.ends_with(title +
                               "They have reached provider mem, which made no memories of them. What can be done:\n"
                               "  look again, once they were extracted there after all  tidemark retry a\n"
                               "  they have reached the memory in another way           tidemark settle a --through "
                               "2 --reason TEXT\n"
                               "  do without them                                       tidemark abandon a --through "
                               "2 --reason TEXT\n"))
      << failed;
  EXPECT_TRUE(show("the agent says: suspected loss: no", "").find(title + "What can be done:") != std::string::npos);
}

TEST_F(LookCommands, ShowHasTheEvidenceALineAMember) {
  daemon.answers("session.status",
                 {session_text("a", "1", with_agent + utc({})) + R"(,"segments":[)" +
                  segment_text(R"("start":1,"end":2)", R"("codex")", "confirming",
                               plain_rest +
                                   R"(,"provider":"mem","evidence":{"task":"t 1","before":{"commit_count":3},)"
                                   R"("output":"two\nlines)" +
                                   std::string(400, 'x') + R"("})") +
                  "]}"});
  auto const out = tidemark({"show", "a"}).out;
  EXPECT_TRUE(
      out.ends_with("\nEvidence of turns 1 to 2:\n"
                    "  task    t 1\n"
                    "  before  {\"commit_count\":3}\n"
                    "  output  two lines" +
                    std::string(291, 'x') + "…\n"))
      << out;
}

TEST_F(LookCommands, WhatIsStuckIsShownWithWhereToLookOn) {
  daemon.answers("session.list", {R"({"sessions":[)" + session_text("one 1", "4", without_agent) + "]}"});
  for (std::string const option : {"--stuck", "--orphaned", "--stalled", "--in-doubt"})
    EXPECT_TRUE(tidemark({"ls", option}).out.ends_with("\n\nWhy, and what can be done: tidemark show 'one 1'\n"));
  EXPECT_EQ(tidemark({"ls", "--dirty"}).out.find("What"), std::string::npos);
}

TEST_F(LookCommands, ShowOfACleanSessionSaysSo) {
  auto const clean = session_text("a", "0", R"("in_flight":false,"agent":null,"turns_open":0,"last_turn_at":null)") +
                     R"(,"segments":[]})";
  daemon.answers("session.status", {clean});
  EXPECT_NE(tidemark({"show", "a"}).out.find("\nnothing is uncommitted\n"), std::string::npos);
  EXPECT_EQ(tidemark({"show", "a", "--json", "--uid", "7"}).out, clean + "\n");
  EXPECT_EQ(sent("session.status"), R"({"session":"a","uid":7})");
  daemon.answers("session.status", {ipc::Error::make(ipc::ErrorReason::not_found, "no such session")});
  auto const missing = tidemark({"show", "a"});
  EXPECT_EQ(missing.exit, Exit::refused);
  EXPECT_EQ(missing.err, "tidemark: no such session\n");
}

TEST_F(LookCommands, HistoryIsATableOfAttempts) {
  std::string const record =
      R"({"commit":"c1","key":"0193a7b2-5a5e-4c3c-8a34-5d4e7a1f0b6c","uid":0,"session":"a","owner":"codex","by":"mem","start":1,"end":3,"state":"failed",)"
      R"("attempt":2,"reason":"rotate","started_at":)" +
      utc(std::chrono::minutes(-5)) + R"(,"finished_at":)" + utc(std::chrono::minutes(-5) + std::chrono::seconds(4)) +
      R"(,"error":"HTTP 500"},)"
      R"({"commit":"c0","key":null,"uid":0,"session":"a","owner":null,"by":null,"start":1,"end":1,"state":"void",)"
      R"("attempt":0,"reason":"idle","started_at":null,"finished_at":null})";
  daemon.answers("commit.history", {R"({"commits":[)" + record + "]}"});
  auto const ran = tidemark({"history", "a"});
  EXPECT_EQ(ran.exit, Exit::done);
  EXPECT_EQ(ran.out,
            "SESSION  TURNS   OWNER   BY   KEY       STATE   ATTEMPT  STARTED    TOOK  REASON  ERROR\n"
            "a        1 to 3  codex   mem  0193a7b2  failed        2  5 min ago   4 s  rotate  HTTP 500\n"
            "a        1       nobody  -    -         void          -  -             -  idle\n"
            "\nWhat is left of it, and what can be done: tidemark show a\n");
  EXPECT_EQ(sent("commit.history"), R"({"session":"a","limit":20})");
  tidemark({"history", "--limit", "5"});
  EXPECT_EQ(sent("commit.history"), R"({"limit":5})");
  EXPECT_EQ(tidemark({"--json", "history"}).out, R"({"commits":[)" + record + "]}\n");
  daemon.answers("commit.history", {R"({"commits":[]})"});
  EXPECT_EQ(tidemark({"history"}).out, "no attempts\n");
}

TEST_F(LookCommands, HistoryHasTheEvidenceIfAsked) {
  daemon.answers("commit.history",
                 {R"({"commits":[{"commit":"c1","key":"0193a7b2-5a5e-4c3c-8a34-5d4e7a1f0b6c","uid":0,"session":"a",)"
                  R"("owner":"codex","by":"mem","start":1,"end":3,"state":"committed","attempt":2,"reason":"rotate",)"
                  R"("started_at":null,"finished_at":null,"evidence":{"exit":0,"output":"ok"}}]})"});
  auto const plain = tidemark({"history", "a"}).out;
  EXPECT_EQ(plain.find("vidence"), std::string::npos) << plain;
  EXPECT_EQ(plain.find("What is left"), std::string::npos) << plain;
  auto const out = tidemark({"history", "a", "--evidence"}).out;
  EXPECT_EQ(out, plain + "\nEvidence of a, turns 1 to 3, attempt 2:\n  exit    0\n  output  ok\n");
}

}  // namespace
}  // namespace tidemark::cli
