// Strings and numbers as JSON text: always valid, always on one line.
#include "ipc/json_text.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <limits>
#include <random>
#include <string>

namespace tidemark::ipc {
namespace {

std::string json_of(std::string_view text) {
  std::string out;
  append_string(out, text);
  return out;
}

TEST(JsonText, EscapesWhatMustBe) {
  EXPECT_EQ(json_of(""), R"("")");
  EXPECT_EQ(json_of("plain / text"), R"("plain / text")");
  EXPECT_EQ(json_of("\"\\\n\r\t"), R"("\"\\\n\r\t")");
  EXPECT_EQ(json_of(std::string_view("\0\x01\x1F\x7F", 4)), "\"\\u0000\\u0001\\u001f\x7F\"");
}

TEST(JsonText, KeepsUtf8) {
  EXPECT_EQ(json_of("\u00e9\u20ac\U0001F30A\U0010FFFF"), "\"\u00e9\u20ac\U0001F30A\U0010FFFF\"");
}

TEST(JsonText, ReplacesWhatIsNotUtf8) {
  std::string const replaced = "\"\uFFFD\"";
  for (char const* broken : {"\xFF", "\x80", "\xC2", "\xF5"}) EXPECT_EQ(json_of(broken), replaced) << broken;
  EXPECT_EQ(json_of("\xC0\x80"), "\"\uFFFD\uFFFD\"") << "overlong";
  EXPECT_EQ(json_of("\xE0\x9F\xBF"), "\"\uFFFD\uFFFD\uFFFD\"") << "overlong";
  EXPECT_EQ(json_of("\xED\xA0\x80"), "\"\uFFFD\uFFFD\uFFFD\"") << "a surrogate";
  EXPECT_EQ(json_of("\xF4\x90\x80\x80"), "\"\uFFFD\uFFFD\uFFFD\uFFFD\"") << "beyond the last";
  EXPECT_EQ(json_of("a\xE2\x82z"), "\"a\uFFFD\uFFFDz\"") << "cut off";
}

TEST(JsonText, AnyBytesMakeAStringThatParses) {
  unsigned const seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> byte(0, 255);
  for (int round = 0; round < 2000; ++round) {
    std::string text(static_cast<std::size_t>(byte(random) % 40), ' ');
    for (char& character : text) character = static_cast<char>(byte(random));
    std::string const out = json_of(text);
    ASSERT_EQ(out.find('\n'), std::string::npos);
    boost::json::error_code error;
    auto const value = boost::json::parse(out, error);
    ASSERT_FALSE(error) << error.message();
    ASSERT_EQ(json_of(value.as_string()), out) << "what came out is a fixed point";
  }
}

TEST(JsonText, WhatIsNotUtf8IsReplacedByteByByte) {
  EXPECT_EQ(valid_utf8(""), "");
  EXPECT_EQ(valid_utf8("aä€😀\n"), "aä€😀\n");
  EXPECT_EQ(valid_utf8("a\xFF"
                       "b"),
            "a\uFFFD"
            "b");
  EXPECT_EQ(valid_utf8("\xE2\x82"), "\uFFFD\uFFFD") << "a character that ends too early";
}

TEST(JsonText, WritesNumbersToTheirEnds) {
  std::string out;
  append_integer(out, std::numeric_limits<std::int64_t>::min());
  out += ' ';
  append_integer(out, std::int64_t{0});
  out += ' ';
  append_integer(out, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(out, "-9223372036854775808 0 18446744073709551615");
}

}  // namespace
}  // namespace tidemark::ipc
