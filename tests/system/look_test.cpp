// What can be seen: lists page by page and by the fact, segments in each state that needs no provider, the history, the
// daemon's own counts.
#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "tests/system/peer.h"

namespace tidemark::system_test {
namespace {

std::set<std::string> listed(Peer& peer, ipc::ListFilter filter) {
  ipc::SessionListParams params;
  params.filter = filter;
  std::set<std::string> names;
  for (const ipc::SessionSummary& session : peer.call(params).sessions) names.insert(session.session);
  return names;
}

TEST(Look, AListComesPageByPage) {
  RunningDaemon daemon;
  Peer peer(daemon);
  std::set<std::string> expected;
  std::vector<ipc::Client::CallNumber> marks;
  for (int session = 0; session < 250; ++session) {
    const std::string name = "session " + std::to_string(session);
    expected.insert(name);
    marks.push_back(peer.client.send(about<ipc::TurnCompleteParams>(name)));
  }
  for (const auto mark : marks) peer.receive<ipc::TurnCompleteParams>(mark);
  std::set<std::string> seen;
  std::vector<std::size_t> pages;
  ipc::SessionListParams params;
  for (bool more = true; more;) {
    const auto page = peer.call(params);
    pages.push_back(page.sessions.size());
    for (const ipc::SessionSummary& session : page.sessions) EXPECT_TRUE(seen.insert(session.session).second);
    more = page.cursor.has_value();
    if (more) params.cursor = ipc::Text(*page.cursor);
  }
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(pages, (std::vector<std::size_t>{100, 100, 50}));
}

TEST(Look, EachStateIsShownAndListedByTheFact) {
  RunningDaemon daemon(
      "[commit]\ntimeout = \"1s\"\norphan_grace = \"100ms\"\n[retry]\ninitial = \"1h\"\nmax = \"1h\"\n");
  Agent agent(daemon, "agent");
  {
    Agent gone(daemon, "gone", "orphaned");
    gone.complete("orphaned");
  }
  EXPECT_TRUE(agent.serve_until([&] { return agent.segments("orphaned") == "1-1 orphaned"; }));
  for (const char* session : {"open", "backing off", "stuck", "in doubt", "in flight", "clean"}) {
    agent.complete(session, "agent");
  }
  agent.complete("offline", "hook");
  agent.detach("offline");
  EXPECT_TRUE(agent.commit("clean").committed);
  agent.answers({failed()});
  agent.commit("backing off");
  agent.answers({failed_for_good()});
  agent.commit("stuck");
  agent.answers({held(), held()});
  EXPECT_EQ(agent.commit("in doubt").outcome, Outcome::in_doubt);
  agent.detach("in flight");
  ASSERT_TRUE(agent.wait_asked(5));
  EXPECT_EQ(agent.segments("open"), "1-1 open");
  EXPECT_EQ(agent.segments("offline"), "1-1 waiting");
  EXPECT_EQ(agent.segments("backing off"), "1-1 waiting");
  EXPECT_TRUE(agent.status("backing off").segments.at(0).next_attempt_at.has_value());
  EXPECT_EQ(agent.segments("in flight"), "1-1 in_flight");
  EXPECT_EQ(agent.segments("in doubt"), "1-1 in_doubt");
  EXPECT_EQ(agent.segments("stuck"), "1-1 stuck");
  EXPECT_EQ(agent.segments("clean"), "");
  using Names = std::set<std::string>;
  EXPECT_EQ(listed(agent, ipc::ListFilter::all).size(), 8U);
  EXPECT_EQ(listed(agent, ipc::ListFilter::dirty).size(), 7U);
  EXPECT_EQ(listed(agent, ipc::ListFilter::due),
            (Names{"orphaned", "offline", "backing off", "stuck", "in doubt", "in flight"}));
  EXPECT_EQ(listed(agent, ipc::ListFilter::in_flight), Names{"in flight"});
  EXPECT_EQ(listed(agent, ipc::ListFilter::in_doubt), Names{"in doubt"});
  EXPECT_EQ(listed(agent, ipc::ListFilter::orphaned), Names{"orphaned"});
  EXPECT_EQ(listed(agent, ipc::ListFilter::stuck), Names{"stuck"});
  EXPECT_EQ(listed(agent, ipc::ListFilter::confirming), Names{});
  EXPECT_EQ(listed(agent, ipc::ListFilter::stalled), Names{});
  const auto counts = agent.daemon();
  EXPECT_EQ(counts.sessions, 8);
  EXPECT_EQ(counts.dirty, 7);
  EXPECT_EQ(counts.due, 6);
  EXPECT_EQ(counts.in_flight, 1);
  EXPECT_EQ(counts.in_doubt, 1);
  EXPECT_EQ(counts.orphaned, 1);
  EXPECT_EQ(counts.stuck, 1);
  EXPECT_TRUE(counts.journal.healthy);
  EXPECT_GT(counts.journal.bytes, 0);
}

TEST(Look, TheHistoryIsOnTheRecordPageByPageNewestFirst) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  for (int commit = 1; commit <= 5; ++commit) {
    agent.complete("s");
    EXPECT_TRUE(agent.commit("s").committed);
  }
  agent.complete("other");
  ipc::CommitHistoryParams params;
  params.limit = 2;
  std::vector<std::int64_t> starts;
  for (bool more = true; more;) {
    const auto page = agent.call(params);
    for (const ipc::CommitRecord& record : page.commits) {
      starts.push_back(record.start);
      EXPECT_EQ(record.owner, "agent");
      EXPECT_EQ(record.by, "agent");
      EXPECT_EQ(record.state, ipc::AttemptState::committed);
      EXPECT_EQ(record.key, agent.asked.at(static_cast<std::size_t>(record.start) - 1).key);
      EXPECT_TRUE(record.started_at.has_value() && record.finished_at.has_value());
    }
    more = page.cursor.has_value();
    if (more) params.cursor = ipc::Text(*page.cursor);
  }
  EXPECT_EQ(starts, (std::vector<std::int64_t>{5, 4, 3, 2, 1}));
  EXPECT_TRUE(agent.history("other").empty());
}

TEST(Look, AnAgentIsToldTheNameThatItsProviderHasForTheSession) {
  RunningDaemon daemon;
  auto params = registration("agent", "s");
  params.external_id = "thread-1";
  Agent agent(daemon, params);
  agent.complete("s");
  params.external_id = "thread-2";
  agent.call(params);
  agent.complete("s");
  EXPECT_EQ(agent.segments("s"), "1-1 open, 2-2 open");
  EXPECT_TRUE(agent.commit("s").committed);
  EXPECT_TRUE(agent.commit("s").committed);
  EXPECT_EQ(agent.asked.at(0).external_id, ipc::Name("thread-1"));
  EXPECT_EQ(agent.asked.at(1).external_id, ipc::Name("thread-2"));
}

TEST(Look, APeerThatEndsItsSendingStillGetsItsAnswers) {
  RunningDaemon daemon;
  Agent agent(daemon, "agent", "s");
  Peer caller(daemon);
  std::vector<ipc::Client::CallNumber> marks;
  for (int turn = 0; turn < 100; ++turn) marks.push_back(caller.client.send(about<ipc::TurnCompleteParams>("s")));
  const auto flush = caller.client.send(about<ipc::SessionFlushParams>("s"));
  caller.client.finish_sending();
  ASSERT_TRUE(agent.wait_asked(1));
  for (const auto mark : marks) EXPECT_GT(caller.receive<ipc::TurnCompleteParams>(mark).generation, 0);
  EXPECT_TRUE(caller.receive<ipc::SessionFlushParams>(flush).committed);
  EXPECT_EQ(agent.watermark("s"), 100);
}

}  // namespace
}  // namespace tidemark::system_test
