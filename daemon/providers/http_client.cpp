#include "daemon/providers/http_client.h"

#include <curl/curl.h>
#include <pthread.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <csignal>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "daemon/providers/http_transfer.h"

namespace tidemark::daemon {

namespace asio = boost::asio;

namespace {

constexpr std::size_t easy_handles_kept = 64;

struct MultiDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
using Multi = std::unique_ptr<CURLM, MultiDeleter>;

void set_up_curl() {
  static const CURLcode result = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (result != CURLE_OK)
    throw std::runtime_error(std::string("libcurl can't be set up: ") + curl_easy_strerror(result));
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
    auto transfer = std::make_unique<HttpTransfer>(io_, std::move(request), std::move(done));
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
  using Transfers = std::vector<std::unique_ptr<HttpTransfer>>;

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

  void begin(std::unique_ptr<HttpTransfer> transfer) {
    if (std::string why = read_address(*transfer); !why.empty()) {
      transfer->answer.misaddressed = true;
      return refuse(std::move(transfer), std::move(why));
    }
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

  void refuse(std::unique_ptr<HttpTransfer> transfer, std::string why) {
    transfer->answer.end = HttpAnswer::End::not_sent;
    transfer->answer.error = std::move(why);
    ended_.push_back(std::move(transfer));
  }

  void collect() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      HttpTransfer* transfer = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
      conclude(*transfer, code);
      end(*transfer);
    }
  }

  void end(HttpTransfer& transfer) {
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
  std::vector<CurlEasy> easy_handles_;  // not in use
  std::deque<std::unique_ptr<HttpTransfer>> waiting_;
  Transfers running_;
  Transfers ended_;
  std::thread thread_;
};

HttpClient::HttpClient(asio::io_context& io) : worker_(std::make_unique<Worker>(io)) {}

HttpClient::~HttpClient() = default;

void HttpClient::send(HttpRequest request, std::function<void(HttpAnswer)> done) {
  worker_->send(std::move(request), std::move(done));
}

}  // namespace tidemark::daemon
