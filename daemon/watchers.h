// Subscriptions: what happened, told to whoever watches. The ledger makes only the events that somebody wants; here
// each finds its subscribers. What a subscriber's connection doesn't take waits here. One that was `watch_queue` events
// behind already when the ledger tells of more doesn't keep up: it is dropped with a last event that says so. (How many
// come at once is no fault of the reader's.) So is one that would make too many bytes wait for its user. Nobody else
// notices. I/O thread only.
#pragma once

#include <bitset>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "daemon/client.h"
#include "daemon/config.h"
#include "ipc/messages.h"
#include "store/ledger.h"

namespace tidemark::daemon {

// Subscriptions of one user's connections together.
inline constexpr std::int64_t subscriptions_per_user_max = 64;
// Bytes, about, of events that wait for all of a user's subscriptions.
inline constexpr std::int64_t watch_bytes_per_user_max = std::int64_t{64} * 1024 * 1024;

class Watchers {
 public:
  // `config` and `clients` outlive it; `set_ledger` follows before anything else.
  Watchers(const Config& config, Clients& clients) : config_(config), clients_(clients) {}
  void set_ledger(store::Ledger& ledger) { ledger_ = &ledger; }

  // Answers `call` with the subscription once events are made for it: what is called after that answer is told.
  // `uid` none = everybody's.
  void watch(const Client& client, ipc::Call call, std::optional<uid_t> uid, const ipc::WatchParams& params);
  void unwatch(const Client& client, ipc::Call call, std::int64_t subscription);
  void on_client_closed(ClientId client);
  // The client has taken what it had been given.
  void on_output_taken(ClientId client);

  // What the ledger has told.
  void publish(const std::vector<store::Event>& events);
  // What is about an agent: agent_online or agent_offline.
  void publish(ipc::EventType type, uid_t uid, const std::string& agent);
  // What is about a provider: to those of its users. `error` empty = none.
  void publish_provider(ipc::EventType type, const std::string& provider, const std::set<uid_t>& users,
                        const std::string& error);
  // The daemon stops: all subscribers are told.
  void publish_draining();

  std::int64_t subscriptions() const { return static_cast<std::int64_t>(subscriptions_.size()); }
  // Subscribers that were dropped, since the start.
  std::int64_t overflows() const { return overflows_; }

 private:
  using Types = std::bitset<ipc::EnumWords<ipc::EventType>::rows.size()>;
  struct Waiting {
    std::shared_ptr<const ipc::EventParams> event;
    std::int64_t bytes = 0;
  };
  // Of one user.
  struct Charge {
    std::int64_t subscriptions = 0;
    std::int64_t waiting_bytes = 0;
  };
  struct Subscription {
    std::int64_t number = 0;
    ClientId client = 0;
    uid_t owner = 0;  // whom it is charged to
    std::shared_ptr<const store::Filter> filter;
    Types types;
    bool active = false;  // its number has been told
    std::int64_t seq = 0;
    std::deque<Waiting> waiting;
    std::int64_t round = 0;   // the latest in which it was offered anything
    bool was_behind = false;  // by `watch_queue` events when that began
  };

  using Wants = std::function<bool(const store::Filter&)>;
  void publish(ipc::EventType type, ipc::EventParams event, const Wants& wants);
  void offer(Subscription& subscription, const std::shared_ptr<const ipc::EventParams>& event);
  void overflow(Subscription& subscription, const std::string& why);
  // Gives the client of what waits for it, as much as its connection should hold.
  void hand_over(ClientId client);
  // Sends the oldest event that waits.
  void send_next(ipc::Connection& connection, Subscription& subscription);
  void send(ipc::Connection& connection, Subscription& subscription, ipc::EventParams event);
  void drop(std::int64_t number);

  const Config& config_;
  Clients& clients_;
  store::Ledger* ledger_ = nullptr;
  std::map<std::int64_t, Subscription> subscriptions_;
  std::map<uid_t, Charge> charges_;
  std::unordered_map<ClientId, std::vector<std::int64_t>> by_client_;
  std::int64_t last_number_ = 0;
  std::int64_t round_ = 0;  // of what came true together
  std::int64_t overflows_ = 0;
};

}  // namespace tidemark::daemon
