#include "daemon/providers/template.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace tidemark::daemon {
namespace {

ProviderRequest request(std::string session) {
  ProviderRequest request;
  request.session = std::move(session);
  request.external_id = "outside";
  request.start = 3;
  request.end = 7;
  request.attempt = 2;
  request.key = {0x0f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return request;
}

std::string expanded(std::string session, Encoding encoding) {
  return expand("{session}", request(session), encoding);
}

TEST(Template, HasEachValueInItsPlace) {
  EXPECT_EQ(expand("<{session}|{external_id}|{start}|{end}|{key}|{attempt}{attempt}>", request("s"), Encoding::plain),
            "<s|outside|3|7|0f010203-0405-0607-0809-0a0b0c0d0e0f|22>");
}

TEST(Template, LeavesOtherBracesAlone) {
  for (const char* text : {"{}", "{{}}", "{ session }", "{\"a\":{\"b\":1}}", "{", "}", "{session", "session}",
                           "{Session}", "{session1}", ""}) {
    EXPECT_EQ(expand(text, request("s"), Encoding::plain), text);
    EXPECT_EQ(unknown_placeholder(text), "") << text;
    EXPECT_FALSE(has_placeholder(text)) << text;
  }
  EXPECT_EQ(expand("{{session}}", request("s"), Encoding::plain), "{s}");
  EXPECT_EQ(expand("{session}", request("{end}"), Encoding::plain), "{end}") << "a value is no template";
}

TEST(Template, NamesWhatIsNoPlaceholder) {
  EXPECT_EQ(unknown_placeholder("{session} {sesion} {other}"), "{sesion}");
  EXPECT_EQ(unknown_placeholder("{session} {external_id} {start} {end} {key} {attempt}"), "");
  EXPECT_TRUE(has_placeholder("a {end} b"));
}

TEST(Template, PercentEncodesAllButUnreservedCharacters) {
  EXPECT_EQ(expanded("AZaz09-._~", Encoding::percent), "AZaz09-._~");
  EXPECT_EQ(expanded("a/b?c#d&e=f+g h%2f@:;,\"<\\", Encoding::percent),
            "a%2Fb%3Fc%23d%26e%3Df%2Bg%20h%252f%40%3A%3B%2C%22%3C%5C");
  EXPECT_EQ(expanded("\xc3\xa9", Encoding::percent), "%C3%A9");
  EXPECT_EQ(expanded("x\r\ny", Encoding::percent), "x%0D%0Ay");
}

TEST(Template, MakesNoDotSegments) {
  EXPECT_EQ(expanded(".", Encoding::percent), "%2E");
  EXPECT_EQ(expanded("..", Encoding::percent), "%2E%2E");
  EXPECT_EQ(expanded("../..", Encoding::percent), "..%2F..");
  EXPECT_EQ(expanded("a.b..c", Encoding::percent), "a.b..c");
}

TEST(Template, EndsNoHeader) {
  EXPECT_EQ(expanded("user@host:1/a b", Encoding::header), "user@host:1/a%20b");
  EXPECT_EQ(expanded("a\r\nX-Other: 1", Encoding::header), "a%0D%0AX-Other:%201");
  EXPECT_EQ(expanded("a\",;\\%\xc3\xa9\x7f", Encoding::header), "a%22%2C%3B%5C%25%C3%A9%7F");
}

TEST(Template, EndsNoJsonString) {
  const std::string session = "a\",\"admin\":\"\\ \n\x01/\xc3\xa9";
  const std::string body = expand(R"({"session":"<{session}>","start":{start}})", request(session), Encoding::json);
  const auto value = boost::json::parse(body);
  EXPECT_EQ(value.as_object().size(), 2U);
  EXPECT_EQ(value.at("session").as_string(), "<" + session + ">");
  EXPECT_EQ(value.at("start").as_int64(), 3);
}

BodyEncoding encoding_of(std::string body, std::string content_type = {}, std::string header = "content-TYPE") {
  HttpConfig config;
  config.body = std::move(body);
  if (!content_type.empty()) config.headers[header] = content_type;
  return body_encoding(config);
}

TEST(Template, TellsTheBodysEncodingByItsTypeOrItsText) {
  EXPECT_EQ(encoding_of(R"({"s":"{session}"})").encoding, Encoding::json);
  EXPECT_EQ(encoding_of(R"({"s":"{session}"})").content_type, "application/json");
  EXPECT_EQ(encoding_of(R"({"s":"{session}"})", "application/json; charset=utf-8").encoding, Encoding::json);
  EXPECT_EQ(encoding_of(R"({"s":"{session}"})", "Application/Problem+JSON").encoding, Encoding::json);
  EXPECT_EQ(encoding_of(R"({"s":"{session}"})", "application/json").content_type, "") << "the header says it";
  EXPECT_EQ(encoding_of("s={session}&n={start}", "application/x-www-form-urlencoded").encoding, Encoding::percent);
  EXPECT_EQ(encoding_of("{session} {start}", "text/plain").encoding, Encoding::plain);
  EXPECT_EQ(encoding_of("<none/>", "application/xml").problem, "");
  EXPECT_EQ(encoding_of("").problem, "");
  EXPECT_EQ(encoding_of("").content_type, "");
}

TEST(Template, RefusesBodiesInWhichAValueCouldBeMoreThanAValue) {
  EXPECT_NE(encoding_of(R"({"s":{session}})").problem, "");
  EXPECT_NE(encoding_of(R"({"s":{session}})", "application/json").problem, "");
  EXPECT_NE(encoding_of(R"({"s":"\{session}"})", "application/json").problem, "");
  EXPECT_NE(encoding_of(R"({"s":"\u{session}"})", "application/json").problem, "");
  EXPECT_NE(encoding_of("{session}").problem, "");
  EXPECT_NE(encoding_of("<s>{session}</s>", "application/xml").problem, "");
  for (const char* good : {R"({"n":{start},"m":[{end},{attempt}]})", R"("{key}")", R"({"s":"\\{session}"})"}) {
    EXPECT_EQ(encoding_of(good).problem, "") << good;
  }
}

}  // namespace
}  // namespace tidemark::daemon
