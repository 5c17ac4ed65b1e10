// What watchers are told of: each event with the command that made it true, and only if somebody wants it.
#include "fixture.h"

namespace tidemark::store {
namespace {

using lifecycle::Attempt;

std::string text_of(const Event& event) {
  constexpr const char* kinds[] = {"turn",     "due",     "started", "accepted", "succeeded", "failed",
                                   "in_doubt", "stalled", "stuck",   "clean",    "discarded", "orphaned"};
  std::string text = kinds[static_cast<std::size_t>(event.kind)];
  if (!event.session.empty()) {
    text += " " + event.session + " " + std::to_string(event.watermark) + "/" + std::to_string(event.generation);
  }
  if (!event.agent.empty()) text += " of " + event.agent;
  if (event.commit != 0) text += " #" + std::to_string(event.commit);
  if (!event.error.empty()) text += ": " + event.error;
  return text;
}

class Events : public testing::Test {
 protected:
  // Everything, of everybody, until the test asks for something else.
  void watch(std::int64_t subscription = 1, Filter filter = {}) {
    Watch command;
    command.subscription = subscription;
    command.filter = std::make_shared<const Filter>(std::move(filter));
    store.call(command);
  }
  void unwatch(std::int64_t subscription) {
    Unwatch command;
    command.subscription = subscription;
    store.call(command);
  }
  // Of the latest batch.
  std::string told() {
    std::string text;
    for (const Event& event : store.effects().events) {
      text += (text.empty() ? "" : "; ") + text_of(event);
      EXPECT_EQ(event.at, store.now().utc);
    }
    return text;
  }
  template <class Command>
  std::string told_by(const Command& command) {
    store.apply(command);
    return told();
  }
  Store store;
};

TEST_F(Events, FollowASegmentFromItsTurnToItsEnd) {
  watch();
  store.serve("a", "s");
  EXPECT_EQ(told(), "");
  EXPECT_EQ(told_by(complete("s", "", "t")), "turn s 0/1 of a");
  EXPECT_EQ(told_by(complete("s", "", "t")), "") << "the same turn again";
  EXPECT_EQ(told_by(complete("s", "a")), "turn s 0/2 of a");
  EXPECT_EQ(told_by(make_due("s")), "due s 0/2 of a");
  EXPECT_EQ(told_by(make_due("s")), "") << "it is due already";
  const Attempt out = store.attempt("s", 1);
  EXPECT_EQ(told(), "started s 0/2 of a #1");
  EXPECT_EQ(told_by(end_attempt("s", out, AttemptEnd::committed)), "succeeded s 2/2 of a #1; clean s 2/2 of a");
  EXPECT_EQ(told_by(end_attempt("s", out, AttemptEnd::committed)), "") << "the same success again";
  EXPECT_EQ(told_by(discard("s")), "discarded s 2/2 of a");
}

TEST_F(Events, TellOfFailureDoubtAndWhatIsStuck) {
  watch();
  store.serve("a", "s");
  store.call(complete("s"));
  EXPECT_EQ(told_by(end_attempt("s", store.attempt("s", 1), AttemptEnd::failed)),
            "failed s 0/1 of a #1: what went wrong");
  store.advance(std::chrono::minutes(1));
  EXPECT_EQ(told_by(end_attempt("s", store.attempt("s", 2), AttemptEnd::in_doubt)),
            "in_doubt s 0/1 of a #2: what went wrong");
  const Attempt last = store.attempt("s", 3);
  EXPECT_EQ(told_by(end_attempt("s", last, AttemptEnd::withdrawn)), "");
  EXPECT_EQ(told_by(end_attempt("s", store.attempt("s", 4), AttemptEnd::failed_for_good)),
            "failed s 0/1 of a #4: what went wrong; stuck s 0/1 of a #4: what went wrong");
  EXPECT_EQ(told_by(drop_through("s", 1, true)), "clean s 1/1 of a");
}

TEST_F(Events, TellWhatTimeAndLossMakeDue) {
  watch();
  const Registered registered = store.call(register_agent("a", "idle"));
  store.call(complete("idle"));
  store.advance(std::chrono::minutes(31));
  store.apply_time();
  EXPECT_EQ(told(), "due idle 0/1 of a");
  store.call(complete("other", "a"));
  EXPECT_EQ(told_by(agent_lost("a", registered.epoch)), "orphaned of a; due other 0/1 of a");
  EXPECT_EQ(told_by(agent_lost("a", registered.epoch)), "") << "it is lost already";
  EXPECT_EQ(told_by(complete("other", "a")), "turn other 0/2 of a");
  store.serve("owns nothing");
  EXPECT_EQ(told_by(unregister_agent("owns nothing")), "");
  EXPECT_EQ(told_by(forget("other")), "discarded other 0/2 of a");
}

TEST_F(Events, ComeOnlyForWhatIsWatched) {
  EXPECT_EQ(told_by(complete("s", "a")), "") << "nobody watches";
  Filter one;
  one.uid = alice;
  one.sessions = std::set<std::string, std::less<>>{"s"};
  watch(1, one);
  EXPECT_EQ(told_by(complete("s", "a")), "turn s 0/2 of a");
  EXPECT_EQ(told_by(complete("t", "a")), "");
  EXPECT_EQ(told_by(unregister_agent("a")), "due s 0/2 of a") << "what is about no session isn't about this one";
  Filter all;
  all.uid = alice;
  all.turns = false;
  watch(2, all);
  unwatch(1);
  EXPECT_EQ(told_by(complete("s")), "") << "nobody wants turns any more";
  EXPECT_EQ(told_by(make_due("t")), "") << "it fell due with its owner";
  EXPECT_EQ(told_by(forget("t")), "discarded t 0/1 of a");
  Complete bobs = complete("s");
  bobs.uid = bob;
  store.call(bobs);
  Discard of_bob = discard("s");
  of_bob.uid = bob;
  EXPECT_EQ(told_by(of_bob), "") << "alice's is another session";
  unwatch(2);
  EXPECT_EQ(told_by(forget("s")), "");
}

TEST_F(Events, OfABatchThatIsUndoneAreNot) {
  watch();
  store.undone([](State& state) { state.apply(complete("s", "a")); });
  EXPECT_EQ(told_by(complete("s", "b")), "turn s 0/1 of b");
}

TEST(Interests, AddAndRemoveOnceEach) {
  Interests interests;
  Filter filter;
  filter.uid = alice;
  filter.sessions = std::set<std::string, std::less<>>{"s"};
  const auto shared = std::make_shared<const Filter>(filter);
  EXPECT_FALSE(interests.wants(alice, "s"));
  interests.add(1, shared);
  interests.add(1, shared);
  interests.add(2, shared);
  EXPECT_TRUE(interests.wants(alice, "s"));
  EXPECT_TRUE(interests.wants_turns());
  EXPECT_FALSE(interests.wants(alice, "t"));
  EXPECT_FALSE(interests.wants(bob, "s"));
  EXPECT_FALSE(interests.wants(alice, {}));
  interests.remove(1);
  interests.remove(1);
  EXPECT_TRUE(interests.wants(alice, "s"));
  interests.remove(2);
  EXPECT_FALSE(interests.wants(alice, "s"));
  EXPECT_FALSE(interests.wants_turns());
}

TEST(Interests, OfEverybodyIncludeEachUser) {
  Interests interests;
  interests.add(1, std::make_shared<const Filter>());
  EXPECT_TRUE(interests.wants(alice, "s"));
  EXPECT_TRUE(interests.wants(bob, {}));
  interests.remove(1);
  EXPECT_FALSE(interests.wants(alice, "s"));
}

}  // namespace
}  // namespace tidemark::store
