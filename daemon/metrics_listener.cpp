#include "daemon/metrics_listener.h"

#include <fcntl.h>

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/version.hpp>
#include <chrono>
#include <optional>
#include <stdexcept>

#include "daemon/open_metrics.h"

namespace tidemark::daemon {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

namespace {

constexpr int connections_max = 16;
constexpr std::size_t request_bytes_max = std::size_t{8} * 1024;
// For a request to come, and for its answer to be taken.
constexpr std::chrono::seconds patience{10};
constexpr std::chrono::milliseconds accept_pause{100};  // when the process is out of descriptors

// One connection: reads a request, answers it, and reads the next. Its handlers keep it alive.
class Visit : public std::enable_shared_from_this<Visit> {
 public:
  Visit(asio::ip::tcp::socket socket, std::shared_ptr<const MetricsListener::Make> make, std::shared_ptr<int> open)
      : stream_(std::move(socket)), make_(std::move(make)), open_(std::move(open)) {
    ++*open_;
  }
  ~Visit() { --*open_; }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

  void read() {
    parser_.emplace();
    parser_->header_limit(request_bytes_max);
    parser_->body_limit(0);
    stream_.expires_after(patience);
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](const error_code& error, std::size_t) {
      if (!error) return self->on_request();
      if (error == http::error::end_of_stream || error.category() != http::make_error_code({}).category()) return;
      self->answer(http::status::bad_request, "this is no request for metrics\n", "text/plain");
    });
  }

 private:
  void on_request() {
    const auto& request = parser_->get();
    keep_alive_ = request.keep_alive();
    head_ = request.method() == http::verb::head;
    const std::string_view target(request.target().data(), request.target().size());
    if (target.substr(0, target.find('?')) != "/metrics") {
      return answer(http::status::not_found, "the metrics are at /metrics\n", "text/plain");
    }
    if (request.method() != http::verb::get && !head_) {
      return answer(http::status::method_not_allowed, "only GET\n", "text/plain");
    }
    (*make_)([self = shared_from_this()](std::string page) {
      self->answer(http::status::ok, std::move(page), OpenMetrics::content_type);
    });
  }

  void answer(http::status status, std::string body, std::string_view type) {
    if (status == http::status::bad_request) keep_alive_ = false;
    answer_ = {};
    answer_.result(status);
    answer_.version(11);
    answer_.set(http::field::server, "tidemarkd");
    answer_.set(http::field::content_type, beast::string_view(type.data(), type.size()));
    if (status == http::status::method_not_allowed) answer_.set(http::field::allow, "GET, HEAD");
    answer_.keep_alive(keep_alive_);
    answer_.content_length(body.size());
    if (!head_) answer_.body() = std::move(body);
    head_ = false;
    stream_.expires_after(patience);
    http::async_write(stream_, answer_, [self = shared_from_this()](const error_code& error, std::size_t) {
      if (error) return;
      if (self->keep_alive_) return self->read();
      error_code ignored;
      self->stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    });
  }

  beast::tcp_stream stream_;
  std::shared_ptr<const MetricsListener::Make> make_;
  std::shared_ptr<int> open_;
  beast::flat_buffer buffer_{request_bytes_max};
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> answer_;
  bool keep_alive_ = false;
  bool head_ = false;
};

}  // namespace

MetricsListener::MetricsListener(asio::io_context& io, const asio::ip::tcp::endpoint& endpoint, Make make)
    : acceptor_(io), pause_(io), make_(std::make_shared<const Make>(std::move(make))) {
  error_code error;
  acceptor_.open(endpoint.protocol(), error);
  if (!error) ::fcntl(acceptor_.native_handle(), F_SETFD, FD_CLOEXEC);
  if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    const std::string where = endpoint.address().to_string() + " port " + std::to_string(endpoint.port());
    throw std::runtime_error("can't listen for metrics on " + where + ": " + error.message() +
                             " ([metrics] listen in the configuration)");
  }
  accept();
}

void MetricsListener::accept() {
  acceptor_.async_accept([this](const error_code& error, asio::ip::tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (!error) {
      ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
      if (*open_ < connections_max) std::make_shared<Visit>(std::move(socket), make_, open_)->read();
      return accept();
    }
    pause_.expires_after(accept_pause);
    pause_.async_wait([this](const error_code& stopped) {
      if (!stopped) accept();
    });
  });
}

}  // namespace tidemark::daemon
