// Registrations, and owners that are gone.
#include "store/state.h"

namespace tidemark::store {

using lifecycle::AgentPointer;
using lifecycle::SessionId;

namespace {

// Sessions that one command looks after at a time; the rest follows in commands of its own, so that nobody waits long.
constexpr int page_sessions = 256;
// Rows of turns that one command deletes; the rest follows in the same way. About 2 ms.
constexpr int page_turns = 2'048;

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
  const bool is_back = agent->lost && (command.serves || !agent->served);
  if (is_back) agent->lost = false;
  rows_.write_counter("epoch", last_epoch_);
  rows_.write_agent(*agent, now_.utc);
  changed_agents_.insert_or_assign(agent->id, agent);
  if (command.serves) set_online(agent->id, Online{agent, agent->epoch});
  if (!command.session.empty()) {
    Resident& resident = find_or_create(command.uid, command.session);
    touch(resident);
    resident.session.agent = agent;
    if (!command.external_id.empty()) resident.session.external_id = command.external_id;
    changed(resident);
  }
  if (is_back) go_on(Recount{agent->id, 0});
  Registered registered{agent->id, agent->epoch, 0};
  for_owned(agent->id, 0, registered_sessions_counted, [&](Resident& resident) {
    if (!resident.counted.due) return;
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
  set_online(agent->id, std::nullopt);
  return apply(lost);
}

Outcome<Nothing> State::apply(const AgentOffline& command) {
  const AgentPointer agent = agents_.find(command.uid, command.agent);
  if (!agent) return Nothing{};
  // A registration that doesn't serve has a later epoch, and yet the connection that served is gone.
  const auto online = online_.find(agent->id);
  if (online == online_.end() || online->second.epoch != command.epoch) return Nothing{};
  set_online(agent->id, std::nullopt);
  rows_.write_agent(*agent, now_.utc);
  return Nothing{};
}

Outcome<Nothing> State::apply(const AgentBack& command) {
  const AgentPointer agent = agents_.find(command.uid, command.agent);
  if (!agent || !agent->lost) return Nothing{};
  // Whoever was unregistered meanwhile is gone for good.
  const auto online = online_.find(agent->id);
  if (online == online_.end() || online->second.epoch != command.epoch) return Nothing{};
  agents_.touch(agent);
  agent->lost = false;
  rows_.write_agent(*agent, now_.utc);
  changed_agents_.insert_or_assign(agent->id, agent);
  go_on(Recount{agent->id, 0});
  return Nothing{};
}

Outcome<Nothing> State::apply(const AgentLost& command) {
  const AgentPointer agent = agents_.find(command.uid, command.agent);
  if (!agent || agent->epoch != command.epoch) return Nothing{};
  // Lost first, and then what it owns falls due: so that a start can tell what a crash has kept from falling due.
  set_lost(agent);
  go_on(command);
  return Nothing{};
}

void State::set_online(lifecycle::AgentId agent, std::optional<Online> online) {
  const auto before = online_.find(agent);
  if (before == online_.end() && !online) return;
  online_changed_.emplace_back(agent, before == online_.end() ? std::nullopt : std::optional(before->second));
  if (online) {
    online_.insert_or_assign(agent, std::move(*online));
  } else {
    online_.erase(before);
  }
}

void State::set_lost(const AgentPointer& agent) {
  agents_.touch(agent);
  if (!agent->lost) tell_orphaned(*agent);
  agent->lost = true;
  rows_.write_agent(*agent, now_.utc);
  changed_agents_.insert_or_assign(agent->id, agent);
}

bool State::lose_page(const AgentPointer& agent, SessionId& after) {
  int seen = 0;
  for_owned(agent->id, after, page_sessions, [&](Resident& resident) {
    ++seen;
    after = resident.session.id;
    touch(resident);
    std::vector<std::string> ended;
    if (!resident.session.orphan(*agent, ended)) {
      count(resident, resident.session.facts());  // what was due before is orphaned now
      return;
    }
    for (const std::string& turn : ended) rows_.delete_open_turn(resident.session.id, turn);
    changed(resident);
  });
  return seen == page_sessions;
}

void State::go_on(AgentLost rest) {
  const AgentPointer agent = agents_.find(rest.uid, rest.agent);
  // It may be back since.
  if (!agent || agent->epoch != rest.epoch || !agent->lost) return;
  if (lose_page(agent, rest.after)) later_.emplace_back(std::move(rest));
}

void State::go_on(Recount rest) {
  int seen = 0;
  for_owned(rest.agent, rest.after, page_sessions, [&](Resident& resident) {
    ++seen;
    rest.after = resident.session.id;
    count(resident, resident.session.facts());
  });
  if (seen == page_sessions) later_.emplace_back(rest);
}

void State::go_on(const DeleteTurns& rest) {
  if (rows_.delete_turns_before(rest.session, rest.before, page_turns)) later_.emplace_back(rest);
}

void State::go_on(const DeleteSession& rest) {
  if (rows_.delete_session(rest.session, page_turns)) later_.emplace_back(rest);
}

bool State::apply_later() {
  if (later_.empty()) return false;
  const Later next = std::move(later_.back());
  later_.pop_back();
  std::visit([this](const auto& rest) { go_on(rest); }, next);
  return true;
}

}  // namespace tidemark::store
