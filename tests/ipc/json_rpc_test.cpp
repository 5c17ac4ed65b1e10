// What a frame is, for every kind of frame, and what is answered to one that is none.
#include "ipc/json_rpc.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <string>
#include <vector>

#include "ipc/bounds.h"

namespace tidemark::ipc {
namespace {

// The only message of a frame, as the alternative that it is expected to be.
template <class Kind>
Kind only(Parser& parser, std::string_view frame) {
  auto const messages = parser.parse(frame);
  EXPECT_EQ(messages.size(), 1U) << frame;
  auto* kind = std::get_if<Kind>(&messages[0]);
  EXPECT_NE(kind, nullptr) << frame << " is of kind " << messages[0].index();
  return kind != nullptr ? *kind : Kind{};
}

void expect_invalid(std::string_view frame, ErrorReason reason, std::string_view id = "null") {
  Parser parser;
  auto const invalid = only<Invalid>(parser, frame);
  EXPECT_TRUE(invalid.error.is(reason)) << frame << ": " << invalid.error.message;
  EXPECT_EQ(invalid.id, id) << frame;
  EXPECT_FALSE(invalid.error.message.empty());
  EXPECT_FALSE(parser.batch());
}

TEST(JsonRpc, EveryReasonHasItsCodeAndWord) {
  std::vector<std::pair<int, std::string>> rows;
  for (int index = 0; index <= static_cast<int>(ErrorReason::outcome_unknown); ++index)
    rows.emplace_back(code_of(static_cast<ErrorReason>(index)), word_of(static_cast<ErrorReason>(index)));
  EXPECT_EQ(rows, (std::vector<std::pair<int, std::string>>{{-32700, "parse_error"},
                                                            {-32600, "invalid_request"},
                                                            {-32601, "method_not_found"},
                                                            {-32602, "invalid_params"},
                                                            {-32603, "internal"},
                                                            {-32001, "journal_unavailable"},
                                                            {-32002, "forbidden"},
                                                            {-32003, "limit"},
                                                            {-32004, "not_found"},
                                                            {-32005, "protocol_mismatch"},
                                                            {-32006, "outcome_unknown"}}));
}

TEST(JsonRpc, ReadsARequest) {
  Parser parser;
  auto const request = only<Request>(
      parser, R"( {"jsonrpc":"2.0", "id":7, "method":"ping", "params":{"a":[1,{"id":9}],"id":5}, "extra":1} )");
  EXPECT_EQ(request.id, "7");
  EXPECT_EQ(request.method, "ping");
  EXPECT_EQ(boost::json::serialize(*request.params), R"({"a":[1,{"id":9}],"id":5})");
  EXPECT_FALSE(parser.batch());
}

TEST(JsonRpc, AbsentParametersAreEmpty) {
  Parser parser;
  auto const request = only<Request>(parser, R"({"jsonrpc":"2.0","id":1,"method":"ping"})");
  ASSERT_NE(request.params, nullptr);
  EXPECT_TRUE(request.params->empty());
}

TEST(JsonRpc, TakesTheIdAsItStands) {
  for (std::string const id :
       {"0", "-5", "1.50", "-0", "1e2", "1E-7", "18446744073709551615", "123456789012345678901234567890", "null",
        R"("")", R"("a")", R"("a \"quoted\" id \n")", "\"\u00e9\"", "-9223372036854775808", "9007199254740993"}) {
    Parser parser;
    auto const first = R"({"id":)" + id + R"(,"jsonrpc":"2.0","method":"ping"})";
    EXPECT_EQ(only<Request>(parser, first).id, id);
    auto const last = R"({"jsonrpc":"2.0","method":"ping","params":{"id":1,"x":[{"id":2}]},"id":)" + id + "}";
    EXPECT_EQ(only<Request>(parser, last).id, id);
    auto const escaped = R"({"jsonrpc":"2.0","method":"ping","\u0069d":)" + id + "}";
    EXPECT_EQ(only<Request>(parser, escaped).id, id);
  }
}

TEST(JsonRpc, WithoutAnIdItIsANotification) {
  Parser parser;
  EXPECT_EQ(only<Request>(parser, R"({"jsonrpc":"2.0","method":"event","params":{"id":3}})").id, "");
}

TEST(JsonRpc, ReadsResponses) {
  Parser parser;
  auto const result = only<Response>(parser, R"({"jsonrpc":"2.0","id":4,"result":{"status":"committed"}})");
  EXPECT_EQ(result.id, "4");
  ASSERT_NE(result.result, nullptr);
  EXPECT_EQ(boost::json::serialize(*result.result), R"({"status":"committed"})");

  auto const null_result = only<Response>(parser, R"({"jsonrpc":"2.0","id":4,"result":null})");
  ASSERT_NE(null_result.result, nullptr);
  EXPECT_TRUE(null_result.result->is_null());

  auto const error = only<Response>(
      parser,
      R"({"jsonrpc":"2.0","id":"x","error":{"code":-32003,"message":"full","data":{"reason":"limit","limit":"queue","retry_after_ms":50,"permanent":true}}})");
  EXPECT_EQ(error.id, R"("x")");
  EXPECT_EQ(error.result, nullptr);
  EXPECT_TRUE(error.error.is(ErrorReason::limit));
  EXPECT_EQ(error.error.message, "full");
  EXPECT_EQ(error.error.limit, "queue");
  EXPECT_EQ(error.error.retry_after_ms, 50);
  EXPECT_TRUE(error.error.permanent);
}

TEST(JsonRpc, TakesAStrangeErrorKindly) {
  Parser parser;
  for (std::string const error : {R"("no")", "7", "[]", "{}", R"({"code":"x","message":5,"data":[1]})",
                                  R"({"code":99999999999,"data":{"permanent":"yes","retry_after_ms":1.5}})"}) {
    auto const response = only<Response>(parser, R"({"jsonrpc":"2.0","id":1,"error":)" + error + "}");
    EXPECT_EQ(response.result, nullptr);
    EXPECT_EQ(response.error.code, 0);
    EXPECT_FALSE(response.error.permanent);
  }
  auto const both = only<Response>(parser, R"({"jsonrpc":"2.0","id":1,"result":{},"error":null})");
  EXPECT_NE(both.result, nullptr);
  auto const other = only<Response>(parser, R"({"jsonrpc":"2.0","id":1,"result":null,"error":{"code":3}})");
  EXPECT_EQ(other.result, nullptr);
  EXPECT_EQ(other.error.code, 3);
}

TEST(JsonRpc, RefusesWhatIsNoJson) {
  for (std::string const frame : {"hello",
                                  "{",
                                  "{}}",
                                  "{} {}",
                                  " ",
                                  "\t",
                                  R"({"jsonrpc":"2.0","id":1,"method":"ping")",
                                  R"({'a':1})",
                                  "[1,]",
                                  "nul",
                                  R"({"a":1,})",
                                  "// comment",
                                  R"({"a":01})",
                                  R"({"a":+1})",
                                  R"({"a":NaN})",
                                  "\"a\tb\"",
                                  R"(["\x"])",
                                  R"(["\ud800"])",
                                  "[\"\xFF\"]",
                                  "[\"\xC0\x80\"]",
                                  "[\"\xED\xA0\x80\"]",
                                  "[\"\xE2\x82\"]",
                                  "\xEF\xBB\xBF{}",
                                  "\"open",
                                  "{\"a\"}"})
    expect_invalid(frame, ErrorReason::parse_error);
}

TEST(JsonRpc, RefusesNullBytesInTheText) {
  expect_invalid(std::string_view("{}\0", 3), ErrorReason::parse_error);
  expect_invalid(std::string_view("\"a\0b\"", 5), ErrorReason::parse_error);
}

TEST(JsonRpc, RefusesWhatIsNestedTooDeep) {
  auto const nested = [](std::size_t depth) {
    // The message and its parameters are two of them.
    return R"({"jsonrpc":"2.0","id":1,"method":"m","params":{"a":)" + std::string(depth - 2, '[') +
           std::string(depth - 2, ']') + "}}";
  };
  Parser parser;
  only<Request>(parser, nested(bounds::json_depth_max));
  expect_invalid(nested(bounds::json_depth_max + 1), ErrorReason::parse_error);
  expect_invalid(std::string(100'000, '['), ErrorReason::parse_error);
  expect_invalid(nested(100'000), ErrorReason::parse_error);
}

TEST(JsonRpc, RefusesWhatIsNoRequest) {
  for (std::string const frame :
       {"1", "null", "true", R"("ping")", "{}", R"({"method":"ping","params":{}})", R"({"jsonrpc":"2.0"})",
        R"({"jsonrpc":"1.0","method":"ping"})", R"({"jsonrpc":2.0,"method":"ping"})", R"({"jsonrpc":"2.0","method":1})",
        R"({"jsonrpc":"2.0","method":null})", R"({"jsonrpc":"2.0","method":["ping"]})",
        R"({"jsonrpc":"2.0","result":{}})", R"({"jsonrpc":"2.0","id":{},"method":"ping"})",
        R"({"jsonrpc":"2.0","id":[1],"method":"ping"})", R"({"jsonrpc":"2.0","id":true,"method":"ping"})"})
    expect_invalid(frame, ErrorReason::invalid_request);
  expect_invalid(R"({"id":3,"method":"ping"})", ErrorReason::invalid_request, "3");
  expect_invalid(R"({"jsonrpc":"2.0","id":3})", ErrorReason::invalid_request, "3");
  expect_invalid(R"({"jsonrpc":"2.0","id":3,"result":1,"error":{"code":1}})", ErrorReason::invalid_request, "3");
  expect_invalid(R"({"jsonrpc":"2.0","id":"3","method":7})", ErrorReason::invalid_request, R"("3")");
}

TEST(JsonRpc, BoundsTheId) {
  std::string const longest(bounds::call_id_bytes_max - 2, 'i');
  Parser parser;
  EXPECT_EQ(only<Request>(parser, R"({"jsonrpc":"2.0","method":"m","id":")" + longest + "\"}").id.size(),
            bounds::call_id_bytes_max);
  expect_invalid(R"({"jsonrpc":"2.0","method":"m","id":"i)" + longest + "\"}", ErrorReason::invalid_request);
  expect_invalid(R"({"jsonrpc":"2.0","method":"m","id":)" + std::string(300, '1') + "}", ErrorReason::invalid_request);
}

TEST(JsonRpc, ParametersAreAlwaysNamed) {
  for (std::string const params : {"[1]", "[]", "1", R"("a")", "true", "null"}) {
    expect_invalid(R"({"jsonrpc":"2.0","id":1,"method":"m","params":)" + params + "}", ErrorReason::invalid_params,
                   "1");
    expect_invalid(R"({"jsonrpc":"2.0","id":null,"method":"m","params":)" + params + "}", ErrorReason::invalid_params);
    expect_invalid(R"({"jsonrpc":"2.0","method":"m","params":)" + params + "}", ErrorReason::invalid_params, "");
  }
}

TEST(JsonRpc, RefusesMembersThatComeTwice) {
  expect_invalid(R"({"jsonrpc":"2.0","id":1,"id":1,"method":"m"})", ErrorReason::invalid_request);
  expect_invalid(R"({"jsonrpc":"2.0","id":1,"method":"m","params":{"a":1,"\u0061":2}})", ErrorReason::invalid_request);
  expect_invalid(R"({"jsonrpc":"2.0","id":1,"method":"m","params":{"b":[{"a":1,"a":2}]}})",
                 ErrorReason::invalid_request);
}

TEST(JsonRpc, ReadsABatch) {
  Parser parser;
  auto const messages = parser.parse(
      R"([{"jsonrpc":"2.0","id":1.0,"method":"a"},7,{"jsonrpc":"2.0","method":"b"},[{"id":5}],{"jsonrpc":"2.0","id":{"id":6},"method":"c"},{"jsonrpc":"2.0","id":2e0,"result":1}])");
  EXPECT_TRUE(parser.batch());
  ASSERT_EQ(messages.size(), 6U);
  EXPECT_EQ(std::get<Request>(messages[0]).id, "1.0");
  EXPECT_TRUE(std::get<Invalid>(messages[1]).error.is(ErrorReason::invalid_request));
  EXPECT_EQ(std::get<Request>(messages[2]).id, "");
  EXPECT_TRUE(std::get<Invalid>(messages[3]).error.is(ErrorReason::invalid_request));
  EXPECT_EQ(std::get<Invalid>(messages[4]).id, "null");
  EXPECT_EQ(std::get<Response>(messages[5]).id, "2e0");
}

TEST(JsonRpc, BoundsABatch) {
  expect_invalid("[]", ErrorReason::invalid_request);
  auto const batch = [](std::size_t members) {
    std::string text = "[";
    for (std::size_t index = 0; index < members; ++index) text += index == 0 ? "1" : ",1";
    return text + "]";
  };
  Parser parser;
  EXPECT_EQ(parser.parse(batch(bounds::batch_members_max)).size(), bounds::batch_members_max);
  EXPECT_TRUE(parser.batch());
  auto const invalid = only<Invalid>(parser, batch(bounds::batch_members_max + 1));
  EXPECT_TRUE(invalid.error.is(ErrorReason::limit));
  EXPECT_EQ(invalid.error.limit, "batch_members");
  EXPECT_FALSE(parser.batch());
}

TEST(JsonRpc, AParserIsAsNewAfterAnyFrame) {
  Parser parser;
  std::string const good = R"({"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"b"}})";
  std::string const large =
      R"({"jsonrpc":"2.0","id":2,"method":"ping","params":{"a":")" + std::string(300'000, 'x') + "\"}}";
  for (std::string const& between : {std::string("{"), std::string(R"({"a":[1,2,{"b":")"), large, std::string("[]"),
                                     std::string("[1,2"), std::string("\xFF"), std::string(R"({"i)")}) {
    parser.parse(between);
    auto const request = only<Request>(parser, good);
    EXPECT_EQ(request.id, "1");
    EXPECT_EQ(boost::json::serialize(*request.params), R"({"a":"b"})");
  }
  EXPECT_EQ(only<Request>(parser, large).params->at("a").as_string().size(), 300'000U);
}

TEST(JsonRpc, WritesErrors) {
  std::string out;
  append_error(out, "7", Error::make(ErrorReason::not_found, "no such \"session\""));
  EXPECT_EQ(
      out,
      R"({"jsonrpc":"2.0","id":7,"error":{"code":-32004,"message":"no such \"session\"","data":{"reason":"not_found"}}})");
  Error error = Error::at_limit("waiting_calls", "too many");
  error.retry_after_ms = 250;
  error.permanent = true;
  out.clear();
  append_error(out, R"("a")", error);
  EXPECT_EQ(
      out,
      R"({"jsonrpc":"2.0","id":"a","error":{"code":-32003,"message":"too many","data":{"reason":"limit","limit":"waiting_calls","retry_after_ms":250,"permanent":true}}})");
  Parser parser;
  EXPECT_EQ(only<Response>(parser, out).error, error);
  out.clear();
  append_error(out, "1", Error{7, "plain", {}, {}, {}, false});
  EXPECT_EQ(out, R"({"jsonrpc":"2.0","id":1,"error":{"code":7,"message":"plain"}})");
}

TEST(JsonRpc, WritesRequestsAndResponses) {
  auto const object = [](std::string& out) { out += "{}"; };
  std::string out;
  append_request(out, "3", "ping", object);
  EXPECT_EQ(out, R"({"jsonrpc":"2.0","id":3,"method":"ping","params":{}})");
  out.clear();
  append_request(out, "", "event", object);
  EXPECT_EQ(out, R"({"jsonrpc":"2.0","method":"event","params":{}})");
  out.clear();
  append_response(out, "null", object);
  EXPECT_EQ(out, R"({"jsonrpc":"2.0","id":null,"result":{}})");
}

}  // namespace
}  // namespace tidemark::ipc
