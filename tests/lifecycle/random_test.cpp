// Every rule, in random order, with current, old and unknown keys and commits, against the plain model. What fails is
// printed in its shortest form with a seed; RC_PARAMS="seed=…" runs it again, RC_PARAMS="max_success=…" more of it.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <map>
#include <tuple>
#include <utility>

#include "fixture.h"
#include "model.h"
#include "steps.h"

// RC_ASSERT takes its condition apart, and then && and || no longer stop early: hence the second parentheses round
// them.
namespace tidemark::lifecycle {

namespace {

// All of a segment that is journaled.
auto journaled(const Segment& segment) {
  return std::tie(segment.start, segment.end, segment.owner, segment.external_id, segment.phase, segment.due,
                  segment.reason, segment.sealed, segment.key, segment.commit, segment.attempts, segment.began_at,
                  segment.next_attempt_at, segment.last_error, segment.evidence);
}

// Does the same to the session and to the model, and compares them.
class Pair {
 public:
  Pair(const CommitPolicy& commit_policy, const RetryPolicy& retry_policy) {
    model_.policy = commit_policy;
    model_.retry_policy = retry_policy;
  }

  void act(const Step& step);
  void compare();

 private:
  // Mostly nobody.
  AgentPointer agent(int which) const { return which < 4 ? nullptr : agents_[static_cast<std::size_t>(which % 3)]; }
  // Mostly the latest of the commits that began, else one before it, or one that never was.
  CommitId commit(int which, int how) const {
    const CommitId before = which < 4 ? 0 : which == 4 ? 1 : which == 5 ? how + 1 : 1'000'000;
    return before < commits_ ? commits_ - before : 1'000'000;
  }
  Key key(int which, int how) const { return which == 7 ? no_key : key_of(commit(which, how)); }
  void begin_attempt();
  void drop_through(Generation through);
  void pass_time(int how);
  void compare_segments() const;
  void check_what_changed();
  void check_what_is_sealed();
  void check_deadline();

  const std::array<AgentPointer, 3> agents_{make_agent(1, "one"), make_agent(2, "two"), make_agent(3, "three")};
  Session session_;
  Model model_;
  Now now_ = at(0);
  CommitId commits_ = 0;
  std::list<Segment> written_;                               // the segments as they were after the step before
  std::map<Generation, std::pair<Generation, Key>> sealed_;  // by start: all that were ever seen
};

void Pair::act(const Step& step) {
  static const char* const reasons[] = {"rotate", "flush", "drain"};
  const auto [action, which, how] = step;
  const std::string text = std::to_string(which) + "/" + std::to_string(how);
  const double chance = how / 8.0;
  std::vector<std::string> ended, expected_ended;
  switch (action) {
    case Action::complete: {
      const Completed completed = session_.complete(agent(which), nullptr, model_.policy, now_);
      RC_ASSERT(completed.fell_due == model_.complete(agent(which), now_.steady));
      RC_ASSERT(completed.generation == model_.generation());
      RC_ASSERT((completed.counted && !completed.duplicate));
      break;
    }
    case Action::complete_known: {
      const KnownTurn known{std::min<Generation>(how + 1, session_.generation), which % 2 == 1};
      const Completed completed = session_.complete(agent(which), &known, model_.policy, now_);
      RC_ASSERT(completed.generation == known.generation);
      RC_ASSERT((completed.counted == !known.cancelled && !completed.fell_due));
      break;
    }
    case Action::register_agent:
      session_.agent = model_.agent = agents_[static_cast<std::size_t>(which % 3)];
      session_.agent->lost = false;
      break;
    case Action::forget_agent:
      session_.agent = model_.agent = nullptr;
      break;
    case Action::rename:
      session_.external_id = model_.external_id = how % 2 == 0 ? "" : "elsewhere";
      break;
    case Action::begin_turn: {
      const std::string turn = "turn" + std::to_string(how);
      const auto has_it = [&](const OpenTurn& open) { return open.turn == turn; };
      const bool open = std::any_of(model_.open_turns.begin(), model_.open_turns.end(), has_it);
      RC_ASSERT(session_.begin_turn(turn, agent(which), now_) == !open);
      const AgentPointer owner = agent(which) ? agent(which) : model_.agent;
      if (!open) model_.open_turns.push_back({turn, owner, now_.utc, now_.steady});
      break;
    }
    case Action::end_turn: {
      const std::string turn = "turn" + std::to_string(how);
      RC_ASSERT(session_.end_turn(turn) ==
                model_.end_turns([&](const OpenTurn& open) { return open.turn == turn; }, expected_ended));
      break;
    }
    case Action::make_due:
      RC_ASSERT(session_.make_due(reasons[how % 3]) == model_.make_due(reasons[how % 3]));
      break;
    case Action::pass_time:
      pass_time(how);
      break;
    case Action::step_wall_clock:
      now_.utc += Milliseconds((how - 4) * 1'000);
      break;
    case Action::take:
      RC_ASSERT(session_.take(agent(which), "commit") == model_.take(agent(which), "commit"));
      break;
    case Action::begin_attempt:
      begin_attempt();
      break;
    case Action::succeed:
      RC_ASSERT(session_.succeed(key(which, how)) == model_.succeed(key(which, how)));
      break;
    case Action::accept:
      RC_ASSERT(session_.accept(key(which, how), "", text) == model_.accept(key(which, how), text));
      break;
    case Action::fail:
      RC_ASSERT(session_.fail(commit(which, how), text, how >= 5, model_.retry_policy, chance, now_) ==
                model_.fail(commit(which, how), text, how >= 5, chance, now_.steady));
      break;
    case Action::doubt:
      RC_ASSERT(session_.doubt(commit(which, how), text, model_.retry_policy, chance, now_) ==
                model_.doubt(commit(which, how), text, chance, now_.steady));
      break;
    case Action::fail_confirmation:
      RC_ASSERT(session_.fail_confirmation(key(which, how), text, "") ==
                model_.fail_confirmation(key(which, how), text));
      break;
    case Action::skip_backoff:
      RC_ASSERT(session_.skip_backoff(now_) == model_.skip_backoff(now_.steady));
      break;
    case Action::retry:
      model_.retry(now_.steady);
      RC_ASSERT(session_.retry(now_) == session_.due_segments());
      break;
    case Action::drop_through:
      drop_through(model_.watermark() + which - 2);
      break;
    case Action::orphan: {
      const AgentPointer& lost = agents_[static_cast<std::size_t>(which % 3)];
      lost->lost = true;
      RC_ASSERT(session_.orphan(*lost, ended) == model_.orphan(lost, expected_ended));
      RC_ASSERT(ended == expected_ended);
      break;
    }
    case Action::recover:
      RC_ASSERT(session_.recover(now_) == model_.recover(now_.steady));
      break;
  }
}

void Pair::begin_attempt() {
  const Key new_key = key_of(commits_ + 1);
  const std::optional<Attempt> attempt = session_.begin_attempt(commits_ + 1, new_key);
  const Generation first = model_.begin_attempt(commits_ + 1, new_key);
  RC_ASSERT(attempt.has_value() == (first != 0));
  if (!attempt) return;
  ++commits_;
  const Turn& turn = model_.turn(first);
  RC_ASSERT(attempt->commit == commits_);
  RC_ASSERT(attempt->key == turn.key);
  RC_ASSERT(attempt->start == first);
  RC_ASSERT(model_.turn(attempt->end).run == turn.run);
  RC_ASSERT((attempt->end == model_.generation() || model_.turn(attempt->end + 1).run != turn.run));
  RC_ASSERT(attempt->attempt == turn.attempts);
  RC_ASSERT(attempt->owner == turn.owner);
  RC_ASSERT(attempt->external_id == turn.external_id);
  RC_ASSERT(attempt->sealed == turn.sealed);
}

void Pair::drop_through(Generation through) {
  const std::vector<Turn> before = model_.turns;
  const bool done = model_.drop_through(through);
  const Dropped dropped = session_.drop_through(through);
  RC_ASSERT(dropped.refused.empty() == done);
  // What is told as dropped is what was not done before and is now.
  std::vector<bool> told(before.size(), false);
  for (const Attempt& segment : dropped.segments) {
    for (Generation at = segment.start; at <= segment.end; ++at) {
      const Turn& turn = before[static_cast<std::size_t>(at - 1)];
      RC_ASSERT((segment.key == turn.key && segment.commit == turn.commit && segment.owner == turn.owner));
      told[static_cast<std::size_t>(at - 1)] = true;
    }
  }
  for (std::size_t at = 0; at < before.size(); ++at) RC_ASSERT(told[at] == (!before[at].done && model_.turns[at].done));
}

void Pair::pass_time(int how) {
  const Milliseconds passed(how * how);
  now_.steady += passed;
  now_.utc += passed;
  std::vector<std::string> ended, expected_ended;
  RC_ASSERT(session_.apply_time(model_.policy, now_, ended) == model_.apply_time(now_.steady, expected_ended));
  RC_ASSERT(ended == expected_ended);
  check_deadline();
}

// Nothing happens before the deadline that the session tells, and something does at it.
void Pair::check_deadline() {
  std::vector<std::string> ended;
  const std::optional<Steady> deadline = session_.next_deadline(model_.policy);
  Now then = now_;
  then.steady = deadline ? *deadline - Milliseconds(1) : now_.steady + Milliseconds(1'000'000);
  RC_ASSERT(then.steady >= now_.steady);
  Session copy = session_;
  RC_ASSERT(!copy.apply_time(model_.policy, then, ended));
  if (!deadline) return;
  then.steady = *deadline;
  RC_ASSERT(copy.apply_time(model_.policy, then, ended));
}

void Pair::compare() {
  RC_ASSERT(session_.generation == model_.generation());
  RC_ASSERT(session_.watermark == model_.watermark());
  RC_ASSERT(session_.accepted == model_.accepted());
  RC_ASSERT(session_.agent == model_.agent);
  RC_ASSERT(session_.last_turn == model_.last_turn);
  RC_ASSERT(session_.dirty() == (model_.watermark() < model_.generation()));
  compare_segments();
  Facts facts;
  facts.dirty = session_.dirty();
  facts.due = model_.any([](const Turn& turn) { return turn.due; });
  facts.in_flight = model_.any([](const Turn& turn) { return turn.out; });
  facts.confirming = model_.any([](const Turn& turn) { return turn.confirming; });
  facts.stuck = model_.any([](const Turn& turn) { return turn.stuck; });
  facts.in_doubt = model_.any([](const Turn& turn) { return turn.sealed && !turn.out && !turn.confirming; });
  facts.orphaned = model_.any([](const Turn& turn) { return turn.due && turn.owner && turn.owner->lost; });
  RC_ASSERT(session_.facts() == facts);
  RC_ASSERT(session_.in_flight() == facts.in_flight);
  const Segment* next = session_.next();
  RC_ASSERT((next ? next->start : 0) == model_.oldest());
  RC_ASSERT(session_.open_turns.size() == model_.open_turns.size());
  for (std::size_t at = 0; at < session_.open_turns.size(); ++at) {
    RC_ASSERT(session_.open_turns[at].turn == model_.open_turns[at].turn);
    RC_ASSERT(session_.open_turns[at].agent == model_.open_turns[at].agent);
  }
  check_what_is_sealed();
  check_what_changed();
  session_.check_invariants();
}

void Pair::compare_segments() const {
  Generation expected = model_.watermark() + 1;
  std::int64_t due_segments = 0;
  bool older_is_due = true;
  for (const Segment& segment : session_.segments) {
    RC_ASSERT((older_is_due || !segment.due));  // what is due is always the oldest
    older_is_due = segment.due;
    RC_ASSERT(segment.start == expected);
    RC_ASSERT((segment.end >= segment.start && segment.end <= model_.generation()));
    const Turn& turn = model_.turn(segment.start);  // the records of one run are alike
    bool one_run = true;
    for (Generation at = segment.start; at <= segment.end; ++at) one_run &= model_.turn(at).run == turn.run;
    RC_ASSERT(one_run);
    RC_ASSERT(segment.owner == turn.owner);
    RC_ASSERT(segment.external_id == turn.external_id);
    RC_ASSERT((segment.phase == Phase::confirmed) == turn.done);
    const bool ends =
        segment.end == model_.generation() || model_.turn(segment.end + 1).run != model_.turn(segment.end).run;
    RC_ASSERT(ends);
    expected = segment.end + 1;
    due_segments += segment.due && segment.phase != Phase::confirmed;
    if (turn.done) continue;
    RC_ASSERT((segment.phase == Phase::in_flight) == turn.out);
    RC_ASSERT((segment.phase == Phase::confirming) == turn.confirming);
    RC_ASSERT((segment.phase == Phase::stuck) == turn.stuck);
    RC_ASSERT(segment.due == turn.due);
    RC_ASSERT(segment.reason == turn.reason);
    RC_ASSERT(segment.sealed == turn.sealed);
    RC_ASSERT(segment.key == turn.key);
    RC_ASSERT(segment.commit == turn.commit);
    RC_ASSERT(segment.attempts == turn.attempts);
    RC_ASSERT(segment.last_error == turn.last_error);
    RC_ASSERT(segment.evidence == turn.evidence);
    RC_ASSERT(segment.began == turn.began);
    if (segment.phase != Phase::pending) continue;
    RC_ASSERT(std::max(segment.next_attempt, now_.steady) == std::max(turn.next_attempt, now_.steady));
  }
  RC_ASSERT(expected == model_.generation() + 1);
  RC_ASSERT(session_.due_segments() == due_segments);
}

// Whatever differs from what was last written says so, else it would be lost with the daemon.
void Pair::check_what_changed() {
  for (const Segment& segment : session_.segments) {
    const auto before = std::find_if(written_.begin(), written_.end(),
                                     [&](const Segment& written) { return written.start == segment.start; });
    const bool same = before != written_.end() && journaled(*before) == journaled(segment);
    RC_ASSERT((same || segment.changed));
  }
  for (Segment& segment : session_.segments) segment.changed = false;
  written_ = session_.segments;
}

// Once sealed, a segment has the same range and key until it is wholly behind the watermark.
void Pair::check_what_is_sealed() {
  for (const Segment& segment : session_.segments) {
    if (segment.sealed) sealed_.try_emplace(segment.start, segment.end, segment.key);
  }
  for (const auto& [start, end_and_key] : sealed_) {
    if (end_and_key.first <= session_.watermark) continue;
    const auto found = std::find_if(session_.segments.begin(), session_.segments.end(),
                                    [start = start](const Segment& segment) { return segment.start == start; });
    RC_ASSERT(found != session_.segments.end());
    RC_ASSERT((found->sealed && found->end == end_and_key.first && found->key == end_and_key.second));
  }
}

RC_GTEST_PROP(RandomTest, EveryOrderOfCallsEndsAsTheModelSays, ()) {
  for (int sessions = 0; sessions < 3; ++sessions) {
    Pair pair(*commit_policies(), *retry_policies());
    for (const Step& step : *steps()) {
      pair.act(step);
      pair.compare();
    }
  }
}

}  // namespace
}  // namespace tidemark::lifecycle
