// Agents: the named owners of completed turns (contract, section 8). One object for each (uid, name) that anything in
// memory refers to; its latest registration counts for all its work.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

namespace tidemark::lifecycle {

using AgentId = std::int64_t;  // the ledger's own number for (uid, name); 0 = nobody

struct Agent {
  AgentId id = 0;
  uid_t uid = 0;
  std::string name;
  std::int64_t epoch = 0;  // of its latest registration; 0 = only ever named in calls
  std::string group;       // empty = none
  std::string provider;    // who commits: empty = the agent itself
  std::string fallback;    // who commits once it is lost: empty = nobody but its group
  bool served = false;     // has registered to serve at least once: only then can it be offline, or lost
  bool lost = false;       // offline for longer than the orphan grace, or unregistered for good
};

using AgentPointer = std::shared_ptr<Agent>;

}  // namespace tidemark::lifecycle
