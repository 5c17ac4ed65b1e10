// Users among each other: nobody sees, changes or even hits upon what is another's, but for admins who ask to
// (contract, section 10). Needs root, which alone can be several users.
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/system/peer.h"

namespace tidemark::system_test {
namespace {

constexpr char open_to_all[] = "[daemon]\nsocket_mode = \"0666\"\n[limits]\nmax_frame_bytes = 1048576\n";

class Users : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::getuid() != 0) GTEST_SKIP() << "only root can act as several users";
    daemon.start();
  }
  Daemon daemon{open_to_all};
};

ipc::AgentRegisterParams for_orphans(const std::string& agent) {
  auto params = registration(agent, "", "group");
  params.serves_orphans = true;
  return params;
}

TEST_F(Users, AnotherSeesNothingAndTouchesNothing) {
  Agent owner(daemon, "agent", "s");
  owner.complete_turns("s", 3);
  Peer other(daemon.connect_as(stranger));
  const auto hello = other.call(ipc::HelloParams{});
  EXPECT_EQ(hello.uid, stranger);
  EXPECT_FALSE(hello.admin);
  EXPECT_EQ(other.refusal(about<ipc::SessionStatusParams>("s")), "not_found");
  EXPECT_EQ(other.refusal(about<ipc::CommitRetryParams>("s")), "not_found");
  EXPECT_EQ(other.refusal(ipc::CommitAbandonParams{"s", 3, "mischief", {}}), "not_found");
  EXPECT_TRUE(other.call(ipc::SessionListParams{}).sessions.empty());
  EXPECT_TRUE(other.history("s").empty());
  EXPECT_EQ(other.commit("s").outcome, Outcome::unknown);
  EXPECT_FALSE(other.call(ipc::SessionForgetParams{"s", "mischief", {}}).forgotten);
  EXPECT_TRUE(other.call(ipc::DrainParams{}).drained);
  const auto counts = other.daemon();
  EXPECT_EQ(counts.sessions + counts.dirty + counts.agents_online + counts.recovered.sessions, 0);
  ipc::AgentUnregisterParams unregister;
  unregister.agent = "agent";
  other.call(unregister);
  EXPECT_EQ(owner.segments("s"), "1-3 open");
  EXPECT_TRUE(owner.asked.empty());
  EXPECT_TRUE(owner.commit("s").committed) << "and its agent is still there";
}

TEST_F(Users, EqualNamesDoNotCollide) {
  Agent ours(daemon, "agent", "s");
  Agent theirs(daemon.connect_as(stranger), registration("agent", "s"));
  ours.complete("s", {}, "t");
  EXPECT_EQ(theirs.complete("s", {}, "t").generation, 1);
  EXPECT_EQ(theirs.complete("s").generation, 2);
  EXPECT_TRUE(theirs.commit("s").committed);
  EXPECT_EQ(theirs.asked.size(), 1U);
  EXPECT_TRUE(ours.asked.empty());
  EXPECT_TRUE(ours.notified.empty()) << "nobody is fenced by another's name";
  EXPECT_EQ(ours.segments("s"), "1-1 open");
}

TEST_F(Users, AGroupEndsWithItsUser) {
  Agent theirs(daemon.connect_as(stranger), for_orphans("theirs"));
  Agent heir(daemon, for_orphans("heir"));
  Agent ours(daemon, registration("ours", "s", "group"));
  ours.complete("s");
  ipc::AgentUnregisterParams unregister;
  unregister.agent = "ours";
  ours.call(unregister);
  EXPECT_TRUE(serve_until({&theirs, &heir}, [&] { return heir.watermark("s") == 1; }));
  EXPECT_TRUE(theirs.asked.empty());
}

TEST_F(Users, AnAttemptOfAnothersIsNotKeptAliveOrAnswered) {
  Agent ours(daemon, "agent", "s");
  ours.complete("s");
  ours.answers({held()});
  ours.detach("s");
  ASSERT_TRUE(ours.wait_asked(1));
  Peer other(daemon.connect_as(stranger));
  other.call(ipc::CommitProgressParams{ours.asked[0].commit, {}});
  for (const char* id : {"1", "2", "3"}) {
    other.client.send_frame(R"({"jsonrpc":"2.0","id":)" + std::string(id) + R"(,"result":{}})");
  }
  other.call(ipc::PingParams{});
  EXPECT_EQ(ours.segments("s"), "1-1 in_flight");
}

TEST_F(Users, WhatOnlyAdminsMayIsForbidden) {
  Peer other(daemon.connect_as(stranger));
  EXPECT_EQ(other.refusal(ipc::DaemonReloadParams{}), "forbidden");
  EXPECT_EQ(other.refusal(ipc::DaemonBackupParams{}), "forbidden");
  EXPECT_EQ(other.refusal(ipc::DaemonVerifyParams{}), "forbidden");
  ipc::DrainParams drain;
  drain.scope = ipc::DrainScope::all;
  EXPECT_EQ(other.refusal(drain), "forbidden");
  ipc::SessionListParams list;
  list.uid = ipc::UidSelector::all();
  EXPECT_EQ(other.refusal(list), "forbidden");
  auto commit = about<ipc::SessionCommitParams>("s");
  commit.uid = 0;
  EXPECT_EQ(other.refusal(commit), "forbidden");
  auto status = about<ipc::SessionStatusParams>("s");
  status.uid = 0;
  EXPECT_EQ(other.refusal(status), "forbidden");
  EXPECT_EQ(other.refusal(ipc::SessionForgetParams{"s", "mischief", 0}), "forbidden");
  status.uid = stranger;
  EXPECT_EQ(other.refusal(status), "not_found") << "one's own uid may be named";
}

TEST_F(Users, AnAdminActsForAnotherWhenAsked) {
  Agent theirs(daemon.connect_as(stranger), registration("agent", "s"));
  theirs.complete("s");
  Peer admin(daemon);
  EXPECT_EQ(admin.refusal(about<ipc::SessionStatusParams>("s")), "not_found") << "by itself, only its own";
  auto status = about<ipc::SessionStatusParams>("s");
  status.uid = stranger;
  EXPECT_EQ(admin.call(status).uid, stranger);
  ipc::SessionListParams list;
  list.uid = ipc::UidSelector::all();
  EXPECT_EQ(admin.call(list).sessions.size(), 1U);
  EXPECT_EQ(admin.daemon().dirty, 1) << "an admin counts everybody's";
  ipc::DrainParams drain;
  drain.scope = ipc::DrainScope::all;
  const auto drained = admin.client.send(drain);
  ASSERT_TRUE(theirs.wait_asked(1));
  EXPECT_TRUE(admin.receive<ipc::DrainParams>(drained).drained);
  EXPECT_EQ(theirs.watermark("s"), 1);
}

TEST_F(Users, AUserMayHaveLimitsOfHisOwn) {
  daemon.kill();
  daemon.write_config("[daemon]\nsocket_mode = \"0666\"\n[users.12345]\ndirty_sessions_per_user = 1\n");
  daemon.start();
  Peer theirs(daemon.connect_as(stranger));
  Peer ours(daemon);
  theirs.complete("a");
  EXPECT_EQ(theirs.refusal(about<ipc::TurnCompleteParams>("b")), "limit:dirty_sessions_per_user");
  ours.complete("a");
  ours.complete("b");
  EXPECT_EQ(theirs.call(ipc::HelloParams{}).limits.dirty_sessions_per_user, 1);
}

TEST_F(Users, AProcessOfAnotherUserIsThatUserWhateverItSays) {
  Peer ours(daemon);
  ours.complete("s");
  EXPECT_TRUE(holds_as(stranger, [&] {
    Agent agent(daemon, "agent", "mine");
    EXPECT_EQ(agent.call(ipc::HelloParams{}).uid, stranger);
    EXPECT_EQ(agent.refusal(about<ipc::SessionStatusParams>("s")), "not_found");
    agent.complete("mine");
    EXPECT_TRUE(agent.commit("mine").committed);
  }));
  EXPECT_EQ(ours.refusal(about<ipc::SessionStatusParams>("mine")), "not_found");
  // A private socket keeps others out altogether.
  Daemon closed;
  closed.start();
  EXPECT_TRUE(holds_as(stranger, [&] {
    const auto client = ipc::Client::connect(closed.socket());
    ASSERT_FALSE(client.has_value());
    EXPECT_EQ(client.error().kind, ipc::ConnectError::Kind::refused);
  }));
}

}  // namespace
}  // namespace tidemark::system_test
