// What providers have accepted and aren't done with: looked after until they are. Each is looked at now and then, less
// and less often, and holds no slot between the looks; who has made no progress for very long counts as stalled. What
// is to be looked after comes from the ledger, after a start too. I/O thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "daemon/dispatcher.h"
#include "daemon/provider_lines.h"
#include "store/ledger.h"

namespace tidemark::daemon {

class Confirmations {
 public:
  // All of these outlive it; `set_ledger` follows before anything else.
  Confirmations(boost::asio::io_context& io, ProviderLines& lines, Dispatcher& dispatcher)
      : lines_(lines), dispatcher_(dispatcher), timer_(io) {}
  void set_ledger(store::Ledger& ledger) { ledger_ = &ledger; }

  void on_effects(const store::Effects& effects);
  // The configuration has changed: whatever was put off is looked at soon.
  void hurry();

 private:
  struct Entry {
    store::Accepted accepted;
    lifecycle::Utc since{};            // when it was accepted, or the daemon started
    lifecycle::Milliseconds pause{0};  // before the latest look; 0 = none yet
    lifecycle::Steady at{};            // its next look
    bool looking = false;
  };
  using Key = lifecycle::Key;

  void schedule(Entry& entry, lifecycle::Milliseconds pause);
  void arm();
  void on_timer();
  // Begins as many looks as the provider may have at once.
  void look_at(const std::string& provider);
  void look(Entry& entry);
  void on_state(const Key& key, const store::Outcome<store::GetConfirming::Result>& outcome);
  void on_look(const Key& key, bool was_stalled, ProviderLook seen);
  void on_unfinished(Entry& entry, bool was_stalled, const ProviderLook& seen);
  void on_done(const Entry& entry, const ProviderLook& seen);
  static bool may_look(ProviderLine& line);
  void put_off(Entry& entry);
  void forget(const Key& key);
  void end_look(Entry& entry);

  ProviderLines& lines_;
  Dispatcher& dispatcher_;
  store::Ledger* ledger_ = nullptr;
  boost::asio::steady_timer timer_;
  std::optional<lifecycle::Steady> armed_;
  std::map<Key, Entry> entries_;
  std::set<std::pair<lifecycle::Steady, Key>> queue_;                       // by their next look
  std::map<std::string, std::set<std::pair<lifecycle::Steady, Key>>> due_;  // by provider: due, and there's no room yet
  std::map<std::string, std::int64_t> looks_;                               // by provider: under way
};

}  // namespace tidemark::daemon
