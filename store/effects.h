// What leaves the ledger besides answers: what the dispatcher has to know of sessions that are due and of their owners,
// and what watchers are told.
// Handed over only after the transaction that made it true is durable.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lifecycle/session.h"
#include "store/event.h"

namespace tidemark::store {

// The oldest segment that its provider doesn't have: the only one that an attempt could take.
struct Head {
  uid_t uid = 0;
  std::string session;
  lifecycle::SessionId session_id = 0;
  bool due = false;        // there is such a segment, it is due and no attempt is out
  bool stuck = false;      // it is stuck: no attempt by itself
  bool in_flight = false;  // an attempt is out
  bool sealed = false;
  lifecycle::AgentId owner = 0;  // 0 = ownerless, and no current agent to adopt it
  lifecycle::Utc began_at{};     // oldest first
  lifecycle::Steady next_attempt{};
};

// A segment that a provider has accepted: somebody has to look when it is done.
struct Accepted {
  uid_t uid = 0;
  std::string session;
  lifecycle::Key key{};
  lifecycle::CommitId commit = 0;
  lifecycle::Generation start = 0, end = 0;
  std::string provider;
};

// Paused by hand.
struct PausedProvider {
  std::string provider, reason;
  lifecycle::Utc at{};
};

struct Effects {
  std::vector<PausedProvider> paused_providers;  // after a start: all that are
  std::vector<Accepted> accepted;                // since the batch before; after a start, all that were
  std::vector<Head> heads;                       // each session at most once, as it stands after the batch
  std::vector<lifecycle::Agent> agents;          // whose registration or loss changed, and the owners of `heads`

  std::vector<Event> events;  // in the order in which they came true

  bool empty() const {
    return heads.empty() && agents.empty() && events.empty() && accepted.empty() && paused_providers.empty();
  }
};

}  // namespace tidemark::store
