#include "store/agents.h"

#include <sqlite3.h>

namespace tidemark::store {

using lifecycle::Agent;
using lifecycle::AgentPointer;

Agents::Agents(Rows& rows) : rows_(rows), last_id_(rows.last_number("agents")) {}

Agents::~Agents() = default;

AgentPointer Agents::find(uid_t uid, std::string_view name) {
  if (const auto found = by_name_.find({uid, name}); found != by_name_.end()) return found->second.lock();
  std::optional<Agent> row = rows_.find_agent(uid, name);
  return row ? adopt(std::move(*row)) : nullptr;
}

AgentPointer Agents::find_or_create(uid_t uid, std::string_view name, lifecycle::Utc now) {
  if (AgentPointer agent = find(uid, name)) return agent;
  Agent made;
  made.id = ++last_id_;
  made.uid = uid;
  made.name = name;
  rows_.write_agent(made, now);
  created_.push_back(adopt(std::move(made)));
  return created_.back();
}

AgentPointer Agents::by_id(lifecycle::AgentId id) {
  if (const auto found = by_id_.find(id); found != by_id_.end()) return found->second.lock();
  std::optional<Agent> row = rows_.find_agent(id);
  if (!row) throw SQLite::Exception("a row names an agent that is not there", SQLITE_CORRUPT);
  return adopt(std::move(*row));
}

AgentPointer Agents::adopt(Agent agent) {
  const AgentPointer pointer(new Agent(std::move(agent)), [this](Agent* last) {
    forget(*last);
    delete last;
  });
  by_name_.emplace(Name{pointer->uid, pointer->name}, pointer);
  by_id_.emplace(pointer->id, pointer);
  return pointer;
}

void Agents::forget(const Agent& agent) {
  const auto found = by_id_.find(agent.id);
  // After a roll-back another object may have taken the name's place.
  if (found == by_id_.end() || !found->second.expired()) return;
  by_id_.erase(found);
  by_name_.erase({agent.uid, agent.name});
}

void Agents::touch(const AgentPointer& agent) {
  touched_.emplace_back(agent, *agent);
}

void Agents::end_batch() {
  touched_.clear();
  created_.clear();
}

std::vector<lifecycle::AgentId> Agents::roll_back() {
  std::vector<lifecycle::AgentId> restored;
  for (auto entry = touched_.rbegin(); entry != touched_.rend(); ++entry) {
    // All but the name, which never changes and which by_name_ points into.
    Agent& agent = *entry->first;
    const Agent& before = entry->second;
    agent.epoch = before.epoch;
    agent.group = before.group;
    agent.provider = before.provider;
    agent.fallback = before.fallback;
    agent.served = before.served;
    agent.lost = before.lost;
    restored.push_back(agent.id);
  }
  touched_.clear();
  for (const AgentPointer& agent : created_) {
    by_name_.erase({agent->uid, agent->name});
    by_id_.erase(agent->id);
  }
  created_.clear();
  return restored;
}

}  // namespace tidemark::store
