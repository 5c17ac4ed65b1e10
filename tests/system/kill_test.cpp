// SIGKILL at random moments under random load. In the end, with all faults over: every acknowledged turn is there,
// once; everything was extracted, under one key, and nothing is said to be committed that was not.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <memory>

#include "tests/system/load.h"

namespace tidemark::system_test {
namespace {

constexpr char config[] = R"(
[daemon]
log_level = "error"
drain_deadline = "5s"
[commit]
timeout = "1s"
orphan_grace = "200ms"
idle = "300ms"
[retry]
initial = "10ms"
max = "100ms"
[retention]
turn_ids = 100000
)";

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::vector<std::string> names(const std::string& prefix, int count) {
  std::vector<std::string> all;
  for (int number = 0; number < count; ++number) all.push_back(prefix + std::to_string(number));
  return all;
}

// What has to hold at any time, whatever is under way.
void check_on_the_way(Load& load) {
  std::map<std::string, std::int64_t> acknowledged;
  for (const std::string& session : load.sessions) {
    if (load.turns.count(session) > 0) acknowledged[session] = load.turns.highest(session);
  }
  Peer peer(load.daemon);
  for (const ipc::SessionSummary& session : peer.call(ipc::SessionListParams{}).sessions) {
    EXPECT_GE(session.generation, acknowledged[session.session]) << session.session << " has lost turns";
    EXPECT_LE(session.watermark, load.memory.reach(session.session)) << session.session;
  }
}

// Every success on the record, laid end to end, is the whole session.
void check_history(Peer& peer, const std::string& session, std::int64_t generation) {
  std::map<std::int64_t, ipc::CommitRecord> successes;
  auto params = ipc::CommitHistoryParams{};
  params.session = session;
  params.limit = 1'000;
  for (bool more = true; more;) {
    const auto page = peer.call(params);
    for (const ipc::CommitRecord& record : page.commits) {
      EXPECT_NE(record.state, ipc::AttemptState::in_flight);
      if (record.state != ipc::AttemptState::committed && record.state != ipc::AttemptState::skipped) continue;
      EXPECT_TRUE(successes.emplace(record.start, record).second) << session << " twice from " << record.start;
    }
    more = page.cursor.has_value();
    if (more) params.cursor = ipc::Text(*page.cursor);
  }
  std::int64_t reached = 0;
  for (const auto& [start, record] : successes) {
    EXPECT_EQ(start, reached + 1) << session;
    reached = record.end;
  }
  EXPECT_EQ(reached, generation) << session;
}

// Whatever way the test ends, its threads end before they are waited for.
struct End {
  Load& load;
  ~End() { load.over = true; }
};

TEST(Kill, NothingAcknowledgedIsLostAndNothingIsCountedTwice) {
  const std::uint64_t seed = number_from("TIDEMARK_TEST_SEED", std::random_device{}());
  const std::uint64_t kills = number_from("TIDEMARK_KILLS", 50);
  std::cout << "TIDEMARK_TEST_SEED=" << seed << " TIDEMARK_KILLS=" << kills << std::endl;
  Random random(seed);
  Daemon daemon(config);
  daemon.start();
  Load load(daemon, names("session-", 8), names("agent-", 3));
  std::vector<std::unique_ptr<ErringAgent>> agents;
  std::vector<std::unique_ptr<Marker>> markers;
  const End end{load};
  for (const std::string& name : load.agents) agents.push_back(std::make_unique<ErringAgent>(load, name, random()));
  for (const std::string& name : names("turn-", 3)) markers.push_back(std::make_unique<Marker>(load, name, random()));
  try {
    for (std::uint64_t kill = 0; kill < kills && load.faults.text().empty(); ++kill) {
      std::this_thread::sleep_for(Milliseconds(random() % 900));
      daemon.kill();
      while (random() % 4 == 0) {  // and again, while it starts
        daemon.launch();
        std::this_thread::sleep_for(Milliseconds(random() % 40));
        daemon.kill();
      }
      daemon.start();
      check_on_the_way(load);
    }
  } catch (const std::exception& error) {
    load.faults.add(error.what());
    if (daemon.process().ended()) daemon.launch();
  }
  load.marking = false;
  markers.clear();
  load.erring = false;
  Peer peer(daemon);
  EXPECT_TRUE(wait_until([&] {
    const auto drain = peer.call(ipc::DrainParams{});
    // After an evict, turns may have been completed that are nobody's: they wait for somebody to be named.
    for (const std::string& session : drain.remaining) peer.commit(session, load.agents[0]);
    return drain.drained;
  }));
  std::int64_t turns = 0;
  for (const std::string& session : load.sessions) {
    const auto status = peer.status(session);
    EXPECT_EQ(status.generation, load.turns.count(session)) << session;
    EXPECT_EQ(status.watermark, status.generation) << session;
    EXPECT_EQ(load.memory.reach(session), status.generation) << session;
    check_history(peer, session, status.generation);
    turns += status.generation;
  }
  EXPECT_EQ(peer.daemon().dirty, 0);
  EXPECT_EQ(peer.daemon().in_flight, 0);
  load.over = true;
  agents.clear();
  EXPECT_EQ(load.faults.text(), "");
  std::cout << turns << " turns, " << load.memory.extracted() << " commits" << std::endl;
}

}  // namespace
}  // namespace tidemark::system_test
