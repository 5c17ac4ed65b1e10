#include "daemon/providers/excerpt.h"

#include <gtest/gtest.h>

namespace tidemark::daemon {
namespace {

TEST(Excerpt, IsOneLine) {
  EXPECT_EQ(excerpt(" \r\n<html>\n\n  <body>\t\x1b[31mred\x7f</body>\n", 200), "<html> <body> [31mred </body>");
  EXPECT_EQ(excerpt("", 200), "");
  EXPECT_EQ(excerpt("\n\n", 200), "");
}

TEST(Excerpt, IsCutBetweenCharacters) {
  EXPECT_EQ(excerpt("abcdef", 4), "abcd");
  EXPECT_EQ(excerpt("ab\xe2\x82\xac"
                    "c",
                    4),
            "ab");
  EXPECT_EQ(excerpt("ab\xe2\x82\xac"
                    "c",
                    5),
            "ab\xe2\x82\xac");
}

TEST(Excerpt, IsUtf8AndNoLongerForIt) {
  EXPECT_EQ(excerpt("a\xff"
                    "b",
                    200),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(excerpt("\xff\xff\xff\xff", 4), "\xef\xbf\xbd");
}

TEST(WholeCharacters, AreAsTheyWere) {
  EXPECT_EQ(whole_characters("a\n\tb\xff", 200), "a\n\tb\xff");
  EXPECT_EQ(whole_characters("ab\xe2\x82\xac", 4), "ab");
  EXPECT_EQ(whole_characters(std::string(5, '\x80'), 3), "") << "no character begins";
}

}  // namespace
}  // namespace tidemark::daemon
