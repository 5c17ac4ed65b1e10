// tidemark-answer: an HTTP server that answers everything with 200, at once or after a while, and counts. Its first
// line of output is its port; the second, at SIGTERM, what it has counted.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

struct Counts {
  std::int64_t requests = 0, at_once = 0, at_once_peak = 0, per_second_peak = 0;
  std::int64_t this_second = 0;
  Clock::time_point second{};

  void begin() {
    ++requests;
    at_once_peak = std::max(at_once_peak, ++at_once);
    if (const Clock::time_point now = Clock::now(); now - second >= std::chrono::seconds(1)) {
      second = now;
      this_second = 0;
    }
    per_second_peak = std::max(per_second_peak, ++this_second);
  }
};

// One connection, one request. A body is not waited for: what is short comes with the headers.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(tcp::socket socket, Counts& counts, std::chrono::milliseconds delay)
      : socket_(std::move(socket)), timer_(socket_.get_executor()), counts_(counts), delay_(delay) {}

  void start() {
    asio::async_read_until(socket_, buffer_, "\r\n\r\n", [self = shared_from_this()](auto error, std::size_t) {
      if (error) return;
      self->counts_.begin();
      self->timer_.expires_after(self->delay_);
      self->timer_.async_wait([self](auto) { self->answer(); });
    });
  }

 private:
  void answer() {
    --counts_.at_once;
    static const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    asio::async_write(socket_, asio::buffer(text), [self = shared_from_this()](auto, std::size_t) {
      boost::system::error_code ignored;
      self->socket_.shutdown(tcp::socket::shutdown_both, ignored);
    });
  }

  tcp::socket socket_;
  asio::steady_timer timer_;
  asio::streambuf buffer_{65'536};
  Counts& counts_;
  std::chrono::milliseconds delay_;
};

void accept(tcp::acceptor& acceptor, Counts& counts, std::chrono::milliseconds delay) {
  acceptor.async_accept([&acceptor, &counts, delay](auto error, tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (!error) std::make_shared<Exchange>(std::move(socket), counts, delay)->start();
    accept(acceptor, counts, delay);
  });
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app("An HTTP server that answers everything with 200, and counts");
  std::int64_t delay_ms = 0;
  app.add_option("--delay-ms", delay_ms, "How long each answer takes");
  CLI11_PARSE(app, count, arguments);
  asio::io_context io(1);
  Counts counts;
  tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  std::cout << acceptor.local_endpoint().port() << std::endl;
  accept(acceptor, counts, std::chrono::milliseconds(delay_ms));
  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](auto, int) { io.stop(); });
  io.run();
  std::cout << "{\"requests\": " << counts.requests << ", \"at_once_peak\": " << counts.at_once_peak
            << ", \"per_second_peak\": " << counts.per_second_peak << "}" << std::endl;
}
