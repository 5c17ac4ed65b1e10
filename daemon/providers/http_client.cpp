#include "daemon/providers/http_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <strings.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <csignal>
#include <cstring>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <thread>

namespace tidemark::daemon {

namespace asio = boost::asio;
using lifecycle::Milliseconds;

namespace {

constexpr Milliseconds connect_timeout_max{10'000};
constexpr Milliseconds retry_after_max{3'600'000};
// Requests beyond that wait for one to end: each holds a descriptor, and is looked at each time that anything happens.
constexpr std::size_t transfers_max = 512;
constexpr std::size_t easy_handles_kept = 64;

struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct MultiDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Easy = std::unique_ptr<CURL, EasyDeleter>;
using Multi = std::unique_ptr<CURLM, MultiDeleter>;
using Url = std::unique_ptr<CURLU, UrlDeleter>;
using List = std::unique_ptr<curl_slist, ListDeleter>;

void set_up_curl() {
  static const CURLcode result = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (result != CURLE_OK)
    throw std::runtime_error(std::string("libcurl can't be set up: ") + curl_easy_strerror(result));
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char character) {
    const auto byte = static_cast<unsigned char>(character);
    return byte < 0x20 || byte == 0x7f;
  });
}

std::string without_control(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char character) {
        return has_control({&character, 1});
      },
      ' ');
  return text;
}

// Where a request goes.
struct Address {
  Url url;             // for libcurl; none = the text is no URL that can be spoken to
  std::string socket;  // the Unix socket's path; empty = TCP
  std::string place;   // host and port, or the socket: how sentences name it
};

std::string url_part(CURLU* url, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

Address address_of(const std::string& text) {
  static constexpr std::string_view unix_scheme = "http+unix://";
  Address address;
  std::string location = text;
  const bool is_unix =
      text.size() > unix_scheme.size() && ::strncasecmp(text.c_str(), unix_scheme.data(), unix_scheme.size()) == 0;
  if (is_unix) {
    const std::size_t end = std::min(text.find_first_of("/?#", unix_scheme.size()), text.size());
    int length = 0;
    char* path = curl_easy_unescape(nullptr, text.c_str() + unix_scheme.size(),
                                    static_cast<int>(end - unix_scheme.size()), &length);
    if (path != nullptr) address.socket.assign(path, static_cast<std::size_t>(length));
    curl_free(path);
    if (address.socket.empty() || address.socket[0] != '/' || has_control(address.socket)) return address;
    location = "http://localhost" + text.substr(end);
  }
  Url url(curl_url());
  // As it stands: "/../" is what the configuration says, and must go to who can judge it.
  if (!url || curl_url_set(url.get(), CURLUPART_URL, location.c_str(), CURLU_PATH_AS_IS) != CURLUE_OK) return address;
  const std::string scheme = url_part(url.get(), CURLUPART_SCHEME, 0);
  if (scheme != "http" && scheme != "https") return address;
  address.place =
      is_unix ? "the socket " + address.socket
              : url_part(url.get(), CURLUPART_HOST, 0) + ":" + url_part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  address.url = std::move(url);
  return address;
}

// One request, from send() until its completion was called. Written by one thread at a time: the I/O thread, the
// worker's while it is under way, the I/O thread again.
struct Transfer {
  Transfer(asio::io_context& io, HttpRequest what, std::function<void(HttpAnswer)> then)
      : request(std::move(what)), done(std::move(then)), work(asio::make_work_guard(io)) {}

  HttpRequest request;
  std::function<void(HttpAnswer)> done;
  asio::executor_work_guard<asio::io_context::executor_type> work;  // the completion is still to come
  HttpAnswer answer;

  Address address;
  List headers;
  Easy easy;
  bool begun = false;     // there is a connection that the request may be written to, TLS and proxy included
  bool too_long = false;  // libcurl was told to stop for that
  // The empty line behind the answer's headers has come. To libcurl an answer that is cut off before it is a good one.
  bool headers_whole = false;
  std::size_t header_bytes = 0;
  char error[CURL_ERROR_SIZE] = "";
};

// Called with a connection ready, before the first byte of the request: without this call nothing has left.
int on_begin(void* transfer, char*, char*, int, int) {
  static_cast<Transfer*>(transfer)->begun = true;
  return CURL_PREREQFUNC_OK;
}

std::size_t on_body(char* data, std::size_t, std::size_t size, void* to) {
  auto& transfer = *static_cast<Transfer*>(to);
  if (transfer.answer.body.size() + size > HttpClient::answer_bytes_max) {
    transfer.too_long = true;
    return 0;
  }
  transfer.answer.body.append(data, size);
  return size;
}

// A header's whole line. There may be any number of them, and of interim answers.
std::size_t on_header(char* data, std::size_t size, std::size_t count, void* to) {
  auto& transfer = *static_cast<Transfer*>(to);
  const std::string_view line(data, size * count);
  if (line.substr(0, 5) == "HTTP/") transfer.headers_whole = false;
  if (line == "\r\n" || line == "\n") transfer.headers_whole = true;
  transfer.header_bytes += line.size();
  if (transfer.header_bytes <= HttpClient::answer_bytes_max) return line.size();
  transfer.too_long = true;
  return 0;
}

// Why the request can't be sent; empty = it can.
std::string refusal(const Transfer& transfer) {
  if (!transfer.address.url) return "the URL is none that requests can be sent to";
  const bool bad_method = transfer.request.method.empty() || has_control(transfer.request.method) ||
                          transfer.request.method.find(' ') != std::string::npos;
  if (bad_method) return "the method of a request to " + transfer.address.place + " is none";
  for (const auto& [name, value] : transfer.request.headers) {
    if (name.empty() || has_control(name) || name.find_first_of(": ") != std::string::npos || has_control(value)) {
      return "a header of a request to " + transfer.address.place + " holds a control character or has no proper name";
    }
  }
  return {};
}

List header_list(const HttpRequest& request) {
  bool typed = false;
  curl_slist* list = nullptr;
  const auto append = [&list](const std::string& line) {
    if (curl_slist* longer = curl_slist_append(list, line.c_str())) list = longer;
  };
  for (const auto& [name, value] : request.headers) {
    append(value.empty() ? name + ";" : name + ": " + value);  // libcurl's way to send a header without a value
    typed = typed || ::strcasecmp(name.c_str(), "content-type") == 0;
  }
  // Not waited for, and the peer closes first, so that the ports that linger are not ours.
  append("Expect:");
  append("Connection: close");
  if (!typed) append("Content-Type:");  // else libcurl calls it a form
  return List(list);
}

template <typename Value>
void set(Transfer& transfer, CURLcode& result, CURLoption option, Value value) {
  if (result == CURLE_OK) result = curl_easy_setopt(transfer.easy.get(), option, value);
}

CURLcode set_options(Transfer& transfer) {
  const HttpRequest& request = transfer.request;
  CURLcode result = CURLE_OK;
  const auto timeout = std::max(request.timeout, Milliseconds(1));  // libcurl's 0 is none
  set(transfer, result, CURLOPT_PRIVATE, static_cast<void*>(&transfer));
  set(transfer, result, CURLOPT_ERRORBUFFER, static_cast<char*>(transfer.error));
  set(transfer, result, CURLOPT_NOSIGNAL, 1L);
  // A name that isn't looked up in time is given up without waiting for the thread that looks it up.
  set(transfer, result, CURLOPT_QUICK_EXIT, 1L);
  set(transfer, result, CURLOPT_CURLU, transfer.address.url.get());
  set(transfer, result, CURLOPT_PATH_AS_IS, 1L);
  set(transfer, result, CURLOPT_PROTOCOLS_STR, "http,https");
  set(transfer, result, CURLOPT_FOLLOWLOCATION, 0L);
  set(transfer, result, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(transfer, result, CURLOPT_FRESH_CONNECT, 1L);
  set(transfer, result, CURLOPT_FORBID_REUSE, 1L);
  set(transfer, result, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
  set(transfer, result, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::min(timeout, connect_timeout_max).count()));
  set(transfer, result, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(transfer, result, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(HttpClient::answer_bytes_max));
  set(transfer, result, CURLOPT_USERAGENT, "tidemark/" TIDEMARK_VERSION);
  set(transfer, result, CURLOPT_PREREQFUNCTION, &on_begin);
  set(transfer, result, CURLOPT_PREREQDATA, static_cast<void*>(&transfer));
  set(transfer, result, CURLOPT_WRITEFUNCTION, &on_body);
  set(transfer, result, CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
  set(transfer, result, CURLOPT_HEADERFUNCTION, &on_header);
  set(transfer, result, CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
  if (!transfer.address.socket.empty()) {
    set(transfer, result, CURLOPT_UNIX_SOCKET_PATH, transfer.address.socket.c_str());
    set(transfer, result, CURLOPT_PROXY, "");
  }
  const bool may_have_body = request.method != "GET" && request.method != "HEAD";
  if (request.method == "HEAD") {
    set(transfer, result, CURLOPT_NOBODY, 1L);
  } else if (may_have_body && (!request.body.empty() || request.method == "POST" || request.method == "PUT" ||
                               request.method == "PATCH")) {
    set(transfer, result, CURLOPT_POST, 1L);
    set(transfer, result, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    set(transfer, result, CURLOPT_POSTFIELDS, request.body.c_str());
  }
  set(transfer, result, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  transfer.headers = header_list(request);
  set(transfer, result, CURLOPT_HTTPHEADER, transfer.headers.get());
  return result;
}

std::optional<Milliseconds> retry_after_of(CURL* easy) {
  curl_header* header = nullptr;
  if (curl_easy_header(easy, "Retry-After", 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return std::nullopt;
  const std::string_view text(header->value);
  if (text.find_first_not_of("0123456789") == std::string_view::npos && text.size() > 9) return retry_after_max;
  curl_off_t seconds = 0;
  curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds);
  // 0 is also what libcurl makes of a text that it doesn't understand.
  if (seconds == 0 && text != "0") return std::nullopt;
  return Milliseconds(1000 * std::clamp<curl_off_t>(seconds, 0, retry_after_max.count() / 1000));
}

// The request hasn't left, and trying again won't help: the address or the trust in it is wrong.
bool is_misaddressed(const Transfer& transfer, CURLcode code) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:  // libcurl doesn't tell a resolver that is out of order from an unknown name
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return true;
    case CURLE_SSL_CONNECT_ERROR:
      // OpenSSL's own word, as opposed to a connection that ended meanwhile.
      return std::strstr(transfer.error, "error:") != nullptr;
    default:
      return false;
  }
}

std::string reason_of(const Transfer& transfer, CURLcode code) {
  long number = 0;
  curl_easy_getinfo(transfer.easy.get(), CURLINFO_OS_ERRNO, &number);
  if (number != 0 && code != CURLE_PARTIAL_FILE) return std::generic_category().message(static_cast<int>(number));
  return curl_easy_strerror(code);
}

// One sentence. libcurl's own words only where they can hold nothing of the request or the answer.
std::string sentence(const Transfer& transfer, CURLcode code) {
  const std::string& place = transfer.address.place;
  if (transfer.too_long || code == CURLE_FILESIZE_EXCEEDED) {
    return "the answer of " + place + " is longer than " + std::to_string(HttpClient::answer_bytes_max) + " bytes";
  }
  if (!transfer.begun) {
    switch (code) {
      case CURLE_COULDNT_RESOLVE_HOST:
        return "the host name of " + place + " can't be resolved";
      case CURLE_COULDNT_RESOLVE_PROXY:
        return "the host name of the proxy for " + place + " can't be resolved";
      case CURLE_OPERATION_TIMEDOUT:
        return "no connection to " + place + " came about in time";
      case CURLE_COULDNT_CONNECT:
        return "no connection to " + place + " can be made: " + reason_of(transfer, code);
      case CURLE_PEER_FAILED_VERIFICATION:
      case CURLE_SSL_CONNECT_ERROR:
      case CURLE_SSL_CACERT_BADFILE:
        return "there is no TLS connection with " + place + ": " + without_control(transfer.error);
      default:
        return "no connection to " + place + " came about: " + reason_of(transfer, code);
    }
  }
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return place + " has not answered in time, " + std::to_string(transfer.request.timeout.count()) + " ms";
    case CURLE_GOT_NOTHING:
      return place + " ended the connection without an answer";
    case CURLE_PARTIAL_FILE:
      return place + " ended the connection in the middle of its answer";
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      return "the connection to " + place + " broke before the whole answer was there: " + reason_of(transfer, code);
    default:
      return "what " + place + " answered is not proper HTTP: " + std::string(curl_easy_strerror(code));
  }
}

void conclude(Transfer& transfer, CURLcode code) {
  HttpAnswer& answer = transfer.answer;
  long status = 0;
  curl_easy_getinfo(transfer.easy.get(), CURLINFO_RESPONSE_CODE, &status);
  if (code == CURLE_OK && !transfer.headers_whole) code = CURLE_PARTIAL_FILE;
  // An interim answer is none.
  if (code == CURLE_OK && status < 200) code = CURLE_WEIRD_SERVER_REPLY;
  if (code == CURLE_OK) {
    answer.end = HttpAnswer::End::answered;
    answer.status = status;
    answer.retry_after = retry_after_of(transfer.easy.get());
    return;
  }
  answer.end = transfer.begun ? HttpAnswer::End::interrupted : HttpAnswer::End::not_sent;
  answer.misaddressed = !transfer.begun && is_misaddressed(transfer, code);
  answer.error = sentence(transfer, code);
  answer.body.clear();
}

}  // namespace

// The thread. Transfers come in by `queue_`, under the mutex; all else is the thread's until it has ended.
class HttpClient::Worker {
 public:
  explicit Worker(asio::io_context& io) : io_(io) {
    set_up_curl();
    multi_.reset(curl_multi_init());
    if (!multi_) throw std::runtime_error("libcurl can't be set up: out of memory");
    // Signals are for the threads that expect them.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  ~Worker() {
    *alive_ = false;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    curl_multi_wakeup(multi_.get());
    thread_.join();
    for (const auto& transfer : running_) curl_multi_remove_handle(multi_.get(), transfer->easy.get());
  }

  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void send(HttpRequest request, std::function<void(HttpAnswer)> done) {
    auto transfer = std::make_unique<Transfer>(io_, std::move(request), std::move(done));
    bool first = false;
    {
      const std::lock_guard lock(mutex_);
      first = queue_.empty();
      queue_.push_back(std::move(transfer));
    }
    // Otherwise the thread knows already that there is something.
    if (first) curl_multi_wakeup(multi_.get());
  }

 private:
  using Transfers = std::vector<std::unique_ptr<Transfer>>;

  void run() {
    while (take()) {
      begin_waiting();
      int running = 0;
      curl_multi_perform(multi_.get(), &running);
      collect();
      deliver();
      // libcurl wakes up for its own timers.
      if (waiting_.empty() || running_.size() >= transfers_max) {
        curl_multi_poll(multi_.get(), nullptr, 0, 60'000, nullptr);
      }
    }
  }

  // False = the end.
  bool take() {
    const std::lock_guard lock(mutex_);
    for (auto& transfer : queue_) waiting_.push_back(std::move(transfer));
    queue_.clear();
    return !stopping_;
  }

  void begin_waiting() {
    while (!waiting_.empty() && running_.size() < transfers_max) {
      auto transfer = std::move(waiting_.front());
      waiting_.pop_front();
      begin(std::move(transfer));
    }
  }

  void begin(std::unique_ptr<Transfer> transfer) {
    transfer->address = address_of(transfer->request.url);
    if (std::string why = refusal(*transfer); !why.empty()) return refuse(std::move(transfer), std::move(why));
    if (!easy_handles_.empty()) {
      transfer->easy = std::move(easy_handles_.back());
      easy_handles_.pop_back();
    } else {
      transfer->easy.reset(curl_easy_init());
    }
    const std::string& place = transfer->address.place;
    if (!transfer->easy) return refuse(std::move(transfer), "no memory for a request to " + place);
    if (const CURLcode code = set_options(*transfer); code != CURLE_OK) {
      return refuse(std::move(transfer), "a request to " + place + " can't be made: " + curl_easy_strerror(code));
    }
    if (const CURLMcode code = curl_multi_add_handle(multi_.get(), transfer->easy.get()); code != CURLM_OK) {
      return refuse(std::move(transfer), "a request to " + place + " can't be made: " + curl_multi_strerror(code));
    }
    running_.push_back(std::move(transfer));
  }

  void refuse(std::unique_ptr<Transfer> transfer, std::string why) {
    transfer->answer.end = HttpAnswer::End::not_sent;
    transfer->answer.misaddressed = true;
    transfer->answer.error = std::move(why);
    ended_.push_back(std::move(transfer));
  }

  void collect() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      Transfer* transfer = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
      conclude(*transfer, code);
      end(*transfer);
    }
  }

  void end(Transfer& transfer) {
    curl_multi_remove_handle(multi_.get(), transfer.easy.get());
    // Afterwards it knows nothing of the request: what it sent, to whom, and its answer.
    curl_easy_reset(transfer.easy.get());
    if (easy_handles_.size() < easy_handles_kept) easy_handles_.push_back(std::move(transfer.easy));
    const auto found = std::find_if(running_.begin(), running_.end(),
                                    [&transfer](const auto& candidate) { return candidate.get() == &transfer; });
    std::swap(*found, running_.back());
    ended_.push_back(std::move(running_.back()));
    running_.pop_back();
  }

  void deliver() {
    if (ended_.empty()) return;
    asio::post(io_, [ended = std::make_shared<Transfers>(std::move(ended_)), alive = alive_] {
      for (const auto& transfer : *ended) {
        // A completion may destroy the client.
        if (!*alive) return;
        transfer->done(std::move(transfer->answer));
      }
    });
    ended_.clear();
  }

  asio::io_context& io_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // I/O thread only

  std::mutex mutex_;
  Transfers queue_;        // by mutex_
  bool stopping_ = false;  // by mutex_

  Multi multi_;
  std::vector<Easy> easy_handles_;  // not in use
  std::deque<std::unique_ptr<Transfer>> waiting_;
  Transfers running_;
  Transfers ended_;
  std::thread thread_;
};

HttpClient::HttpClient(asio::io_context& io) : worker_(std::make_unique<Worker>(io)) {}

HttpClient::~HttpClient() = default;

std::string problem_of_url(const std::string& url) {
  // libcurl would send user and password, and they would stand in the configuration.
  const std::size_t host = url.find("://");
  const std::size_t host_end = host == std::string::npos ? host : url.find_first_of("/?#", host + 3);
  if (url.substr(0, host_end).find('@') != std::string::npos) {
    return "the url holds a user or a password: put them into a header's file";
  }
  if (std::any_of(url.begin(), url.end(), [](char character) { return character <= ' ' || character >= 0x7f; })) {
    return "the url holds a blank, a control character or one beyond ASCII: they are percent-encoded in URLs";
  }
  if (url.find('#') != std::string::npos) return "the url has a fragment, which is never sent";
  // libcurl would take what follows a third slash for the host.
  const bool hostless = host == std::string::npos || host_end == host + 3;
  if (hostless || !address_of(url).url) return "the url is none of http://, https:// and http+unix://SOCKET/path";
  return {};
}

void HttpClient::send(HttpRequest request, std::function<void(HttpAnswer)> done) {
  worker_->send(std::move(request), std::move(done));
}

}  // namespace tidemark::daemon
