// One exchange over HTTP as libcurl is told of it, and what its end means. The client's own: http_client.h is the
// interface.
#pragma once

#include <curl/curl.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "daemon/providers/http_client.h"

namespace tidemark::daemon {

struct CurlEasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct CurlUrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
struct CurlListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using CurlEasy = std::unique_ptr<CURL, CurlEasyDeleter>;
using CurlUrl = std::unique_ptr<CURLU, CurlUrlDeleter>;
using CurlList = std::unique_ptr<curl_slist, CurlListDeleter>;

// Where a request goes.
struct HttpAddress {
  CurlUrl url;         // for libcurl; none = the text is no URL that can be spoken to
  std::string socket;  // the Unix socket's path; empty = TCP
  std::string place;   // host and port, or the socket: how sentences name it
};

// One request, from send() until its completion was called. Written by one thread at a time: the I/O thread, the
// worker's while it is under way, the I/O thread again.
struct HttpTransfer {
  HttpTransfer(boost::asio::io_context& io, HttpRequest what, std::function<void(HttpAnswer)> then)
      : request(std::move(what)), done(std::move(then)), work(boost::asio::make_work_guard(io)) {}

  HttpRequest request;
  std::function<void(HttpAnswer)> done;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work;  // the completion is still to come
  HttpAnswer answer;

  HttpAddress address;
  CurlList headers;
  CurlEasy easy;
  bool begun = false;     // there is a connection that the request may be written to, TLS and proxy included
  bool too_long = false;  // libcurl was told to stop for that
  // The empty line behind the answer's headers has come. To libcurl an answer that is cut off before it is a good one.
  bool headers_whole = false;
  std::size_t header_bytes = 0;
  char error[CURL_ERROR_SIZE] = "";
};

// Reads the URL. Why the request can't be sent, as a sentence; empty = it can.
std::string read_address(HttpTransfer& transfer);

// Tells the transfer's fresh `easy` all of the request, once its address is read. The transfer stays where it is until
// that handle is reset.
CURLcode set_options(HttpTransfer& transfer);

// Makes the answer of how the exchange ended.
void conclude(HttpTransfer& transfer, CURLcode code);

}  // namespace tidemark::daemon
