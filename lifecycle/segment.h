// A segment: a run of dirty generations with one owner, and how far its commit has come (contract, sections 3, 4, 7).
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "lifecycle/agent.h"
#include "lifecycle/time.h"

namespace tidemark::lifecycle {

using Generation = std::int64_t;           // counts a session's completed turns from 1; 0 = before the first
using CommitId = std::int64_t;             // one attempt; 0 = none
using Key = std::array<std::uint8_t, 16>;  // a commit key: a random UUID, the same at every try that may have landed

inline constexpr Key no_key{};

// Where a segment's commit stands. Due and sealed are facts beside it.
enum class Phase : std::uint8_t {
  pending,     // no attempt is out
  in_flight,   // an attempt is out
  confirming,  // the provider has accepted it and is not done
  confirmed,   // done, but an older segment still holds the watermark back
  stuck,       // no attempt by itself any more
};

// The one word shown for a segment: the first that applies, in this order.
enum class SegmentState : std::uint8_t { in_flight, confirming, stuck, orphaned, in_doubt, waiting, open };

struct Segment {
  Generation start = 0;
  Generation end = 0;
  AgentPointer owner;       // null = ownerless
  std::string external_id;  // the provider's name for the session, as in force when the segment began; empty = none
  Phase phase = Phase::pending;
  bool due = false;     // a boundary asked for it
  std::string reason;   // the boundary that made it due
  bool sealed = false;  // range and key are fixed for good, since an attempt may have landed
  bool changed = true;  // since it was last written; the ledger's mark, no rule reads it
  Key key = no_key;     // set while an attempt is out, and for ever once sealed
  CommitId commit = 0;  // the latest attempt
  std::int64_t attempts = 0;
  Utc began_at{};         // when its first turn completed
  Steady began{};         // the same on the steady clock
  Utc next_attempt_at{};  // backoff; the epoch = at once
  Steady next_attempt{};  // the same on the steady clock
  Utc last_turn_at{};     // when its last turn completed
  std::string last_error;
  std::string evidence;  // JSON text; what its provider has left of this try, and of earlier ones that may have landed
  std::string provider;  // the one that has accepted it; empty = none has
  bool stalled = false;  // confirming, and its provider hasn't got on with it for very long

  Generation turns() const { return end - start + 1; }
  bool dirty() const { return phase != Phase::confirmed; }
  // It may take in further turns of its owner: nobody has been told of its range yet in a way that could have landed.
  bool may_grow() const { return (phase == Phase::pending || phase == Phase::stuck) && !sealed; }
  bool orphaned() const { return due && owner && owner->lost; }
  bool in_doubt() const { return sealed && phase != Phase::in_flight && phase != Phase::confirming && dirty(); }
  SegmentState state() const;
};

}  // namespace tidemark::lifecycle
