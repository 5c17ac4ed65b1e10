// The commands that the ledger takes: everything that changes durable state, and the reads of it. Plain data; each says
// its Result. Names are valid and bounded when they get here. An empty string means "absent".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lifecycle/session.h"
#include "store/effects.h"
#include "store/interests.h"
#include "store/outcome.h"
#include "store/policy.h"
#include "store/views.h"

namespace tidemark::store {

// Reads change nothing: they are answered even while the journal can't be written.
struct Read {
  static constexpr bool reads = true, must_happen = false;
};
// A client's: refused when the journal can't be written; the client asks again.
struct Write {
  static constexpr bool reads = false, must_happen = false;
};
// The daemon's own knowledge of what has happened: kept and tried again until the journal can be written.
struct Fact {
  static constexpr bool reads = false, must_happen = true;
};

struct Nothing {};

// ---- marking

struct Complete : Write {
  using Result = lifecycle::Completed;
  uid_t uid = 0;
  std::string session, agent, turn;
  bool ephemeral = false;
};
struct BeginTurn : Write {
  using Result = Nothing;
  uid_t uid = 0;
  std::string session, turn, agent;
};
struct CancelTurn : Write {
  using Result = Nothing;
  uid_t uid = 0;
  std::string session, turn;
};

// ---- agents

struct Registered {
  lifecycle::AgentId agent_id = 0;
  std::int64_t epoch = 0;
  // In the first so many sessions, the longest known, where it owns something.
  std::int64_t due_segments = 0;
};
inline constexpr int registered_sessions_counted = 4'096;
struct Register : Write {
  using Result = Registered;
  uid_t uid = 0;
  std::string agent, session, group, provider, fallback, external_id;
  bool serves = true;
};
struct UnregisterSession : Write {
  using Result = Nothing;
  uid_t uid = 0;
  std::string session;
};
// Gone for good: lost at once.
struct UnregisterAgent : Write {
  using Result = Nothing;
  uid_t uid = 0;
  std::string agent;
};
// Nothing serves the name any more; how long that matters is the dispatcher's to say.
struct AgentOffline : Fact {
  using Result = Nothing;
  uid_t uid = 0;
  std::string agent;
  std::int64_t epoch = 0;  // of the registration that ended; means nothing if the name is served by a later one
};
// Offline for longer than the orphan grace. Means nothing if the name has registered again since `epoch`.
struct AgentLost : Fact {
  using Result = Nothing;
  uid_t uid = 0;
  std::string agent;
  std::int64_t epoch = 0;
  lifecycle::SessionId after = 0;  // the ledger's own: where the next piece of a long list begins
};

// Heard again after it was counted as lost, though its connection had never ended. Means nothing if the name is served
// by a later registration than `epoch`'s, or was unregistered.
struct AgentBack : Fact {
  using Result = Nothing;
  uid_t uid = 0;
  std::string agent;
  std::int64_t epoch = 0;
};

// ---- boundaries

// How far a session has come; all zero for one that isn't known.
struct Marks {
  bool known = false;
  lifecycle::Generation generation = 0, watermark = 0, accepted = 0;
};
struct TakeOldest : Write {
  struct Result {
    lifecycle::Taken taken = lifecycle::Taken::clean;
    Marks marks;
    Head head;
  };
  uid_t uid = 0;
  std::string session, agent, reason;
};
struct MakeDue : Write {
  struct Result {
    Marks marks;
    bool turns_open = false;
    std::int64_t dirty_segments = 0, due_segments = 0;
    Head head;
  };
  uid_t uid = 0;
  std::string session, reason;
  std::string agent;               // adopts the oldest segment if it is ownerless
  bool unless_turns_open = false;  // evict: a running turn is never evicted from under its agent
};
struct Rotate : Write {
  struct Result {
    std::int64_t due_segments = 0;
    Marks marks;
  };
  uid_t uid = 0;
  std::string from, to, agent;
};
// The end of an evict: lets the current agent go if every segment is accepted or settled and no turn is open.
struct Release : Write {
  struct Result {
    bool released = false, turns_open = false;
    lifecycle::AgentId agent_id = 0;  // the current agent that was let go; 0 = there was none
    Marks marks;
  };
  uid_t uid = 0;
  std::string session;
};
struct Discard : Write {
  struct Result {
    bool discarded = false;
  };
  uid_t uid = 0;
  std::string session;
};
struct Forget : Write {
  struct Result {
    bool forgotten = false;
    lifecycle::Generation dropped = 0;
  };
  uid_t uid = 0;
  std::string session, reason;
};
// ---- attempts

// Journaled before its owner hears of it.
struct BeginAttempt : Write {
  struct Result {
    std::optional<lifecycle::Attempt> attempt;  // none: nothing (more) to attempt there
    std::string owner, reason;
    std::string provider_state;  // of the session
    Marks marks;
  };
  uid_t uid = 0;
  std::string session;
  lifecycle::AgentId owner = 0;  // whom the dispatcher took for the owner; begins nothing if it is another by now
  std::string asked;             // who is asked: the owner, who stands in for a lost one, or a provider
  lifecycle::Key new_key{};
  std::string reason;  // of an explicit commit; empty = why the segment fell due
};
// The attempt that is out goes on: journaled before its provider does what may land.
struct NoteAttempt : Write {
  struct Result {
    bool noted = false;  // false: it isn't out any more
  };
  uid_t uid = 0;
  std::string session;
  lifecycle::CommitId commit = 0;
  std::string asked;     // who has it now; empty = as before
  std::string evidence;  // JSON text; empty = as before
};
enum class AttemptEnd {
  committed,
  skipped,
  accepted,  // by a provider that isn't done
  failed,
  failed_for_good,
  in_doubt,
  // Nobody was asked, or the provider as a whole is at fault: it doesn't count.
  withdrawn,
  withdrawn_in_doubt,  // and yet it may have landed
};
struct EndAttempt : Fact {
  struct Result {
    bool applied = false;  // false: it meant nothing any more
    bool settled = false;  // not applied, since another success under its key, or the operator, had settled its range
    Marks marks;
  };
  uid_t uid = 0;
  std::string session;
  lifecycle::CommitId commit = 0;
  lifecycle::Key key{};
  AttemptEnd end = AttemptEnd::failed;
  std::string error, evidence;
  std::string provider;        // with `accepted`: whose it is now
  std::string provider_state;  // with a success and `accepted`: what it leaves with the session; empty = as before
  double chance = 0.5;         // 0 <= chance < 1, for the jitter
};

// ---- providers

// By hand, and so until they are resumed by hand.
struct PauseProvider : Write {
  using Result = PausedProvider;
  std::string provider, reason;
};
struct ResumeProvider : Write {
  using Result = Nothing;
  std::string provider;
};

// ---- what a provider has accepted

struct EndConfirmation : Fact {
  struct Result {
    bool applied = false;  // false: it meant nothing any more
  };
  uid_t uid = 0;
  std::string session;
  lifecycle::Key key{};
  bool confirmed = false;  // false: it will never be done
  std::string error, evidence;
};
struct SetStalled : Fact {
  using Result = Nothing;
  uid_t uid = 0;
  std::string session;
  lifecycle::Key key{};
  bool stalled = false;
};

// ---- by hand

struct Retry : Write {
  struct Result {
    std::int64_t due_segments = 0;
  };
  uid_t uid = 0;
  std::string session;
};
// Settle (the operator says that it did land) or abandon (drops the turns).
struct DropThrough : Write {
  struct Result {
    lifecycle::Generation watermark = 0;
  };
  uid_t uid = 0;
  std::string session, reason;
  lifecycle::Generation through = 0;
  bool settle = false;
};

// ---- reads

struct GetSession : Read {
  using Result = SessionView;
  uid_t uid = 0;
  std::string session;
};
// What there is to know of a segment that is being confirmed; none if it isn't (any more).
struct GetConfirming : Read {
  struct Result {
    bool confirming = false, stalled = false;
    std::string external_id, evidence;
  };
  uid_t uid = 0;
  std::string session;
  lifecycle::Key key{};
};
// One page of the sessions that a drain is about: dirty, with turns that no provider has taken.
struct DrainPage : Read {
  struct Result {
    std::vector<std::pair<uid_t, std::string>> sessions;
    lifecycle::SessionId last = 0;  // 0 = that was the last page
  };
  std::optional<uid_t> uid;                        // none = everybody's
  std::optional<std::vector<std::string>> owners;  // only sessions where one of these agents owns something
  lifecycle::SessionId after = 0;
};
enum class ListFilter { all, dirty, due, in_flight, confirming, stalled, in_doubt, orphaned, stuck };
struct ListSessions : Read {
  struct Result {
    std::vector<SessionView> sessions;  // without segments
    std::string cursor;                 // empty = that was the last page
  };
  std::optional<uid_t> uid;  // none = everybody's
  ListFilter filter = ListFilter::all;
  int limit = 100;
  std::string cursor;
};
struct ListHistory : Read {
  struct Result {
    std::vector<AttemptRow> attempts;
    lifecycle::CommitId cursor = 0;  // 0 = that was the last page
  };
  std::optional<uid_t> uid;
  std::string session;
  int limit = 100;
  lifecycle::CommitId before = 0;
};
struct Count : Read {
  using Result = Counts;
  std::optional<uid_t> uid;
};
// Goes through the ledger thread and back without a write: the watchdog's question.
struct Ping : Read {
  using Result = Nothing;
};
// From here on the events that the subscription wants are made; see Effects::events.
struct Watch : Read {
  using Result = Nothing;
  std::int64_t subscription = 0;
  std::shared_ptr<const Filter> filter;
};
struct Unwatch : Read {
  using Result = Nothing;
  std::int64_t subscription = 0;
};
// New configuration.
struct SetPolicies : Fact {
  using Result = Nothing;
  Policies policies;
};

}  // namespace tidemark::store
