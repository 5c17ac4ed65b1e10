// What providers leave in the journal: evidence before something may land, acceptance and its end, pauses by hand.
#include "fixture.h"

namespace tidemark::store {
namespace {

using lifecycle::Attempt;
using lifecycle::SegmentState;

class Providers : public testing::Test {
 protected:
  Providers() {
    store.serve("a", "s");
    store.call(complete("s", "a", "t1"));
  }
  SegmentView front() { return store.call(get("s")).segments.at(0); }
  AttemptRow last() { return store.history("s").back(); }
  Attempt accepted() {
    const Attempt out = store.attempt("s", 1);
    EXPECT_TRUE(store.call(end_attempt("s", out, AttemptEnd::accepted)).applied);
    return out;
  }
  GetConfirming::Result confirming(const lifecycle::Key& key) {
    GetConfirming command;
    command.uid = alice;
    command.session = "s";
    command.key = key;
    return store.call(command);
  }
  Store store;
};

TEST_F(Providers, EvidenceIsThereAfterACrashAndGoesToTheNextTry) {
  const Attempt out = store.attempt("s", 1);
  EXPECT_TRUE(store.call(note_attempt("s", out.commit, R"({"before":3})")).noted);
  EXPECT_EQ(last().evidence, R"({"before":3})");
  store.crash();
  EXPECT_EQ(last().state, "in_doubt");
  EXPECT_EQ(last().evidence, R"({"before":3})");
  const Attempt again = store.attempt("s", 2);
  EXPECT_TRUE(again.sealed);
  EXPECT_EQ(again.key, out.key);
  EXPECT_EQ(again.evidence, R"({"before":3})");
  EXPECT_FALSE(store.call(note_attempt("s", out.commit, "{}")).noted) << "that one is over";
  EXPECT_FALSE(store.call(note_attempt("unknown", again.commit, "{}")).noted);
}

TEST_F(Providers, WhoeverHasTheAttemptNowIsOnTheRecord) {
  const Attempt out = store.attempt("s", 1);
  NoteAttempt command = note_attempt("s", out.commit, "");
  command.asked = "memory";
  EXPECT_TRUE(store.call(command).noted);
  EXPECT_EQ(last().asked, "memory");
  EXPECT_EQ(last().evidence, "");
}

TEST_F(Providers, AcceptanceIsShownAndHandedOutAgainAfterACrash) {
  const Attempt out = accepted();
  const auto check = [&] {
    // Of the latest batch: first, since every look is a batch of its own.
    ASSERT_EQ(store.effects().accepted.size(), 1u);
    const Accepted told = store.effects().accepted.front();
    EXPECT_EQ(told.session, "s");
    EXPECT_EQ(told.key, out.key);
    EXPECT_EQ(told.commit, out.commit);
    EXPECT_EQ(told.provider, "memory");
    EXPECT_EQ(told.end, 1);
    EXPECT_EQ(front().state, SegmentState::confirming);
    EXPECT_EQ(front().provider, "memory");
    EXPECT_EQ(front().evidence, R"({"task":"t"})");
    EXPECT_EQ(last().state, "confirming");
    EXPECT_FALSE(last().finished_at);
    EXPECT_TRUE(confirming(out.key).confirming);
    EXPECT_FALSE(confirming(out.key).stalled);
    EXPECT_EQ(confirming(out.key).evidence, R"({"task":"t"})");
  };
  check();
  store.crash();
  check();
  EXPECT_EQ(store.call(get("s")).accepted, 1);
  EXPECT_EQ(store.call(get("s")).watermark, 0);
}

TEST_F(Providers, OnlyTheAttemptThatIsOutCanBeAccepted) {
  const Attempt out = store.attempt("s", 1);
  store.call(end_attempt("s", out, AttemptEnd::in_doubt));
  EXPECT_FALSE(store.call(end_attempt("s", out, AttemptEnd::accepted)).applied);
  const Attempt again = store.attempt("s", 2);
  EXPECT_FALSE(store.call(end_attempt("s", out, AttemptEnd::accepted)).applied) << "its key is out again, it isn't";
  EXPECT_EQ(store.history_states(), "in_doubt in_flight ");
  EXPECT_TRUE(store.call(end_attempt("s", again, AttemptEnd::accepted)).applied);
}

TEST_F(Providers, WhatTheyLeaveWithASessionGoesToItsNextAttempt) {
  const Attempt out = accepted();
  store.call(end_confirmation("s", out.key, true));
  store.call(complete("s", "a", "t2"));
  store.crash();
  const TakeOldest::Result taken = store.call(take("s"));
  EXPECT_EQ(store.call(begin_attempt("s", taken.head.owner, 2)).provider_state, R"({"settled":1})");
}

TEST_F(Providers, ConfirmationMovesTheWatermark) {
  const Attempt out = accepted();
  EXPECT_TRUE(store.call(end_confirmation("s", out.key, true)).applied);
  const auto check = [&] {
    EXPECT_EQ(store.call(get("s")).watermark, 1);
    EXPECT_EQ(last().state, "committed");
    EXPECT_EQ(last().evidence, R"({"task":"t","memories":2})");
    EXPECT_TRUE(last().finished_at);
  };
  check();
  EXPECT_FALSE(store.call(end_confirmation("s", out.key, true)).applied);
  EXPECT_FALSE(confirming(out.key).confirming);
  store.crash();
  check();
  EXPECT_TRUE(store.effects().accepted.empty());
}

TEST_F(Providers, AFailedConfirmationIsStuckWithItsEvidence) {
  const Attempt out = accepted();
  EXPECT_TRUE(store.call(end_confirmation("s", out.key, false)).applied);
  store.crash();
  EXPECT_EQ(front().state, SegmentState::stuck);
  EXPECT_EQ(front().last_error, "extraction failed");
  EXPECT_EQ(front().evidence, R"({"task":"t","memories":2})");
  EXPECT_EQ(last().state, "failed");
  EXPECT_EQ(last().error, "extraction failed");
  Retry retry;
  retry.uid = alice;
  retry.session = "s";
  store.call(retry);
  EXPECT_EQ(store.attempt("s", 9).key, out.key);
}

TEST_F(Providers, StalledIsCountedListedAndSurvives) {
  const Attempt out = accepted();
  store.call(set_stalled("s", out.key, true));
  const auto listed = [&] {
    ListSessions list;
    list.uid = alice;
    list.filter = ListFilter::stalled;
    return store.call(list).sessions.size();
  };
  EXPECT_EQ(store.call(Count{}).stalled, 1);
  store.crash();
  EXPECT_EQ(store.call(Count{}).stalled, 1);
  EXPECT_EQ(listed(), 1u);
  EXPECT_TRUE(front().stalled);
  EXPECT_TRUE(confirming(out.key).stalled);
  store.call(set_stalled("s", out.key, false));
  EXPECT_EQ(listed(), 0u);
  EXPECT_EQ(store.call(Count{}).stalled, 0);
}

TEST_F(Providers, ForgettingEndsWhatIsConfirmingOnTheRecord) {
  const Attempt out = accepted();
  store.call(forget("s"));
  EXPECT_EQ(store.history_states(), "void ");
  EXPECT_FALSE(confirming(out.key).confirming);
  EXPECT_FALSE(store.call(end_confirmation("s", out.key, true)).applied);
}

TEST_F(Providers, ALateSuccessUnderItsKeyEndsAConfirmation) {
  const Attempt first = store.attempt("s", 1);
  store.call(end_attempt("s", first, AttemptEnd::in_doubt));
  const Attempt second = store.attempt("s", 2);
  store.call(end_attempt("s", second, AttemptEnd::accepted));
  EXPECT_TRUE(store.call(end_attempt("s", first, AttemptEnd::committed)).applied);
  EXPECT_EQ(store.call(get("s")).watermark, 1);
  EXPECT_EQ(store.history_states(), "committed void ");
}

TEST_F(Providers, AFaultSpendsNothingAndIsOnTheRecord) {
  store.call(end_attempt("s", store.attempt("s", 1), AttemptEnd::withdrawn));
  EXPECT_EQ(front().attempts, 0);
  EXPECT_EQ(front().state, SegmentState::waiting);
  EXPECT_EQ(last().state, "void");
  EXPECT_EQ(last().error, "what went wrong");
  store.call(end_attempt("s", store.attempt("s", 2), AttemptEnd::withdrawn_in_doubt));
  EXPECT_EQ(front().attempts, 0);
  EXPECT_EQ(front().state, SegmentState::in_doubt);
  EXPECT_EQ(last().state, "in_doubt");
}

TEST_F(Providers, PausesByHandAreThereAfterACrashUntilTheyAreEnded) {
  PauseProvider pause;
  pause.provider = "memory";
  pause.reason = "upgrade";
  store.call(pause);
  pause.reason = "a longer upgrade";
  EXPECT_EQ(store.call(pause).at, store.now().utc);
  store.crash();
  ASSERT_EQ(store.effects().paused_providers.size(), 1u);
  EXPECT_EQ(store.effects().paused_providers[0].provider, "memory");
  EXPECT_EQ(store.effects().paused_providers[0].reason, "a longer upgrade");
  store.undone([&](State& state) {
    ResumeProvider resume;
    resume.provider = "memory";
    state.apply(resume);
  });
  store.crash();
  EXPECT_EQ(store.effects().paused_providers.size(), 1u);
  ResumeProvider resume;
  resume.provider = "memory";
  store.call(resume);
  store.crash();
  EXPECT_TRUE(store.effects().paused_providers.empty());
}

TEST_F(Providers, AcceptanceIsUndoneWithItsBatch) {
  const Attempt out = store.attempt("s", 1);
  const std::string before = store.shown();
  store.undone([&](State& state) { state.apply(end_attempt("s", out, AttemptEnd::accepted)); });
  EXPECT_EQ(store.shown(), before);
  store.serve("b");
  EXPECT_TRUE(store.effects().accepted.empty());
}

}  // namespace
}  // namespace tidemark::store
