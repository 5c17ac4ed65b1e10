// What time does by itself, by a clock that moves when told to: boundaries and retention (contract, sections 5 and 11).
#include "fixture.h"

namespace tidemark::store {
namespace {

using lifecycle::Milliseconds;

constexpr Milliseconds minute{60'000}, hour{3'600'000}, day{24 * 3'600'000};

SegmentView front(Store& store, const std::string& session) {
  return store.call(get(session)).segments.at(0);
}

TEST(Time, IdleSessionsFallDue) {
  Store store;
  store.call(complete("s", "a"));
  store.advance(29 * minute);
  store.call(complete("s", "a"));
  store.call(complete("later", "a"));
  store.advance(2 * minute);
  store.apply_time();
  EXPECT_FALSE(front(store, "s").due);
  store.call(complete("later", "a"));
  store.advance(28 * minute);
  ASSERT_TRUE(store.state().next_deadline());
  EXPECT_LE(*store.state().next_deadline(), store.now().steady);
  store.apply_time();
  EXPECT_TRUE(front(store, "s").due);
  EXPECT_EQ(front(store, "s").reason, "idle");
  EXPECT_FALSE(front(store, "later").due);
  const std::string before = store.shown();
  store.crash();
  EXPECT_EQ(store.shown(), before);
}

TEST(Time, IdleTimeGoesOnWhileTheDaemonIsAway) {
  Store store;
  store.call(complete("s", "a"));
  store.advance(29 * minute);
  store.crash();
  store.advance(2 * minute);
  store.apply_time();
  EXPECT_TRUE(front(store, "s").due);
}

TEST(Time, SessionsWithAnOpenTurnAreNotIdleUntilItTimesOut) {
  Store store;
  store.call(complete("s", "a"));
  store.call(begin_turn("s", "t"));
  store.advance(5 * hour);
  store.apply_time();
  EXPECT_FALSE(front(store, "s").due);
  store.crash();
  store.advance(hour);
  store.apply_time();
  EXPECT_EQ(store.call(get("s")).turns_open, 0);
  EXPECT_EQ(store.rows_of("open_turns"), 0);
  EXPECT_TRUE(front(store, "s").due);
}

TEST(Time, OldTurnsFallDue) {
  Policies policies;
  policies.everybody.commit.idle = Milliseconds(0);
  policies.everybody.commit.uncommitted_age_max = hour;
  Store store(policies);
  store.call(complete("s", "a"));
  for (int turn = 0; turn < 6; ++turn) {
    EXPECT_FALSE(front(store, "s").due);
    store.advance(10 * minute);
    store.call(complete("s", "a"));
    store.apply_time();
  }
  EXPECT_TRUE(front(store, "s").due);
  EXPECT_EQ(front(store, "s").reason, "too old");
}

TEST(Time, ManySessionsFallDueInPieces) {
  Store store;
  store.batch([](State& state) {
    for (int session = 0; session < 100; ++session) expected(state.apply(complete(std::to_string(session), "a")));
  });
  store.advance(31 * minute);
  bool more = true;
  store.undone([](State& state) { EXPECT_TRUE(state.apply_time(30)); });
  EXPECT_EQ(store.call(Count{}).due, 0);
  for (const int due : {30, 60, 90, 100}) {
    store.batch([&](State& state) { more = state.apply_time(30); });
    EXPECT_EQ(store.call(Count{}).due, due);
  }
  EXPECT_FALSE(more);
  store.check_counts();
}

TEST(Time, NewPoliciesCountForWhatIsThere) {
  Store store;
  store.call(complete("s", "a"));
  store.call(begin_turn("clean", "t"));
  store.advance(3 * minute);
  SetPolicies command;
  command.policies.everybody.commit.idle = 2 * minute;
  command.policies.everybody.commit.turn_timeout = 2 * minute;
  store.call(command);
  store.apply_time();
  EXPECT_TRUE(front(store, "s").due);
  EXPECT_EQ(store.call(get("clean")).turns_open, 0);
}

TEST(Time, WaitsAreClampedWhenTheClockWasSetBack) {
  Store store;
  store.call(complete("s", "a"));
  const lifecycle::Attempt out = store.attempt("s", 1);
  store.call(end_attempt("s", out, AttemptEnd::failed));
  store.close();
  store.advance(-365 * day);
  store.open();
  store.batch([](State& state) { state.apply(make_due("s")); });
  const MakeDue::Result made = store.call(make_due("s"));
  EXPECT_LE(made.head.next_attempt, store.now().steady + store.policies().retry.wait_max());
  EXPECT_GE(made.head.next_attempt, store.now().steady);
}

// ---- retention

TEST(Retention, DeletesOldHistoryButNotWhatIsOut) {
  Policies policies;
  policies.retention.history = day;
  Store store(policies);
  for (int number = 1; number <= 10; ++number) {
    store.call(complete("s", "a"));
    store.commit_oldest("s", number);
  }
  store.call(complete("out", "a"));
  store.attempt("out", 11);
  store.advance(2 * day);
  store.call(complete("s", "a"));
  store.commit_oldest("s", 12);
  store.retain(3);
  EXPECT_EQ(store.history_states(), "in_flight committed ");
  EXPECT_EQ(store.call(get("s")).watermark, 11);
  store.crash();
  store.call(complete("s", "a"));
  EXPECT_GT(store.attempt("s", 13).commit, 12) << "a number has been used again";
}

TEST(Retention, KeepsOnlySoManyRowsOfHistory) {
  Policies policies;
  policies.retention.history_rows = 4;
  Store store(policies);
  for (int number = 1; number <= 10; ++number) {
    store.call(complete("s", "a"));
    store.commit_oldest("s", number);
  }
  store.retain(3);
  EXPECT_EQ(store.rows_of("attempts"), 4);
  EXPECT_EQ(store.history().front().commit_id, 7);
}

TEST(Retention, DropsSessionsThatAreCleanAndIdle) {
  Policies policies;
  policies.retention.sessions = day;
  Store store(policies);
  for (const char* session : {"clean", "clean too", "dirty", "open"}) {
    store.call(complete(session, "a", "t"));
    if (std::string(session) != "dirty") store.commit_oldest(session, session[0] + static_cast<int>(session[4]));
  }
  store.call(begin_turn("open", "running"));
  store.advance(2 * day);
  store.call(complete("young", "a"));
  store.commit_oldest("young", 9);
  store.fold();
  store.retain(2);
  EXPECT_TRUE(refusal(store.apply(get("clean"))));
  EXPECT_TRUE(refusal(store.apply(get("clean too"))));
  for (const char* session : {"dirty", "open", "young"}) EXPECT_FALSE(refusal(store.apply(get(session)))) << session;
  store.check_counts();
  store.crash();
  store.check_counts();
  EXPECT_EQ(store.call(complete("clean", "a", "t")).generation, 1);
}

// A session that is only just registered has no turn, and yet is not idle.
TEST(Retention, KeepsSessionsWhoseAgentHasJustCome) {
  Policies policies;
  policies.retention.sessions = day;
  Store store(policies);
  const std::int64_t epoch = store.call(register_agent("a", "s")).epoch;
  Register hook = register_agent("hook", "hooked");
  hook.serves = false;
  store.call(hook);
  store.retain();
  EXPECT_EQ(store.call(get("s")).agent, "a");
  EXPECT_EQ(store.call(get("hooked")).agent, "hook");
  store.advance(2 * day);
  store.retain();
  EXPECT_EQ(store.call(get("s")).agent, "a") << "its agent is online";
  EXPECT_TRUE(refusal(store.apply(get("hooked"))));
  store.call(agent_offline("a", epoch));
  store.advance(2 * day);
  store.retain();
  EXPECT_TRUE(refusal(store.apply(get("s"))));
}

TEST(Retention, DropsAgentsThatOwnNothingAndAreNobodysCurrentOne) {
  Store store;
  const std::int64_t online = store.call(register_agent("online")).epoch;
  store.call(complete("s", "owner"));
  store.call(complete("s", "current"));
  store.call(begin_turn("s", "t", "begun"));
  for (const char* agent : {"free", "free too", "free three"}) {
    store.call(agent_offline(agent, store.call(register_agent(agent)).epoch));
  }
  store.advance(2 * day);
  store.serve("young");
  store.fold();
  store.undone([&](State& state) { expected(state.apply(agent_offline("online", online))); });
  store.retain(2);
  std::string names;
  {
    SQLite::Statement select(store.database(), "SELECT name FROM agents ORDER BY name");
    while (select.executeStep()) names += select.getColumn(0).getString() + " ";
  }
  EXPECT_EQ(names, "begun current online owner young ");
  store.crash();
  const std::string before = store.shown();
  store.serve("free", "s");
  EXPECT_EQ(store.call(get("s")).agent, "free");
}

TEST(Retention, KeepsAgentsOfMarksThatAreOnlyInTheLog) {
  Store store;
  store.call(complete("s", "a"));
  store.advance(2 * day);
  store.retain();
  const std::string before = store.shown();
  store.crash();
  EXPECT_EQ(store.shown(), before);
}

TEST(Retention, UndoneIsDoneAtTheNextPass) {
  Policies policies;
  policies.retention.history = day;
  policies.retention.sessions = day;
  Store store(policies);
  for (int number = 1; number <= 6; ++number) {
    const std::string session = "s" + std::to_string(number);
    store.call(complete(session, "a"));
    store.commit_oldest(session, number);
  }
  store.fold();
  store.advance(2 * day);
  const std::string before = store.shown();
  for (int step = 0; step < 12; ++step) store.undone([](State& state) { state.retain(2); });
  EXPECT_EQ(store.shown(), before);
  EXPECT_EQ(store.rows_of("attempts"), 6);
  store.check_counts();
  store.retain();
  store.retain();
  EXPECT_EQ(store.rows_of("attempts"), 0);
  EXPECT_EQ(store.rows_of("sessions"), 0);
  store.check_counts();
}

}  // namespace
}  // namespace tidemark::store
