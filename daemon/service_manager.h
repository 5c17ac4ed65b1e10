// What passes between the daemon and the service manager that started it (systemd's protocol, by the environment): a
// socket that was passed, and notices of how it goes. Without a service manager all of it does nothing and wakes
// nobody. I/O thread only, but for the small thread that ExtendedStart is.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/result.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "lifecycle/time.h"
#include "store/ledger.h"

namespace tidemark::daemon {

// While it lives, the manager's start timeout is put off again and again: the journal may have to be copied, migrated
// and recovered, which blocks the thread that waits for it. The environment must not change meanwhile.
class ExtendedStart {
 public:
  // `managed` false: there is no manager to be told, hence no thread.
  explicit ExtendedStart(bool managed);
  ~ExtendedStart();
  ExtendedStart(const ExtendedStart&) = delete;
  ExtendedStart& operator=(const ExtendedStart&) = delete;

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  std::thread thread_;
};

class ServiceManager {
 public:
  // Takes what the environment says, and removes what concerns this process alone. To be made before any thread is.
  explicit ServiceManager(boost::asio::io_context& io);

  // The descriptor of the socket that was passed; none: the daemon makes its own. The error's text is for the operator.
  boost::system::result<std::optional<int>, std::string> passed_socket() const;

  ExtendedStart extended_start() const { return ExtendedStart(managed_); }

  // The daemon serves. From now on the watchdog, if the manager has set one, is fed twice in its interval, each time by
  // a question that has gone through the ledger thread and come back: a ledger that hangs starves it. `ledger` outlives
  // the run of the io_context.
  void ready(store::Ledger& ledger);
  void reloading();
  void reloaded();
  // Counts again, and tells the manager how it stands if that has changed. Also done with each beat of the watchdog.
  void refresh_status();

  // The daemon ends once its work is over, `deadline` from now at the latest.
  void stopping(lifecycle::Milliseconds deadline);
  // It ends with an error.
  void failed(const std::string& why);

 private:
  void beat();
  void set_status(std::string status);

  boost::asio::steady_timer timer_;
  bool managed_ = false;
  int passed_ = 0;                      // sockets; negative: an errno
  lifecycle::Milliseconds interval_{};  // between two questions; 0 = no watchdog
  store::Ledger* ledger_ = nullptr;
  bool asked_ = false;  // a question is out
  bool ending_ = false;
  std::string status_;  // as the manager knows it
};

}  // namespace tidemark::daemon
