// The client against a server in another thread, made of this library's other half.
#include "ipc/client.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "ipc/connection.h"
#include "ipc/messages.h"
#include "ipc/server.h"

namespace tidemark::ipc {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds patience{5000};

// A server that knows a few methods: `turn.complete` counts, `echo` gives its parameters back, `ping` is kept until
// `release`, `ask` has the caller asked for a commit and answers with what it said, `tell` has it notified, `bye`
// closes.
class TestServer : public ConnectionHandler {
 public:
  explicit TestServer(std::string const& path) {
    listener_ = *Listener::open(context_, path, 0600);
    listener_->start([this](Listener::Socket socket, boost::system::result<Peer, PeerError> peer) {
      auto const connection = Connection::make(std::move(socket), *peer, *this, workspace_);
      connections_.insert(connection);
      connection->start();
    });
    thread_ = std::thread([this] { context_.run(); });
  }
  ~TestServer() override {
    boost::asio::post(context_, [this] {
      listener_->close();
      for (auto const& connection : connections_) connection->close();
    });
    thread_.join();
  }

  void on_call(Connection& connection, Call call, std::string_view method, boost::json::object const& params) override {
    if (method == "turn.complete") {
      call.reply(TurnCompleteResult{++generation_, {}, {}});
    } else if (method == "echo") {
      call.reply_json(boost::json::serialize(params));
    } else if (method == "ping") {
      held_.push_back(std::move(call));
    } else if (method == "release") {
      for (auto& held : held_) held.reply(Empty{});
      held_.clear();
      call.reply(Empty{});
    } else if (method == "ask") {
      AgentCommitParams request;
      request.session = "s";
      request.end = 5;
      auto const owed = std::make_shared<Call>(std::move(call));
      connection.request(request, [owed](Answer<AgentCommitResult> const& answer) {
        if (auto const* result = std::get_if<AgentCommitResult>(&answer)) {
          owed->reply(*result);
        } else if (auto const* error = std::get_if<Error>(&answer)) {
          owed->fail(*error);
        }
      });
    } else if (method == "tell") {
      connection.notify(AgentFencedParams{"a", 3});
      call.reply(Empty{});
    } else if (method == "bye") {
      connection.close();
    } else {
      call.fail(Error::make(ErrorReason::method_not_found, "no method `" + std::string(method) + "`"));
    }
  }
  void on_closed(Connection& connection, CloseReason) override { connections_.erase(connection.shared_from_this()); }

 private:
  boost::asio::io_context context_{1};
  Workspace workspace_;
  std::shared_ptr<Listener> listener_;
  std::set<std::shared_ptr<Connection>> connections_;
  std::vector<Call> held_;
  std::int64_t generation_ = 0;
  std::thread thread_;
};

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    std::string pattern = testing::TempDir() + "tidemark_ipc_XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    folder = pattern;
    path = folder + "/socket";
  }
  ~ClientTest() override {
    server.reset();
    std::filesystem::remove_all(folder);
  }
  Client connect() {
    if (server == nullptr) server = std::make_unique<TestServer>(path);
    return Client::connect(path).value();
  }
  static TurnCompleteParams mark(char const* session = "s") {
    TurnCompleteParams params;
    params.session = session;
    return params;
  }

  std::string folder;
  std::string path;
  std::unique_ptr<TestServer> server;
};

TEST_F(ClientTest, Calls) {
  Client client = connect();
  for (std::int64_t generation = 1; generation <= 3; ++generation) {
    auto const result = client.call(mark(), patience);
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(result->generation, generation);
  }
}

TEST_F(ClientTest, CallsByTextToo) {
  Client client = connect();
  EXPECT_EQ(client.call_json("echo", "{\"b\":1,\n\"a\":[\"x\"]}", patience).value(), R"({"b":1,"a":["x"]})");
  EXPECT_EQ(client.call_json("echo", "", patience).value(), "{}");
}

TEST_F(ClientTest, TellsErrorsApart) {
  Client client = connect();
  auto const refused = client.call(DaemonReloadParams{}, patience);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, CallError::Kind::refused);
  EXPECT_TRUE(refused.error().error.is(ErrorReason::method_not_found));
  EXPECT_EQ(refused.error().message(), "no method `daemon.reload`");

  auto const late = client.call(PingParams{}, milliseconds(5));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, CallError::Kind::timeout);

  EXPECT_EQ(client.call_json("tell", "{}", patience).value(), "{}") << "what is late doesn't get in the way";

  auto const ended = client.call_json("bye", "{}", patience);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().kind, CallError::Kind::ended);
  EXPECT_FALSE(client.connected());
  EXPECT_EQ(client.call(mark(), patience).error().kind, CallError::Kind::ended);
  EXPECT_THROW(client.call(mark(), patience).value(), std::runtime_error);
}

TEST_F(ClientTest, AnAnswerThatIsNoResultIsToldSo) {
  Client client = connect();
  auto const number = client.send(mark());
  auto const wrong = client.receive<SessionDiscardResult>(number, patience);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind, CallError::Kind::invalid_answer);
  EXPECT_EQ(wrong.error().message(), "the daemon's answer: `discarded` is missing");
}

TEST_F(ClientTest, TellsNoDaemonFromRefusal) {
  EXPECT_EQ(Client::connect(path).error().kind, ConnectError::Kind::no_daemon);
  EXPECT_EQ(Client::connect(folder + "/none/socket").error().kind, ConnectError::Kind::no_daemon);
  EXPECT_EQ(Client::connect(folder + "/" + std::string(300, 'x')).error().kind, ConnectError::Kind::failed);
  EXPECT_NE(Client::connect(path).error().text.find(path), std::string::npos);
  EXPECT_THROW(Client::connect(path).value(), std::runtime_error);
  if (::geteuid() != 0) {
    connect();
    ::chmod(path.c_str(), 0);
    EXPECT_EQ(Client::connect(path).error().kind, ConnectError::Kind::refused);
  }
}

TEST_F(ClientTest, PipelinesMoreThanTheSocketHolds) {
  Client client = connect();
  std::vector<Client::CallNumber> numbers;
  numbers.reserve(20'000);
  for (int count = 0; count < 20'000; ++count) numbers.push_back(client.send(mark()));
  for (std::size_t index = 0; index < numbers.size(); ++index) {
    auto const result = client.receive<TurnCompleteResult>(numbers[index], patience);
    ASSERT_TRUE(result) << result.error().message();
    ASSERT_EQ(result->generation, static_cast<std::int64_t>(index) + 1);
  }
}

TEST_F(ClientTest, ReceivesInAnyOrder) {
  Client client = connect();
  auto const held = client.send(PingParams{});
  auto const first = client.send(mark());
  auto const second = client.send(mark());
  EXPECT_EQ(client.receive<TurnCompleteResult>(second, patience)->generation, 2);
  EXPECT_EQ(client.receive<TurnCompleteResult>(first, patience)->generation, 1);
  EXPECT_EQ(client.receive<Empty>(held, milliseconds(5)).error().kind, CallError::Kind::timeout);
  auto const release = client.call_json("release", "{}", patience);
  ASSERT_TRUE(release);
  auto const any = client.receive_any(patience);
  ASSERT_TRUE(any);
  EXPECT_EQ(any->first, held);
  EXPECT_EQ(std::get<std::string>(any->second), "{}");
  EXPECT_EQ(client.receive_any(milliseconds(5)).error().kind, CallError::Kind::timeout);
}

TEST_F(ClientTest, ServesRequestsWhileItWaits) {
  Client client = connect();
  EXPECT_TRUE(client.call_json("ask", "{}", patience).error().error.is(ErrorReason::method_not_found));
  client.on_request([&](IncomingRequest const& request) -> std::optional<RequestAnswer> {
    EXPECT_EQ(request.method, AgentCommitParams::method);
    auto const params = decode<AgentCommitParams>(request.params, Strictness::lenient);
    EXPECT_TRUE(params);
    // A handler may call, too.
    EXPECT_TRUE(client.call(mark(), patience));
    EXPECT_EQ(params->end, 5);
    return as_answer(AgentCommitResult{CommitStatus::skipped});
  });
  EXPECT_EQ(client.call_json("ask", "{}", patience).value(), R"({"status":"skipped"})");
  client.on_request([](IncomingRequest const&) -> std::optional<RequestAnswer> {
    Error error = Error::make(ErrorReason::internal, "no disk");
    error.permanent = true;
    return error;
  });
  auto const refused = client.call_json("ask", "{}", patience);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().error.permanent);
}

TEST_F(ClientTest, AnswersLater) {
  Client client = connect();
  CallId asked;
  client.on_request([&](IncomingRequest const& request) -> std::optional<RequestAnswer> {
    asked = request.id;
    return std::nullopt;
  });
  client.send_frame(R"({"jsonrpc":"2.0","id":1000,"method":"ask"})");
  ASSERT_TRUE(client.run_until([&] { return !asked.empty(); }, patience));
  EXPECT_EQ(client.call(mark(), patience)->generation, 1);
  client.answer(asked, as_answer(AgentCommitResult{}));
  EXPECT_EQ(std::get<std::string>(client.receive_any(patience)->second), "{}");
}

TEST_F(ClientTest, HandsOnNotifications) {
  Client client = connect();
  std::vector<std::string> told;
  client.on_notification([&](std::string_view method, boost::json::object const& params) {
    told.push_back(std::string(method) + " " + boost::json::serialize(params));
  });
  EXPECT_FALSE(client.run_until([&] { return !told.empty(); }, milliseconds(5)));
  client.send_frame(R"({"jsonrpc":"2.0","method":"tell"})");
  ASSERT_TRUE(client.run_until([&] { return !told.empty(); }, patience));
  EXPECT_EQ(told, (std::vector<std::string>{R"(agent.fenced {"agent":"a","epoch":3})"}));
}

TEST_F(ClientTest, NotifiesAndSpeaksInFrames) {
  Client client = connect();
  client.notify(mark());
  EXPECT_EQ(client.call(mark(), patience)->generation, 2);
  client.send_frame("[1]");
  auto const answer = client.receive_frame(patience);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->substr(0, 2), "[{");
  EXPECT_FALSE(client.receive_frame(milliseconds(5)));
}

TEST_F(ClientTest, HearsItsAnswersAfterItsLastWord) {
  Client client = connect();
  for (int count = 0; count < 5000; ++count) client.send(mark());
  client.finish_sending();
  for (int count = 0; count < 5000; ++count) ASSERT_TRUE(client.receive_any(patience));
  EXPECT_EQ(client.receive_any(patience).error().kind, CallError::Kind::ended);
}

TEST_F(ClientTest, MovesWithItsState) {
  Client client = connect();
  auto const number = client.send(mark());
  Client other = std::move(client);
  EXPECT_TRUE(other.receive<TurnCompleteResult>(number, patience));
  client = std::move(other);
  EXPECT_TRUE(client.call(mark(), patience));
}

}  // namespace
}  // namespace tidemark::ipc
