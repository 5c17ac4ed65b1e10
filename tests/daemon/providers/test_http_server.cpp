#include "tests/daemon/providers/test_http_server.h"

#include <unistd.h>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>

namespace tidemark::daemon {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

namespace {

std::string reason(int status) {
  const auto text = http::obsolete_reason(http::int_to_status(static_cast<unsigned>(status)));
  return std::string(text.data(), text.size());
}

}  // namespace

// One connection, one request. Its handlers keep it alive.
class TestHttpServer::Visit : public std::enable_shared_from_this<Visit> {
 public:
  Visit(TestHttpServer& server, asio::generic::stream_protocol::socket socket)
      : server_(server), socket_(std::move(socket)), timer_(server.io_) {}

  void begin() {
    switch (server_.greeting_) {
      case Greeting::read:
        return read();
      case Greeting::reset:
        return reset();
      case Greeting::hold:
        server_.held_.push_back(shared_from_this());
        return;
    }
  }

 private:
  void read() {
    parser_.body_limit(64 * 1024 * 1024);
    http::async_read(socket_, buffer_, parser_, [self = shared_from_this()](const error_code& error, std::size_t) {
      if (!error) self->on_request();
    });
  }

  void on_request() {
    const int now = ++server_.at_once_;
    server_.at_once_max_ = std::max(server_.at_once_max_.load(), now);
    reply_ = server_.script_(parser_.get());
    {
      const std::lock_guard lock(server_.mutex_);
      server_.requests_.push_back(parser_.release());
    }
    timer_.expires_after(reply_.delay);
    timer_.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error) self->write();
    });
  }

  void write() {
    --server_.at_once_;
    asio::async_write(socket_, asio::buffer(reply_.bytes),
                      [self = shared_from_this()](const error_code&, std::size_t) { self->end(); });
  }

  void end() {
    switch (reply_.then) {
      case Reply::Then::close: {
        error_code ignored;
        socket_.shutdown(asio::socket_base::shutdown_both, ignored);
        return;
      }
      case Reply::Then::reset:
        return reset();
      case Reply::Then::hold:
        server_.held_.push_back(shared_from_this());
        return;
    }
  }

  void reset() {
    error_code ignored;
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    socket_.close(ignored);
  }

  TestHttpServer& server_;
  asio::generic::stream_protocol::socket socket_;
  asio::steady_timer timer_;
  beast::flat_buffer buffer_;
  http::request_parser<http::string_body> parser_;
  Reply reply_;
};

TestHttpServer::Reply TestHttpServer::reply(int status, std::string_view body, std::string_view headers) {
  Reply reply;
  reply.bytes = "HTTP/1.1 " + std::to_string(status) + " " + reason(status) + "\r\n" + std::string(headers) +
                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
  return reply;
}

TestHttpServer::TestHttpServer(Script script, Greeting greeting) : script_(std::move(script)), greeting_(greeting) {
  const asio::ip::tcp::endpoint loopback(asio::ip::address_v4::loopback(), 0);
  tcp_.open(loopback.protocol());
  tcp_.bind(loopback);
  tcp_.listen(4096);
  port_ = tcp_.local_endpoint().port();
  run();
}

TestHttpServer::TestHttpServer(std::string path, Script script) : script_(std::move(script)), path_(std::move(path)) {
  ::unlink(path_.c_str());
  const asio::local::stream_protocol::endpoint endpoint(path_);
  local_.open(endpoint.protocol());
  local_.bind(endpoint);
  local_.listen();
  run();
}

TestHttpServer::~TestHttpServer() {
  io_.stop();
  thread_.join();
  if (!path_.empty()) ::unlink(path_.c_str());
}

void TestHttpServer::run() {
  if (path_.empty()) {
    accept(tcp_);
  } else {
    accept(local_);
  }
  thread_ = std::thread([this] { io_.run(); });
}

template <typename Acceptor>
void TestHttpServer::accept(Acceptor& acceptor) {
  acceptor.async_accept([this, &acceptor](const error_code& error, auto socket) {
    if (error) return;
    ++connections_;
    std::make_shared<Visit>(*this, asio::generic::stream_protocol::socket(std::move(socket)))->begin();
    accept(acceptor);
  });
}

std::string TestHttpServer::url(std::string_view path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
}

std::vector<TestHttpServer::Request> TestHttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

}  // namespace tidemark::daemon
