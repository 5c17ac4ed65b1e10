// Marking, boundaries, and what is dropped by hand. Attempts are in attempt.cpp.
#include "lifecycle/session.h"

#include <algorithm>
#include <cassert>

namespace tidemark::lifecycle {

SegmentState Segment::state() const {
  if (phase == Phase::in_flight) return SegmentState::in_flight;
  // A confirmed segment behind an unconfirmed one is still the provider's business as far as anybody can see.
  if (phase == Phase::confirming || phase == Phase::confirmed) return SegmentState::confirming;
  if (phase == Phase::stuck) return SegmentState::stuck;
  if (orphaned()) return SegmentState::orphaned;
  if (in_doubt()) return SegmentState::in_doubt;
  return due ? SegmentState::waiting : SegmentState::open;
}

bool Session::in_flight() const {
  return std::any_of(segments.begin(), segments.end(), [](const Segment& s) { return s.phase == Phase::in_flight; });
}

Facts Session::facts() const {
  Facts facts;
  facts.dirty = dirty();
  for (const Segment& segment : segments) {
    facts.due |= segment.due && segment.dirty();
    facts.in_flight |= segment.phase == Phase::in_flight;
    facts.confirming |= segment.phase == Phase::confirming;
    facts.stalled |= segment.phase == Phase::confirming && segment.stalled;
    facts.in_doubt |= segment.in_doubt();
    facts.orphaned |= segment.orphaned() && segment.dirty();
    facts.stuck |= segment.phase == Phase::stuck;
  }
  return facts;
}

std::int64_t Session::due_segments() const {
  return std::count_if(segments.begin(), segments.end(), [](const Segment& s) { return s.due && s.dirty(); });
}

Segment* Session::next() {
  const auto found = std::find_if(segments.begin(), segments.end(), [](const Segment& s) {
    return s.phase != Phase::confirming && s.phase != Phase::confirmed;
  });
  return found == segments.end() ? nullptr : &*found;
}

Completed Session::complete(const AgentPointer& named, const KnownTurn* known, const CommitPolicy& policy,
                            const Now& now) {
  if (known) return {known->generation, true, !known->cancelled, false};
  if (named) agent = named;
  ++generation;
  last_turn_at = now.utc;
  last_turn = now.steady;
  Segment* last = segments.empty() ? nullptr : &segments.back();
  bool fell_due = false;
  // A session whose provider-side name changed goes on under the new one: its turns are not in the old place.
  if (last && last->owner == agent && last->may_grow() && last->external_id == external_id) {
    last->end = generation;
    last->last_turn_at = now.utc;
    last->changed = true;
  } else {
    Segment segment;
    segment.start = segment.end = generation;
    segment.owner = agent;
    segment.external_id = external_id;
    segment.began_at = segment.last_turn_at = now.utc;
    segment.began = now.steady;
    segments.push_back(std::move(segment));
    // No boundary is to be expected of an owner that is gone for good.
    if (agent && agent->lost) fell_due = make_due("owner lost");
  }
  fell_due |= too_many(policy) && make_due("too many uncommitted turns");
  return {generation, false, true, fell_due};
}

bool Session::begin_turn(std::string_view turn, const AgentPointer& named, const Now& now) {
  for (const OpenTurn& open : open_turns) {
    if (open.turn == turn) return false;
  }
  open_turns.push_back({std::string(turn), named ? named : agent, now.utc, now.steady});
  return true;
}

bool Session::end_turn(std::string_view turn) {
  return std::erase_if(open_turns, [&](const OpenTurn& open) { return open.turn == turn; }) > 0;
}

bool Session::too_many(const CommitPolicy& policy) const {
  return policy.uncommitted_turns_max > 0 && generation - watermark > policy.uncommitted_turns_max;
}

bool Session::make_due(std::string_view reason) {
  bool any = false;
  // What is due is always the older part, so this ends where the last boundary did.
  for (auto segment = segments.rbegin(); segment != segments.rend() && !segment->due; ++segment) {
    segment->due = segment->changed = any = true;
    segment->reason = reason;
  }
  return any;
}

bool Session::apply_time(const CommitPolicy& policy, const Now& now, std::vector<std::string>& ended_turns) {
  bool any = false;
  if (policy.turn_timeout > Milliseconds(0)) {
    std::erase_if(open_turns, [&](const OpenTurn& open) {
      if (open.began + policy.turn_timeout > now.steady) return false;
      ended_turns.push_back(open.turn);
      return any = true;
    });
  }
  if (!dirty()) return any;
  const bool idle = policy.idle > Milliseconds(0) && open_turns.empty() && last_turn + policy.idle <= now.steady;
  const auto oldest = std::find_if(segments.begin(), segments.end(), [](const Segment& s) { return !s.due; });
  const bool old = policy.uncommitted_age_max > Milliseconds(0) && oldest != segments.end() &&
                   oldest->began + policy.uncommitted_age_max <= now.steady;
  if (idle || old || too_many(policy)) any |= make_due(idle ? "idle" : old ? "too old" : "too many uncommitted turns");
  return any;
}

std::optional<Steady> Session::next_deadline(const CommitPolicy& policy) const {
  std::optional<Steady> deadline;
  const auto earlier = [&](Steady at) { deadline = deadline ? std::min(*deadline, at) : at; };
  if (policy.turn_timeout > Milliseconds(0)) {
    for (const OpenTurn& open : open_turns) earlier(open.began + policy.turn_timeout);
  }
  const auto oldest = std::find_if(segments.begin(), segments.end(), [](const Segment& s) { return !s.due; });
  if (oldest == segments.end()) return deadline;
  if (too_many(policy)) return Steady{};  // the bound was lowered since
  if (policy.idle > Milliseconds(0) && open_turns.empty()) earlier(last_turn + policy.idle);
  if (policy.uncommitted_age_max > Milliseconds(0)) earlier(oldest->began + policy.uncommitted_age_max);
  return deadline;
}

bool Session::orphan(const Agent& lost, std::vector<std::string>& ended_turns) {
  bool any = false;
  std::erase_if(open_turns, [&](const OpenTurn& open) {
    if (open.agent.get() != &lost) return false;
    ended_turns.push_back(open.turn);
    return any = true;
  });
  const bool owns = std::any_of(segments.begin(), segments.end(),
                                [&](const Segment& s) { return s.owner.get() == &lost && s.dirty(); });
  if (owns) any |= make_due("owner lost");
  return any;
}

std::int64_t Session::retry(const Now& now) {
  for (Segment& segment : segments) {
    if (segment.phase != Phase::stuck) continue;
    segment.phase = Phase::pending;
    segment.attempts = 0;
    segment.due = segment.changed = true;
  }
  skip_backoff(now);
  return due_segments();
}

Dropped Session::drop_through(Generation through) {
  Dropped dropped;
  if (through > generation) {
    dropped.refused = "generation " + std::to_string(through) + " has not been reached: the last completed turn is " +
                      std::to_string(generation);
    return dropped;
  }
  for (const Segment& segment : segments) {
    if (segment.start > through || segment.end <= through) continue;
    if (segment.sealed || segment.phase == Phase::in_flight || segment.phase == Phase::confirming ||
        segment.phase == Phase::confirmed) {
      dropped.refused = "generation " + std::to_string(through) + " lies within " + std::to_string(segment.start) +
                        ".." + std::to_string(segment.end) +
                        ", which is sealed or out and can only be dropped whole: use its start - 1, or its end";
      return dropped;
    }
  }
  while (!segments.empty() && segments.front().start <= through) {
    Segment& front = segments.front();
    const Generation end = std::min(front.end, through);
    if (front.dirty()) {
      dropped.segments.push_back(attempt_at(front));
      dropped.segments.back().end = end;
    }
    if (end < front.end) {
      front.start = end + 1;
      front.changed = true;
      break;
    }
    segments.pop_front();
  }
  watermark = std::max(watermark, through);
  accepted = std::max(accepted, watermark);
  advance();
  return dropped;
}

void Session::check_invariants() const {
  assert(0 <= watermark && watermark <= accepted && accepted <= generation);
  Generation expected = watermark + 1;
  int out = 0;
  for (const Segment& segment : segments) {
    assert(segment.start == expected && segment.end >= segment.start);
    expected = segment.end + 1;
    out += segment.phase == Phase::in_flight;
    const bool keyed = segment.sealed || segment.phase == Phase::in_flight;
    assert(keyed == (segment.key != no_key) || segment.phase == Phase::confirmed);
    assert(segment.phase != Phase::in_flight || (segment.due && segment.owner));
  }
  assert(expected == generation + 1);
  assert(out <= 1);
  assert(segments.empty() || segments.front().phase != Phase::confirmed);
}

}  // namespace tidemark::lifecycle
