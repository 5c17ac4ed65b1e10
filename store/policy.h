// What the configuration says to the ledger. Durations in milliseconds; a zero is "off" where that makes sense.
#pragma once

#include <map>

#include "lifecycle/session.h"

namespace tidemark::store {

// Of one user.
struct UserPolicy {
  lifecycle::CommitPolicy commit;
  std::int64_t dirty_sessions_max = 2'000'000;  // those with open turns only are counted with them
  // A session. Not more, since all of one's segments are copied for the undoing, and looked through for what is derived
  // from them, once or more in each batch that touches it.
  std::int64_t segments_max = 4'096;
};

struct RetentionPolicy {
  lifecycle::Milliseconds history{90LL * 24 * 3600 * 1000};
  std::int64_t history_rows = 1'000'000;
  lifecycle::Milliseconds sessions{0};  // clean and idle
  std::int64_t turn_ids = 64;           // a session, of settled turns
  lifecycle::Milliseconds agents{24LL * 3600 * 1000};
};

struct Policies {
  UserPolicy everybody;
  std::map<uid_t, UserPolicy> users;  // whole policies, where the configuration has a section for the user
  lifecycle::RetryPolicy retry;
  RetentionPolicy retention;

  const UserPolicy& of(uid_t uid) const {
    const auto found = users.find(uid);
    return found == users.end() ? everybody : found->second;
  }
};

// Turns of one session that may be open at once; a begin beyond it is refused.
inline constexpr std::size_t open_turns_max = 1'000;

}  // namespace tidemark::store
