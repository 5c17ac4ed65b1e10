// What the tests of the rules share: a clock that moves when told to, agents, keys, and a session that checks its own
// invariants after each test.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "lifecycle/session.h"

namespace tidemark::lifecycle {

// An instant so many milliseconds after the tests' beginning, told alike by both clocks.
inline Now at(std::int64_t since_begin_ms) {
  return {Utc(Milliseconds(1'700'000'000'000 + since_begin_ms)), Steady(Milliseconds(1'000'000'000 + since_begin_ms))};
}

inline AgentPointer make_agent(AgentId id, std::string name) {
  auto agent = std::make_shared<Agent>();
  agent->id = id;
  agent->name = std::move(name);
  return agent;
}

// The key that a source of chance would have given to that commit.
inline Key key_of(CommitId commit) {
  Key key{};
  key[0] = 1;
  for (std::size_t at = 0; at < 4; ++at) key[15 - at] = static_cast<std::uint8_t>(commit >> (8 * at));
  return key;
}

inline std::ostream& operator<<(std::ostream& out, SegmentState state) {
  constexpr const char* names[] = {"in_flight", "confirming", "stuck", "orphaned", "in_doubt", "waiting", "open"};
  return out << names[static_cast<int>(state)];
}

inline std::ostream& operator<<(std::ostream& out, Taken taken) {
  constexpr const char* names[] = {"taken", "clean", "busy", "confirming", "no_owner", "stuck"};
  return out << names[static_cast<int>(taken)];
}

class SessionTest : public ::testing::Test {
 protected:
  static constexpr bool permanent = true;

  const AgentPointer older = make_agent(1, "older");
  const AgentPointer newer = make_agent(2, "newer");
  CommitPolicy policy;
  RetryPolicy retry_policy;
  Session session;

  void TearDown() override { session.check_invariants(); }

  // Completes turns, one after the other.
  void complete(int turns, const AgentPointer& named = nullptr, std::int64_t at_ms = 0) {
    for (int turn = 0; turn < turns; ++turn) session.complete(named, nullptr, policy, at(at_ms));
  }

  // Begins an attempt with the next commit id and the next new key.
  std::optional<Attempt> begin() {
    ++commits_;
    return session.begin_attempt(commits_, key_of(commits_));
  }

  // An explicit commit whose attempt is out when this returns.
  Attempt commit(const AgentPointer& named = nullptr) {
    EXPECT_EQ(session.take(named, "commit"), Taken::taken);
    const std::optional<Attempt> attempt = begin();
    if (!attempt) throw std::runtime_error("no attempt could begin");
    return *attempt;
  }

  bool fail(const Attempt& attempt, bool is_permanent = false, std::int64_t at_ms = 0) {
    return session.fail(attempt.commit, "commit failed", is_permanent, retry_policy, 0.5, at(at_ms));
  }

  bool doubt(const Attempt& attempt, std::int64_t at_ms = 0) {
    return session.doubt(attempt.commit, "connection lost", retry_policy, 0.5, at(at_ms));
  }

  const Segment& segment(std::size_t index) const {
    return *std::next(session.segments.begin(), static_cast<std::ptrdiff_t>(index));
  }

  // The segments in short: "1..3 older, 4..4 -".
  std::string ranges() const {
    std::string text;
    for (const Segment& one : session.segments) {
      text += (text.empty() ? "" : ", ") + std::to_string(one.start) + ".." + std::to_string(one.end) + " " +
              (one.owner ? one.owner->name : "-");
    }
    return text;
  }

 private:
  CommitId commits_ = 0;
};

}  // namespace tidemark::lifecycle
