// Outgoing HTTP, by libcurl, on a thread of its own: neither name look-ups nor TLS hold up the I/O thread. Every
// request goes on a connection of its own and is sent at most once: libcurl would repeat one, a POST too, when a
// connection that it reuses ends before the first byte of its answer. Redirects are not followed, certificates are
// verified, and the environment's proxies are used.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lifecycle/time.h"

namespace tidemark::daemon {

struct HttpRequest {
  std::string method = "GET";
  // http, https, or http+unix://SOCKET/path with the socket's path percent-encoded: http+unix://%2Frun%2Fmemory.sock/v1
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // none is sent with GET
  lifecycle::Milliseconds timeout{60'000};
};

struct HttpAnswer {
  enum class End {
    answered,     // a whole answer came
    not_sent,     // nobody was reached: no byte of the request has left
    interrupted,  // anything else: it may have been acted on
  };
  End end = End::interrupted;
  bool misaddressed = false;  // with not_sent: the name is unknown, or the certificate not to be trusted
  long status = 0;            // 0 = no answer came
  std::string body;           // at most answer_bytes_max; a longer one is `interrupted`
  std::optional<lifecycle::Milliseconds> retry_after;
  std::string error;  // why it isn't `answered`; holds no header and nothing of the body
};

// What is wrong with a configured URL, as one sentence without a full stop; empty = requests can be sent to it.
std::string problem_of_url(const std::string& url);

class HttpClient {
 public:
  static constexpr std::size_t answer_bytes_max = 1'048'576;
  // Requests under way; others wait for one to end, and their time doesn't run yet. Each holds a descriptor.
  static constexpr std::size_t transfers_max = 512;

  // `io` outlives it. Throws std::runtime_error if libcurl can't be set up.
  explicit HttpClient(boost::asio::io_context& io);
  // What is under way is given up; its completions aren't called.
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // `done` is called on the I/O thread, once.
  void send(HttpRequest request, std::function<void(HttpAnswer)> done);

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace tidemark::daemon
