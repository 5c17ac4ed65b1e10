// The agents that anything in memory refers to, each once. An agent leaves memory with its last referrer; its row
// stays. Ledger thread only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/rows.h"

namespace tidemark::store {

class Agents {
 public:
  explicit Agents(Rows& rows);
  Agents(const Agents&) = delete;
  Agents& operator=(const Agents&) = delete;
  ~Agents();

  // Null if the name was never seen.
  lifecycle::AgentPointer find(uid_t uid, std::string_view name);
  lifecycle::AgentPointer find_or_create(uid_t uid, std::string_view name, lifecycle::Utc now);
  // Throws SQLite::Exception if there is no such row: the database refers to an agent that isn't there.
  lifecycle::AgentPointer by_id(lifecycle::AgentId id);
  bool in_memory(lifecycle::AgentId id) const { return by_id_.contains(id); }

  // Before an agent of an earlier batch is changed.
  void touch(const lifecycle::AgentPointer& agent);
  void end_batch();
  // Returns the agents that are again what they were before.
  std::vector<lifecycle::AgentId> roll_back();

 private:
  struct Name {
    uid_t uid;
    std::string_view name;  // points into the agent
    bool operator==(const Name&) const = default;
  };
  struct NameHash {
    std::size_t operator()(const Name& key) const noexcept {
      return std::hash<std::string_view>()(key.name) ^ (static_cast<std::size_t>(key.uid) * 0x9e3779b97f4a7c15ULL);
    }
  };
  lifecycle::AgentPointer adopt(lifecycle::Agent agent);
  void forget(const lifecycle::Agent& agent);

  Rows& rows_;
  std::unordered_map<Name, std::weak_ptr<lifecycle::Agent>, NameHash> by_name_;
  std::unordered_map<lifecycle::AgentId, std::weak_ptr<lifecycle::Agent>> by_id_;
  lifecycle::AgentId last_id_;
  std::vector<std::pair<lifecycle::AgentPointer, lifecycle::Agent>> touched_;  // with what they were before
  std::vector<lifecycle::AgentPointer> created_;                               // in this batch
};

}  // namespace tidemark::store
