#include "daemon/watchers.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "daemon/clock.h"
#include "daemon/convert.h"

namespace tidemark::daemon {

namespace {

constexpr std::size_t place(ipc::EventType type) {
  return static_cast<std::size_t>(type);
}

// What it takes of memory, about, if nobody shares it.
std::int64_t bytes_of(const ipc::EventParams& event) {
  const auto of = [](const std::optional<std::string>& text) { return text ? text->size() : 0; };
  return static_cast<std::int64_t>(sizeof event + of(event.session) + of(event.agent) + of(event.error));
}

}  // namespace

void Watchers::watch(const Client& client, ipc::Call call, std::optional<uid_t> uid, const ipc::WatchParams& params) {
  std::int64_t& count = charges_[client.uid].subscriptions;
  if (count >= subscriptions_per_user_max) {
    call.fail(ipc::Error::at_limit("subscriptions_per_user", "your user has as many subscriptions as it may have: " +
                                                                 std::to_string(subscriptions_per_user_max)));
    return;
  }
  ++count;
  Subscription subscription;
  subscription.number = ++last_number_;
  subscription.client = client.id;
  subscription.owner = client.uid;
  if (params.types) {
    for (const ipc::EventType type : *params.types) subscription.types.set(place(type));
  } else {
    subscription.types.set();
  }
  auto filter = std::make_shared<store::Filter>();
  filter->uid = uid;
  filter->turns = subscription.types.test(place(ipc::EventType::turn_completed));
  if (params.sessions) filter->sessions.emplace(params.sessions->begin(), params.sessions->end());
  subscription.filter = filter;
  const std::int64_t number = subscription.number;
  by_client_[client.id].push_back(number);
  subscriptions_.emplace(number, std::move(subscription));
  store::Watch command;
  command.subscription = number;
  command.filter = std::move(filter);
  ledger_->submit(std::move(command), [this, number, call = std::move(call)](const auto& outcome) mutable {
    const auto found = subscriptions_.find(number);
    if (const auto* refused = std::get_if<store::Refused>(&outcome)) {
      call.fail(error_of(*refused));
      if (found != subscriptions_.end()) drop(number);
      return;
    }
    call.reply(ipc::WatchResult{number});
    if (found != subscriptions_.end()) found->second.active = true;
  });
}

void Watchers::unwatch(const Client& client, ipc::Call call, std::int64_t number) {
  const auto found = subscriptions_.find(number);
  if (found == subscriptions_.end() || found->second.client != client.id) {
    call.fail(
        ipc::Error::make(ipc::ErrorReason::not_found, "this connection has no subscription " + std::to_string(number)));
    return;
  }
  drop(number);
  call.reply(ipc::Empty{});
}

void Watchers::on_client_closed(ClientId client) {
  const auto found = by_client_.find(client);
  if (found == by_client_.end()) return;
  const std::vector<std::int64_t> numbers = found->second;
  for (const std::int64_t number : numbers) drop(number);
}

void Watchers::drop(std::int64_t number) {
  const auto found = subscriptions_.find(number);
  const Subscription& gone = found->second;
  Charge& charge = charges_.at(gone.owner);
  for (const Waiting& waiting : gone.waiting) charge.waiting_bytes -= waiting.bytes;
  if (--charge.subscriptions == 0) charges_.erase(gone.owner);
  std::vector<std::int64_t>& numbers = by_client_.at(gone.client);
  numbers.erase(std::find(numbers.begin(), numbers.end(), number));
  if (numbers.empty()) by_client_.erase(gone.client);
  subscriptions_.erase(found);
  store::Unwatch command;
  command.subscription = number;
  ledger_->submit(command, [](const auto&) {});
}

void Watchers::publish(const std::vector<store::Event>& events) {
  ++round_;
  for (const store::Event& event : events) {
    const ipc::EventType type = event_type_of(event.kind);
    publish(type, event_of(event),
            [&event](const store::Filter& filter) { return filter.wants(event.uid, event.session); });
  }
}

void Watchers::publish(ipc::EventType type, uid_t uid, const std::string& agent) {
  if (subscriptions_.empty()) return;
  ++round_;
  ipc::EventParams event;
  event.at = now().utc;
  event.uid = uid;
  event.agent = agent;
  publish(type, std::move(event), [uid](const store::Filter& filter) { return filter.wants(uid, {}); });
}

void Watchers::publish_provider(ipc::EventType type, const std::string& provider, const std::set<uid_t>& users,
                                const std::string& error) {
  if (subscriptions_.empty()) return;
  ++round_;
  ipc::EventParams event;
  event.at = now().utc;
  event.uid = ::geteuid();
  event.provider = provider;
  if (!error.empty()) event.error = error;
  publish(type, std::move(event), [&users](const store::Filter& filter) {
    return std::any_of(users.begin(), users.end(), [&](uid_t user) { return filter.wants(user, {}); });
  });
}

void Watchers::publish_draining() {
  ipc::EventParams event;
  event.at = now().utc;
  event.uid = ::geteuid();
  ++round_;
  publish(ipc::EventType::daemon_draining, std::move(event), [](const store::Filter&) { return true; });
}

void Watchers::publish(ipc::EventType type, ipc::EventParams event, const Wants& wants) {
  std::shared_ptr<const ipc::EventParams> shared;
  // Whoever overflows is dropped under way.
  for (auto next = subscriptions_.begin(); next != subscriptions_.end();) {
    Subscription& subscription = next->second;
    ++next;
    if (!subscription.active || !subscription.types.test(place(type)) || !wants(*subscription.filter)) continue;
    if (!shared) {
      event.type = ipc::word_of(type);
      shared = std::make_shared<const ipc::EventParams>(event);
    }
    offer(subscription, shared);
  }
}

void Watchers::offer(Subscription& subscription, const std::shared_ptr<const ipc::EventParams>& event) {
  if (!clients_.find_client(subscription.client)) return;  // on_client_closed is on its way
  const std::int64_t queue_max = config_.limits_of(subscription.owner).watch_queue;
  if (std::exchange(subscription.round, round_) != round_) {
    subscription.was_behind = static_cast<std::int64_t>(subscription.waiting.size()) >= queue_max;
  }
  if (subscription.was_behind) {
    return overflow(subscription, "more than " + std::to_string(queue_max) + " events were waiting (watch_queue)");
  }
  Charge& charge = charges_.at(subscription.owner);
  const Waiting waiting{event, bytes_of(*event)};
  if (charge.waiting_bytes + waiting.bytes > watch_bytes_per_user_max) {
    return overflow(subscription, "too many events were waiting for all of the user's subscriptions");
  }
  charge.waiting_bytes += waiting.bytes;
  const bool first = subscription.waiting.empty();
  subscription.waiting.push_back(waiting);
  if (first) hand_over(subscription.client);
}

void Watchers::overflow(Subscription& subscription, const std::string& why) {
  ipc::Connection& connection = *clients_.find_client(subscription.client)->connection;
  spdlog::warn("a subscriber (uid {}, pid {}) doesn't keep up: its subscription {} was dropped with {} events waiting",
               subscription.owner, connection.peer().pid, subscription.number, subscription.waiting.size());
  ++overflows_;
  ipc::EventParams last;
  last.at = now().utc;
  last.type = ipc::word_of(ipc::EventType::watch_overflow);
  last.uid = subscription.owner;
  last.error = why + ": watch again";
  send(connection, subscription, std::move(last));
  drop(subscription.number);
}

void Watchers::on_output_taken(ClientId client) {
  hand_over(client);
}

// One of each subscription's in turn, so that a rare event needn't wait behind many of another's.
void Watchers::hand_over(ClientId id) {
  const auto numbers = by_client_.find(id);
  Client* client = clients_.find_client(id);
  if (numbers == by_client_.end() || !client) return;
  ipc::Connection& connection = *client->connection;
  for (bool any = true; any;) {
    any = false;
    for (const std::int64_t number : numbers->second) {
      Subscription& subscription = subscriptions_.at(number);
      if (subscription.waiting.empty()) continue;
      if (connection.unsent_bytes() > ipc::bounds::output_bytes_low) {
        connection.tell_when_taken();
        return;
      }
      send_next(connection, subscription);
      any = true;
    }
  }
}

void Watchers::send_next(ipc::Connection& connection, Subscription& subscription) {
  const Waiting next = std::move(subscription.waiting.front());
  subscription.waiting.pop_front();
  charges_.at(subscription.owner).waiting_bytes -= next.bytes;
  send(connection, subscription, *next.event);
}

void Watchers::send(ipc::Connection& connection, Subscription& subscription, ipc::EventParams event) {
  event.subscription = subscription.number;
  event.seq = ++subscription.seq;
  connection.notify(event);
}

}  // namespace tidemark::daemon
