// Marking: the path that has to be fast. A mark of a session in memory is one appended row.
#include "store/state.h"

namespace tidemark::store {

using lifecycle::AgentPointer;
using lifecycle::Completed;
using lifecycle::KnownTurn;
using lifecycle::Session;

namespace {

// Whether a turn of that agent (empty = the current one) would only lengthen the last segment.
bool grows(const Session& session, const std::string& agent) {
  if (session.segments.empty()) return false;
  const lifecycle::Segment& last = session.segments.back();
  const bool same_owner = agent.empty() ? last.owner == session.agent : last.owner && last.owner->name == agent;
  return same_owner && last.may_grow() && last.external_id == session.external_id;
}

Refused too_many_sessions(const UserPolicy& policy) {
  return {Refusal::limit,
          "too many sessions have uncommitted or open turns: at most " + std::to_string(policy.dirty_sessions_max) +
              " a user; commit or forget some first",
          "dirty_sessions_per_user"};
}

}  // namespace

Outcome<Completed> State::apply(const Complete& command) {
  Resident* found = find(command.uid, command.session);
  const UserPolicy& policy = policies_.of(command.uid);
  const bool above_limit = no_room_for(found, command.uid);
  // A refused mark leaves nothing behind, not even its session.
  if (!found && above_limit && !command.ephemeral) return too_many_sessions(policy);
  Resident& resident = found ? *found : create(command.uid, command.session);
  Session& session = resident.session;
  const KnownTurn* known = command.turn.empty() ? nullptr : resident.turns.find(turn_key(command.turn));
  if (!known && command.ephemeral) {
    // Never committable, and by its id never to become so.
    if (!command.turn.empty()) {
      touch(resident);
      if (session.end_turn(command.turn)) rows_.delete_open_turn(session.id, command.turn);
      remember_cancelled(resident, command.turn);
      derive(resident);
    }
    return Completed{session.generation, false, false, false};
  }
  if (known) {
    Completed again = session.complete(nullptr, known, policy.commit, now_);
    // A cancelled turn has no generation of its own: the answer says where the session is.
    if (!again.counted) again.generation = session.generation;
    return again;
  }
  if (above_limit) return too_many_sessions(policy);
  if (static_cast<std::int64_t>(session.segments.size()) >= policy.segments_max && !grows(session, command.agent)) {
    return Refused{Refusal::limit,
                   "the session has too many uncommitted segments: at most " + std::to_string(policy.segments_max) +
                       "; see what its oldest one waits for",
                   "segments_per_session"};
  }
  const AgentPointer named =
      command.agent.empty() ? nullptr : agents_.find_or_create(command.uid, command.agent, now_.utc);
  touch(resident);
  const std::size_t segments_before = session.segments.size();
  const lifecycle::Agent* const agent_before = session.agent.get();
  const bool was_open = !session.open_turns.empty() && !command.turn.empty() && session.end_turn(command.turn);
  if (was_open) rows_.delete_open_turn(session.id, command.turn);
  const Completed completed = session.complete(named, nullptr, policy.commit, now_);
  MarkRow mark;
  mark.mark_id = ++last_mark_;
  mark.session_id = session.id;
  mark.generation = completed.generation;
  mark.agent_id = session.agent ? session.agent->id : 0;
  mark.turn = command.turn;
  mark.at = now_.utc;
  rows_.insert_mark(mark);
  resident.last_mark = mark.mark_id;
  if (!command.turn.empty()) remember_turn(resident, command.turn, completed.generation);
  tell(EventKind::turn_completed, session, session.agent.get());
  if (completed.fell_due) {
    changed(resident);
  } else if (was_open || session.segments.size() != segments_before) {
    derive(resident);
  }
  if (session.segments.size() != segments_before) tell_if_away(session.segments.back().owner);
  if (session.agent.get() != agent_before) {
    // What is ownerless is the current agent's to adopt.
    const lifecycle::Segment* next = session.next();
    if (next && next->due && !next->owner) remember_effect(session);
  }
  return completed;
}

Outcome<Nothing> State::apply(const BeginTurn& command) {
  Resident* found = find(command.uid, command.session);
  if (found && found->turns.find(turn_key(command.turn))) return Nothing{};
  if (no_room_for(found, command.uid)) return too_many_sessions(policies_.of(command.uid));
  Resident& resident = found ? *found : create(command.uid, command.session);
  Session& session = resident.session;
  if (session.open_turns.size() >= open_turns_max) {
    return Refused{
        Refusal::limit,
        "the session has too many open turns: at most " + std::to_string(open_turns_max) + "; complete or cancel some",
        "open_turns_per_session"};
  }
  touch(resident);
  const AgentPointer named =
      command.agent.empty() ? nullptr : agents_.find_or_create(command.uid, command.agent, now_.utc);
  if (session.begin_turn(command.turn, named, now_)) {
    rows_.insert_open_turn(session.id, session.open_turns.back());
    derive(resident);
    tell_if_away(session.open_turns.back().agent);
  }
  return Nothing{};
}

Outcome<Nothing> State::apply(const CancelTurn& command) {
  Resident& resident = find_or_create(command.uid, command.session);
  Session& session = resident.session;
  if (resident.turns.find(turn_key(command.turn))) return Nothing{};
  touch(resident);
  if (session.end_turn(command.turn)) rows_.delete_open_turn(session.id, command.turn);
  remember_cancelled(resident, command.turn);
  derive(resident);
  return Nothing{};
}

bool State::no_room_for(const Resident* resident, uid_t uid) {
  if (resident && resident->needed()) return false;
  return counts_[uid].dirty + only_open_[uid] >= policies_.of(uid).dirty_sessions_max;
}

// Now that it owns something again, somebody has to wait for it: after a start nobody has seen it go.
void State::tell_if_away(const AgentPointer& owner) {
  if (!owner || !owner->served || owner->lost || online_.contains(owner->id)) return;
  changed_agents_.insert_or_assign(owner->id, owner);
}

// Not written: it stands in the log.
void State::remember_turn(Resident& resident, std::string_view turn, lifecycle::Generation generation) {
  const TurnKey key = turn_key(turn);
  resident.turns.add(key, {generation, false});
  turns_changed_.push_back({&resident, key, std::nullopt});
}

void State::remember_cancelled(Resident& resident, std::string_view turn) {
  const TurnKey key = turn_key(turn);
  const lifecycle::Generation place = resident.turns.next_cancelled();
  resident.turns.add(key, {place, true});
  turns_changed_.push_back({&resident, key, std::nullopt});
  rows_.insert_turn(resident.session.id, {place, std::string(turn), true});
  while (static_cast<std::int64_t>(resident.turns.cancelled()) > policies_.retention.turn_ids) {
    const auto [oldest, known] = resident.turns.forget_oldest_cancelled();
    turns_changed_.push_back({&resident, oldest, known});
    rows_.delete_cancelled_turn(resident.session.id, known.generation);
  }
}

void State::forget_settled_turns(Resident& resident) {
  const lifecycle::Generation from = resident.session.watermark - policies_.retention.turn_ids + 1;
  if (from <= 1) return;
  go_on(DeleteTurns{resident.session.id, from});
  // In memory only once it is durable, so that a roll-back needn't bring them back.
  turns_to_forget_.emplace_back(&resident, from);
}

}  // namespace tidemark::store
