// Who is next at one provider, and whether anybody may be: slots, rate, rests and pauses. Time is an argument, and no
// provider is known here; the dispatcher asks, and tells what came of it. I/O thread only.
//
// Fair: users take turns, and so do the sessions of one user, each turn going to the oldest work. Whoever has waited
// without work gains a turn by it at most (start-time fair queueing).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "daemon/presence.h"
#include "lifecycle/time.h"

namespace tidemark::daemon {

using lifecycle::Milliseconds;
using lifecycle::Steady;

class ProviderQueue {
 public:
  struct Bounds {
    std::int64_t concurrency = 4;
    double rate = 0;  // attempts begun a second; 0 = as many as may be
    Milliseconds probe{60'000};
  };
  // Nobody was reached so often in a row: then it isn't for each session to find out.
  static constexpr int unreachable_max = 3;
  // Attempts that must go well, for each slot in use, until one more is tried after the provider had too much to do.
  static constexpr std::int64_t successes_a_slot = 16;

  explicit ProviderQueue(const Bounds& bounds) : bounds_(bounds), slots_(bounds.concurrency) {}
  void set_bounds(const Bounds& bounds);

  // ---- sessions whose next attempt could go there
  void add(SessionRecord& record);
  void remove(SessionRecord& record);
  bool empty() const { return waiting_ == 0; }
  std::int64_t waiting() const { return waiting_; }

  // Whether an attempt may begin. While paused by a fault, that is one each `probe`, to see whether it is over.
  bool may_begin(Steady now) const;
  // When may_begin() turns true by time alone; nothing if it is now, or never does.
  std::optional<Steady> next_at(Steady now) const;
  // The session whose turn it is; null if none waits.
  SessionRecord* front() const;
  // The session's turn is over; it is removed.
  void take(SessionRecord& record);
  // An attempt takes a slot, or gives it back.
  void begin(Steady now);
  void end() { --in_flight_; }
  std::int64_t in_flight() const { return in_flight_; }
  // A probe was begun that needs something else first: the next one is not before its time.
  void probe_begun(Steady now) { probe_at_ = now + bounds_.probe; }

  // ---- what came of attempts
  // True: the fault is over, and so is the pause.
  bool on_answer();
  // Too much for it: fewer at once, and none for so long.
  void on_throttled(Steady now, Milliseconds rest);
  void rest(Steady now, Milliseconds rest);
  // A fault of the provider as a whole. True: it is paused from now on.
  bool on_fault(Steady now, const std::string& error);
  // As above, when nobody has been reached so often in a row.
  bool on_unreachable(Steady now, const std::string& error);

  // ---- pauses
  bool paused() const { return by_hand_ || faulty_; }
  bool paused_by_hand() const { return by_hand_; }
  // Why it is paused; empty = it isn't, or no reason was given.
  const std::string& error() const { return by_hand_ ? reason_ : fault_; }
  void pause_by_hand(const std::string& reason);
  // Ends a pause of either kind. True: there was one.
  bool resume();
  // As if the fault were mended: what a new configuration is hoped to do. True: so its pause is over.
  bool forget_fault();

 private:
  struct ByTurn {
    bool operator()(const SessionRecord* left, const SessionRecord* right) const {
      if (left->turns_taken != right->turns_taken) return left->turns_taken < right->turns_taken;
      return Older()(left, right);
    }
  };
  struct User {
    std::int64_t turns_taken = 0;
    std::int64_t sessions_turn = 0;  // of the session that was served last
    std::set<SessionRecord*, ByTurn> records;
  };

  Steady begin_at() const;

  Bounds bounds_;
  std::map<uid_t, User> users_;  // all that were ever seen here: those who may use it
  std::int64_t users_turn_ = 0;  // of the user who was served last
  std::int64_t waiting_ = 0;
  std::int64_t in_flight_ = 0;
  std::int64_t slots_;                                    // at once, at present: 1..concurrency
  std::int64_t successes_ = 0;                            // in a row, at that many slots
  int unreachable_ = 0;                                   // in a row
  std::chrono::duration<double, std::milli> begin_at_{};  // by the rate
  Steady rest_until_{};
  Steady probe_at_{};
  bool faulty_ = false, by_hand_ = false;
  std::string fault_, reason_;
};

}  // namespace tidemark::daemon
