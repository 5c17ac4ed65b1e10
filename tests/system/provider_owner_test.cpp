// Who commits for an owner that is there, gone, or never served: registrations with `provider` and `fallback`, the
// answer `synced`, lost owners (contract, section 8).
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#include "tests/system/provider_fixture.h"

namespace tidemark::system_test {
namespace {

using Clock = std::chrono::steady_clock;

class ProviderOwner : public ProviderTest {
 protected:
  // A process of its own that serves as "gone", has completed two turns of "s", and is then killed.
  void lose_process(const ipc::AgentRegisterParams& registration) {
    const std::string ready = folder_.path() + "/ready";
    const auto body = [&] {
      Agent agent(daemon, registration);
      agent.complete_turns("s", 2, "gone");
      std::ofstream(ready) << "ready";
      agent.serve(patience);
    };
    viking->add("s", {"s-1", "s-2"});
    Process process = Process::fork(body);
    ASSERT_TRUE(wait_until([&] { return !content_of(ready).empty(); }));
    process.kill();
    killed_at_ = Clock::now();
  }
  std::string by(const std::string& session) {
    const auto record = peer->history(session).at(0);
    return record.by.has_value() ? *record.by : "nobody";
  }
  Clock::time_point killed_at_;

 private:
  TemporaryFolder folder_;
};

TEST_F(ProviderOwner, KilledAndNeverBackItsFallbackCommitsOnce) {
  serve();
  lose_process(with_fallback("gone", "viking", "s"));
  ASSERT_TRUE(peer->serve_until([&] { return peer->watermark("s") == 2; })) << peer->segments("s");
  EXPECT_LE(Clock::now() - killed_at_, std::chrono::seconds(3)) << "the grace is one second";
  EXPECT_EQ(viking->extracted("s"), std::vector<std::string>{"s-1 s-2"});
  EXPECT_EQ(posts(), 1);
  const auto record = peer->history("s").at(0);
  EXPECT_EQ(record.by, "viking");
  EXPECT_EQ(record.owner, "gone");
  EXPECT_EQ(record.start, 1);
  EXPECT_EQ(record.end, 2);
}

TEST_F(ProviderOwner, KilledWithoutAFallbackItsTurnsStayVisible) {
  serve();
  lose_process(registration("gone", "s"));
  ASSERT_TRUE(peer->serve_until([&] { return peer->segments("s") == "1-2 orphaned"; }));
  EXPECT_EQ(listed(ipc::ListFilter::orphaned), 1U);
  EXPECT_EQ(peer->daemon().orphaned, 1);
  kill_and_start();
  EXPECT_EQ(peer->segments("s"), "1-2 orphaned");
  EXPECT_EQ(listed(ipc::ListFilter::orphaned), 1U);
  EXPECT_EQ(posts(), 0);
  // Until somebody gives that name a provider.
  peer->call(hook("gone", "viking"));
  ASSERT_TRUE(peer->serve_until([&] { return peer->watermark("s") == 2; })) << peer->segments("s");
  EXPECT_EQ(viking->extracted("s"), std::vector<std::string>{"s-1 s-2"});
}

TEST_F(ProviderOwner, BackBeforeTheGraceItsFallbackIsNotAsked) {
  serve();
  {
    Agent agent(daemon, with_fallback("agent", "viking", "s"));
    turn(agent, "s", "agent");
  }
  ASSERT_TRUE(peer->serve_until([&] { return peer->daemon().agents_online == 0; }));
  EXPECT_EQ(peer->detach("s"), Outcome::accepted);
  peer->serve(Milliseconds(200));
  EXPECT_EQ(peer->segments("s"), "1-1 waiting") << "due, and its owner may come back";
  Agent back(daemon, with_fallback("agent", "viking", "s"));
  ASSERT_TRUE(back.serve_until([&] { return back.watermark("s") == 1; }));
  EXPECT_EQ(by("s"), "agent");
  EXPECT_EQ(posts(), 0);
}

TEST_F(ProviderOwner, LostAndBackItIsAskedItself) {
  serve();
  peer->call(ipc::ProviderPauseParams{"viking", {}});
  {
    Agent agent(daemon, with_fallback("agent", "viking", "s"));
    turn(agent, "s", "agent");
  }
  ASSERT_TRUE(wait_segments("s", "1-1 orphaned"));
  Agent back(daemon, with_fallback("agent", "viking"));
  ASSERT_TRUE(back.serve_until([&] { return back.watermark("s") == 1; }));
  EXPECT_EQ(by("s"), "agent");
  EXPECT_EQ(posts(), 0);
}

TEST_F(ProviderOwner, WithAProviderItSyncsAndTheDaemonCommits) {
  serve();
  Agent agent(daemon, with_provider("agent", "viking", "s"));
  turn(agent, "s", "agent");
  agent.complete("s");  // marked before it has reached the provider: that is what the agent is asked first for
  agent.answers({held()}, synced());
  Peer caller(daemon);
  const auto commit = caller.client.send(about<ipc::SessionCommitParams>("s"));
  ASSERT_TRUE(agent.wait_asked(1));
  EXPECT_EQ(agent.asked[0].provider, "viking");
  EXPECT_EQ(agent.asked[0].end, 2);
  EXPECT_EQ(posts(), 0) << "not before the turns are there";
  viking->add("s", {"late"});
  agent.release(synced());
  EXPECT_EQ(caller.receive<ipc::SessionCommitParams>(commit).outcome, Outcome::accepted);
  ASSERT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 2; }));
  EXPECT_EQ(viking->extracted("s"), std::vector<std::string>{"s-1 late"});
  EXPECT_EQ(posts(), 1);
  EXPECT_EQ(by("s"), "viking");
  EXPECT_EQ(agent.asked.size(), 1U);
  EXPECT_EQ(peer->history("s").size(), 1U) << "one attempt, in two parts";
}

TEST_F(ProviderOwner, ASyncingAgentIsAskedAgainUnderTheSameKeyWhenTheProviderLeftItInDoubt) {
  serve();
  viking->script(R"({"rules": [{"method": "POST", "path": "/commit", "nth": 1, "do": "reset"}]})");
  Agent agent(daemon, with_provider("agent", "viking", "s"));
  agent.answers({}, synced());
  turn(agent, "s", "agent");
  EXPECT_EQ(agent.commit("s").outcome, Outcome::in_doubt);
  ASSERT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 1; }));
  ASSERT_EQ(agent.asked.size(), 2U);
  EXPECT_EQ(agent.asked[0].key, agent.asked[1].key);
  expect_once("s");
}

TEST_F(ProviderOwner, ASyncingAgentThatGoesAwayWhileItsProviderCommitsLosesNothing) {
  serve();
  viking->script(R"({"rules": [{"method": "POST", "path": "/commit", "nth": 1, "hold": "post"}]})");
  {
    Agent agent(daemon, with_provider("agent", "viking", "s"));
    agent.answers({}, synced());
    turn(agent, "s", "agent");
    agent.detach("s");
    ASSERT_TRUE(agent.serve_until([&] { return posts() == 1; }));
  }
  ASSERT_TRUE(peer->serve_until([&] { return peer->daemon().agents_online == 0; }));
  EXPECT_EQ(peer->segments("s"), "1-1 in_flight") << "its part is done";
  viking->release("post");
  ASSERT_TRUE(wait_settled("s"));
  EXPECT_EQ(told("s"), "committed");
  expect_once("s");
}

TEST_F(ProviderOwner, LostWithAProviderItIsNotWaitedFor) {
  serve();
  {
    Agent agent(daemon, with_provider("agent", "viking", "s"));
    turn(agent, "s", "agent");
  }
  EXPECT_EQ(peer->commit("s").outcome, Outcome::owner_offline) << "while it may come back, its turns may not be there";
  ASSERT_TRUE(wait_settled("s"));
  EXPECT_EQ(by("s"), "viking");
  expect_once("s");
}

TEST_F(ProviderOwner, OneThatNeverServesIsCommittedForAtEachBoundary) {
  serve();
  for (const char* session : {"committed", "detached", "flushed", "evicted", "rotated", "drained"}) turn(session);
  EXPECT_EQ(peer->segments("committed"), "1-1 open") << "marking commits nothing";
  EXPECT_EQ(peer->commit("committed").outcome, Outcome::accepted);
  EXPECT_EQ(peer->detach("detached"), Outcome::accepted);
  EXPECT_EQ(peer->call(about<ipc::SessionFlushParams>("flushed")).outcome, Outcome::accepted);
  const auto evicted = peer->call(about<ipc::SessionEvictParams>("evicted"));
  EXPECT_TRUE(evicted.evicted) << "all of it is accepted";
  ipc::SessionRotateParams rotate;
  rotate.from = "rotated";
  rotate.to = "next";
  EXPECT_EQ(peer->call(rotate).due_segments, 1);
  EXPECT_TRUE(peer->call(ipc::DrainParams{}).drained);
  for (const char* session : {"committed", "detached", "flushed", "evicted", "rotated", "drained"}) {
    EXPECT_TRUE(wait_settled(session)) << session;
  }
  expect_all_once();
  EXPECT_EQ(posts(), 6);
}

TEST_F(ProviderOwner, IdleTimeIsABoundaryToo) {
  viking.emplace();
  std::string text = config();
  text.replace(text.find("idle = \"off\""), 12, "idle = \"200ms\"");
  daemon.write_config(text);
  daemon.start();
  peer = std::make_unique<Peer>(daemon);
  peer->call(hook("hook", "viking"));
  turn("s");
  EXPECT_TRUE(wait_settled("s"));
  expect_once("s");
}

TEST_F(ProviderOwner, AMemberOfTheGroupStandsInWhileTheProviderIsPaused) {
  serve();
  Agent member(daemon, registration("member", "s", "blue"));
  {
    Agent gone(daemon, with_fallback("gone", "viking", "s", "blue"));
    turn(gone, "s", "gone");
    peer->call(ipc::ProviderPauseParams{"viking", {}});
  }
  ASSERT_TRUE(member.serve_until([&] { return member.watermark("s") == 1; })) << member.segments("s");
  EXPECT_EQ(by("s"), "member");
  EXPECT_EQ(member.asked.at(0).agent.value, "gone");
  EXPECT_EQ(posts(), 0);
}

TEST_F(ProviderOwner, TheProviderComesBeforeTheGroup) {
  serve();
  auto willing = registration("member", "s", "blue");
  willing.serves_orphans = true;
  Agent member(daemon, willing);
  {
    Agent gone(daemon, with_fallback("gone", "viking", "s", "blue"));
    turn(gone, "s", "gone");
  }
  ASSERT_TRUE(member.serve_until([&] { return member.watermark("s") == 1; }));
  EXPECT_EQ(by("s"), "viking");
  EXPECT_TRUE(member.asked.empty());
  expect_once("s");
}

TEST_F(ProviderOwner, TheExternalIdIsTheProvidersNameAndANewOneStartsASegment) {
  serve();
  auto named = hook("hook", "viking", "s");
  named.external_id = "viking/1 %";
  peer->call(named);
  viking->add("viking/1 %", {"first"});
  peer->complete("s", "hook");
  named.external_id = "second-name";
  peer->call(named);
  viking->add("second-name", {"second"});
  peer->complete("s", "hook");
  EXPECT_EQ(peer->segments("s"), "1-1 open, 2-2 open");
  EXPECT_EQ(peer->detach("s"), Outcome::accepted);
  ASSERT_TRUE(peer->serve_until([&] { return peer->watermark("s") == 2; })) << last_error("s");
  EXPECT_EQ(viking->extracted("default/default/viking/1 %"), std::vector<std::string>{"first"});
  EXPECT_EQ(viking->extracted("second-name"), std::vector<std::string>{"second"});
  EXPECT_EQ(viking->count("POST", "/sessions/viking%2F1%20%25/commit"), 1);
}

TEST_F(ProviderOwner, SyncedWithoutAProviderIsAFailure) {
  serve();
  Agent agent(daemon, registration("agent", "s"));
  agent.complete("s");
  agent.answers({synced()});
  const auto result = agent.commit("s");
  EXPECT_EQ(result.outcome, Outcome::failed);
  EXPECT_NE(result.error.value_or("").find("no provider"), std::string::npos) << result.error.value_or("");
  ASSERT_TRUE(agent.serve_until([&] { return agent.watermark("s") == 1; })) << "it is tried again";
}

TEST_F(ProviderOwner, AFallbackIsNoProviderForOneThatIsThere) {
  serve();
  Agent agent(daemon, with_fallback("agent", "viking", "s"));
  turn(agent, "s", "agent");
  agent.answers({synced()});
  EXPECT_EQ(agent.commit("s").outcome, Outcome::failed);
  EXPECT_FALSE(agent.asked.at(0).provider.has_value());
  EXPECT_EQ(posts(), 0);
}

TEST_F(ProviderOwner, UnknownProvidersAndThoseOfOtherUsersAreRefused) {
  serve({},
        "[providers.theirs]\nkind = \"exec\"\ncommand = [\"/bin/true\"]\nusers = [" + std::to_string(stranger) + "]\n");
  EXPECT_EQ(peer->refusal(hook("a", "nobody")), "not_found");
  EXPECT_EQ(peer->refusal(with_fallback("a", "nobody")), "not_found");
  EXPECT_EQ(peer->refusal(hook("a", "theirs")), "forbidden");
  EXPECT_EQ(peer->refusal(with_fallback("a", "theirs")), "forbidden");
  auto both = hook("a", "viking");
  both.fallback = "viking";
  EXPECT_EQ(peer->refusal(both), "invalid_params");
}

TEST_F(ProviderOwner, OneThatIsTakenFromAUserIsTakenAtTheReload) {
  serve();
  turn("s");
  reload(config("users = [" + std::to_string(stranger) + "]"));
  EXPECT_EQ(peer->commit("s").outcome, Outcome::owner_offline);
  EXPECT_EQ(peer->segments("s"), "1-1 waiting");
  EXPECT_EQ(posts(), 0);
  reload(config());
  EXPECT_TRUE(wait_settled("s"));
  expect_once("s");
}

TEST_F(ProviderOwner, RemovedAtAReloadItsWorkWaitsAndComesBackWithIt) {
  serve();
  viking->script(R"({"tasks": {"session": "^confirming$", "outcome": "running"}})");
  turn("confirming");
  EXPECT_EQ(peer->commit("confirming").outcome, Outcome::accepted);
  const std::string without = config().substr(0, config().find("[providers.viking]"));
  reload(without);
  EXPECT_TRUE(peer->daemon().providers.empty());
  turn("s");
  EXPECT_EQ(peer->detach("s"), Outcome::accepted);
  EXPECT_EQ(peer->segments("s"), "1-1 waiting");
  EXPECT_EQ(peer->segments("confirming"), "1-1 confirming");
  kill_and_start();
  EXPECT_EQ(peer->segments("s"), "1-1 waiting");
  EXPECT_EQ(peer->segments("confirming"), "1-1 confirming");
  viking->script(R"({"finish": {}})");
  EXPECT_EQ(posts(), 1);
  reload(config());
  EXPECT_TRUE(wait_settled("s"));
  EXPECT_TRUE(wait_settled("confirming"));
  expect_all_once();
}

TEST_F(ProviderOwner, RemovedWhileAnAttemptIsOut) {
  serve();
  viking->script(R"({"rules": [{"method": "POST", "path": "/commit", "nth": 1, "hold": "post"}]})");
  turn("s");
  peer->detach("s");
  ASSERT_TRUE(wait_until([&] { return posts() == 1; }));
  reload(config().substr(0, config().find("[providers.viking]")));
  viking->release("post");
  ASSERT_TRUE(peer->serve_until([&] { return peer->status("s").accepted == 1; })) << "it runs to its end";
  reload(config());
  EXPECT_TRUE(wait_settled("s"));
  EXPECT_EQ(posts(), 1);
  expect_once("s");
}

}  // namespace
}  // namespace tidemark::system_test
