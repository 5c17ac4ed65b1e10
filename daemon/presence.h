// What the dispatcher keeps of owners and of sessions: a mirror of what the ledger has told, and who is connected.
// I/O thread only; nothing here is durable.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>

#include "daemon/client.h"
#include "ipc/words.h"
#include "store/commands.h"

namespace tidemark::daemon {

struct Owner;
struct ProviderLine;
struct Wait;

// A session that is due, has an attempt out, or is waited for.
struct SessionRecord {
  enum class Phase {
    idle,
    beginning,  // the ledger has been asked to journal an attempt
    out,        // an attempt is out
    ending,     // the ledger has been told how it ended
  };
  uid_t uid = 0;
  std::string name;
  store::Head head;  // as the ledger said last
  Owner* owner = nullptr;
  Phase phase = Phase::idle;
  bool skip_backoff = false;                 // somebody asked for it, or its owner has come back
  bool ready = false;                        // in its owner's `ready`
  ProviderLine* line = nullptr;              // in whose queue it is; null = in none
  std::int64_t turns_taken = 0;              // at providers; see ProviderQueue
  bool probe = false;                        // its attempt is to show whether its provider's fault is over
  std::optional<lifecycle::Steady> backoff;  // its place in the dispatcher's queue of backoffs
  std::deque<std::shared_ptr<Wait>> waits;   // callers, in order; the first has its turn

  bool needed() const { return head.due || head.in_flight || phase != Phase::idle || !waits.empty(); }
};

// What was in doubt goes first, then the oldest.
struct Older {
  bool operator()(const SessionRecord* left, const SessionRecord* right) const {
    if (left->head.sealed != right->head.sealed) return left->head.sealed;
    if (left->head.began_at != right->head.began_at) return left->head.began_at < right->head.began_at;
    return left->head.session_id < right->head.session_id;
  }
};

// How a name is served at present.
struct Presence {
  // Tells one serving connection of the name from the next. Another registration on the same connection keeps it, and
  // so its slots and what is out.
  std::int64_t number = 0;
  ClientId client = 0;
  std::int64_t epoch = 0;  // of the latest registration
  std::int64_t max_in_flight = 4;
  std::int64_t in_flight = 0;
  bool serves_orphans = false;
  bool silent = false;  // an attempt timed out and nothing was heard for the grace: counts as offline
  std::unordered_set<std::string> sessions;  // that it has registered for on this connection
  std::unique_ptr<boost::asio::steady_timer> silence;
};

struct Owner {
  lifecycle::Agent facts;  // as the ledger said last
  std::optional<Presence> presence;
  std::unique_ptr<boost::asio::steady_timer> grace;  // runs while it is offline and not lost
  bool losing = false;                               // the ledger has been told that it is lost
  std::set<SessionRecord*> records;                  // all whose head it owns
  std::set<SessionRecord*, Older> ready;             // those that could be attempted now

  bool online() const { return presence && !presence->silent; }
  bool has_slot() const { return online() && presence->in_flight < presence->max_in_flight; }
  bool needed() const { return presence || grace || losing || !records.empty(); }
};

// How a call that waits for a provider ended.
struct WaitResult {
  ipc::Outcome outcome = ipc::Outcome::unknown;
  std::int64_t segments = 0;                 // that were committed for it
  lifecycle::Generation start = 0, end = 0;  // of the last attempt made for it; 0 = none was
  std::string error;
  std::optional<store::Marks> marks;      // how far the session has come, where that is known already
  std::optional<store::Refused> refused;  // by the ledger; then nothing else counts
  bool evicted = false;
};

// A caller that waits for its boundary: an explicit commit, a flush, an evict, or a drain's part in one session.
struct Wait {
  enum class Kind { commit, flush, evict, stop };
  enum class Stage {
    asking,      // the ledger makes it due, or takes what there is to do
    queued,      // behind an attempt that is out, or behind other callers
    attempting,  // its attempt is next, or out
    releasing,   // evict: the ledger lets the session's agent go
  };
  Kind kind = Kind::commit;
  ClientId client = 0;  // whose connection ends it; 0 = the daemon's own
  uid_t uid = 0;
  std::string session, agent, reason;
  Stage stage = Stage::queued;
  bool patient = true;  // false: a commit that doesn't wait for somebody else's attempt
  bool finished = false;
  bool own_attempt = false;  // the attempt that is out was begun for it
  bool accepted = false;     // something of it is with its provider
  WaitResult result;
  std::unique_ptr<boost::asio::steady_timer> timer;
  std::function<void(WaitResult)> done;  // called exactly once
};

}  // namespace tidemark::daemon
