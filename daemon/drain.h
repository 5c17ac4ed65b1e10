// Drain: every dirty session in scope is made due and flushed, again and again while there is progress, until nothing
// is left or the deadline comes. No session waits for another. I/O thread only.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/dispatcher.h"

namespace tidemark::daemon {

class Drain : public std::enable_shared_from_this<Drain> {
 public:
  struct Scope {
    std::optional<uid_t> uid;                        // none = everybody's
    std::optional<std::vector<std::string>> owners;  // none = whatever agents own it
    ClientId client = 0;                             // whose connection ends it
  };
  struct Result {
    std::int64_t committed = 0;          // segments
    std::vector<std::string> remaining;  // names of sessions with turns that no provider has taken; bounded
    std::optional<store::Refused> refused;
  };
  // Keeps itself alive until `done` has been called, which happens exactly once and, as far as the ledger answers, at
  // the deadline at the latest.
  static void begin(boost::asio::io_context& context, store::Ledger& ledger, Dispatcher& dispatcher, Scope scope,
                    lifecycle::Milliseconds deadline, std::function<void(Result)> done);

 private:
  Drain(boost::asio::io_context& context, store::Ledger& ledger, Dispatcher& dispatcher, Scope scope,
        std::function<void(Result)> done);
  void begin_round();
  void read_page(lifecycle::SessionId after);
  void flush(uid_t uid, const std::string& session);
  void end_round_if_over();
  void report(lifecycle::SessionId after);
  void finish();

  boost::asio::steady_timer timer_;
  store::Ledger& ledger_;
  Dispatcher& dispatcher_;
  Scope scope_;
  std::function<void(Result)> done_;
  std::set<std::shared_ptr<Wait>> waits_;
  bool reading_ = false;    // pages of this round are still to come
  bool reporting_ = false;  // the rounds are over
  std::int64_t committed_before_ = 0;
  Result result_;
};

}  // namespace tidemark::daemon
