// Metrics by HTTP, for collectors that come by: GET /metrics, and nothing else. Few and short-lived connections; one
// that is slow, or one too many, is closed. I/O thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

namespace tidemark::daemon {

class MetricsListener {
 public:
  // Makes the page and hands it over, later and on this thread.
  using Make = std::function<void(std::function<void(std::string)>)>;

  // Listens on `endpoint`; throws std::runtime_error with a text for the operator if it can't.
  MetricsListener(boost::asio::io_context& io, const boost::asio::ip::tcp::endpoint& endpoint, Make make);
  MetricsListener(const MetricsListener&) = delete;
  MetricsListener& operator=(const MetricsListener&) = delete;

  // Where it listens: the port is the kernel's choice if 0 was asked for.
  boost::asio::ip::tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

 private:
  void accept();

  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  std::shared_ptr<const Make> make_;
  std::shared_ptr<int> open_ = std::make_shared<int>(0);  // connections; shared with them
};

}  // namespace tidemark::daemon
