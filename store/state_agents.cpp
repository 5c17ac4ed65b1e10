// Registrations, and owners that are gone.
#include "store/state.h"

namespace tidemark::store {

using lifecycle::AgentPointer;
using lifecycle::SessionId;

namespace {

// Sessions that one command looks after at a time; the rest follows in commands of its own, so that nobody waits long.
constexpr int page_sessions = 256;
// Sessions that the answer to a registration counts over; of more, it tells no more.
constexpr int counted_sessions = 4'096;

}  // namespace

Outcome<Registered> State::apply(const Register& command) {
  const AgentPointer agent = agents_.find_or_create(command.uid, command.agent, now_.utc);
  agents_.touch(agent);
  agent->epoch = ++last_epoch_;
  agent->group = command.group;
  agent->provider = command.provider;
  agent->fallback = command.fallback;
  agent->served |= command.serves;
  // One that serves is back; one that only says who commits is not gone, since it never was there.
  if (command.serves || !agent->served) agent->lost = false;
  rows_.write_counter("epoch", last_epoch_);
  rows_.write_agent(*agent, now_.utc);
  changed_agents_.insert_or_assign(agent->id, agent);
  if (command.serves) set_online(agent, true);
  if (!command.session.empty()) {
    Resident& resident = find_or_create(command.uid, command.session);
    touch(resident);
    resident.session.agent = agent;
    if (!command.external_id.empty()) resident.session.external_id = command.external_id;
    changed(resident);
  }
  Registered registered{agent->id, agent->epoch, 0};
  for_owned(agent->id, 0, counted_sessions, [&](Resident& resident) {
    derive(resident);  // it may have been counted as orphaned
    for (const lifecycle::Segment& segment : resident.session.segments) {
      registered.due_segments += segment.owner == agent && segment.due && segment.dirty();
    }
  });
  return registered;
}

Outcome<Nothing> State::apply(const UnregisterSession& command) {
  Resident* resident = find(command.uid, command.session);
  if (!resident) return Nothing{};
  touch(*resident);
  resident->session.agent = nullptr;
  changed(*resident);
  return Nothing{};
}

Outcome<Nothing> State::apply(const UnregisterAgent& command) {
  const AgentPointer agent = agents_.find(command.uid, command.agent);
  if (!agent) return Nothing{};
  AgentLost lost;
  lost.uid = command.uid;
  lost.agent = command.agent;
  lost.epoch = agent->epoch;
  set_online(agent, false);
  // At once and for good, whatever is left to be made due: whoever unregisters is not coming back.
  set_lost(agent);
  if (lose_page(agent, lost.after)) later_.push_back(std::move(lost));
  return Nothing{};
}

Outcome<Nothing> State::apply(const AgentOffline& command) {
  const AgentPointer agent = agents_.find(command.uid, command.agent);
  if (!agent || agent->epoch != command.epoch) return Nothing{};
  set_online(agent, false);
  rows_.write_agent(*agent, now_.utc);
  return Nothing{};
}

Outcome<Nothing> State::apply(const AgentBack& command) {
  const AgentPointer agent = agents_.find(command.uid, command.agent);
  if (!agent || agent->epoch != command.epoch || !agent->lost) return Nothing{};
  agents_.touch(agent);
  agent->lost = false;
  rows_.write_agent(*agent, now_.utc);
  changed_agents_.insert_or_assign(agent->id, agent);
  recount_owned(*agent);
  return Nothing{};
}

Outcome<Nothing> State::apply(const AgentLost& command) {
  const AgentPointer agent = agents_.find(command.uid, command.agent);
  if (!agent || agent->epoch != command.epoch) return Nothing{};
  AgentLost rest = command;
  if (lose_page(agent, rest.after)) {
    later_.push_back(std::move(rest));
  } else {
    set_lost(agent);
  }
  return Nothing{};
}

void State::set_online(const AgentPointer& agent, bool online) {
  const bool was = online_.contains(agent->id);
  if (was == online) return;
  online_changed_.emplace_back(agent->id, was ? agent : nullptr);
  if (online) {
    online_.emplace(agent->id, agent);
  } else {
    online_.erase(agent->id);
  }
}

void State::set_lost(const AgentPointer& agent) {
  agents_.touch(agent);
  agent->lost = true;
  rows_.write_agent(*agent, now_.utc);
  changed_agents_.insert_or_assign(agent->id, agent);
  recount_owned(*agent);
}

// What is counted of the owner's sessions follows from whether it is lost: all of them at once.
void State::recount_owned(const lifecycle::Agent& agent) {
  SessionId after = 0;
  for (bool more = true; more;) {
    int seen = 0;
    for_owned(agent.id, after, page_sessions, [&](Resident& resident) {
      count(resident, resident.session.facts());
      after = resident.session.id;
      ++seen;
    });
    more = seen == page_sessions;
  }
}

bool State::lose_page(const AgentPointer& agent, SessionId& after) {
  int seen = 0;
  for_owned(agent->id, after, page_sessions, [&](Resident& resident) {
    ++seen;
    after = resident.session.id;
    touch(resident);
    std::vector<std::string> ended;
    if (!resident.session.orphan(*agent, ended)) return;
    for (const std::string& turn : ended) rows_.delete_open_turn(resident.session.id, turn);
    changed(resident);
  });
  return seen == page_sessions;
}

bool State::apply_later() {
  if (later_.empty()) return false;
  const AgentLost next = later_.back();
  later_.pop_back();
  apply(next);
  return true;
}

}  // namespace tidemark::store
