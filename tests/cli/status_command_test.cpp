// status: what a person sees, what a program sees, and what a monitor is told by the exit status.
#include "tests/cli/command_test.h"

namespace tidemark::cli {
namespace {

using StatusCommand = CommandTest;

std::string status_text(std::string const& counts, std::string const& journal, std::string const& providers) {
  return R"({"version":"0.1.0","instance":"i","uptime_ms":7200000,"schema":1,"sessions":12,"dirty":3,"due":2,)" +
         counts + R"(,"agents_online":2,"providers":)" + providers + R"(,"journal":)" + journal +
         R"(,"recovered":{"sessions":3,"generations":14,"in_doubt":1},"from_the_future":true})";
}
std::string const no_trouble = R"("in_flight":1,"confirming":0,"stalled":0,"in_doubt":4,"orphaned":0,"stuck":0)";
std::string const healthy = R"({"healthy":true,"bytes":4300000})";

TEST_F(StatusCommand, IsATableOfCounts) {
  daemon.answers("daemon.status", {status_text(no_trouble, healthy, "[]")});
  auto const ran = tidemark({"status"});
  EXPECT_EQ(ran.exit, Exit::done);
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.out, "daemon         version 0.1.0, up 2 h, at " + socket +
                         "\n"
                         "journal        healthy, 4.1 MiB\n"
                         "recovered      3 dirty sessions, 14 turns, 1 attempt in doubt (at the last start)\n"
                         "agents online  2\n"
                         "sessions       12\n"
                         "  dirty        3\n"
                         "  due          2\n"
                         "  in flight    1\n"
                         "  confirming   0\n"
                         "  stalled      0\n"
                         "  in doubt     4\n"
                         "  orphaned     0\n"
                         "  stuck        0\n"
                         "\n"
                         "no providers\n");
}

TEST_F(StatusCommand, IsColouredOnlyOnATerminal) {
  daemon.answers("daemon.status", {status_text(no_trouble, healthy, "[]")});
  EXPECT_EQ(tidemark({"status"}).out.find('\x1b'), std::string::npos);
  EXPECT_NE(tidemark({"status"}, true).out.find("\x1b[32mhealthy, 4.1 MiB\x1b[0m"), std::string::npos);
}

TEST_F(StatusCommand, PassesTheResultOnAsJson) {
  auto const result = status_text(no_trouble, healthy, "[]");
  daemon.answers("daemon.status", {result});
  auto const ran = tidemark({"status", "--json"});
  EXPECT_EQ(ran.exit, Exit::done);
  EXPECT_EQ(ran.out, result + "\n");
  EXPECT_EQ(ran.err, "");
}

TEST_F(StatusCommand, CheckFailsOnTrouble) {
  std::string const paused = R"([{"name":"mem","kind":"http","state":"paused","error":"wrong key","since":)" +
                             utc(std::chrono::minutes(-3)) + "}]";
  std::string const ok = R"([{"name":"mem","kind":"http","state":"ok","since":)" + utc({}) + "}]";
  std::string const ill = R"({"healthy":false,"bytes":1,"error":"disk full"})";
  std::string const stuck = R"("in_flight":0,"confirming":0,"stalled":0,"in_doubt":0,"orphaned":0,"stuck":1)";
  std::string const stalled = R"("in_flight":0,"confirming":1,"stalled":1,"in_doubt":0,"orphaned":0,"stuck":0)";
  struct Case {
    std::string result;
    Exit checked;
  };
  for (auto const& [result, checked] :
       {Case{status_text(no_trouble, healthy, ok), Exit::done}, Case{status_text(stuck, healthy, ok), Exit::refused},
        Case{status_text(stalled, healthy, ok), Exit::refused},
        Case{status_text(no_trouble, healthy, paused), Exit::refused},
        Case{status_text(no_trouble, ill, ok), Exit::refused}}) {
    daemon.answers("daemon.status", {result});
    EXPECT_EQ(tidemark({"status"}).exit, Exit::done) << result;
    EXPECT_EQ(tidemark({"status", "--check"}).exit, checked) << result;
    EXPECT_EQ(tidemark({"--json", "status", "--check"}).exit, checked) << result;
  }
  EXPECT_NE(tidemark({"status"}).out.find("journal        not healthy: disk full\n"), std::string::npos);
  daemon.answers("daemon.status", {status_text(no_trouble, healthy, paused)});
  EXPECT_NE(tidemark({"status"})
                .out.find("PROVIDER  KIND  STATE   SINCE      WHY\n"
                          "mem       http  paused  3 min ago  wrong key\n"),
            std::string::npos)
      << tidemark({"status"}).out;
}

TEST_F(StatusCommand, APausedProviderIsShownWithWhatEndsThePause) {
  std::string const providers =
      R"([{"name":"by hand","kind":"exec","state":"paused","error":"paused by hand: being moved","since":)" +
      utc(std::chrono::minutes(-3)) + R"(},{"name":"ill","kind":"http","state":"paused","error":"wrong key","since":)" +
      utc(std::chrono::minutes(-3)) + R"(},{"name":"well","kind":"http","state":"ok","since":)" +
      utc(std::chrono::minutes(-3)) + "}]";
  daemon.answers("daemon.status", {status_text(no_trouble, healthy, providers)});
  auto const out = tidemark({"status"}).out;
  EXPECT_TRUE(
      out.ends_with("\nPROVIDER  KIND  STATE   SINCE      WHY\n"
                    "by hand   exec  paused  3 min ago  paused by hand: being moved\n"
                    "ill       http  paused  3 min ago  wrong key\n"
                    "well      http  ok      3 min ago\n"
                    "\nWhat needs a hand:\n"
                    "  provider by hand, paused by hand                                     tidemark resume 'by hand'\n"
                    "  provider ill, once its fault is mended (it is also tried by itself)  tidemark resume ill\n"))
      << out;
}

TEST_F(StatusCommand, WhatNeedsAHandIsShownWithWhereToLookOn) {
  daemon.answers(
      "daemon.status",
      {status_text(R"("in_flight":0,"confirming":1,"stalled":1,"in_doubt":0,"orphaned":2,"stuck":3)", healthy, "[]")});
  EXPECT_TRUE(tidemark({"status"})
                  .out.ends_with("\nno providers\n"
                                 "\nWhat needs a hand:\n"
                                 "  what is stuck, to retry, settle or abandon  tidemark ls --stuck\n"
                                 "  what its agent has left for good            tidemark ls --orphaned\n"
                                 "  what its provider doesn't finish            tidemark ls --stalled\n"))
      << tidemark({"status"}).out;
}

}  // namespace
}  // namespace tidemark::cli
