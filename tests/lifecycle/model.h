// A session as plainly as it can be told: one record for each completed turn, and nothing else is stored. Watermark,
// accepted, segments and whose turn is next are read off the records, by going through all of them every time.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lifecycle/session.h"

namespace tidemark::lifecycle {

struct Turn {
  AgentPointer owner;
  std::string external_id;
  int run = 0;  // turns of one segment share it
  bool due = false, sealed = false, out = false, confirming = false, stuck = false;
  bool taken = false;  // a provider has it
  bool done = false;   // a provider is done with it, or it was dropped
  std::string reason, last_error, evidence;
  Key key = no_key;
  CommitId commit = 0;
  std::int64_t attempts = 0;
  Steady began{};
  Steady next_attempt{};
};

class Model {
 public:
  std::vector<Turn> turns;  // generation 1 first
  std::vector<OpenTurn> open_turns;
  AgentPointer agent;
  std::string external_id;
  Steady last_turn{};
  CommitPolicy policy;
  RetryPolicy retry_policy;

  Generation generation() const { return static_cast<Generation>(turns.size()); }
  Generation watermark() const {
    Generation mark = 0;
    while (mark < generation() && turns[static_cast<std::size_t>(mark)].done) ++mark;
    return mark;
  }
  Generation accepted() const {
    Generation highest = watermark();
    for (Generation at = 1; at <= generation(); ++at) {
      if (turn(at).taken) highest = std::max(highest, at);
    }
    return highest;
  }
  const Turn& turn(Generation at) const { return turns[static_cast<std::size_t>(at - 1)]; }
  // The oldest turn that its provider doesn't have; 0 if there is none.
  Generation oldest() const {
    for (Generation at = 1; at <= generation(); ++at) {
      if (!turn(at).done && !turn(at).confirming) return at;
    }
    return 0;
  }
  bool any(const std::function<bool(const Turn&)>& holds) const {
    return std::any_of(turns.begin(), turns.end(), [&](const Turn& one) { return !one.done && holds(one); });
  }
  // Of the turns that aren't done, changes those for which it holds; true if there were any.
  bool change(const std::function<bool(const Turn&)>& holds, const std::function<void(Turn&)>& how) {
    bool changed = false;
    for (Turn& one : turns) {
      if (one.done || !holds(one)) continue;
      how(one);
      changed = true;
    }
    return changed;
  }

  // True if that made what is dirty fall due.
  bool complete(const AgentPointer& named, Steady now) {
    if (named) agent = named;
    Turn next;
    if (!turns.empty()) next = turns.back();
    const bool grows = !turns.empty() && next.owner == agent && next.external_id == external_id && !next.done &&
                       !next.out && !next.confirming && !next.sealed;
    if (!grows) {
      const int run = next.run + 1;
      next = {};
      next.owner = agent;
      next.external_id = external_id;
      next.run = run;
      next.began = now;
    }
    turns.push_back(next);
    last_turn = now;
    const bool orphaned = !grows && agent && agent->lost && make_due("owner lost");
    const Generation most = policy.uncommitted_turns_max;
    return (most > 0 && generation() - watermark() > most && make_due("too many uncommitted turns")) || orphaned;
  }

  bool make_due(const std::string& reason) {
    return change([](const Turn& one) { return !one.due; },
                  [&](Turn& one) {
                    one.due = true;
                    one.reason = reason;
                  });
  }

  bool end_turns(const std::function<bool(const OpenTurn&)>& holds, std::vector<std::string>& ended) {
    std::vector<OpenTurn> kept;
    for (const OpenTurn& open : open_turns) {
      if (holds(open)) {
        ended.push_back(open.turn);
      } else {
        kept.push_back(open);
      }
    }
    const bool any_ended = kept.size() < open_turns.size();
    open_turns = kept;
    return any_ended;
  }

  bool apply_time(Steady now, std::vector<std::string>& ended) {
    const Milliseconds off(0);
    bool changed = policy.turn_timeout > off &&
                   end_turns([&](const OpenTurn& open) { return now - open.began >= policy.turn_timeout; }, ended);
    const bool old = policy.uncommitted_age_max > off &&
                     any([&](const Turn& one) { return !one.due && now - one.began >= policy.uncommitted_age_max; });
    const bool idle = policy.idle > off && open_turns.empty() && !turns.empty() && now - last_turn >= policy.idle;
    if (idle) changed |= make_due("idle");
    if (old) changed |= make_due("too old");
    return changed;
  }

  bool orphan(const AgentPointer& lost, std::vector<std::string>& ended) {
    bool changed = end_turns([&](const OpenTurn& open) { return open.agent == lost; }, ended);
    if (any([&](const Turn& one) { return one.owner == lost; })) changed |= make_due("owner lost");
    return changed;
  }

  Taken take(const AgentPointer& named, const std::string& reason) {
    if (watermark() == generation()) return Taken::clean;
    if (any([](const Turn& one) { return one.out; })) return Taken::busy;
    const Generation first = oldest();
    if (first == 0) return Taken::confirming;
    if (turn(first).stuck) return Taken::stuck;
    const AgentPointer owner = turn(first).owner ? turn(first).owner : named ? named : agent;
    if (!owner) return Taken::no_owner;
    change(same_run(first), [&](Turn& one) {
      one.owner = owner;
      if (!one.due) one.reason = reason;
      one.due = true;
    });
    return Taken::taken;
  }

  // The first generation of the segment that is out now; 0 if none could go.
  Generation begin_attempt(CommitId commit, const Key& new_key) {
    const Generation first = oldest();
    if (first == 0 || any([](const Turn& one) { return one.out; })) return 0;
    if (!turn(first).due || turn(first).stuck || (!turn(first).owner && !agent)) return 0;
    change(same_run(first), [&](Turn& one) {
      if (!one.owner) one.owner = agent;
      if (!one.sealed) one.key = new_key;
      one.commit = commit;
      one.out = true;
      ++one.attempts;
    });
    return first;
  }

  bool succeed(const Key& key) {
    return change(has(key), [](Turn& one) { one.done = one.taken = true; });
  }

  bool accept(const Key& key, const std::string& evidence) {
    return change([&](const Turn& one) { return has(key)(one) && !one.confirming; },
                  [&](Turn& one) {
                    one.out = one.stuck = false;
                    one.confirming = one.sealed = one.taken = true;
                    one.evidence = evidence;
                  });
  }

  bool fail(CommitId commit, const std::string& error, bool permanent, double chance, Steady now) {
    return come_back(commit, error, chance, now, [&](Turn& one) {
      if (!one.sealed) one.key = no_key;
      if (permanent) one.stuck = true;
    });
  }

  bool doubt(CommitId commit, const std::string& error, double chance, Steady now) {
    return come_back(commit, error, chance, now, [](Turn& one) { one.sealed = true; });
  }

  bool fail_confirmation(const Key& key, const std::string& error) {
    return change([&](const Turn& one) { return has(key)(one) && one.confirming; },
                  [&](Turn& one) {
                    one.confirming = false;
                    one.stuck = true;
                    one.last_error = error;
                  });
  }

  bool skip_backoff(Steady now) {
    return change([&](const Turn& one) { return !one.out && !one.confirming && !one.stuck && one.next_attempt > now; },
                  [&](Turn& one) { one.next_attempt = now; });
  }

  void retry(Steady now) {
    change([](const Turn& one) { return one.stuck; },
           [](Turn& one) {
             one.stuck = false;
             one.attempts = 0;
           });
    skip_backoff(now);
  }

  CommitId recover(Steady now) {
    CommitId lost = 0;
    change([](const Turn& one) { return one.out; },
           [&](Turn& one) {
             lost = one.commit;
             one.out = false;
             one.sealed = true;
             one.last_error = "the daemon ended while the attempt was out";
           });
    change([](const Turn& one) { return one.sealed && !one.confirming && !one.stuck; },
           [&](Turn& one) { one.next_attempt = now; });
    return lost;
  }

  // False if refused.
  bool drop_through(Generation through) {
    if (through > generation()) return false;
    const bool cuts = through > watermark() && through < generation() && turn(through).run == turn(through + 1).run;
    if (cuts) {
      const Turn& last = turn(through);
      if (last.sealed || last.out || last.confirming || last.done) return false;
    }
    for (Generation at = 1; at <= through; ++at) turns[static_cast<std::size_t>(at - 1)].done = true;
    return true;
  }

 private:
  std::function<bool(const Turn&)> same_run(Generation at) const {
    return [run = turn(at).run](const Turn& one) { return one.run == run; };
  }
  static std::function<bool(const Turn&)> has(const Key& key) {
    return [key](const Turn& one) { return key != no_key && one.key == key; };
  }
  bool come_back(CommitId commit, const std::string& error, double chance, Steady now,
                 const std::function<void(Turn&)>& how) {
    return change([&](const Turn& one) { return one.out && one.commit == commit; },
                  [&](Turn& one) {
                    one.out = false;
                    one.last_error = error;
                    one.next_attempt = now + backoff(retry_policy, one.attempts, chance);
                    one.stuck = retry_policy.attempts > 0 && one.attempts >= retry_policy.attempts;
                    how(one);
                  });
  }
};

}  // namespace tidemark::lifecycle
