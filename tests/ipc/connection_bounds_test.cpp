// What a peer that sends too much, or takes too little, can make a connection hold.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ipc/connection.h"
#include "ipc/messages.h"
#include "tests/ipc/loop.h"

namespace tidemark::ipc {
namespace {

// A JSON string of so many letters.
std::string long_string(std::size_t letters) {
  return std::string(1, '"').append(letters, 'x').append(1, '"');
}

TEST_F(ConnectionTest, ReadingStopsAtTheBoundOfOutstandingCallsAndResumesByItself) {
  ConnectionOptions options;
  options.calls_outstanding_max = 8;
  connect(options);
  std::string calls;
  for (int id = 0; id < 50; ++id) calls += call_text(std::to_string(id)) + "\n";
  peer->send(calls);
  settle(context);
  EXPECT_EQ(handler.calls.size(), 8U);
  EXPECT_EQ(connection->calls_outstanding(), 8U);
  handler.calls[3].reply(Empty{});
  settle(context);
  EXPECT_EQ(handler.calls.size(), 9U) << "one answered, one read";
  handler.calls[0].set_waiting();
  handler.calls[1].set_waiting();
  handler.calls[1].set_waiting();
  settle(context);
  EXPECT_EQ(handler.calls.size(), 11U) << "those that wait hold nobody up";
  EXPECT_EQ(connection->calls_waiting(), 2U);
  for (std::size_t index = 0; index < handler.calls.size(); ++index) {
    handler.calls[index].reply(Empty{});
    settle(context);
  }
  EXPECT_EQ(handler.calls.size(), 50U);
  EXPECT_EQ(connection->calls_outstanding() + connection->calls_waiting(), 0U);
  EXPECT_EQ(lines(50).size(), 50U);
}

TEST_F(ConnectionTest, ABatchIsHandledWholeEvenAboveTheBound) {
  ConnectionOptions options;
  options.calls_outstanding_max = 2;
  connect(options);
  peer->send(batch_text({call_text("1"), call_text("2"), call_text("3")}) + "\n" + call_text("4") + "\n");
  settle(context);
  EXPECT_EQ(handler.calls.size(), 3U);
  handler.calls[0].reply(Empty{});
  settle(context);
  EXPECT_EQ(handler.calls.size(), 3U);
  handler.calls[1].reply(Empty{});
  settle(context);
  EXPECT_EQ(handler.calls.size(), 4U);
}

TEST_F(ConnectionTest, ReadingStopsWhileTheOutputIsFullAndResumesWhenThePeerReads) {
  ConnectionOptions options;
  options.output_bytes_pause = 100'000;
  connect(options);
  std::string const large = long_string(50'000);
  handler.call_handler = [&](Connection&, Call call, std::string_view, boost::json::object const&) {
    call.reply_json(large);
  };
  std::string calls;
  for (int id = 0; id < 100; ++id) calls += call_text(std::to_string(id)) + "\n";
  peer->send(calls);
  settle(context);
  std::size_t const handled = handler.methods.size();
  EXPECT_LT(handled, 50U);
  EXPECT_GT(connection->output_bytes(), options.output_bytes_pause);
  EXPECT_LE(connection->output_bytes(), options.output_bytes_pause + 60'000);
  settle(context);
  EXPECT_EQ(handler.methods.size(), handled) << "nothing moves while the peer takes nothing";
  EXPECT_EQ(lines(100).size(), 100U);
  EXPECT_EQ(handler.methods.size(), 100U);
  EXPECT_TRUE(handler.closed.empty());
}

TEST_F(ConnectionTest, APeerThatLeavesTooMuchIsCutOff) {
  ConnectionOptions options;
  options.output_bytes_max = 1'000'000;
  options.output_bytes_pause = 10'000;
  connect(options);
  std::string const text(100'000, 'x');
  int notified = 0;
  for (; notified < 100 && !connection->closed(); ++notified) {
    connection->notify(EventParams{1, notified, {}, text, 0, {}, {}, {}, {}, {}, {}, {}, {}});
    settle(context);
  }
  EXPECT_GE(notified, 10);
  EXPECT_LT(notified, 20);
  ASSERT_TRUE(until_closed());
  EXPECT_EQ(handler.closed, (std::vector{CloseReason::output_overflow}));
}

TEST_F(ConnectionTest, WhatABatchGathersCountsToo) {
  ConnectionOptions options;
  options.output_bytes_max = 1'000'000;
  connect(options);
  std::vector<std::string> members;
  members.reserve(30);
  for (int id = 0; id < 30; ++id) members.push_back(call_text(std::to_string(id)));
  peer->send(batch_text(members) + "\n");
  ASSERT_TRUE(until([&] { return handler.calls.size() == 30; }));
  std::string const large = long_string(100'000);
  for (int index = 0; index < 29; ++index) handler.calls[static_cast<std::size_t>(index)].reply_json(large);
  ASSERT_TRUE(until_closed());
  EXPECT_EQ(handler.closed, (std::vector{CloseReason::output_overflow}));
}

TEST_F(ConnectionTest, APeerThatTakesNothingForTooLongIsCutOff) {
  ConnectionOptions options;
  options.write_stall_max = std::chrono::milliseconds(30);
  connect(options);
  answer_all();
  peer->send(call_text("1") + "\n");
  EXPECT_EQ(lines(1).size(), 1U);
  connection->notify(EventParams{1, 1, {}, std::string(2'000'000, 'x'), 0, {}, {}, {}, {}, {}, {}, {}, {}});
  // As long as some is taken now and then, it goes on, however slow it is.
  auto const begin = std::chrono::steady_clock::now();
  for (std::size_t read = 0; read < 500'000 && handler.closed.empty();) {
    std::array<char, 100'000> bytes;
    ssize_t const count = ::recv(peer->descriptor(), bytes.data(), bytes.size(), 0);
    if (count > 0) read += static_cast<std::size_t>(count);
    context.restart();
    context.run_for(std::chrono::milliseconds(10));
  }
  EXPECT_GT(std::chrono::steady_clock::now() - begin, options.write_stall_max);
  EXPECT_TRUE(handler.closed.empty());
  ASSERT_TRUE(until_closed());
  EXPECT_EQ(handler.closed, (std::vector{CloseReason::write_stalled}));
}

TEST_F(ConnectionTest, AnOversizedFrameIsAnsweredAndEndsTheConnection) {
  ConnectionOptions options;
  options.frame_bytes_max = 1000;
  connect(options);
  peer->send(call_text("1") + "\n");
  ASSERT_TRUE(until([&] { return handler.calls.size() == 1; }));
  bool ended = false;
  ASSERT_TRUE(connection->request(AgentCommitParams{}, [&](Answer<AgentCommitResult> const& answer) {
    ended = std::holds_alternative<Ended>(answer);
  }));
  EXPECT_EQ(lines(1).size(), 1U);
  // It is far larger than the socket's buffer; the peer can send all of it, and reads the answer after.
  std::string const frame = std::string(3'000'000, 'x') + "\n" + call_text("2") + "\n";
  std::size_t sent = 0;
  ASSERT_TRUE(until([&] {
    sent += peer->send(std::string_view(frame).substr(sent));
    return sent == frame.size();
  }));
  auto const got = lines(1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0], R"({"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a frame has at most 1000 bytes",)"
                    R"("data":{"reason":"invalid_request"}}})");
  EXPECT_TRUE(ended) << "no answer will be read";
  handler.calls[0].reply(Empty{});
  EXPECT_EQ(lines(1), (std::vector{answer_text("1")}));
  ASSERT_TRUE(until([&] {
    peer->read();
    return peer->ended;
  }));
  peer->close();
  ASSERT_TRUE(until_closed());
  EXPECT_EQ(handler.closed, (std::vector{CloseReason::oversized}));
  EXPECT_EQ(handler.methods.size(), 1U);
}

TEST_F(ConnectionTest, AnOversizedFramesSenderCannotStayForEver) {
  ConnectionOptions options;
  options.frame_bytes_max = 1000;
  options.linger_max = std::chrono::milliseconds(30);
  connect(options);
  std::string const more(100'000, 'x');
  ASSERT_TRUE(until([&] {
    peer->send(more);
    return !handler.closed.empty();
  }));
  EXPECT_EQ(handler.closed, (std::vector{CloseReason::oversized}));
}

TEST_F(ConnectionTest, AFrameOfExactlyTheBoundIsTaken) {
  ConnectionOptions options;
  options.frame_bytes_max = 1000;
  connect(options);
  answer_all();
  std::string call = call_text("1");
  call.append(1000 - call.size(), ' ');
  peer->send(call + "\r\n");
  EXPECT_EQ(lines(1), (std::vector{answer_text("1")}));
}

TEST_F(ConnectionTest, TellsOnceWhenThePeerHasTakenAllButALittle) {
  connect();
  AgentFencedParams note;
  note.agent = "an agent that is told the same again and again";
  const auto fill = [&] {
    while (connection->output_bytes() <= bounds::output_bytes_low) connection->notify(note);
  };
  // More than the socket takes: until the peer reads, something is left.
  while (connection->output_bytes() <= bounds::output_bytes_low) {
    fill();
    settle(context);
  }
  settle(context);
  connection->tell_when_taken();
  settle(context);
  EXPECT_EQ(handler.taken, 0);
  peer->read();
  settle(context);
  EXPECT_EQ(handler.taken, 1);
  for (int times = 0; times < 5; ++times) {
    peer->read();
    settle(context);
  }
  EXPECT_EQ(handler.taken, 1) << "it was asked for once";
}

TEST_F(ConnectionTest, WhatIsSentOnBeingToldIsSentToo) {
  connect();
  int left = 20;
  AgentFencedParams note;
  note.agent = "an agent";
  handler.taken_handler = [&](Connection& told) {
    told.notify(note);
    if (--left > 0) told.tell_when_taken();
  };
  connection->notify(note);
  connection->tell_when_taken();
  EXPECT_EQ(lines(21).size(), 21U);
  EXPECT_EQ(handler.taken, 20);
}

TEST_F(ConnectionTest, NobodyIsToldOfAConnectionThatHasEnded) {
  connect();
  connection->notify(AgentFencedParams{});
  connection->tell_when_taken();
  peer->close();
  EXPECT_TRUE(until_closed());
  settle(context);
  EXPECT_EQ(handler.taken, 0);
}

TEST_F(ConnectionTest, ErrorsAreCountedByTheirReason) {
  connect();
  peer->send("nonsense\n" + call_text("1") + "\n" + call_text("") + "\n");
  ASSERT_TRUE(until([&] { return handler.calls.size() == 2; }));
  for (Call& call : handler.calls) call.fail(Error::make(ErrorReason::not_found, "not here"));
  EXPECT_EQ(workspace.errors, (std::map<std::string, std::int64_t>{{"not_found", 2}, {"parse_error", 1}}));
}

}  // namespace
}  // namespace tidemark::ipc
