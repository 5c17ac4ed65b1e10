// What a provider has accepted and isn't done with: it holds nobody up, is shown when it stalls, and ends as confirmed
// or stuck (contract, sections 4 and 7).
#include <gtest/gtest.h>

#include "tests/system/provider_fixture.h"
#include "tests/system/watcher.h"

namespace tidemark::system_test {
namespace {

class ProviderConfirm : public ProviderTest {};
class ProviderSlots : public ProviderTest, public ::testing::WithParamInterface<int> {};

TEST_P(ProviderSlots, ATaskThatRunsForEverHoldsNoSlotAndStalls) {
  serve("stalled_after = \"300ms\"\nconcurrency = " + std::to_string(GetParam()));
  Watcher watcher(daemon);
  watcher.watch();
  viking->script(R"({"tasks": {"session": "^slow$", "outcome": "running"}})");
  turn("slow");
  EXPECT_EQ(peer->commit("slow").outcome, Outcome::accepted);
  EXPECT_EQ(peer->segments("slow"), "1-1 confirming");
  EXPECT_EQ(peer->commit("slow").outcome, Outcome::accepted) << "all that is dirty is confirming";
  std::vector<std::string> others;
  for (int number = 0; number < 100; ++number) {
    others.push_back("other-" + std::to_string(number));
    turn(others.back());
    peer->detach(others.back());
  }
  for (const std::string& other : others) ASSERT_TRUE(wait_settled(other)) << other;
  ASSERT_TRUE(watcher.wait_for("commit.stalled"));
  EXPECT_EQ(watcher.last("commit.stalled").session, "slow");
  EXPECT_EQ(peer->segments("slow"), "1-1 confirming") << "shown as stalled, never as done";
  EXPECT_TRUE(peer->status("slow").segments.at(0).stalled);
  EXPECT_EQ(peer->status("slow").segments.at(0).provider, "viking");
  EXPECT_EQ(peer->daemon().stalled, 1);
  EXPECT_EQ(listed(ipc::ListFilter::stalled), 1U);
  EXPECT_EQ(listed(ipc::ListFilter::confirming), 1U);
  EXPECT_TRUE(daemon.wait_logged("hasn't got on with it"));
  viking->script(R"({"finish": {"session": "^slow$"}})");
  ASSERT_TRUE(wait_settled("slow"));
  EXPECT_EQ(peer->daemon().stalled, 0);
  EXPECT_EQ(listed(ipc::ListFilter::stalled), 0U);
  EXPECT_EQ(story("slow"), "committed");
  EXPECT_LE(viking->effects().at("commit_requests_peak").as_int64(), GetParam());
  expect_all_once();
}

INSTANTIATE_TEST_SUITE_P(Concurrency, ProviderSlots, ::testing::Values(1, 2));

TEST_F(ProviderConfirm, StalledSurvivesAKillAndIsConfirmedAfterIt) {
  serve("stalled_after = \"100ms\"");
  viking->script(R"({"tasks": {"outcome": "running"}})");
  turn("s");
  peer->commit("s");
  ASSERT_TRUE(peer->serve_until([&] { return peer->daemon().stalled == 1; }));
  kill_and_start();
  EXPECT_EQ(peer->daemon().stalled, 1);
  viking->script(R"({"finish": {}})");
  ASSERT_TRUE(wait_settled("s"));
  EXPECT_EQ(peer->daemon().stalled, 0);
  expect_once("s");
}

TEST_F(ProviderConfirm, AFailedTaskIsStuckWithItsEvidence) {
  serve();
  Watcher watcher(daemon);
  watcher.watch();
  viking->script(R"({"tasks": {"session": "^s$", "outcome": "failed", "error": "no model answers"}})");
  turn("s");
  EXPECT_EQ(peer->commit("s").outcome, Outcome::accepted);
  ASSERT_TRUE(wait_segments("s", "1-1 stuck"));
  EXPECT_NE(last_error("s").find("no model answers"), std::string::npos) << last_error("s");
  EXPECT_NE(last_error("s").find("archive_001/messages.jsonl"), std::string::npos) << last_error("s");
  ASSERT_TRUE(watcher.wait_for("commit.stuck"));
  const auto record = peer->history("s").at(0);
  EXPECT_EQ(record.state, ipc::AttemptState::failed);
  ASSERT_TRUE(record.evidence.has_value());
  EXPECT_NE(record.evidence->text.find("\"task\":"), std::string::npos) << record.evidence->text;
  EXPECT_EQ(peer->status("s").accepted, 1);
  EXPECT_EQ(peer->watermark("s"), 0);
  // A retry repeats its range and key, and finds the same.
  const std::string before = key("s");
  EXPECT_EQ(peer->call(about<ipc::CommitRetryParams>("s")).due_segments, 1);
  ASSERT_TRUE(peer->serve_until([&] { return peer->history("s").size() == 2 && peer->segments("s") == "1-1 stuck"; }));
  EXPECT_EQ(key("s"), before);
  EXPECT_EQ(posts(), 1) << "there is nothing left to commit";
  // The younger ones were never held back by the server, and go on when the operator has said what became of it.
  turn("s");
  EXPECT_EQ(peer->call(ipc::CommitSettleParams{"s", 1, "extracted by hand", {}}).watermark, 1);
  viking->script(R"({"tasks": {"session": "^s$"}})");
  EXPECT_EQ(peer->commit("s").outcome, Outcome::accepted);
  ASSERT_TRUE(wait_settled("s")) << peer->segments("s") << last_error("s");
  EXPECT_EQ(viking->extracted("s"), std::vector<std::string>{"s-2"});
}

TEST_F(ProviderConfirm, ATaskThatIsForgottenIsConfirmedByItsMarker) {
  serve();
  viking->script(R"({"tasks": {"outcome": "vanished"}})");
  turn("s");
  peer->commit("s");
  ASSERT_TRUE(wait_settled("s"));
  EXPECT_NE(peer->history("s").at(0).evidence.value_or(ipc::RawJson{}).text.find("marker"), std::string::npos);
  expect_once("s");
}

TEST_F(ProviderConfirm, WhatIsConfirmingCanBeAbandonedAndForgotten) {
  serve();
  viking->script(R"({"tasks": {"outcome": "running"}})");
  for (const char* session : {"abandoned", "forgotten"}) {
    turn(session);
    EXPECT_EQ(peer->commit(session).outcome, Outcome::accepted);
  }
  EXPECT_EQ(peer->call(ipc::CommitAbandonParams{"abandoned", 1, "too slow", {}}).watermark, 1);
  EXPECT_TRUE(peer->call(ipc::SessionForgetParams{"forgotten", "too slow", {}}).forgotten);
  EXPECT_EQ(peer->daemon().confirming, 0);
  EXPECT_EQ(story("abandoned"), "void, abandoned");
  viking->script(R"({"tasks": {}, "finish": {}})");
  turn("abandoned");
  peer->commit("abandoned");
  EXPECT_TRUE(peer->serve_until([&] { return peer->watermark("abandoned") == 2; }));
  kill_and_start();
}

}  // namespace
}  // namespace tidemark::system_test
