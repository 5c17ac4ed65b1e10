// Structs from JSON and to JSON: what is refused and how it is said, and that what is written is read back.
#include "ipc/described.h"

#include <gtest/gtest.h>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <boost/json/parse.hpp>
#include <string>
#include <vector>

namespace tidemark::ipc {
namespace {

enum class Colour { red, dark_blue, default_ };
BOOST_DESCRIBE_ENUM(Colour, red, dark_blue, default_)

struct Inner {
  std::int64_t number = 0;
  Nullable<std::string> note;
};
BOOST_DESCRIBE_STRUCT(Inner, (), (number, note))

struct Everything {
  Name session;
  std::optional<Text> reason;
  Flag<true> serves;
  Flag<false> quiet;
  std::optional<Integer<1, 10>> limit;
  std::optional<Milliseconds> timeout_ms;
  std::optional<Uid> uid;
  std::optional<UidSelector> whose;
  std::optional<Colour> colour;
  std::optional<std::vector<Inner>> inners;
  std::optional<RawJson> evidence;
  std::optional<Utc> at;
  std::optional<bool> plain;
  std::optional<CommitId> commit;
  std::optional<std::int64_t> whole;
};
BOOST_DESCRIBE_STRUCT(Everything, (),
                      (session, reason, serves, quiet, limit, timeout_ms, uid, whose, colour, inners, evidence, at,
                       plain, commit, whole))

struct Base {
  std::string first;
};
BOOST_DESCRIBE_STRUCT(Base, (), (first))
struct Derived : Base {
  std::string second;
};
BOOST_DESCRIBE_STRUCT(Derived, (Base), (second))

template <class T>
Decoded<T> read(std::string const& text, Strictness strictness = Strictness::strict) {
  return decode<T>(boost::json::parse(text), strictness);
}

template <class T>
std::string write(T const& value) {
  std::string out;
  encode(out, value);
  return out;
}

// Decodes an Everything that has, beside its session, the member given.
Decoded<Everything> with(std::string const& member, Strictness strictness = Strictness::strict) {
  return read<Everything>(R"({"session":"s",)" + member + "}", strictness);
}

std::string error_of(Decoded<Everything> const& decoded) {
  return decoded ? "no error" : decoded.error().text;
}

TEST(Described, AbsentMembersHaveTheirDefaults) {
  auto const decoded = read<Everything>(R"({"session":"s-1"})");
  ASSERT_TRUE(decoded) << decoded.error().text;
  EXPECT_EQ(decoded->session.value, "s-1");
  EXPECT_TRUE(decoded->serves);
  EXPECT_FALSE(decoded->quiet);
  EXPECT_FALSE(decoded->reason || decoded->limit || decoded->timeout_ms || decoded->uid || decoded->inners);
  EXPECT_EQ(write(*decoded), R"({"session":"s-1"})");
}

TEST(Described, WhatIsWrittenIsReadBack) {
  std::string const text =
      R"({"session":"s","reason":"be\"cause\n","serves":false,"quiet":true,"limit":10,"timeout_ms":1500,"uid":4294967295,)"
      R"("whose":"all","colour":"dark_blue","inners":[{"number":-1,"note":null},{"number":2,"note":"n"}],)"
      R"("evidence":{"task":[1,"x"]},"at":"2026-01-31T08:15:00.250Z","plain":false,"commit":"12","whole":-9223372036854775808})";
  auto const decoded = read<Everything>(text);
  ASSERT_TRUE(decoded) << decoded.error().text;
  EXPECT_EQ(write(*decoded), text);
  EXPECT_EQ(*decoded->timeout_ms, std::chrono::milliseconds(1500));
  EXPECT_TRUE(decoded->whose->is_all());
  EXPECT_EQ(decoded->inners->at(1).note, "n");
}

TEST(Described, NullStandsForAbsent) {
  auto const decoded = with(R"("reason":null,"serves":null,"limit":null,"uid":null,"inners":null)");
  ASSERT_TRUE(decoded) << decoded.error().text;
  EXPECT_TRUE(decoded->serves);
  EXPECT_EQ(error_of(read<Everything>(R"({"session":null})")),
            "`session` must be a string of 1 to 256 bytes without control characters");
}

TEST(Described, UnknownParametersAreNamedAndTheLikelyOneSuggested) {
  EXPECT_EQ(error_of(with(R"("sesion":"x")")), "unknown parameter `sesion`; did you mean `session`?");
  EXPECT_EQ(error_of(with(R"("timeout":5)")), "unknown parameter `timeout`");
  EXPECT_EQ(error_of(with(R"("timeout_m":5)")), "unknown parameter `timeout_m`; did you mean `timeout_ms`?");
  EXPECT_EQ(error_of(with(R"("color":"red")")), "unknown parameter `color`; did you mean `colour`?");
  EXPECT_EQ(error_of(with(R"("":1)")), "unknown parameter ``");
  EXPECT_EQ(error_of(with("\"" + std::string(100'000, 'x') + "\":1")),
            "unknown parameter `" + std::string(64, 'x') + "`");
  EXPECT_EQ(error_of(with(R"("inners":[{"number":1,"numbr":2}])")),
            "unknown parameter `numbr`; did you mean `number`?");
  EXPECT_TRUE(with(R"("anything":[1,2],"inners":[{"number":1,"numbr":2}])", Strictness::lenient));
}

TEST(Described, AMissingMemberIsNamed) {
  EXPECT_EQ(error_of(read<Everything>("{}")), "parameter `session` is missing");
  EXPECT_EQ(error_of(with(R"("inners":[{}])")), "parameter `number` is missing");
  EXPECT_EQ(error_of(read<Everything>("{}", Strictness::lenient)), "`session` is missing");
  EXPECT_EQ(error_of(read<Everything>("[]")), "a JSON object is expected");
}

TEST(Described, AWrongTypeIsNamed) {
  for (auto const& [member, error] : std::vector<std::pair<std::string, std::string>>{
           {R"("reason":5)", "`reason` must be a string of at most 4096 bytes without NUL"},
           {R"("serves":1)", "`serves` must be true or false"},
           {R"("plain":"true")", "`plain` must be true or false"},
           {R"("limit":"5")", "`limit` must be an integer from 1 to 10"},
           {R"("limit":5.0)", "`limit` must be an integer from 1 to 10"},
           {R"("timeout_ms":1.5)", "`timeout_ms` must be an integer from 0 to 315619200000"},
           {R"("uid":"all")", "`uid` must be an integer from 0 to 4294967295"},
           {R"("whose":"everybody")", R"(`whose` must be a user's number or "all")"},
           {R"("whose":true)", R"(`whose` must be a user's number or "all")"},
           {R"("colour":"green")", "`colour` must be one of `red` `dark_blue` `default`"},
           {R"("colour":1)", "`colour` must be one of `red` `dark_blue` `default`"},
           {R"("inners":{})", "`inners` must be an array"},
           {R"("inners":[1])", "`inners` must be an object"},
           {R"("at":"yesterday")", "`at` must be a UTC time as in RFC 3339"},
           {R"("commit":"")", "`commit` must be a string of 1 to 64 bytes"}})
    EXPECT_EQ(error_of(with(member)), error);
}

TEST(Described, HugeNumbersAreRefusedNotWrapped) {
  for (std::string const number : {"0", "11", "-1", "9223372036854775807", "18446744073709551615",
                                   "123456789012345678901234567890", "1e3", "1e300", "-1e300"})
    EXPECT_FALSE(with(R"("limit":)" + number)) << number;
  for (std::string const number : {"4294967296", "-1", "18446744073709551615", "1e3"}) {
    EXPECT_FALSE(with(R"("uid":)" + number)) << number;
    EXPECT_FALSE(with(R"("whose":)" + number)) << number;
  }
  for (std::string const number : {"9223372036854775808", "18446744073709551615", "1e3", "-9223372036854775809"})
    EXPECT_FALSE(with(R"("whole":)" + number)) << number;
  EXPECT_FALSE(with(R"("timeout_ms":-1)"));
  EXPECT_FALSE(with(R"("timeout_ms":9223372036854775807)"));
  EXPECT_TRUE(with(R"("timeout_ms":0)"));
}

TEST(Described, NamesHaveTheirRule) {
  auto const named = [](std::string const& json) { return read<Everything>(R"({"session":")" + json + "\"}"); };
  EXPECT_TRUE(named("a"));
  EXPECT_TRUE(named(std::string(256, 'n')));
  EXPECT_TRUE(named("with space \u00e9 \U0001F30A \u00a0"));
  EXPECT_FALSE(named(""));
  EXPECT_FALSE(named(std::string(257, 'n')));
  std::string two_bytes_each;
  for (int count = 0; count < 129; ++count) two_bytes_each += "\u00e9";
  EXPECT_FALSE(named(two_bytes_each)) << "bytes count, not characters";
  for (std::string const control : {R"(\u0000)", R"(\n)", R"(a\u001fb)", "\x7F", R"(\u0085)", "\u009f"})
    EXPECT_FALSE(named(control)) << control;
  EXPECT_TRUE(read<Everything>(R"({"session":""})", Strictness::lenient)) << "a result isn't held to it";
}

TEST(Described, TextsHaveTheirRule) {
  EXPECT_TRUE(with(R"("reason":"")"));
  EXPECT_TRUE(with(R"("reason":"two\nlines")"));
  EXPECT_TRUE(with(R"("reason":")" + std::string(4096, 't') + "\""));
  EXPECT_FALSE(with(R"("reason":")" + std::string(4097, 't') + "\""));
  EXPECT_FALSE(with(R"("reason":"a\u0000b")"));
}

TEST(Described, ListsAreBounded) {
  auto const list = [](std::size_t count) {
    std::string text = R"("inners":[{"number":1})";
    for (std::size_t index = 1; index < count; ++index) text.append(R"(,{"number":1})");
    return text.append("]");
  };
  EXPECT_TRUE(with(list(bounds::list_elements_max)));
  EXPECT_FALSE(with(list(bounds::list_elements_max + 1)));
  EXPECT_TRUE(with(list(bounds::list_elements_max + 1), Strictness::lenient));
}

TEST(Described, TimesAreUtcToTheMillisecond) {
  auto const time_of = [](std::string const& text) { return with(R"("at":")" + text + "\""); };
  EXPECT_EQ(time_of("1970-01-01T00:00:00Z")->at->time_since_epoch().count(), 0);
  EXPECT_EQ(time_of("2024-02-29T23:59:59.9Z")->at->time_since_epoch().count(), 1709251199900);
  EXPECT_EQ(time_of("2024-02-29T23:59:59.123456789Z")->at->time_since_epoch().count(), 1709251199123);
  for (std::string const wrong :
       {"", "2023-02-29T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:00", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00+01:00",
        "2024-01-01T00:00:00Zx", "-024-01-01T00:00:00Z", "2024-01-01T00:00"})
    EXPECT_FALSE(time_of(wrong)) << wrong;
  Everything before_epoch;
  before_epoch.session = "s";
  before_epoch.at = Utc(Milliseconds(-1));
  EXPECT_EQ(write(before_epoch), R"({"session":"s","at":"1969-12-31T23:59:59.999Z"})");
}

TEST(Described, RawJsonStaysOnOneLine) {
  Everything value;
  value.session = "s";
  value.evidence = RawJson{"{\"a\":\n\t1,\r\n\"b\":2}"};
  EXPECT_EQ(write(value), "{\"session\":\"s\",\"evidence\":{\"a\": \t1,  \"b\":2}}");
  value.evidence = RawJson{};
  EXPECT_EQ(write(value), R"({"session":"s","evidence":null})");
}

TEST(Described, InheritedMembersComeFirst) {
  Derived value;
  value.first = "1";
  value.second = "2";
  EXPECT_EQ(write(value), R"({"first":"1","second":"2"})");
  auto const decoded = read<Derived>(R"({"second":"2","first":"1"})");
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->first, "1");
}

TEST(Described, TakingTheValueOfAnErrorIsAFault) {
  EXPECT_THROW(read<Everything>("{}").value(), std::logic_error);
}

}  // namespace
}  // namespace tidemark::ipc
