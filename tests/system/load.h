// Random load for a daemon that is killed meanwhile: markers that complete turns and call boundaries, agents that
// commit and err in every way that agents can, and the two records that the end is checked against. Each marker and
// agent has a thread and a connection of its own, which it makes again whenever it is lost.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/system/peer.h"

namespace tidemark::system_test {

/// What went wrong, from any thread.
class Faults {
 public:
  void add(const std::string& text);
  /// All of them, one a line; empty if all is well.
  std::string text() const;

 private:
  mutable std::mutex mutex_;
  std::set<std::string> texts_;
};

/// The memory that agents commit to: what was extracted, under which key. Any thread.
class Memory {
 public:
  explicit Memory(Faults& faults) : faults_(faults) {}
  /// Extracts a range. A key must always come with the same range, and no two keys may share a turn.
  void extract(const ipc::AgentCommitParams& params);
  /// The highest generation up to which all of the session was extracted.
  std::int64_t reach(const std::string& session) const;
  std::size_t extracted() const;

 private:
  struct Range {
    std::int64_t start, end;
    std::string key;
  };
  struct Session {
    std::map<std::int64_t, Range> ranges;  // by start
    std::int64_t reach = 0;
  };
  mutable std::mutex mutex_;
  Faults& faults_;
  std::map<std::string, Session> sessions_;
  std::map<std::string, std::string> keys_;  // what each key was for
};

/// The turns that were completed, and what the daemon acknowledged of them. Any thread.
class Turns {
 public:
  explicit Turns(Faults& faults) : faults_(faults) {}
  /// An acknowledgement. A turn must always get the same generation, and no two turns may share one.
  void acknowledge(const std::string& session, const std::string& turn, std::int64_t generation);
  /// How many distinct turns of the session were acknowledged, and the highest generation that was.
  std::int64_t count(const std::string& session) const;
  std::int64_t highest(const std::string& session) const;

 private:
  struct Session {
    std::map<std::string, std::int64_t> generations;
    std::map<std::int64_t, std::string> turns;
  };
  mutable std::mutex mutex_;
  Faults& faults_;
  std::map<std::string, Session> sessions_;
};

/// What all threads of one load share.
struct Load {
  Load(const Daemon& running, std::vector<std::string> session_names, std::vector<std::string> agent_names)
      : daemon(running), sessions(std::move(session_names)), agents(std::move(agent_names)) {}

  const Daemon& daemon;
  const std::vector<std::string> sessions, agents;
  Faults faults;
  Memory memory{faults};
  Turns turns{faults};
  /// How many acknowledged turns nobody has extracted yet. Markers wait for agents when they are many.
  std::int64_t behind() const;

  std::atomic<bool> marking = true;  // false: markers end once everything of theirs is acknowledged
  std::atomic<bool> erring = true;   // false: agents commit whatever they are asked
  std::atomic<bool> over = false;    // true: everybody ends
};

using Random = std::mt19937_64;

/// Completes turns, many at a time, under ids of its own, until each is acknowledged.
class Marker {
 public:
  Marker(Load& load, const std::string& name, std::uint64_t seed);
  ~Marker() { thread_.join(); }

 private:
  struct Turn {
    std::string session, turn;
  };
  void run();
  bool working() const { return !load_.over && (load_.marking || !unacknowledged_.empty()); }
  void work(Peer& peer);
  void call_a_boundary(Peer& peer);
  bool one_in(unsigned times) { return random_() % times == 0; }
  const std::string& any(const std::vector<std::string>& names) { return names[random_() % names.size()]; }

  Load& load_;
  std::string name_;
  Random random_;
  std::int64_t last_ = 0;
  std::deque<Turn> unacknowledged_;
  std::deque<Turn> acknowledged_;  // some of the latest
  std::thread thread_;
};

/// Serves one name.
class ErringAgent {
 public:
  ErringAgent(Load& load, const std::string& name, std::uint64_t seed);
  ~ErringAgent() { thread_.join(); }

 private:
  struct Held {
    ipc::CallId id;
    ipc::AgentCommitParams params;
    std::chrono::steady_clock::time_point until;
  };
  void run();
  void serve(ipc::Client client);
  Answer on_request(const ipc::IncomingRequest& request);
  void release_held(ipc::Client& client);

  Load& load_;
  std::string name_;
  Random random_;
  std::vector<Held> held_;
  bool hang_up_ = false;
  std::thread thread_;
};

}  // namespace tidemark::system_test
