// An HTTP server for tests, on loopback or a Unix socket, with a thread of its own. It answers as its script says, byte
// by byte, also what no proper server would, and keeps each request.
#pragma once

#include <atomic>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace tidemark::daemon {

class TestHttpServer {
 public:
  using Request = boost::beast::http::request<boost::beast::http::string_body>;

  struct Reply {
    enum class Then { close, reset, hold };
    std::string bytes;  // as they are, status line and all
    Then then = Then::close;
    std::chrono::milliseconds delay{0};
  };
  using Script = std::function<Reply(const Request&)>;

  // What befalls a connection before anything is read from it.
  enum class Greeting { read, reset, hold };

  // An answer with this body and its length, and `headers` as lines that end in \r\n.
  static Reply reply(int status, std::string_view body = "", std::string_view headers = "");

  // On a free port of 127.0.0.1, or on the Unix socket `path`, which it makes and removes.
  explicit TestHttpServer(Script script, Greeting greeting = Greeting::read);
  TestHttpServer(std::string path, Script script);
  ~TestHttpServer();
  TestHttpServer(const TestHttpServer&) = delete;
  TestHttpServer& operator=(const TestHttpServer&) = delete;

  std::uint16_t port() const { return port_; }
  std::string url(std::string_view path = "/") const;
  std::vector<Request> requests() const;
  int connections() const { return connections_; }
  int requests_at_once_max() const { return at_once_max_; }

 private:
  class Visit;
  template <typename Acceptor>
  void accept(Acceptor& acceptor);
  void run();

  const Script script_;
  const Greeting greeting_ = Greeting::read;
  const std::string path_;
  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor tcp_{io_};
  boost::asio::local::stream_protocol::acceptor local_{io_};
  std::uint16_t port_ = 0;
  std::atomic<int> connections_ = 0, at_once_ = 0, at_once_max_ = 0;
  mutable std::mutex mutex_;
  std::vector<Request> requests_;            // by mutex_
  std::vector<std::shared_ptr<void>> held_;  // the thread's
  std::thread thread_;
};

}  // namespace tidemark::daemon
