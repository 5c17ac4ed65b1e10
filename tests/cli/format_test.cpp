// Durations, times, sizes, names and tables, as text.
#include "cli/format.h"

#include <gtest/gtest.h>

#include <sstream>

#include "cli/table.h"
#include "ipc/bounds.h"

namespace tidemark::cli {
namespace {

using ipc::Milliseconds;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(Duration, IsReadWithItsUnit) {
  EXPECT_EQ(*parse_duration("500ms")->value, Milliseconds(500));
  EXPECT_EQ(*parse_duration("10s")->value, seconds(10));
  EXPECT_EQ(*parse_duration("2m")->value, minutes(2));
  EXPECT_EQ(*parse_duration("1h")->value, hours(1));
  EXPECT_EQ(*parse_duration("3d")->value, hours(72));
  EXPECT_EQ(*parse_duration("0s")->value, Milliseconds(0));
  EXPECT_FALSE(parse_duration("off")->value);
}

TEST(Duration, IsRefusedWithoutSense) {
  for (std::string const text : {"", "10", "s", "-1s", "1.5s", "10 s", "10S", "1h30m", "10sec", "Off",
                                 "99999999999999999999s", "4000d", "9223372036854775807h"}) {
    auto const parsed = parse_duration(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().find("\"" + text + "\""), std::string::npos) << parsed.error();
  }
}

TEST(Duration, IsShownInItsLargestUnit) {
  EXPECT_EQ(duration_text(Milliseconds(-5)), "0 ms");
  EXPECT_EQ(duration_text(Milliseconds(999)), "999 ms");
  EXPECT_EQ(duration_text(Milliseconds(1'000)), "1 s");
  EXPECT_EQ(duration_text(seconds(59)), "59 s");
  EXPECT_EQ(duration_text(seconds(60)), "1 min");
  EXPECT_EQ(duration_text(minutes(60)), "1 h");
  EXPECT_EQ(duration_text(hours(47)), "47 h");
  EXPECT_EQ(duration_text(hours(48)), "2 d");
  EXPECT_EQ(duration_text(ipc::bounds::duration_max), "3653 d");
}

TEST(Time, IsShownFromThePresent) {
  ipc::Utc const now(hours(1'000'000));
  EXPECT_EQ(relative_text(now, now), "now");
  EXPECT_EQ(relative_text(now - Milliseconds(999), now), "now");
  EXPECT_EQ(relative_text(now - minutes(2), now), "2 min ago");
  EXPECT_EQ(relative_text(now + seconds(8), now), "in 8 s");
  EXPECT_EQ(relative_text(now + Milliseconds(250), now), "in 250 ms");
}

TEST(Bytes, AreShownInTheirLargestUnit) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(1024), "1.0 KiB");
  EXPECT_EQ(bytes_text(1536), "1.5 KiB");
  EXPECT_EQ(bytes_text(1'048'575), "1023.9 KiB");
  EXPECT_EQ(bytes_text(1'048'576), "1.0 MiB");
  EXPECT_EQ(bytes_text(std::int64_t{5} << 40), "5.0 TiB");
}

TEST(Words, AreProse) {
  EXPECT_EQ(count_text(0, "turn"), "no turns");
  EXPECT_EQ(count_text(1, "turn"), "1 turn");
  EXPECT_EQ(count_text(2, "turn"), "2 turns");
  EXPECT_EQ(range_text(7, 7), "7");
  EXPECT_EQ(range_text(7, 9), "7 to 9");
  EXPECT_EQ(turns_text(7, 7), "turn 7");
  EXPECT_EQ(turns_text(7, 9), "turns 7 to 9");
  EXPECT_EQ(prose("in_flight"), "in flight");
}

TEST(Printable, LetsNothingCommandTheTerminal) {
  EXPECT_EQ(printable("a\x1b[31mb\nc\td\x7f"), "a [31mb c d ");
  EXPECT_EQ(printable("\xC2\x9B"
                      "2J"),
            " 2J");
  EXPECT_EQ(printable("Gr\xC3\xBC\xC3\x9F\x65"), "Gr\xC3\xBC\xC3\x9F\x65");
}

TEST(ShellWord, IsQuotedIfNeeded) {
  EXPECT_EQ(shell_word("chat-42"), "chat-42");
  EXPECT_EQ(shell_word("two words"), "'two words'");
  EXPECT_EQ(shell_word("it's"), R"('it'\''s')");
  EXPECT_EQ(shell_word("$HOME"), "'$HOME'");
  EXPECT_EQ(shell_word(""), "''");
}

TEST(Table, AlignsAndEndsNoLineInSpaces) {
  Table table({{"NAME"}, {"COUNT", Table::Align::right}, {"NOTE"}});
  table.add({"a", 5, ""});
  table.add({"Gr\xC3\xBC\xC3\x9F\x65", 12345, "x\ny"});
  std::ostringstream out;
  table.print(out, false);
  EXPECT_EQ(out.str(),
            "NAME   COUNT  NOTE\n"
            "a          5\n"
            "Gr\xC3\xBC\xC3\x9F\x65  12345  x y\n");
}

TEST(Table, HasNoLineOfHeadingsWithoutAny) {
  Table table({{""}, {""}});
  table.add({"one", "1"});
  table.add({"", "2"});
  std::ostringstream out;
  table.print(out, false);
  EXPECT_EQ(out.str(), "one  1\n     2\n");
}

TEST(Table, ColoursOnlyWhereWanted) {
  Table table({{""}, {""}});
  table.add({Cell("bad", Colour::red), "x"});
  std::ostringstream plain;
  std::ostringstream coloured;
  table.print(plain, false);
  table.print(coloured, true);
  EXPECT_EQ(plain.str(), "bad  x\n");
  EXPECT_EQ(coloured.str(), "\x1b[31mbad\x1b[0m  x\n");
}

}  // namespace
}  // namespace tidemark::cli
