// What watchers are told, and of what they want to be.
#include "store/state.h"

namespace tidemark::store {

using lifecycle::Facts;
using lifecycle::Segment;
using lifecycle::Session;

namespace {

// Whose turns an attempt would take; null = nobody's, or there are none.
const lifecycle::Agent* owner_of_next(const Session& session) {
  const Segment* next = session.next();
  if (!next) return nullptr;
  return next->owner ? next->owner.get() : session.agent.get();
}

}  // namespace

Outcome<Nothing> State::apply(const Watch& command) {
  interests_.add(command.subscription, command.filter);
  return Nothing{};
}

Outcome<Nothing> State::apply(const Unwatch& command) {
  interests_.remove(command.subscription);
  return Nothing{};
}

void State::tell(EventKind kind, const Session& session, const lifecycle::Agent* owner, lifecycle::CommitId commit,
                 std::string_view error) {
  if (kind == EventKind::turn_completed && !interests_.wants_turns()) return;
  if (!interests_.wants(session.uid, session.name)) return;
  Event event;
  event.kind = kind;
  event.at = now_.utc;
  event.uid = session.uid;
  event.session = session.name;
  if (owner) event.agent = owner->name;
  event.generation = session.generation;
  event.watermark = session.watermark;
  event.accepted = session.accepted;
  event.commit = commit;
  event.error = error;
  events_.push_back(std::move(event));
}

void State::tell_difference(const Session& session, const Facts& before, const Facts& after) {
  if (!before.due && after.due) tell(EventKind::session_due, session, owner_of_next(session));
  if (before.dirty && !after.dirty) tell(EventKind::session_clean, session, session.agent.get());
}

void State::tell_end(const Session& session, const EndAttempt& command, const lifecycle::AgentPointer& owner) {
  switch (command.end) {
    case AttemptEnd::committed:
    case AttemptEnd::skipped:
      tell(EventKind::commit_succeeded, session, owner.get(), command.commit);
      return;
    case AttemptEnd::accepted:
      tell(EventKind::commit_accepted, session, owner.get(), command.commit);
      return;
    case AttemptEnd::failed:
    case AttemptEnd::failed_for_good:
      tell(EventKind::commit_failed, session, owner.get(), command.commit, command.error);
      break;
    case AttemptEnd::in_doubt:
    case AttemptEnd::withdrawn_in_doubt:
      tell(EventKind::commit_in_doubt, session, owner.get(), command.commit, command.error);
      break;
    case AttemptEnd::withdrawn:
      return;
  }
  const Segment* tried = session.next();
  if (tried && tried->phase == lifecycle::Phase::stuck) {
    tell(EventKind::commit_stuck, session, owner.get(), command.commit, command.error);
  }
}

// An agent that owns nothing leaves nothing orphaned.
void State::tell_orphaned(const lifecycle::Agent& agent) {
  const auto owned = by_owner_.lower_bound({agent.id, 0});
  if (owned == by_owner_.end() || owned->first != agent.id || !interests_.wants(agent.uid, {})) return;
  Event event;
  event.kind = EventKind::agent_orphaned;
  event.at = now_.utc;
  event.uid = agent.uid;
  event.agent = agent.name;
  events_.push_back(std::move(event));
}

}  // namespace tidemark::store
