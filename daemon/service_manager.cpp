#include "daemon/service_manager.h"

#include <pthread.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <system_error>
#include <variant>

#include "daemon/convert.h"

namespace tidemark::daemon {
namespace {

using lifecycle::Milliseconds;

// How long the manager is asked to wait on, and how often it is asked while the journal is being opened.
constexpr Milliseconds extension{30'000};
constexpr Milliseconds extension_interval{10'000};
// What a stop may take beyond its deadline: last answers, and closing the database.
constexpr Milliseconds stop_margin{30'000};

// Whether there is a manager that listens is its own affair; one that has stopped reading its queue, though, holds the
// caller up.
void notify(const std::string& text) {
  ::sd_notify(0, text.c_str());
}

std::string extend_text(Milliseconds time) {
  return "EXTEND_TIMEOUT_USEC=" + std::to_string(std::chrono::microseconds(time).count());
}

std::string status_text(const store::Counts& counts, const store::JournalHealth& health) {
  return "sessions dirty: " + std::to_string(counts.dirty) + ", stuck: " + std::to_string(counts.stuck) +
         "; the journal " + (health.healthy ? std::string("is healthy") : "can't be written: " + health.error);
}

}  // namespace

ExtendedStart::ExtendedStart(bool managed) {
  if (!managed) return;
  notify("STATUS=opening the journal");
  thread_ = std::thread([this] { run(); });
  ::pthread_setname_np(thread_.native_handle(), "start");
}

ExtendedStart::~ExtendedStart() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void ExtendedStart::run() {
  std::unique_lock lock(mutex_);
  do {
    notify(extend_text(extension));
  } while (!wake_.wait_for(lock, extension_interval, [this] { return over_; }));
}

ServiceManager::ServiceManager(boost::asio::io_context& io) : timer_(io) {
  const char* const address = std::getenv("NOTIFY_SOCKET");
  managed_ = address != nullptr && *address != '\0';
  passed_ = ::sd_listen_fds(1);
  std::uint64_t watchdog_us = 0;
  if (managed_ && ::sd_watchdog_enabled(1, &watchdog_us) > 0) {
    const auto half = std::chrono::floor<Milliseconds>(std::chrono::microseconds(watchdog_us / 2));
    interval_ = std::max(half, Milliseconds(1));
  }
}

boost::system::result<std::optional<int>, std::string> ServiceManager::passed_socket() const {
  if (passed_ < 0) {
    return "the service manager's LISTEN_FDS or LISTEN_PID can't be used: " + std::generic_category().message(-passed_);
  }
  if (passed_ > 1) {
    return "the service manager passed " + std::to_string(passed_) + " sockets, but tidemarkd serves one";
  }
  return passed_ == 0 ? std::nullopt : std::optional<int>(SD_LISTEN_FDS_START);
}

void ServiceManager::ready(store::Ledger& ledger) {
  if (!managed_) return;
  ledger_ = &ledger;
  notify("READY=1");
  if (interval_ > Milliseconds(0)) {
    beat();
  } else {
    refresh_status();
  }
}

void ServiceManager::beat() {
  if (!asked_) {
    asked_ = true;
    ledger_->submit(store::Ping{}, [this](const auto&) {
      asked_ = false;
      notify("WATCHDOG=1");
    });
    refresh_status();
  }
  timer_.expires_after(interval_);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) beat();
  });
}

void ServiceManager::reloading() {
  if (managed_ && !ending_) notify("RELOADING=1");
}

void ServiceManager::reloaded() {
  if (managed_ && !ending_) notify("READY=1");
}

void ServiceManager::refresh_status() {
  if (ledger_ == nullptr || ending_) return;
  ledger_->submit(store::Count{}, [this](const store::Outcome<store::Counts>& outcome) {
    const auto* const counts = std::get_if<store::Counts>(&outcome);
    if (counts && !ending_) set_status(status_text(*counts, ledger_->health()));
  });
}

void ServiceManager::set_status(std::string status) {
  if (status == status_) return;
  status_ = std::move(status);
  notify("STATUS=" + status_);
}

void ServiceManager::stopping(Milliseconds deadline) {
  ending_ = true;
  if (!managed_) return;
  notify("STOPPING=1\n" + extend_text(deadline + stop_margin) +
         "\nSTATUS=stopping: attempts that are out and what is due have " + duration_text(deadline));
}

void ServiceManager::failed(const std::string& why) {
  ending_ = true;
  if (managed_) notify("STOPPING=1\nSTATUS=" + why);
}

}  // namespace tidemark::daemon
