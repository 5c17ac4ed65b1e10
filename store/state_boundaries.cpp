// Boundaries, and what is dropped by hand.
#include <algorithm>

#include "store/state.h"

namespace tidemark::store {

using lifecycle::Segment;
using lifecycle::Session;
using lifecycle::Taken;

Outcome<TakeOldest::Result> State::apply(const TakeOldest& command) {
  Resident* resident = find(command.uid, command.session);
  if (!resident) return TakeOldest::Result{};
  Session& session = resident->session;
  touch(*resident);
  const lifecycle::AgentPointer named =
      command.agent.empty() ? nullptr : agents_.find_or_create(command.uid, command.agent, now_.utc);
  const Taken taken = session.take(named, command.reason);
  if (taken == Taken::taken) changed(*resident);
  return TakeOldest::Result{taken, marks_of(session), head_of(session)};
}

Outcome<MakeDue::Result> State::apply(const MakeDue& command) {
  MakeDue::Result result;
  Resident* resident = find(command.uid, command.session);
  if (!resident) return result;
  Session& session = resident->session;
  result.turns_open = !session.open_turns.empty();
  if (!(command.unless_turns_open && result.turns_open)) {
    touch(*resident);
    bool any = session.make_due(command.reason);
    if (Segment* next = session.next(); next && !next->owner && !command.agent.empty()) {
      next->owner = agents_.find_or_create(command.uid, command.agent, now_.utc);
      next->changed = any = true;
    }
    if (any) changed(*resident);
  }
  result.marks = marks_of(session);
  for (const Segment& segment : session.segments) result.dirty_segments += segment.dirty();
  result.due_segments = session.due_segments();
  result.head = head_of(session);
  return result;
}

Outcome<Rotate::Result> State::apply(const Rotate& command) {
  Rotate::Result result;
  if (Resident* from = find(command.uid, command.from)) {
    touch(*from);
    if (from->session.make_due("rotate")) changed(*from);
    result.due_segments = from->session.due_segments();
    result.marks = marks_of(from->session);
  }
  if (!command.to.empty()) {
    Resident& to = find_or_create(command.uid, command.to);
    if (!command.agent.empty()) {
      touch(to);
      to.session.agent = agents_.find_or_create(command.uid, command.agent, now_.utc);
      changed(to);
    }
  }
  return result;
}

Outcome<Release::Result> State::apply(const Release& command) {
  Release::Result result;
  Resident* resident = find(command.uid, command.session);
  if (!resident) {
    result.released = true;
    return result;
  }
  Session& session = resident->session;
  result.marks = marks_of(session);
  result.turns_open = !session.open_turns.empty();
  result.released = !result.turns_open && !session.next();
  if (result.released && session.agent) {
    touch(*resident);
    result.agent_id = session.agent->id;
    session.agent = nullptr;
    changed(*resident);
  }
  return result;
}

Outcome<Discard::Result> State::apply(const Discard& command) {
  Resident* resident = find(command.uid, command.session);
  if (!resident) return Discard::Result{true};
  if (resident->session.dirty()) return Discard::Result{false};
  drop(*resident);
  return Discard::Result{true};
}

Outcome<Forget::Result> State::apply(const Forget& command) {
  Resident* resident = find(command.uid, command.session);
  if (!resident) return Forget::Result{};
  const Session& session = resident->session;
  const lifecycle::Generation pending = session.generation - session.watermark;
  for (const Segment& segment : session.segments) {
    record_dropped(session, lifecycle::attempt_at(segment), "void", command.reason, "forgotten");
  }
  drop(*resident);
  return Forget::Result{true, pending};
}

// On the record: the attempt that is out, or may have landed, is closed; a segment without one gets a row of its own.
void State::record_dropped(const Session& session, const lifecycle::Attempt& dropped, std::string_view state,
                           const std::string& reason, std::string_view error) {
  if (dropped.commit != 0 && dropped.key != lifecycle::no_key) {
    rows_.finish_attempt(dropped.commit, "void", now_.utc, error, {});
    if (state == "void") return;
  }
  AttemptRow row;
  row.commit_id = next_commit();
  row.uid = session.uid;
  row.session = session.name;
  row.key = dropped.key;
  if (dropped.owner) row.owner = dropped.owner->name;
  row.start = dropped.start;
  row.end = dropped.end;
  row.state = state;
  row.attempt = dropped.attempt;
  row.reason = reason;
  row.started_at = now_.utc;
  row.finished_at = now_.utc;
  rows_.insert_attempt(row);
}

Outcome<DrainPage::Result> State::apply(const DrainPage& command) {
  constexpr int page_sessions = 256;
  DrainPage::Result result;
  std::vector<lifecycle::AgentId> owners;
  if (command.owners) {
    const auto resolve = [&](uid_t uid) {
      for (const std::string& name : *command.owners) {
        if (const lifecycle::AgentPointer agent = agents_.find(uid, name)) owners.push_back(agent->id);
      }
    };
    if (command.uid) {
      resolve(*command.uid);
    } else {
      for (const auto& [uid, counts] : counts_) resolve(uid);
    }
    std::sort(owners.begin(), owners.end());
  }
  int seen = 0;
  auto entry = dirty_.upper_bound(command.after);
  for (; entry != dirty_.end() && seen < page_sessions; ++entry, ++seen) {
    Resident& resident = *entry->second;
    Session& session = resident.session;
    result.last = session.id;
    if (command.uid && session.uid != *command.uid) continue;
    if (command.owners) {
      const auto owned = [&](const Segment& segment) {
        return segment.owner && std::binary_search(owners.begin(), owners.end(), segment.owner->id);
      };
      if (std::none_of(session.segments.begin(), session.segments.end(), owned)) continue;
    }
    if (session.next()) result.sessions.emplace_back(session.uid, session.name);
  }
  if (entry == dirty_.end()) result.last = 0;
  return result;
}

Outcome<Retry::Result> State::apply(const Retry& command) {
  Resident* resident = find(command.uid, command.session);
  if (!resident) return Refused{Refusal::not_found, "no session \"" + command.session + "\"", {}};
  touch(*resident);
  const std::int64_t due = resident->session.retry(now_);
  changed(*resident);
  return Retry::Result{due};
}

Outcome<DropThrough::Result> State::apply(const DropThrough& command) {
  Resident* resident = find(command.uid, command.session);
  if (!resident) return Refused{Refusal::not_found, "no session \"" + command.session + "\"", {}};
  Session& session = resident->session;
  touch(*resident);
  const lifecycle::Dropped dropped = session.drop_through(command.through);
  if (!dropped.refused.empty()) return Refused{Refusal::invalid, dropped.refused, {}};
  const std::string_view state = command.settle ? "settled" : "abandoned";
  for (const lifecycle::Attempt& segment : dropped.segments) {
    record_dropped(session, segment, state, command.reason, state);
  }
  if (!dropped.segments.empty()) {
    changed(*resident);
    forget_settled_turns(*resident);
  }
  return DropThrough::Result{session.watermark};
}

}  // namespace tidemark::store
