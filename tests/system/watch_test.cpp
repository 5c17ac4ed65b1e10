// Watching: who is told what, in which order, and what becomes of a subscriber that doesn't read.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>

#include "tests/system/watcher.h"

namespace tidemark::system_test {
namespace {

ipc::WatchParams of_sessions(std::vector<ipc::Name> sessions) {
  ipc::WatchParams params;
  params.sessions = std::move(sessions);
  return params;
}

ipc::WatchParams of_types(std::vector<ipc::EventType> types) {
  ipc::WatchParams params;
  params.types = std::move(types);
  return params;
}

TEST(Watch, TellsTheWholeStoryInOrderWithoutGaps) {
  RunningDaemon daemon;
  Watcher watcher(daemon);
  const std::int64_t subscription = watcher.watch();
  {
    Agent agent(daemon, "agent", "s");
    agent.answers({failed()});
    agent.complete("s");
    EXPECT_EQ(agent.commit("s").outcome, Outcome::failed);
    EXPECT_EQ(agent.commit("s").outcome, Outcome::committed);
    agent.call(about<ipc::SessionDiscardParams>("s"));
  }
  ASSERT_TRUE(watcher.wait_for("agent.offline"));
  EXPECT_EQ(watcher.story(),
            "agent.online agent, turn.completed s, session.due s, commit.started s, commit.failed s, commit.started s, "
            "commit.succeeded s, session.clean s, session.discarded s, agent.offline agent");
  for (std::size_t at = 0; at < watcher.events.size(); ++at) {
    EXPECT_EQ(watcher.events[at].subscription, subscription);
    EXPECT_EQ(watcher.events[at].seq, static_cast<std::int64_t>(at) + 1);
    EXPECT_EQ(watcher.events[at].uid, ::getuid());
  }
  EXPECT_EQ(watcher.events[4].error, "the provider said no");
  EXPECT_EQ(watcher.events[4].commit, watcher.events[3].commit);
  EXPECT_EQ(watcher.events[7].watermark, 1);
}

TEST(Watch, TellsOnlyWhatWasAskedFor) {
  RunningDaemon daemon;
  Watcher watcher(daemon);
  const std::int64_t sessions = watcher.watch(of_sessions({"s", "t"}));
  const std::int64_t types = watcher.watch(of_types({ipc::EventType::session_discarded}));
  Agent agent(daemon, "agent", "s");
  agent.complete("s");
  agent.complete("other");
  agent.call(ipc::SessionForgetParams{"other", "a test", {}});
  agent.complete("t");
  ASSERT_TRUE(watcher.wait_for("turn.completed", 2));
  EXPECT_EQ(watcher.story(), "turn.completed s, session.discarded other, turn.completed t");
  EXPECT_EQ(watcher.events[0].subscription, sessions);
  EXPECT_EQ(watcher.events[1].subscription, types);

  ipc::UnwatchParams unwatch;
  unwatch.subscription = sessions;
  watcher.call(unwatch);
  EXPECT_EQ(watcher.refusal(unwatch), "not_found");
  unwatch.subscription = types;
  EXPECT_EQ(agent.refusal(unwatch), "not_found") << "another connection's";
  agent.complete("s");
  agent.call(ipc::SessionForgetParams{"s", "a test", {}});
  ASSERT_TRUE(watcher.wait_for("session.discarded", 2));
  EXPECT_EQ(watcher.events.size(), 4U) << watcher.story();
}

TEST(Watch, TellsOfOwnersThatAreLost) {
  RunningDaemon daemon("[commit]\norphan_grace = \"50ms\"\n");
  Watcher watcher(daemon);
  watcher.watch();
  { Agent(daemon, "agent", "s").complete("s"); }
  ASSERT_TRUE(watcher.wait_for("session.due"));
  EXPECT_EQ(watcher.story(),
            "agent.online agent, turn.completed s, agent.offline agent, agent.orphaned agent, session.due s");
}

TEST(Watch, SaysThatTheDaemonStopsWhateverIsWatched) {
  RunningDaemon daemon;
  Watcher watcher(daemon);
  watcher.watch(of_sessions({"none"}));
  daemon.signal(SIGTERM);
  EXPECT_TRUE(watcher.wait_for("daemon.draining"));
}

TEST(Watch, DropsWhoDoesNotKeepUpAndNobodyElseNotices) {
  RunningDaemon daemon("[limits]\nwatch_queue = 100\n");
  Watcher slow(daemon);
  Watcher quick(daemon);
  const std::int64_t dropped = slow.watch();
  quick.watch();
  Peer marks(daemon);
  std::int64_t marked = 0;
  // Until more is waiting than its socket, its connection and its queue take.
  for (int round = 0; round < 50 && daemon.log().find("was dropped") == std::string::npos; ++round) {
    std::vector<ipc::Client::CallNumber> numbers;
    for (int turn = 0; turn < 100; ++turn, ++marked) {
      ipc::TurnCompleteParams params;
      params.session = "a session with a rather long name, so that its events are soon too many for a socket";
      numbers.push_back(marks.client.send(params));
    }
    for (const auto number : numbers) marks.receive<ipc::TurnCompleteParams>(number);
    quick.serve(Milliseconds(1));
  }
  ASSERT_TRUE(daemon.wait_logged("was dropped"));
  ASSERT_TRUE(quick.wait_for("turn.completed", static_cast<std::size_t>(marked))) << "who reads gets all of it";
  for (std::size_t at = 0; at < quick.events.size(); ++at) {
    ASSERT_EQ(quick.events[at].seq, static_cast<std::int64_t>(at) + 1);
  }
  ASSERT_TRUE(slow.wait_for("watch.overflow"));
  EXPECT_EQ(slow.events.back().type, "watch.overflow") << "nothing follows";
  EXPECT_LT(slow.events.size(), quick.events.size());
  for (std::size_t at = 0; at < slow.events.size(); ++at) {
    ASSERT_EQ(slow.events[at].seq, static_cast<std::int64_t>(at) + 1);
  }
  ipc::UnwatchParams unwatch;
  unwatch.subscription = dropped;
  EXPECT_EQ(slow.refusal(unwatch), "not_found");
  // The connection lives, and may watch again.
  slow.watch();
  marks.complete("s");
  EXPECT_TRUE(slow.serve_until([&] { return slow.events.back().session == "s"; }));
}

TEST(Watch, AsManyAtOnceAsTheDaemonTakesAreNoReadersFault) {
  RunningDaemon daemon("[limits]\nwatch_queue = 10\n");
  Watcher watcher(daemon);
  watcher.watch();
  // Stopped, so that all of it is read, and made durable, together; more than a connection is given at once.
  constexpr std::size_t turns = 2'400;
  std::vector<std::unique_ptr<Peer>> peers;
  for (int number = 0; number < 12; ++number) peers.push_back(std::make_unique<Peer>(daemon));
  std::vector<ipc::Client::CallNumber> numbers;
  daemon.signal(SIGSTOP);
  for (std::size_t turn = 0; turn < turns; ++turn) {
    numbers.push_back(peers[turn % peers.size()]->client.send(ipc::TurnCompleteParams{"a session", {}, {}, {}}));
  }
  daemon.signal(SIGCONT);
  for (std::size_t turn = 0; turn < turns; ++turn) {
    peers[turn % peers.size()]->receive<ipc::TurnCompleteParams>(numbers[turn]);
  }
  ASSERT_TRUE(watcher.serve_until([&] { return watcher.events.size() >= turns; })) << watcher.events.size();
  for (std::size_t at = 0; at < turns; ++at)
    ASSERT_EQ(watcher.events[at].generation, static_cast<std::int64_t>(at) + 1);
}

TEST(Watch, ARareEventDoesNotWaitForManyOfAnotherSubscription) {
  RunningDaemon daemon;
  Watcher watcher(daemon);
  const std::int64_t turns = watcher.watch(of_types({ipc::EventType::turn_completed}));
  const std::int64_t rare = watcher.watch(of_types({ipc::EventType::session_discarded}));
  Peer peer(daemon);
  for (int turn = 0; turn < 5'000; ++turn) peer.complete("s");
  peer.call(ipc::SessionForgetParams{"s", "a test", {}});
  ASSERT_TRUE(watcher.wait_for("session.discarded"));
  const auto found = std::find_if(watcher.events.begin(), watcher.events.end(),
                                  [&](const auto& event) { return event.subscription == rare; });
  ASSERT_NE(found, watcher.events.end());
  EXPECT_LT(found - watcher.events.begin(), 4'900) << "it waited for those of subscription " << turns;
}

TEST(Watch, IsBoundedAndFreedWithItsConnection) {
  RunningDaemon daemon;
  Peer peer(daemon);
  const std::int64_t bound = peer.call(ipc::HelloParams{}).limits.subscriptions_per_user;
  {
    Watcher first(daemon);
    Watcher second(daemon);
    for (std::int64_t number = 0; number < bound; ++number) (number % 2 ? first : second).watch();
    EXPECT_EQ(peer.refusal(ipc::WatchParams{}), "limit:subscriptions_per_user");
  }
  EXPECT_TRUE(wait_until([&] { return peer.refusal(ipc::WatchParams{}).empty(); }));
}

TEST(Watch, NeverTellsOneUserOfAnother) {
  if (::getuid() != 0) GTEST_SKIP() << "only root can act as several users";
  RunningDaemon daemon("[daemon]\nsocket_mode = \"0666\"\n");
  Watcher other(daemon.connect_as(stranger));
  ipc::WatchParams everybody;
  everybody.uid = ipc::UidSelector::all();
  EXPECT_EQ(other.refusal(everybody), "forbidden");
  ipc::WatchParams ours;
  ours.uid = ipc::UidSelector{::getuid()};
  EXPECT_EQ(other.refusal(ours), "forbidden");
  other.watch();
  other.watch(of_sessions({"s"}));
  Watcher admin(daemon);
  admin.watch(everybody);
  Agent(daemon, "agent", "s").complete("s");
  other.complete("s");
  ASSERT_TRUE(admin.wait_for("turn.completed", 2));
  EXPECT_EQ(admin.events.back().uid, stranger);
  ASSERT_TRUE(other.wait_for("turn.completed", 2));
  EXPECT_EQ(other.story(), "turn.completed s, turn.completed s") << "its own turn, for each subscription";
}

}  // namespace
}  // namespace tidemark::system_test
