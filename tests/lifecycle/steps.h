// What can be done to a session, as data: so that a random order of it can be made, printed and shortened.
#pragma once

#include <rapidcheck.h>

#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <utility>
#include <vector>

#include "lifecycle/session.h"

namespace tidemark::lifecycle {

enum class Action : std::uint8_t {
  complete,
  complete_known,
  register_agent,
  forget_agent,
  rename,
  begin_turn,
  end_turn,
  make_due,
  pass_time,
  step_wall_clock,
  take,
  begin_attempt,
  succeed,
  accept,
  fail,
  doubt,
  fail_confirmation,
  skip_backoff,
  retry,
  drop_through,
  orphan,
  recover,
};

struct Step {
  Action action = Action::complete;
  int which = 0;  // chooses among agents, turns, keys, commits: 0 is the latest, or nobody
  int how = 0;    // chooses everything else
};

inline std::ostream& operator<<(std::ostream& out, const Step& step) {
  constexpr const char* names[] = {
      "complete", "complete_known", "register_agent",    "forget_agent", "rename",        "begin_turn",   "end_turn",
      "make_due", "pass_time",      "step_wall",         "take",         "begin_attempt", "succeed",      "accept",
      "fail",     "doubt",          "fail_confirmation", "skip_backoff", "retry",         "drop_through", "orphan",
      "recover"};
  return out << names[static_cast<int>(step.action)] << '(' << step.which << ", " << step.how << ')';
}

inline std::ostream& operator<<(std::ostream& out, const CommitPolicy& policy) {
  return out << "idle " << policy.idle.count() << ", turn_timeout " << policy.turn_timeout.count()
             << ", uncommitted_turns_max " << policy.uncommitted_turns_max << ", uncommitted_age_max "
             << policy.uncommitted_age_max.count();
}

inline std::ostream& operator<<(std::ostream& out, const RetryPolicy& policy) {
  return out << "jitter " << policy.jitter << ", attempts " << policy.attempts;
}

inline rc::Gen<std::vector<Step>> steps() {
  using Weighted = std::pair<std::size_t, Action>;
  std::vector<Action> actions;
  for (const auto& [weight, action] : std::initializer_list<Weighted>{{10, Action::complete},
                                                                      {1, Action::complete_known},
                                                                      {1, Action::register_agent},
                                                                      {1, Action::forget_agent},
                                                                      {1, Action::rename},
                                                                      {2, Action::begin_turn},
                                                                      {3, Action::end_turn},
                                                                      {4, Action::make_due},
                                                                      {3, Action::pass_time},
                                                                      {1, Action::step_wall_clock},
                                                                      {5, Action::take},
                                                                      {12, Action::begin_attempt},
                                                                      {3, Action::succeed},
                                                                      {6, Action::accept},
                                                                      {3, Action::fail},
                                                                      {3, Action::doubt},
                                                                      {2, Action::fail_confirmation},
                                                                      {1, Action::skip_backoff},
                                                                      {2, Action::retry},
                                                                      {1, Action::drop_through},
                                                                      {1, Action::orphan},
                                                                      {1, Action::recover}}) {
    actions.insert(actions.end(), weight, action);
  }
  const auto step =
      rc::gen::construct<Step>(rc::gen::elementOf(actions), rc::gen::inRange(0, 8), rc::gen::inRange(0, 8));
  return rc::gen::resize(300, rc::gen::container<std::vector<Step>>(step));
}

inline rc::Gen<CommitPolicy> commit_policies() {
  const auto wait = [](std::int64_t wait_ms) { return rc::gen::element(Milliseconds(0), Milliseconds(wait_ms)); };
  return rc::gen::construct<CommitPolicy>(wait(30), wait(100), rc::gen::element<std::int64_t>(0, 0, 4, 9), wait(50));
}

inline rc::Gen<RetryPolicy> retry_policies() {
  return rc::gen::construct<RetryPolicy>(rc::gen::just(Milliseconds(5)), rc::gen::just(Milliseconds(60)),
                                         rc::gen::element(0.0, 0.2), rc::gen::element<std::int64_t>(0, 0, 1, 3));
}

}  // namespace tidemark::lifecycle
