// What reads return: copies, so that nothing of the ledger's memory is shared between threads.
#pragma once

#include <list>
#include <string>
#include <vector>

#include "lifecycle/session.h"
#include "store/rows.h"

namespace tidemark::store {

// Segments of one session that are shown, the oldest.
inline constexpr std::size_t segments_shown_max = 1'000;

struct SegmentView {
  lifecycle::Generation start = 0, end = 0;
  std::string owner;  // empty = ownerless
  lifecycle::SegmentState state = lifecycle::SegmentState::open;
  bool due = false, sealed = false, orphaned = false, stalled = false;
  std::int64_t attempts = 0;
  lifecycle::Utc next_attempt_at{};  // the epoch = nothing to wait for
  std::string reason, last_error, evidence, provider;
  lifecycle::CommitId commit = 0;
  lifecycle::Key key = lifecycle::no_key;
};

struct SessionView {
  std::string session;
  uid_t uid = 0;
  lifecycle::Generation generation = 0, watermark = 0, accepted = 0;
  bool in_flight = false;
  std::string agent;  // empty = none
  std::int64_t turns_open = 0;
  lifecycle::Utc last_turn_at{};  // the epoch = never
  std::vector<SegmentView> segments;
};

// How many sessions have the fact; generations count completed turns that aren't settled.
struct Counts {
  std::int64_t sessions = 0, dirty = 0, due = 0, in_flight = 0, confirming = 0, stalled = 0, in_doubt = 0, orphaned = 0,
               stuck = 0;
};

// What was found at the start.
struct Recovered {
  std::int64_t sessions = 0;     // dirty
  std::int64_t generations = 0;  // not settled
  std::int64_t in_doubt = 0;     // segments, those included that were in flight
};

}  // namespace tidemark::store
