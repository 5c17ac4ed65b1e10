// Agents: registrations, ownership, adoption and loss (contract, sections 2, 3 and 8).
#include "fixture.h"

namespace tidemark::store {
namespace {

using lifecycle::SegmentState;
using lifecycle::Taken;

TEST(Agents, RegistrationsAreJournaled) {
  Store store;
  Register command = register_agent("a", "s");
  command.group = "g";
  command.provider = "p";
  command.external_id = "x";
  const Registered first = store.call(command);
  store.call(complete("s"));
  store.crash();
  const SessionView view = store.call(get("s"));
  EXPECT_EQ(view.agent, "a");
  ASSERT_EQ(view.segments.size(), 1u);
  EXPECT_EQ(view.segments[0].owner, "a");
  EXPECT_EQ(view.segments[0].provider, "p");
  const lifecycle::Attempt out = store.attempt("s", 1);
  EXPECT_EQ(out.external_id, "x");
  ASSERT_EQ(store.effects().agents.size(), 1u);
  EXPECT_EQ(store.effects().agents[0].group, "g");
  EXPECT_EQ(store.effects().agents[0].provider, "p");
  EXPECT_TRUE(store.effects().agents[0].served);
  EXPECT_EQ(store.effects().agents[0].epoch, first.epoch);
}

TEST(Agents, EpochsNeverGoBack) {
  Store store;
  const std::int64_t first = store.call(register_agent("a")).epoch;
  const std::int64_t second = store.call(register_agent("b")).epoch;
  EXPECT_GT(second, first);
  store.crash();
  const std::int64_t third = store.call(register_agent("a")).epoch;
  EXPECT_GT(third, second);
  store.undone([](State& state) { expected(state.apply(register_agent("a"))); });
  EXPECT_GT(store.call(register_agent("a")).epoch, third);
}

TEST(Agents, OwnWhatWasCompletedUnderThem) {
  Store store;
  store.call(complete("s"));
  store.call(complete("s", "a"));
  store.call(complete("s"));
  store.call(complete("s", "b"));
  store.call(register_agent("c", "s"));
  UnregisterSession unregister;
  unregister.uid = alice;
  unregister.session = "s";
  store.call(unregister);
  store.call(complete("s"));
  const auto check = [&] {
    const SessionView view = store.call(get("s"));
    ASSERT_EQ(view.segments.size(), 4u);
    EXPECT_EQ(view.segments[0].owner, "");
    EXPECT_EQ(view.segments[1].owner, "a");
    EXPECT_EQ(view.segments[1].end, 3);
    EXPECT_EQ(view.segments[2].owner, "b");
    EXPECT_EQ(view.segments[3].owner, "");
    EXPECT_EQ(view.agent, "");
  };
  check();
  store.crash();
  check();
  store.fold();
  store.crash();
  check();
}

TEST(Agents, AdoptWhatIsOwnerlessAndKeepItWhenTheAttemptFails) {
  Store store;
  store.call(complete("s"));
  EXPECT_EQ(store.call(take("s")).taken, Taken::no_owner);
  EXPECT_FALSE(store.call(get("s")).segments[0].due);
  store.call(take("s", "a"));
  store.crash();
  const lifecycle::Attempt out = store.attempt("s", 1);
  store.call(end_attempt("s", out, AttemptEnd::failed));
  store.crash();
  EXPECT_EQ(store.call(get("s")).segments[0].owner, "a");
  EXPECT_EQ(store.call(take("s", "b")).taken, Taken::taken);
  EXPECT_EQ(store.call(get("s")).segments[0].owner, "a");
}

TEST(Agents, OfOneNameAndTwoUsersAreTwo) {
  Store store;
  const lifecycle::AgentId of_alice = store.serve("a");
  Register command = register_agent("a");
  command.uid = bob;
  EXPECT_NE(store.call(command).agent_id, of_alice);
}

TEST(Agents, LostMakeDueWhatTheyOwnAndEndTheirTurns) {
  Store store;
  const Registered a = store.call(register_agent("a", "s"));
  store.call(complete("s"));
  store.call(begin_turn("s", "t"));
  store.call(complete("idle", "other"));
  store.call(agent_lost("a", a.epoch));
  const auto check = [&] {
    const SessionView view = store.call(get("s"));
    EXPECT_EQ(view.segments[0].state, SegmentState::orphaned);
    EXPECT_EQ(view.segments[0].reason, "owner lost");
    EXPECT_EQ(view.turns_open, 0);
    EXPECT_FALSE(store.call(get("idle")).segments[0].due);
    EXPECT_EQ(store.call(Count{}).orphaned, 1);
    store.check_counts();
  };
  check();
  store.crash();
  bool told = false;
  for (const lifecycle::Agent& agent : store.effects().agents) told |= agent.name == "a" && agent.lost;
  EXPECT_TRUE(told) << "the dispatcher isn't told of the loss after a start";
  check();
  EXPECT_EQ(store.call(register_agent("a")).due_segments, 1);
  EXPECT_EQ(store.call(get("s")).segments[0].state, SegmentState::waiting);
  EXPECT_EQ(store.call(Count{}).orphaned, 0);
  store.check_counts();
}

TEST(Agents, BackSinceAreNotLost) {
  Store store;
  const Registered first = store.call(register_agent("a", "s"));
  store.call(complete("s"));
  store.call(register_agent("a"));
  store.call(agent_lost("a", first.epoch));
  EXPECT_FALSE(store.call(get("s")).segments[0].due);
}

TEST(Agents, ThatOnlySayWhoCommitsAreNotLostByIt) {
  Store store;
  Register command = register_agent("hook", "s");
  command.serves = false;
  command.provider = "p";
  store.call(command);
  ASSERT_EQ(store.effects().agents.size(), 1u);
  EXPECT_FALSE(store.effects().agents[0].served);
  EXPECT_FALSE(store.effects().agents[0].lost);
}

TEST(Agents, LossUndoneLeavesNobodyOrphaned) {
  Store store;
  const Registered a = store.call(register_agent("a", "s"));
  store.call(complete("s"));
  store.call(make_due("s"));
  store.undone([&](State& state) { expected(state.apply(agent_lost("a", a.epoch))); });
  EXPECT_EQ(store.call(Count{}).orphaned, 0);
  store.check_counts();
  EXPECT_EQ(store.call(get("s")).segments[0].state, SegmentState::waiting);
}

TEST(Agents, ReturnUndoneLeavesThemOrphaned) {
  Store store;
  const Registered a = store.call(register_agent("a", "s"));
  store.call(complete("s"));
  store.call(agent_lost("a", a.epoch));
  store.undone([&](State& state) { expected(state.apply(register_agent("a"))); });
  EXPECT_EQ(store.call(Count{}).orphaned, 1);
  store.check_counts();
}

// More sessions than one command looks after.
class ManySessions : public testing::Test {
 protected:
  static constexpr int sessions = 600;
  void mark_all() {
    store.batch([](State& state) {
      for (int session = 0; session < sessions; ++session)
        expected(state.apply(complete(std::to_string(session), "a")));
    });
  }
  int due() {
    int found = 0;
    for (const SessionView& view : store.views()) found += view.segments.at(0).due;
    return found;
  }
  Store store;
};

TEST_F(ManySessions, AllFallDueWhenTheirOwnerIsLost) {
  const std::int64_t epoch = store.call(register_agent("a")).epoch;
  mark_all();
  store.call(agent_lost("a", epoch));
  EXPECT_LT(due(), sessions);
  store.later();
  EXPECT_EQ(due(), sessions);
  EXPECT_EQ(store.call(Count{}).orphaned, sessions);
  store.check_counts();
}

TEST_F(ManySessions, AllFallDueWhenTheirOwnerUnregistersAlsoAcrossACrash) {
  store.call(register_agent("a"));
  mark_all();
  store.call(unregister_agent("a"));
  store.crash();
  store.later();
  EXPECT_EQ(due(), sessions);
  EXPECT_EQ(store.call(Count{}).orphaned, sessions);
  store.check_counts();
}

TEST_F(ManySessions, LossUndoneLeavesNobodyOrphaned) {
  store.call(register_agent("a"));
  mark_all();
  store.batch([](State& state) {
    for (int session = 0; session < sessions; ++session) expected(state.apply(make_due(std::to_string(session))));
  });
  store.undone([](State& state) { expected(state.apply(unregister_agent("a"))); });
  EXPECT_FALSE(store.state().later_pending());
  EXPECT_EQ(store.call(Count{}).orphaned, 0);
  store.check_counts();
  store.call(unregister_agent("a"));
  store.later();
  store.undone([](State& state) { expected(state.apply(register_agent("a"))); });
  EXPECT_EQ(store.call(Count{}).orphaned, sessions);
  store.check_counts();
}

// A loss in pieces that a crash cuts short is completed at the start.
TEST_F(ManySessions, AllFallDueWhenTheirOwnerIsLostAlsoAcrossACrash) {
  const std::int64_t epoch = store.call(register_agent("a")).epoch;
  mark_all();
  store.fold();
  store.call(agent_lost("a", epoch));
  EXPECT_LT(due(), sessions);
  store.crash();
  store.later();
  EXPECT_EQ(due(), sessions);
  EXPECT_EQ(store.call(Count{}).orphaned, sessions);
  store.check_counts();
}

TEST_F(ManySessions, NoneIsOrphanedWhenTheirOwnerIsBackHoweverManyTheyAre) {
  constexpr int very_many = 4'500;
  const std::int64_t epoch = store.call(register_agent("a")).epoch;
  store.batch([](State& state) {
    for (int session = 0; session < very_many; ++session) {
      expected(state.apply(complete(std::to_string(session), "a")));
    }
  });
  store.call(agent_lost("a", epoch));
  store.later();
  EXPECT_EQ(store.call(Count{}).orphaned, very_many);
  store.undone([](State& state) { expected(state.apply(register_agent("a"))); });
  EXPECT_EQ(store.call(Count{}).orphaned, very_many);
  EXPECT_FALSE(store.state().later_pending());
  store.call(register_agent("a"));
  store.later();
  EXPECT_EQ(store.call(Count{}).orphaned, 0);
}

TEST(Agents, ThatATurnMakesCurrentAreAskedForWhatIsOwnerlessAndDue) {
  Store store;
  store.call(complete("s"));
  store.call(make_due("s"));
  const lifecycle::AgentId a = store.serve("a");
  store.call(complete("s", "a"));
  ASSERT_EQ(store.effects().heads.size(), 1u);
  EXPECT_TRUE(store.effects().heads[0].due);
  EXPECT_EQ(store.effects().heads[0].owner, a);
  store.call(complete("s", "a"));
  EXPECT_TRUE(store.effects().empty()) << "nothing has changed for anybody";
}

TEST(Agents, ThatHaveNotComeBackSinceTheStartAreToldOfOnceTheyOwnSomethingAgain) {
  Store store;
  store.serve("a");
  store.call(complete("online", "a"));
  EXPECT_TRUE(store.effects().agents.empty());
  store.commit_oldest("online", 1);
  store.crash();
  const auto told = [&] {
    const std::vector<lifecycle::Agent>& agents = store.effects().agents;
    return agents.size() == 1 && agents[0].name == "a" && agents[0].served && !agents[0].lost;
  };
  EXPECT_FALSE(told());
  store.call(complete("s", "a"));
  EXPECT_TRUE(told());
  store.call(complete("s", "a"));
  EXPECT_TRUE(store.effects().agents.empty()) << "growing is told of";
  store.call(begin_turn("other", "t", "a"));
  EXPECT_TRUE(told());
  store.serve("a");
  store.call(begin_turn("other", "t2", "a"));
  EXPECT_TRUE(store.effects().agents.empty());
}

// What a lost agent begins later has nothing to do with its loss.
TEST(Agents, ThatWereLostBeforeTheyBeganATurnMakeNothingDueAtTheStart) {
  Store store;
  const Registered a = store.call(register_agent("a"));
  store.call(complete("lost", "a"));
  store.call(agent_lost("a", a.epoch));
  store.call(complete("s", "b"));
  store.call(begin_turn("s", "t", "a"));
  const std::string before = store.shown();
  store.crash();
  store.later();
  EXPECT_EQ(store.shown(), before);
  EXPECT_FALSE(store.call(get("s")).segments.at(0).due);
  EXPECT_EQ(store.call(get("s")).turns_open, 1);
}

// Told by what a start would not be told of: an agent that is online is not looked for.
TEST(Agents, AreOfflineOnlyByTheEndOfTheirLatestServingRegistration) {
  Store store;
  const auto online = [&] {
    store.call(complete(std::to_string(store.rows_of("sessions")), "a"));
    return store.effects().agents.empty();
  };
  const std::int64_t first = store.call(register_agent("a")).epoch;
  const std::int64_t second = store.call(register_agent("a")).epoch;
  store.call(agent_offline("a", first));
  EXPECT_TRUE(online());
  store.call(agent_offline("a", 0));
  EXPECT_TRUE(online());
  store.undone([&](State& state) { expected(state.apply(agent_offline("a", second))); });
  EXPECT_TRUE(online());
  store.undone([&](State& state) { expected(state.apply(register_agent("a"))); });
  Register only_says_who_commits = register_agent("a");
  only_says_who_commits.serves = false;
  store.call(only_says_who_commits);
  EXPECT_TRUE(online());
  store.call(agent_offline("a", second));
  EXPECT_FALSE(online());
}

TEST_F(ManySessions, NoneIsOrphanedWhenTheirOwnerIsHeardAgain) {
  const std::int64_t first = store.call(register_agent("a")).epoch;
  const std::int64_t epoch = store.call(register_agent("a")).epoch;
  mark_all();
  store.call(agent_lost("a", epoch));
  store.later();
  EXPECT_EQ(store.call(Count{}).orphaned, sessions);
  store.call(agent_back("a", first));
  EXPECT_TRUE(store.effects().agents.empty());
  EXPECT_EQ(store.call(Count{}).orphaned, sessions);
  store.undone([&](State& state) { expected(state.apply(agent_back("a", epoch))); });
  EXPECT_EQ(store.call(Count{}).orphaned, sessions);
  store.call(agent_back("a", epoch));
  ASSERT_EQ(store.effects().agents.size(), 1u);
  EXPECT_FALSE(store.effects().agents[0].lost);
  store.later();
  EXPECT_EQ(store.call(Count{}).orphaned, 0);
  EXPECT_EQ(due(), sessions);
  store.check_counts();
  store.crash();
  EXPECT_EQ(store.call(Count{}).orphaned, 0);
}

TEST_F(ManySessions, AreNotMadeDueAnyMoreOnceTheirOwnerIsHeardAgain) {
  const std::int64_t epoch = store.call(register_agent("a")).epoch;
  mark_all();
  store.call(agent_lost("a", epoch));
  const int due_before = due();
  store.call(agent_back("a", epoch));
  store.later();
  EXPECT_EQ(due(), due_before);
  EXPECT_LT(due_before, sessions);
  EXPECT_EQ(store.call(Count{}).orphaned, 0);
  store.check_counts();
}

TEST(Agents, ThatWereUnregisteredAreNotBackByBeingHeard) {
  Store store;
  const std::int64_t epoch = store.call(register_agent("a", "s")).epoch;
  store.call(complete("s"));
  store.call(unregister_agent("a"));
  store.call(agent_back("a", epoch));
  EXPECT_EQ(store.call(Count{}).orphaned, 1);
}

}  // namespace
}  // namespace tidemark::store
