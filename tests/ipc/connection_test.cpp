// Calls, batches, requests and ends of a connection, as the peer sees them byte by byte.
#include "ipc/connection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "ipc/messages.h"
#include "tests/ipc/loop.h"

namespace tidemark::ipc {
namespace {

using Lines = std::vector<std::string>;

TEST_F(ConnectionTest, AnswersACall) {
  connect();
  peer->send(R"({"jsonrpc":"2.0","id":1,"method":"turn.complete","params":{"session":"s","agent":"a"}})"
             "\r\n");
  handler.call_handler = [](Connection&, Call call, std::string_view method, boost::json::object const& params) {
    EXPECT_EQ(method, TurnCompleteParams::method);
    auto const decoded = decode<TurnCompleteParams>(params, Strictness::strict);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->session.value, "s");
    call.reply(TurnCompleteResult{42, {}, {}});
    EXPECT_FALSE(call);
  };
  EXPECT_EQ(lines(1), (Lines{R"({"jsonrpc":"2.0","id":1,"result":{"generation":42}})"}));
  EXPECT_EQ(connection->calls_outstanding(), 0U);
  EXPECT_EQ(handler.rounds, 1);
}

TEST_F(ConnectionTest, AnswersInAnyOrderAndOnce) {
  connect();
  peer->send(call_text("1") + "\n" + call_text("2") + "\n" + call_text("3") + "\n");
  ASSERT_TRUE(until([&] { return handler.calls.size() == 3; }));
  EXPECT_EQ(connection->calls_outstanding(), 3U);
  handler.calls[2].reply(Empty{});
  handler.calls[2].reply(Empty{});
  handler.calls[0].fail(Error::make(ErrorReason::forbidden, "no"));
  handler.calls[1].reply_json("{\n}");
  handler.calls[0].reply(Empty{});
  EXPECT_EQ(lines(3),
            (Lines{answer_text("3"),
                   R"({"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"no","data":{"reason":"forbidden"}}})",
                   R"({"jsonrpc":"2.0","id":2,"result":{ }})"}));
  EXPECT_EQ(connection->calls_outstanding(), 0U);
}

TEST_F(ConnectionTest, ARoundIsWrittenAtOnce) {
  connect();
  answer_all();
  std::string calls;
  for (int id = 0; id < 100; ++id) calls += call_text(std::to_string(id)) + "\n";
  peer->send(calls);
  ASSERT_TRUE(until([&] {
    peer->read();
    return !peer->received.empty();
  }));
  EXPECT_EQ(std::count(peer->received.begin(), peer->received.end(), '\n'), 100);
  EXPECT_EQ(handler.rounds, 1);
}

TEST_F(ConnectionTest, ANotificationTakesEffectWithoutAnswer) {
  connect();
  answer_all();
  peer->send(call_text("") + "\n" + call_text("null") + "\n");
  EXPECT_EQ(lines(1), (Lines{answer_text("null")}));
  EXPECT_EQ(handler.methods.size(), 2U);
  EXPECT_EQ(connection->calls_outstanding(), 0U);
}

TEST_F(ConnectionTest, MalformedFramesGetErrorsAndNothingElseHappens) {
  connect();
  answer_all();
  peer->send("nonsense\n[]\n{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"m\",\"params\":[1]}\n7\n" + call_text("1") +
             "\n");
  auto const got = lines(5);
  ASSERT_EQ(got.size(), 5U);
  EXPECT_NE(got[0].find(R"("id":null,"error":{"code":-32700)"), std::string::npos);
  EXPECT_NE(got[1].find(R"("id":null,"error":{"code":-32600)"), std::string::npos);
  EXPECT_NE(got[2].find(R"("id":9,"error":{"code":-32602)"), std::string::npos);
  EXPECT_NE(got[3].find(R"("id":null,"error":{"code":-32600)"), std::string::npos);
  EXPECT_EQ(got[4], answer_text("1"));
  EXPECT_TRUE(handler.closed.empty());
  EXPECT_EQ(connection->calls_outstanding(), 0U);
}

TEST_F(ConnectionTest, ABatchIsAnsweredWhenItsLastAnswerIsThere) {
  connect();
  peer->send(batch_text({call_text("1"), call_text("", "note"), call_text("2"), "5", call_text("null")}) + "\n" +
             call_text("8") + "\n");
  ASSERT_TRUE(until([&] { return handler.calls.size() == 5; }));
  EXPECT_EQ(handler.methods, (Lines{"ping", "note", "ping", "ping", "ping"}));
  EXPECT_GT(connection->output_bytes(), 0U) << "what waits in the batch counts";
  handler.calls[2].reply(Empty{});
  handler.calls[0].reply(Empty{});
  handler.calls[4].reply(Empty{});
  EXPECT_EQ(lines(1), (Lines{answer_text("8")})) << "what comes after a batch doesn't wait for it";
  handler.calls[3].reply(Empty{});
  auto const got = lines(1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0], R"([{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a call is a JSON object",)"
                    R"("data":{"reason":"invalid_request"}}},)" +
                        answer_text("2") + "," + answer_text("1") + "," + answer_text("null") + "]");
  EXPECT_EQ(connection->calls_outstanding(), 1U) << "the notification is still at work";
  handler.calls[1].reply(Empty{});
  EXPECT_EQ(connection->calls_outstanding(), 0U);
  EXPECT_EQ(connection->output_bytes(), 0U);
}

TEST_F(ConnectionTest, ABatchOfNotificationsGetsNoAnswer) {
  connect();
  answer_all();
  peer->send(batch_text({call_text(""), call_text("")}) + "\n" + call_text("1") + "\n");
  EXPECT_EQ(lines(1), (Lines{answer_text("1")}));
  EXPECT_EQ(handler.methods.size(), 3U);
}

TEST_F(ConnectionTest, ABatchAnsweredInPassingIsOneArray) {
  connect();
  answer_all();
  peer->send(batch_text({call_text("1"), call_text("2")}) + "\n");
  EXPECT_EQ(lines(1), (Lines{batch_text({answer_text("1"), answer_text("2")})}));
}

TEST_F(ConnectionTest, RequestsFindTheirAnswers) {
  connect();
  std::vector<std::string> outcomes;
  auto const ask = [&](std::string const& name) {
    AgentCommitParams params;
    params.commit = "1";
    params.session = name;
    return connection->request(params, [&outcomes, name](Answer<AgentCommitResult> const& answer) {
      if (auto const* result = std::get_if<AgentCommitResult>(&answer)) {
        outcomes.push_back(name + " " + std::string(result->status ? word_of(*result->status) : "done"));
      } else if (auto const* error = std::get_if<Error>(&answer)) {
        outcomes.push_back(name + " error " + error->message);
      } else {
        outcomes.push_back(name + " ended");
      }
    });
  };
  for (char const* name : {"a", "b", "c", "d", "e"}) ASSERT_TRUE(ask(name));
  auto const got = lines(5);
  ASSERT_EQ(got.size(), 5U);
  EXPECT_EQ(got[1],
            R"({"jsonrpc":"2.0","id":2,"method":"commit","params":{"commit":"1","key":"","session":"b","agent":"",)"
            R"("start":0,"end":0,"attempt":0,"reason":"","timeout_ms":0}})");
  peer->send(R"({"jsonrpc":"2.0","id":2,"result":{"status":"synced","more":1}})"
             "\n"
             R"([{"jsonrpc":"2.0","id":99,"result":{}},{"jsonrpc":"2.0","id":1,"result":{}}])"
             "\n"
             R"({"jsonrpc":"2.0","id":2,"result":{}})"
             "\n"
             R"({"jsonrpc":"2.0","id":"3","result":{}})"
             "\n"
             R"({"jsonrpc":"2.0","id":null,"error":{"code":1}})"
             "\n"
             R"({"jsonrpc":"2.0","id":4,"error":{"code":5,"message":"disk"}})"
             "\n"
             R"({"jsonrpc":"2.0","id":5,"result":"fine"})"
             "\n");
  ASSERT_TRUE(until([&] { return outcomes.size() == 4; }));
  EXPECT_EQ(outcomes, (Lines{"b synced", "a done", "d error disk",
                             "e error the answer is no result of this call: a JSON object is expected"}));
  peer->close();
  ASSERT_TRUE(until_closed());
  ASSERT_EQ(outcomes.size(), 5U);
  EXPECT_EQ(outcomes[4], "c ended");
  EXPECT_FALSE(ask("f"));
}

TEST_F(ConnectionTest, RequestsAreBounded) {
  connect();
  auto const ignore = [](Answer<AgentCommitResult> const&) {};
  for (std::size_t count = 0; count < bounds::requests_outstanding_max; ++count)
    ASSERT_TRUE(connection->request(AgentCommitParams{}, ignore));
  EXPECT_FALSE(connection->request(AgentCommitParams{}, ignore));
}

TEST_F(ConnectionTest, NotifiesThePeer) {
  connect();
  connection->notify(AgentFencedParams{"a", 7});
  EXPECT_EQ(lines(1), (Lines{R"({"jsonrpc":"2.0","method":"agent.fenced","params":{"agent":"a","epoch":7}})"}));
}

TEST_F(ConnectionTest, ATokenOutlivesItsConnection) {
  connect();
  peer->send(call_text("1") + "\n" + batch_text({call_text("2")}) + "\n");
  ASSERT_TRUE(until([&] { return handler.calls.size() == 2; }));
  connection->close();
  EXPECT_TRUE(handler.closed.empty()) << "never told from inside a call";
  connection->close();
  ASSERT_TRUE(until_closed());
  EXPECT_EQ(handler.closed, (std::vector{CloseReason::owner}));
  handler.calls[0].reply(Empty{});
  std::weak_ptr<Connection> const weak = connection;
  connection.reset();
  settle(context);
  EXPECT_TRUE(weak.expired()) << "tokens don't keep it";
  handler.calls[1].set_waiting();
  handler.calls[1].reply(Empty{});
  EXPECT_FALSE(handler.calls[1]);
  Call().reply(Empty{});
}

TEST_F(ConnectionTest, MayBeClosedFromInsideACall) {
  connect();
  handler.call_handler = [](Connection& called, Call, std::string_view, boost::json::object const&) { called.close(); };
  peer->send(batch_text({call_text("1"), call_text("2")}) + "\n" + call_text("3") + "\n");
  ASSERT_TRUE(until_closed());
  EXPECT_EQ(handler.methods.size(), 1U);
}

TEST_F(ConnectionTest, APeerThatEndsItsSendingStillGetsItsAnswers) {
  connect();
  peer->send(call_text("1") + "\n" + call_text("2") + "\nhalf a line");
  peer->finish_sending();
  ASSERT_TRUE(until([&] { return handler.calls.size() == 2; }));
  settle(context);
  EXPECT_TRUE(handler.closed.empty());
  handler.calls[1].set_waiting();
  handler.calls[0].reply(Empty{});
  EXPECT_EQ(lines(1), (Lines{answer_text("1")}));
  EXPECT_TRUE(handler.closed.empty());
  handler.calls[1].reply(Empty{});
  EXPECT_EQ(lines(1), (Lines{answer_text("2")}));
  ASSERT_TRUE(until_closed());
  EXPECT_EQ(handler.closed, (std::vector{CloseReason::peer_closed}));
  peer->read();
  EXPECT_TRUE(peer->ended);
}

TEST_F(ConnectionTest, APeerThatIsGoneIsNoticedWhileACallWaits) {
  for (bool const half_closed_first : {false, true}) {
    handler.calls.clear();
    handler.closed.clear();
    connect();
    peer->send(call_text("1") + "\n");
    ASSERT_TRUE(until([&] { return handler.calls.size() == 1; }));
    handler.calls[0].set_waiting();
    if (half_closed_first) {
      peer->finish_sending();
      settle(context);
      EXPECT_TRUE(handler.closed.empty());
    }
    peer->close();
    ASSERT_TRUE(until_closed());
    EXPECT_EQ(handler.closed, (std::vector{CloseReason::peer_closed}));
  }
}

TEST_F(ConnectionTest, WhatAGonePeerHadSentIsHandled) {
  ConnectionOptions options;
  options.calls_outstanding_max = 10;
  connect(options);
  std::string calls;
  for (int id = 0; id < 100; ++id) calls += call_text(std::to_string(id)) + "\n";
  ASSERT_EQ(peer->send(calls), calls.size());
  peer->close();
  ASSERT_TRUE(until([&] {
    auto calls_now = std::exchange(handler.calls, {});
    for (auto& call : calls_now) call.reply(Empty{});
    return !handler.closed.empty();
  }));
  EXPECT_EQ(handler.methods.size(), 100U);
}

TEST_F(ConnectionTest, EndingLetsAnswersBeTaken) {
  connect();
  peer->send(call_text("1") + "\n");
  ASSERT_TRUE(until([&] { return handler.calls.size() == 1; }));
  connection->end();
  peer->send(call_text("2") + "\n");
  settle(context);
  EXPECT_EQ(handler.calls.size(), 1U) << "nothing more is handled";
  handler.calls[0].reply(Empty{});
  EXPECT_EQ(lines(1), (Lines{answer_text("1")}));
  ASSERT_TRUE(until([&] {
    peer->read();
    return peer->ended;
  }));
  EXPECT_TRUE(handler.closed.empty());
  peer->close();
  ASSERT_TRUE(until_closed());
  EXPECT_EQ(handler.closed, (std::vector{CloseReason::owner}));
}

TEST_F(ConnectionTest, EndingIsBounded) {
  ConnectionOptions options;
  options.linger_max = std::chrono::milliseconds(20);
  connect(options);
  peer->send(call_text("1") + "\n");
  ASSERT_TRUE(until([&] { return handler.calls.size() == 1; }));
  connection->end();
  ASSERT_TRUE(until_closed());
}

TEST_F(ConnectionTest, EveryCutOfTheStreamGivesTheSameAnswers) {
  unsigned const seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  answer_all();
  std::string stream;
  Lines expected;
  for (int id = 0; id < 200; ++id) {
    stream += call_text(std::to_string(id)) + (id % 3 == 0 ? "\r\n" : "\n\n");
    expected.push_back(answer_text(std::to_string(id)));
  }
  connect();
  for (std::size_t at = 0; at < stream.size();) {
    std::size_t const size = std::min<std::size_t>(stream.size() - at, 1 + random() % 200);
    ASSERT_EQ(peer->send(std::string_view(stream).substr(at, size)), size);
    at += size;
    settle(context);
  }
  EXPECT_EQ(lines(200), expected);
}

}  // namespace
}  // namespace tidemark::ipc
