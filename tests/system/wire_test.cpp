// Frames that are no calls, calls that are refused, bounds that are met, and peers that don't read: each gets its
// answer or loses its connection, and the daemon goes on for everybody else.
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json/serialize.hpp>
#include <map>
#include <memory>

#include "tests/system/peer.h"

namespace tidemark::system_test {
namespace {

std::string call_text(const std::string& method, const std::string& params, const std::string& id = "7") {
  return R"({"jsonrpc":"2.0","id":)" + id + R"(,"method":")" + method + R"(","params":)" + params + "}";
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int time = 0; time < times; ++time) all += text;
  return all;
}

// The codes in an answer, such as "-32600" or "-32600 -32600" of a batch; "result" for what is none.
std::string codes_of(const std::string& frame) {
  const auto answer = boost::json::parse(frame);
  const auto code_of = [](const boost::json::value& value) -> std::string {
    const auto* error = value.as_object().if_contains("error");
    if (error == nullptr) return "result";
    EXPECT_FALSE(error->at("message").as_string().empty());
    EXPECT_FALSE(error->at("data").at("reason").as_string().empty());
    return std::to_string(error->at("code").as_int64());
  };
  if (!answer.is_array()) return code_of(answer);
  std::string codes;
  for (const auto& member : answer.as_array()) codes += (codes.empty() ? "" : " ") + code_of(member);
  return codes;
}

TEST(Wire, EveryMalformedFrameIsAnsweredAndTheDaemonGoesOn) {
  RunningDaemon daemon;
  const std::string name_of_257 = repeated("n", 257);
  const std::vector<std::pair<std::string, std::string>> frames{
      {"{", "-32700"},
      {"hello", "-32700"},
      {"{} {}", "-32700"},
      {std::string("\0\0\0", 3), "-32700"},
      {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\xfe\"}", "-32700"},
      {repeated("[", 100) + repeated("]", 100), "-32700"},
      {repeated("{\"a\":", 5'000), "-32700"},
      {"[]", "-32600"},
      {"17", "-32600"},
      {"\"ping\"", "-32600"},
      {"[1,{}]", "-32600 -32600"},
      {"{}", "-32600"},
      {R"({"id":1,"method":"ping"})", "-32600"},
      {R"({"jsonrpc":"1.0","id":1,"method":"ping"})", "-32600"},
      {R"({"jsonrpc":"2.0","id":1,"method":7})", "-32600"},
      {R"({"jsonrpc":"2.0","id":{},"method":"ping"})", "-32600"},
      {R"({"jsonrpc":"2.0","id":")" + repeated("i", 300) + R"(","method":"ping"})", "-32600"},
      {R"({"jsonrpc":"2.0","id":1,"id":2,"method":"ping"})", "-32600"},
      {"[" + repeated("1,", 1'024) + "1]", "-32003"},
      {call_text("no.such.method", "{}"), "-32601"},
      {call_text("", "{}"), "-32601"},
      {call_text("ping", "[]"), "-32602"},
      {call_text("ping", R"({"pong":1})"), "-32602"},
      {call_text("turn.complete", "{}"), "-32602"},
      {call_text("turn.complete", R"({"session":7})"), "-32602"},
      {call_text("turn.complete", R"({"session":null})"), "-32602"},
      {call_text("turn.complete", R"({"session":""})"), "-32602"},
      {call_text("turn.complete", R"({"session":"a\nb"})"), "-32602"},
      {call_text("turn.complete", R"({"session":")" + name_of_257 + R"("})"), "-32602"},
      {call_text("turn.complete", R"({"session":"s","ephemeral":"yes"})"), "-32602"},
      {call_text("session.commit", R"({"session":"s","timeout_ms":-1})"), "-32602"},
      {call_text("session.commit", R"({"session":"s","timeout_ms":99999999999999})"), "-32602"},
      {call_text("session.commit", R"({"session":"s","timeout_ms":1e300})"), "-32602"},
      {call_text("session.commit", R"({"session":"s","uid":-1})"), "-32602"},
      {call_text("session.list", R"({"filter":"purple"})"), "-32602"},
      {call_text("session.list", R"({"limit":0})"), "-32602"},
      {call_text("commit.history", R"({"cursor":"nonsense"})"), "-32602"},
      {call_text("agent.register", R"({"agent":"a","external_id":"x"})"), "-32602"},
      {call_text("agent.register", R"({"agent":"a","provider":"p","fallback":"q"})"), "-32602"},
      {call_text("agent.register", R"({"agent":"a","provider":"none such"})"), "-32004"},
      {call_text("agent.unregister", "{}"), "-32602"},
      {call_text("agent.unregister", R"({"agent":"a","session":"s"})"), "-32602"},
      {call_text("hello", R"({"protocol":99})"), "-32005"},
      {call_text("session.status", R"({"session":"never"})"), "-32004"},
  };
  for (const auto& [frame, codes] : frames) {
    SCOPED_TRACE(frame.substr(0, 100));
    Peer peer(daemon);
    peer.client.send_frame(frame);
    const auto answer = peer.client.receive_frame(patience);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(codes_of(*answer), codes) << *answer;
    peer.client.send_frame(call_text("ping", "{}", "\"still there\""));
    EXPECT_EQ(peer.client.receive_frame(patience), R"({"jsonrpc":"2.0","id":"still there","result":{}})");
  }
  // What is answered with silence.
  Peer peer(daemon);
  for (const std::string frame :
       {"", "\r", R"({"jsonrpc":"2.0","method":"no.such.method"})", R"({"jsonrpc":"2.0","method":"ping","params":[1]})",
        R"({"jsonrpc":"2.0","id":99,"result":{}})", R"({"jsonrpc":"2.0","id":"x","error":{"code":1,"message":"m"}})",
        R"([{"jsonrpc":"2.0","method":"ping"},{"jsonrpc":"2.0","id":5,"result":true}])"}) {
    peer.client.send_frame(frame);
  }
  peer.client.send_frame(call_text("ping", "{}", "null") + "\r");
  EXPECT_EQ(peer.client.receive_frame(patience), R"({"jsonrpc":"2.0","id":null,"result":{}})");
  EXPECT_EQ(peer.daemon().sessions, 0) << "none of it has left anything behind";
}

TEST(Wire, AFrameOverTheLimitEndsTheConnection) {
  RunningDaemon daemon("[limits]\nmax_frame_bytes = 16384\n");
  Peer peer(daemon);
  EXPECT_EQ(peer.call(ipc::HelloParams{}).limits.max_frame_bytes, 16'384);
  peer.client.send_frame(repeated("x", 20'000));
  const auto answer = peer.client.receive_frame(patience);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(codes_of(*answer), "-32600");
  EXPECT_FALSE(peer.client.receive_frame(patience).has_value());
  EXPECT_FALSE(peer.client.connected());
  // One that never ends is no better.
  Peer endless(daemon);
  for (int part = 0; part < 100 && endless.client.connected(); ++part) {
    endless.client.send_frame(repeated("[", 500) + " ");
    endless.serve(Milliseconds(1));
  }
  Peer other(daemon);
  other.call(ipc::PingParams{});
}

TEST(Wire, ManyLongFramesAreNoMoreThanManyShortOnes) {
  RunningDaemon daemon;
  Peer peer(daemon);
  const std::string long_call = call_text("ping", R"({"much":[1)" + repeated(",1", 20'000) + "]}");
  for (int frame = 0; frame < 100; ++frame) {
    peer.client.send_frame(long_call);
    const auto answer = peer.client.receive_frame(patience);
    ASSERT_TRUE(answer.has_value()) << "after " << frame << " frames";
    EXPECT_EQ(codes_of(*answer), "-32602");
  }
  EXPECT_FALSE(daemon.process().ended());
}

TEST(Wire, HalfAFrameIsNothing) {
  RunningDaemon daemon;
  {
    Peer peer(daemon);
    peer.call(ipc::PingParams{});
    const std::string half = call_text("turn.complete", R"({"session":"s"})");
    ASSERT_EQ(::write(peer.client.descriptor(), half.data(), half.size() - 1), static_cast<ssize_t>(half.size() - 1));
  }
  Peer other(daemon);
  EXPECT_EQ(other.daemon().sessions, 0);
}

TEST(Wire, ABoundIsAnErrorThatNamesIt) {
  RunningDaemon daemon(
      "[limits]\nwaiting_calls = 2\ndirty_sessions_per_user = 3\nsegments_per_session = 2\nconnections_per_user = 3\n");
  Agent agent(daemon, "agent");
  agent.answers({}, held());
  for (const char* session : {"a", "b", "c"}) agent.complete(session, "agent");
  EXPECT_EQ(agent.refusal(about<ipc::TurnCompleteParams>("d")), "limit:dirty_sessions_per_user");
  EXPECT_EQ(agent.refusal(about<ipc::SessionStatusParams>("d")), "not_found") << "it leaves no session behind";
  agent.complete("a", "another");
  EXPECT_EQ(agent.refusal(ipc::TurnCompleteParams{"a", "a third", {}, {}}), "limit:segments_per_session");
  Peer caller(daemon);
  caller.client.send(about<ipc::SessionFlushParams>("a"));
  caller.client.send(about<ipc::SessionFlushParams>("b"));
  EXPECT_EQ(caller.refusal(about<ipc::SessionFlushParams>("c")), "limit:waiting_calls");
  EXPECT_EQ(caller.refusal(ipc::DrainParams{}), "limit:waiting_calls");
  caller.call(ipc::PingParams{});
  std::unique_ptr<Peer> third;
  ASSERT_TRUE(wait_until([&] {  // earlier ones may not be gone yet
    third = std::make_unique<Peer>(daemon);
    return third->refusal(ipc::PingParams{}).empty() && third->client.connected();
  }));
  Peer fourth(daemon);
  const auto answer = fourth.client.receive_frame(patience);
  ASSERT_TRUE(answer.has_value());
  EXPECT_NE(answer->find(R"("limit":"connections_per_user")"), std::string::npos) << *answer;
  EXPECT_FALSE(fourth.client.receive_frame(patience).has_value());
  third->call(ipc::PingParams{});
}

TEST(Wire, APeerThatDoesNotReadIsCutOffWhileOthersAreServed) {
  RunningDaemon daemon;
  Peer greedy(daemon);
  std::vector<ipc::Client::CallNumber> marks;
  for (int segment = 0; segment < 600; ++segment) {
    auto mark = about<ipc::TurnCompleteParams>("s");
    mark.agent = segment % 2 == 0 ? "even" : "odd";
    marks.push_back(greedy.client.send(mark));
  }
  for (const auto mark : marks) greedy.receive<ipc::TurnCompleteParams>(mark);
  // One batch, whose answers are more than a connection may hold.
  std::string batch = "[";
  for (int member = 0; member < 1'024; ++member) {
    batch += (member == 0 ? "" : ",") + call_text("session.status", R"({"session":"s"})");
  }
  Peer other(daemon);
  greedy.client.send_frame(batch + "]");
  for (int ping = 0; ping < 20; ++ping) {
    const auto begun = std::chrono::steady_clock::now();
    other.call(ipc::PingParams{});
    EXPECT_LT(std::chrono::steady_clock::now() - begun, Milliseconds(5'000));
  }
  EXPECT_FALSE(greedy.client.receive_frame(patience).has_value());
  EXPECT_FALSE(greedy.client.connected());
  EXPECT_TRUE(daemon.wait_logged("doesn't read"));
  EXPECT_EQ(other.status("s").generation, 600);
}

TEST(Wire, CallsTakeEffectInTheOrderSentAndReadsSeeThem) {
  RunningDaemon daemon;
  Peer peer(daemon);
  std::vector<ipc::Client::CallNumber> marks;
  for (int turn = 0; turn < 500; ++turn) marks.push_back(peer.client.send(about<ipc::TurnCompleteParams>("s")));
  const auto begin = peer.client.send(ipc::TurnBeginParams{"s", "t", {}});
  const auto status = peer.client.send(about<ipc::SessionStatusParams>("s"));
  const auto forget = peer.client.send(ipc::SessionForgetParams{"s", "over", {}});
  const auto again = peer.client.send(about<ipc::TurnCompleteParams>("s"));
  for (std::size_t turn = 0; turn < marks.size(); ++turn) {
    EXPECT_EQ(peer.receive<ipc::TurnCompleteParams>(marks[turn]).generation, static_cast<std::int64_t>(turn) + 1);
  }
  peer.receive<ipc::TurnBeginParams>(begin);
  const auto seen = peer.receive<ipc::SessionStatusParams>(status);
  EXPECT_EQ(seen.generation, 500);
  EXPECT_EQ(seen.turns_open, 1);
  EXPECT_EQ(peer.receive<ipc::SessionForgetParams>(forget).dropped, 500);
  EXPECT_EQ(peer.receive<ipc::TurnCompleteParams>(again).generation, 1);
}

TEST(Wire, ACallThatWaitsHoldsUpNoneBehindIt) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.answers({held()});
  Peer caller(daemon);
  const auto flush = caller.client.send(about<ipc::SessionFlushParams>("s"));
  EXPECT_EQ(caller.complete("other").generation, 1);
  ASSERT_TRUE(agent.wait_asked(1));
  EXPECT_EQ(caller.complete("s").generation, 2);
  agent.release();
  EXPECT_TRUE(caller.receive<ipc::SessionFlushParams>(flush).committed);
}

TEST(Wire, ABatchActsInOrderAndIsAnsweredAsOne) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  agent.answers({held()});
  Peer caller(daemon);
  caller.client.send_frame("[" + call_text("turn.complete", R"({"session":"s"})", "1") + "," +
                           R"({"jsonrpc":"2.0","method":"turn.complete","params":{"session":"s"}})" + "," +
                           call_text("session.flush", R"({"session":"s"})", "2") + ",17," +
                           call_text("session.status", R"({"session":"s"})", "3") + "]");
  ASSERT_TRUE(agent.wait_asked(1));
  EXPECT_EQ(agent.asked[0].end, 2);
  agent.release();
  const auto frame = caller.client.receive_frame(patience);
  ASSERT_TRUE(frame.has_value());
  std::map<std::string, boost::json::value> answers;
  const auto answer = boost::json::parse(*frame);
  for (const auto& member : answer.as_array()) answers[boost::json::serialize(member.at("id"))] = member;
  ASSERT_EQ(answers.size(), 4U) << *frame;
  EXPECT_EQ(answers["1"].at("result").at("generation"), 1);
  EXPECT_EQ(answers["2"].at("result").at("outcome"), "committed");
  EXPECT_EQ(answers["3"].at("result").at("generation"), 2);
  EXPECT_EQ(answers["null"].at("error").at("code"), -32600);
}

TEST(Wire, TheGreetingSaysWhoIsWho) {
  RunningDaemon daemon;
  Peer peer(daemon);
  ipc::HelloParams params;
  params.protocol = 1;
  const auto hello = peer.call(params);
  EXPECT_EQ(hello.server, "tidemarkd");
  EXPECT_EQ(hello.protocol, 1);
  EXPECT_EQ(hello.uid, ::getuid());
  EXPECT_TRUE(hello.admin);
  EXPECT_EQ(hello.instance.size(), 36U);
  EXPECT_EQ(hello.instance, peer.daemon().instance);
  daemon.kill_and_start();
  EXPECT_NE(Peer(daemon).daemon().instance, hello.instance);
}

}  // namespace
}  // namespace tidemark::system_test
