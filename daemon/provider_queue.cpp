#include "daemon/provider_queue.h"

#include <algorithm>
#include <utility>

namespace tidemark::daemon {

namespace {

// What is not begun in time may be begun a little later, and no more: so that a rate above one a millisecond is
// reached.
constexpr Milliseconds rate_slack{10};
// After "too much", whatever it says: nobody is asked again at once.
constexpr Milliseconds throttled_rest_least{1'000};

}  // namespace

void ProviderQueue::set_bounds(const Bounds& bounds) {
  if (bounds.concurrency != bounds_.concurrency) slots_ = bounds.concurrency;
  bounds_ = bounds;
}

void ProviderQueue::add(SessionRecord& record) {
  User& user = users_[record.uid];
  if (user.records.empty()) user.turns_taken = std::max(user.turns_taken, users_turn_);
  record.turns_taken = std::max(record.turns_taken, user.sessions_turn);
  if (user.records.insert(&record).second) ++waiting_;
}

void ProviderQueue::remove(SessionRecord& record) {
  if (users_.at(record.uid).records.erase(&record) > 0) --waiting_;
}

bool ProviderQueue::may_begin(Steady now) const {
  if (by_hand_) return false;
  if (faulty_) return in_flight_ == 0 && now >= probe_at_;
  return in_flight_ < std::min(slots_, bounds_.concurrency) && now >= begin_at() && now >= rest_until_;
}

std::optional<Steady> ProviderQueue::next_at(Steady now) const {
  if (by_hand_ || may_begin(now)) return std::nullopt;
  if (faulty_) return in_flight_ == 0 ? std::optional(probe_at_) : std::nullopt;
  // With every slot taken it is an attempt's end that is waited for.
  if (in_flight_ >= std::min(slots_, bounds_.concurrency)) return std::nullopt;
  return std::max(begin_at(), rest_until_);
}

Steady ProviderQueue::begin_at() const {
  return Steady(std::chrono::ceil<Milliseconds>(begin_at_));
}

SessionRecord* ProviderQueue::front() const {
  const User* next = nullptr;
  for (const auto& [uid, user] : users_) {
    if (!user.records.empty() && (!next || user.turns_taken < next->turns_taken)) next = &user;
  }
  return next ? *next->records.begin() : nullptr;
}

void ProviderQueue::take(SessionRecord& record) {
  User& user = users_.at(record.uid);
  users_turn_ = user.turns_taken++;
  user.sessions_turn = record.turns_taken;
  remove(record);  // before its place changes
  ++record.turns_taken;
}

void ProviderQueue::begin(Steady now) {
  ++in_flight_;
  if (faulty_) probe_begun(now);
  if (bounds_.rate > 0) {
    begin_at_ = std::max(std::chrono::duration<double, std::milli>(now.time_since_epoch() - rate_slack), begin_at_) +
                std::chrono::duration<double>(1 / bounds_.rate);
  }
}

bool ProviderQueue::on_answer() {
  unreachable_ = 0;
  if (++successes_ >= successes_a_slot * slots_ && slots_ < bounds_.concurrency) {
    ++slots_;
    successes_ = 0;
  }
  return forget_fault();
}

void ProviderQueue::on_throttled(Steady now, Milliseconds rest_for) {
  // Several that were out together are one piece of news.
  if (now >= rest_until_) slots_ = std::max<std::int64_t>(1, std::min(slots_, in_flight_) - 1);
  successes_ = 0;
  unreachable_ = 0;
  rest(now, std::max(rest_for, throttled_rest_least));
}

void ProviderQueue::rest(Steady now, Milliseconds rest_for) {
  rest_until_ = std::max(rest_until_, now + rest_for);
}

bool ProviderQueue::on_fault(Steady now, const std::string& error) {
  unreachable_ = 0;
  fault_ = error;
  probe_at_ = now + bounds_.probe;
  return !std::exchange(faulty_, true) && !by_hand_;
}

bool ProviderQueue::on_unreachable(Steady now, const std::string& error) {
  if (++unreachable_ < unreachable_max && !faulty_) return false;
  return on_fault(now, error);
}

void ProviderQueue::pause_by_hand(const std::string& reason) {
  by_hand_ = true;
  reason_ = reason;
}

bool ProviderQueue::resume() {
  const bool was_by_hand = std::exchange(by_hand_, false);
  return forget_fault() || was_by_hand;
}

bool ProviderQueue::forget_fault() {
  unreachable_ = 0;
  fault_.clear();
  return std::exchange(faulty_, false) && !by_hand_;
}

}  // namespace tidemark::daemon
