// What tests of connections need: an io_context that runs in the test's own thread until something holds, and the other
// end of a socket as bare bytes.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ipc/connection.h"

namespace tidemark::ipc {

inline constexpr std::chrono::seconds patience_max{5};

/// Runs `context` until `done`, and says whether it came to that in time.
inline bool run_until(boost::asio::io_context& context, std::function<bool()> const& done) {
  auto const deadline = std::chrono::steady_clock::now() + patience_max;
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    context.restart();
    if (context.poll_one() == 0) context.run_one_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// Handles everything that is ready, and what becomes ready by that; which must come to an end.
inline void settle(boost::asio::io_context& context) {
  auto const deadline = std::chrono::steady_clock::now() + patience_max;
  for (int idle = 0; idle < 3;) {
    context.restart();
    idle = context.poll_one() == 0 ? idle + 1 : 0;
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "there is always something more to do";
      return;
    }
  }
}

/// The far end of a connection, which never blocks.
class RawPeer {
 public:
  explicit RawPeer(int descriptor) : descriptor_(descriptor) {
    ::fcntl(descriptor_, F_SETFL, ::fcntl(descriptor_, F_GETFL) | O_NONBLOCK);
  }
  RawPeer(RawPeer const&) = delete;
  RawPeer& operator=(RawPeer const&) = delete;
  ~RawPeer() { close(); }

  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }
  void finish_sending() { ::shutdown(descriptor_, SHUT_WR); }

  /// Sends as much as the socket takes; the bytes that it took.
  std::size_t send(std::string_view bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      ssize_t const count = ::send(descriptor_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) break;
      sent += static_cast<std::size_t>(count);
    }
    return sent;
  }
  /// Reads what is there; `received` has it all.
  void read() {
    std::array<char, 65536> bytes;
    for (;;) {
      ssize_t const count = ::recv(descriptor_, bytes.data(), bytes.size(), 0);
      if (count <= 0) {
        ended = ended || count == 0 || (errno != EAGAIN && errno != EINTR);
        return;
      }
      received.append(bytes.data(), static_cast<std::size_t>(count));
    }
  }
  /// The whole lines received and not yet taken.
  std::vector<std::string> take_lines() {
    read();
    std::vector<std::string> lines;
    for (std::size_t end = received.find('\n'); end != std::string::npos; end = received.find('\n')) {
      lines.push_back(received.substr(0, end));
      received.erase(0, end + 1);
    }
    return lines;
  }
  int descriptor() const { return descriptor_; }

  std::string received;
  bool ended = false;

 private:
  int descriptor_;
};

/// Records what connections tell, and hands calls to the test.
class RecordingHandler : public ConnectionHandler {
 public:
  void on_call(Connection& connection, Call call, std::string_view method, boost::json::object const& params) override {
    methods.emplace_back(method);
    if (call_handler) {
      call_handler(connection, std::move(call), method, params);
    } else {
      calls.push_back(std::move(call));
    }
  }
  void on_frames_handled(Connection&) override { ++rounds; }
  void on_output_taken(Connection& connection) override {
    ++taken;
    if (taken_handler) taken_handler(connection);
  }
  void on_closed(Connection&, CloseReason reason) override { closed.push_back(reason); }

  std::function<void(Connection&, Call, std::string_view, boost::json::object const&)> call_handler;
  std::vector<Call> calls;  // those kept for later
  std::vector<std::string> methods;
  std::vector<CloseReason> closed;
  std::function<void(Connection&)> taken_handler;
  int rounds = 0;
  int taken = 0;
};

/// One connection over a socket pair, and its far end.
class ConnectionTest : public testing::Test {
 protected:
  std::shared_ptr<Connection> connect(ConnectionOptions options = {}) {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) std::abort();
    peer = std::make_unique<RawPeer>(pair[1]);
    Connection::Socket socket(context);
    socket.assign(boost::asio::local::stream_protocol(), pair[0]);
    connection = Connection::make(std::move(socket), Peer{}, handler, workspace, options);
    connection->start();
    return connection;
  }
  ~ConnectionTest() override {
    if (connection != nullptr) connection->close();
    settle(context);
    EXPECT_LE(handler.closed.size(), 1U);
  }

  bool until(std::function<bool()> const& done) { return run_until(context, done); }
  /// The next `count` lines that the peer receives.
  std::vector<std::string> lines(std::size_t count) {
    std::vector<std::string> all;
    until([&] {
      for (auto& line : peer->take_lines()) all.push_back(std::move(line));
      return all.size() >= count;
    });
    return all;
  }
  bool until_closed() {
    return until([&] { return !handler.closed.empty(); });
  }

  static std::string call_text(std::string const& id, std::string const& method = "ping") {
    std::string text = R"({"jsonrpc":"2.0",)";
    if (!id.empty()) text.append(R"("id":)").append(id).append(",");
    return text.append(R"("method":")").append(method).append("\"}");
  }
  static std::string batch_text(std::vector<std::string> const& members) {
    std::string text;
    for (auto const& member : members) text.append(text.empty() ? "[" : ",").append(member);
    return text.append("]");
  }
  static std::string answer_text(std::string const& id) {
    return std::string(R"({"jsonrpc":"2.0","id":)").append(id).append(R"(,"result":{}})");
  }
  /// Answers each call at once.
  void answer_all() {
    handler.call_handler = [](Connection&, Call call, std::string_view, boost::json::object const&) {
      call.reply_json("{}");
    };
  }

  boost::asio::io_context context;
  Workspace workspace;
  RecordingHandler handler;
  std::shared_ptr<Connection> connection;
  std::unique_ptr<RawPeer> peer;
};

}  // namespace tidemark::ipc
