// What watchers are told: facts about sessions and agents, made with the command that made them true and handed over
// only once that is durable.
#pragma once

#include <string>

#include "lifecycle/session.h"

namespace tidemark::store {

enum class EventKind {
  turn_completed,
  session_due,  // something of it is due, and nothing was before
  commit_started,
  commit_accepted,
  commit_succeeded,
  commit_failed,
  commit_in_doubt,
  commit_stalled,
  commit_stuck,
  session_clean,
  session_discarded,  // it is unknown from now on: discarded, forgotten, or past its retention
  agent_orphaned,     // lost, with something that it owns
};

struct Event {
  EventKind kind = EventKind::turn_completed;
  lifecycle::Utc at{};
  uid_t uid = 0;
  std::string session;  // empty: it isn't about one
  std::string agent;    // the owner of what it is about; empty = nobody
  // Of the session, as they stand then.
  lifecycle::Generation generation = 0, watermark = 0, accepted = 0;
  lifecycle::CommitId commit = 0;  // 0: it isn't about an attempt
  std::string error;
};

}  // namespace tidemark::store
