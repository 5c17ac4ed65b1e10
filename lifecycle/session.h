// One session and every rule that changes it (contract, sections 2 to 5 and 7 to 9). Pure: no I/O, no clock, no chance;
// the ledger calls these inside its transaction and writes what they changed.
//
// Invariants, after every call:
//   0 <= watermark <= accepted <= generation; the segments cover watermark+1..generation without gaps, oldest first;
//   at most one segment is in flight; the front segment is never `confirmed`; a key is set exactly while a segment is
//   in flight, confirming or sealed.
#pragma once

#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lifecycle/backoff.h"
#include "lifecycle/segment.h"

namespace tidemark::lifecycle {

using SessionId = std::int64_t;  // the ledger's own number for (uid, name); never reused

// When what is dirty falls due by itself. A zero is "off".
struct CommitPolicy {
  Milliseconds idle{30 * 60 * 1000};
  Milliseconds turn_timeout{6 * 60 * 60 * 1000};
  std::int64_t uncommitted_turns_max = 0;
  Milliseconds uncommitted_age_max{0};
};

// A begun turn that has not ended.
struct OpenTurn {
  std::string turn;
  AgentPointer agent;  // null = unknown
  Utc began_at{};
  Steady began{};
};

// What is remembered of a turn id.
struct KnownTurn {
  Generation generation = 0;  // the turn's own; of a cancelled one, the session's when it was cancelled
  bool cancelled = false;
};

struct Completed {
  Generation generation = 0;
  bool duplicate = false;  // the id was known: nothing changed
  bool counted = true;     // false: cancelled before, so nothing was added
  bool fell_due = false;   // what is dirty is due now: too many turns, or its owner is lost
};

// What became of an explicit commit's reach for the oldest segment.
enum class Taken : std::uint8_t {
  taken,       // it is due now and has an owner
  clean,       // nothing is dirty
  busy,        // an attempt is out
  confirming,  // all that is dirty is with its provider
  no_owner,
  stuck,
};

// An attempt as it is journaled and told to whoever is asked.
struct Attempt {
  CommitId commit = 0;
  Key key = no_key;
  Generation start = 0;
  Generation end = 0;
  std::int64_t attempt = 0;  // the how-manieth, from 1
  AgentPointer owner;
  std::string external_id;
  bool sealed = false;   // an earlier try may have landed
  std::string evidence;  // what its provider has left of those
  Utc last_turn_at{};    // when its last turn completed
};

// The latest attempt at the segment.
Attempt attempt_at(const Segment& segment);

// The facts that lists filter by and status counts, each true if any segment has it.
struct Facts {
  bool dirty = false, due = false, in_flight = false, confirming = false, stalled = false, in_doubt = false,
       orphaned = false, stuck = false;
  bool operator==(const Facts&) const = default;
};

// How settling or abandoning ended.
struct Dropped {
  std::string refused;            // why nothing was done; empty = done
  std::vector<Attempt> segments;  // what was dropped, whole or in part, with the commit and key it had (or none)
};

class Session {
 public:
  SessionId id = 0;
  uid_t uid = 0;
  std::string name;
  Generation generation = 0;
  Generation watermark = 0;
  Generation accepted = 0;
  AgentPointer agent;          // the current agent: who owns the next turn that names nobody
  std::string external_id;     // in force for the next segment; empty = none
  std::string provider_state;  // JSON text; what a provider has left with the last commit that it accepted
  Utc last_turn_at{};          // the epoch = never
  Steady last_turn{};
  std::list<Segment> segments;
  std::vector<OpenTurn> open_turns;

  bool dirty() const { return watermark < generation; }
  bool in_flight() const;
  Facts facts() const;
  std::int64_t due_segments() const;
  // The segment that an attempt would take: the oldest that its provider doesn't have. Null if there is none.
  Segment* next();
  const Segment* next() const { return const_cast<Session*>(this)->next(); }

  // ---- marking (section 2)

  // One more completed turn.
  //   named  the agent named in the call, or null: then the current agent owns it
  //   known  what is remembered of the call's turn id, or null
  Completed complete(const AgentPointer& named, const KnownTurn* known, const CommitPolicy& policy, const Now& now);
  // Opens a turn; false if that id is open already. The caller has checked that the id isn't known.
  bool begin_turn(std::string_view turn, const AgentPointer& named, const Now& now);
  // Ends an open turn; false if there was none of that id.
  bool end_turn(std::string_view turn);

  // ---- falling due (sections 4 and 5)

  // A boundary: all that is dirty now is due, for that reason. True if that changed anything.
  bool make_due(std::string_view reason);
  // Due by idle time, by age, by count; ends turns that were begun too long ago. True if anything changed;
  // `ended_turns` gets the ids of the turns that it ended.
  bool apply_time(const CommitPolicy& policy, const Now& now, std::vector<std::string>& ended_turns);
  // When apply_time has next something to do; nothing if never.
  std::optional<Steady> next_deadline(const CommitPolicy& policy) const;
  // The agent is gone for good: what is dirty falls due and its open turns end.
  bool orphan(const Agent& lost, std::vector<std::string>& ended_turns);

  // ---- attempts (sections 3, 4 and 7)

  // An explicit commit reaches for the oldest segment: adopts it if it is ownerless, and makes it due.
  Taken take(const AgentPointer& named, std::string_view reason);
  // Begins an attempt at next(), which must be due, owned (an ownerless one is adopted by the current agent), neither
  // stuck nor behind an attempt that is out; nothing if it isn't. The new key counts only if none is sealed in.
  std::optional<Attempt> begin_attempt(CommitId commit, const Key& new_key);
  // The first success reported for a key, early or late; false if the key means nothing (any more).
  bool succeed(const Key& key);
  // The provider has taken the segment and isn't done. False as above.
  bool accept(const Key& key, std::string_view provider, std::string_view evidence);
  // What has to be known of the attempt that is out, should it never be heard of again. False if it isn't the one.
  bool note(CommitId commit, std::string_view evidence);
  // An attempt failed for a known reason. False if it isn't the attempt that is out.
  bool fail(CommitId commit, std::string_view error, bool permanent, const RetryPolicy& retry, double chance,
            const Now& now);
  // An attempt that doesn't count and hasn't landed: nobody was asked, or the provider as a whole is at fault. False if
  // it isn't the attempt that is out.
  bool withdraw(CommitId commit, std::string_view error);
  // An attempt's outcome can't be known: the segment is sealed. False if it isn't the attempt that is out.
  bool doubt(CommitId commit, std::string_view error, const RetryPolicy& retry, double chance, const Now& now);
  // The same where the provider as a whole is at fault: the attempt doesn't count.
  bool withdraw_in_doubt(CommitId commit, std::string_view error);
  // The provider accepted the segment and failed to extract it. False if it isn't confirming under that key.
  bool fail_confirmation(const Key& key, std::string_view error, std::string_view evidence);
  // The provider does (not) get on with a segment that it has accepted. False if that is known already, or as above.
  bool set_stalled(const Key& key, bool stalled);
  // After a start of the daemon: an attempt that was out is in doubt (its commit is returned; 0 = none was), and what
  // is sealed doesn't wait for its backoff.
  CommitId recover(const Now& now);
  // Whatever waits for its backoff is attempted at once. True if anything waited.
  bool skip_backoff(const Now& now);

  // ---- by hand (section 9)

  // Stuck segments are tried again, with all their attempts before them; returns what is due.
  std::int64_t retry(const Now& now);
  // Settles or abandons what is dirty up to `through`. Refused if that lies beyond the last turn, or would cut a
  // segment that is sealed, in flight or confirming.
  Dropped drop_through(Generation through);

  // Aborts if an invariant doesn't hold: it would be our own mistake. Cost follows the number of segments.
  void check_invariants() const;

 private:
  bool too_many(const CommitPolicy& policy) const;
  Segment* by_key(const Key& key);
  Segment* by_attempt(CommitId commit);
  void back_off(Segment& segment, std::string_view error, const RetryPolicy& retry, double chance, const Now& now);
  static void forget_try(Segment& segment);
  static void give_back(Segment& segment, std::string_view error);
  void confirm(Segment& segment);
  void advance();
};

}  // namespace tidemark::lifecycle
