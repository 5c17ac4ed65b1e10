// Attempts: how a segment goes out, comes back, and is settled (contract, sections 3, 4, 7 and 9).
#include <algorithm>
#include <cassert>

#include "lifecycle/session.h"

namespace tidemark::lifecycle {

Attempt attempt_at(const Segment& segment) {
  return {segment.commit, segment.key,         segment.start,  segment.end,      segment.attempts,
          segment.owner,  segment.external_id, segment.sealed, segment.evidence, segment.last_turn_at};
}

Segment* Session::by_key(const Key& key) {
  const auto found = std::find_if(segments.begin(), segments.end(), [&](const Segment& s) { return s.key == key; });
  return key == no_key || found == segments.end() ? nullptr : &*found;
}

Segment* Session::by_attempt(CommitId commit) {
  const auto found = std::find_if(segments.begin(), segments.end(),
                                  [&](const Segment& s) { return s.phase == Phase::in_flight && s.commit == commit; });
  return found == segments.end() ? nullptr : &*found;
}

Taken Session::take(const AgentPointer& named, std::string_view reason) {
  if (!dirty()) return Taken::clean;
  if (in_flight()) return Taken::busy;
  Segment* segment = next();
  if (!segment) return Taken::confirming;
  if (segment->phase == Phase::stuck) return Taken::stuck;
  if (!segment->owner) {
    const AgentPointer& adopter = named ? named : agent;
    if (!adopter) return Taken::no_owner;
    segment->owner = adopter;
    segment->changed = true;
  }
  if (!segment->due) {
    segment->due = segment->changed = true;
    segment->reason = reason;
  }
  return Taken::taken;
}

std::optional<Attempt> Session::begin_attempt(CommitId commit, const Key& new_key) {
  assert(commit != 0 && new_key != no_key);
  Segment* segment = next();
  if (!segment || in_flight() || !segment->due || segment->phase == Phase::stuck) return std::nullopt;
  if (!segment->owner) {
    if (!agent) return std::nullopt;
    segment->owner = agent;
  }
  if (!segment->sealed) segment->key = new_key;
  segment->phase = Phase::in_flight;
  segment->commit = commit;
  segment->changed = true;
  ++segment->attempts;
  return attempt_at(*segment);
}

void Session::confirm(Segment& segment) {
  segment.phase = Phase::confirmed;
  segment.stalled = false;
  segment.changed = true;
  accepted = std::max(accepted, segment.end);
  advance();
}

void Session::advance() {
  while (!segments.empty() && segments.front().phase == Phase::confirmed) {
    watermark = segments.front().end;
    segments.pop_front();
  }
  accepted = std::max(accepted, watermark);
}

bool Session::succeed(const Key& key) {
  Segment* segment = by_key(key);
  if (!segment || !segment->dirty()) return false;
  confirm(*segment);
  return true;
}

bool Session::note(CommitId commit, std::string_view evidence) {
  Segment* segment = by_attempt(commit);
  if (!segment) return false;
  segment->evidence = evidence;
  segment->changed = true;
  return true;
}

bool Session::accept(const Key& key, std::string_view provider, std::string_view evidence) {
  Segment* segment = by_key(key);
  if (!segment || !segment->dirty() || segment->phase == Phase::confirming) return false;
  segment->phase = Phase::confirming;
  segment->sealed = segment->changed = true;
  segment->provider = provider;
  segment->stalled = false;
  if (!evidence.empty()) segment->evidence = evidence;
  accepted = std::max(accepted, segment->end);
  return true;
}

void Session::back_off(Segment& segment, std::string_view error, const RetryPolicy& retry, double chance,
                       const Now& now) {
  segment.changed = true;
  segment.last_error = error;
  if (retry.attempts > 0 && segment.attempts >= retry.attempts) {
    segment.phase = Phase::stuck;
    return;
  }
  const Milliseconds wait = backoff(retry, segment.attempts, chance);
  segment.phase = Phase::pending;
  segment.next_attempt_at = now.utc + wait;
  segment.next_attempt = now.steady + wait;
}

bool Session::fail(CommitId commit, std::string_view error, bool permanent, const RetryPolicy& retry, double chance,
                   const Now& now) {
  Segment* segment = by_attempt(commit);
  if (!segment) return false;
  forget_try(*segment);
  back_off(*segment, error, retry, chance, now);
  if (permanent) segment->phase = Phase::stuck;
  return true;
}

bool Session::withdraw(CommitId commit, std::string_view error) {
  Segment* segment = by_attempt(commit);
  if (!segment) return false;
  forget_try(*segment);
  give_back(*segment, error);
  return true;
}

bool Session::withdraw_in_doubt(CommitId commit, std::string_view error) {
  Segment* segment = by_attempt(commit);
  if (!segment) return false;
  segment->sealed = true;
  give_back(*segment, error);
  return true;
}

// Of a segment that isn't sealed no try can have landed: it may grow again, and then has a new key.
void Session::forget_try(Segment& segment) {
  if (segment.sealed) return;
  segment.key = no_key;
  segment.evidence.clear();
}

void Session::give_back(Segment& segment, std::string_view error) {
  segment.phase = Phase::pending;
  segment.changed = true;
  if (!error.empty()) segment.last_error = error;
  --segment.attempts;
}

bool Session::doubt(CommitId commit, std::string_view error, const RetryPolicy& retry, double chance, const Now& now) {
  Segment* segment = by_attempt(commit);
  if (!segment) return false;
  segment->sealed = true;
  back_off(*segment, error, retry, chance, now);
  return true;
}

bool Session::fail_confirmation(const Key& key, std::string_view error, std::string_view evidence) {
  Segment* segment = by_key(key);
  if (!segment || segment->phase != Phase::confirming) return false;
  segment->phase = Phase::stuck;
  segment->stalled = false;
  segment->last_error = error;
  if (!evidence.empty()) segment->evidence = evidence;
  segment->changed = true;
  return true;
}

bool Session::set_stalled(const Key& key, bool stalled) {
  Segment* segment = by_key(key);
  if (!segment || segment->phase != Phase::confirming || segment->stalled == stalled) return false;
  segment->stalled = stalled;
  segment->changed = true;
  return true;
}

CommitId Session::recover(const Now& now) {
  CommitId lost = 0;
  for (Segment& segment : segments) {
    if (segment.phase == Phase::in_flight) {
      lost = segment.commit;
      segment.phase = Phase::pending;
      segment.sealed = true;
      segment.last_error = "the daemon ended while the attempt was out";
    }
    if (!segment.in_doubt() || segment.phase == Phase::stuck) continue;
    segment.next_attempt_at = now.utc;
    segment.next_attempt = now.steady;
    segment.changed = true;
  }
  return lost;
}

bool Session::skip_backoff(const Now& now) {
  bool any = false;
  for (Segment& segment : segments) {
    if (segment.phase != Phase::pending || segment.next_attempt <= now.steady) continue;
    segment.next_attempt_at = now.utc;
    segment.next_attempt = now.steady;
    segment.changed = any = true;
  }
  return any;
}

}  // namespace tidemark::lifecycle
