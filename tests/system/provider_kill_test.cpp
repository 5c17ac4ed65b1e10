// SIGKILL of the daemon at every moment of an attempt at a provider, and answers that are lost: each turn is extracted
// once all the same (contract, section 7). What was extracted is the server's word.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <random>
#include <thread>

#include "tests/system/provider_fixture.h"

namespace tidemark::system_test {
namespace {

class ProviderKill : public ProviderTest {
 protected:
  // Has one turn of "s" committed by these rules, until as many requests of that kind have reached the server.
  void begin(const std::string& rules, std::string_view method, std::string_view path) {
    serve();
    turn("s");
    viking->script("{\"rules\": [" + rules + "]}");
    EXPECT_EQ(peer->detach("s"), Outcome::accepted);
    ASSERT_TRUE(wait_until([&] { return viking->count(method, path) == 1; }));
    key_ = key("s");
  }
  // After a kill: it is repeated with its range and key, and once it was.
  void expect_repeated() {
    ASSERT_TRUE(wait_settled("s")) << peer->segments("s") << " " << story("s");
    EXPECT_EQ(story("s"), "in_doubt, committed");
    EXPECT_EQ(keys("s"), std::set<std::string>{key_});
    const auto history = peer->history("s");
    EXPECT_EQ(history.at(0).attempt, 2);
    EXPECT_EQ(history.at(0).by, "viking");
    EXPECT_EQ(history.at(1).by, "viking");
    EXPECT_EQ(history.at(0).start, 1);
    EXPECT_EQ(history.at(0).end, 1);
    expect_once("s");
  }
  bool answered(std::string_view path) const {
    for (const auto& request : viking->requests()) {
      const auto& seen = request.at("path").as_string();
      if (seen.find(path) != seen.npos && !request.at("answered").is_null()) return true;
    }
    return false;
  }
  std::string key_;
};

constexpr char path_of_state[] = "/sessions/s?";

TEST_F(ProviderKill, JournaledAndNothingSent) {
  begin(R"({"method": "GET", "path": "/sessions/s\\?", "nth": 1, "hold": "state"})", "GET", path_of_state);
  daemon.kill();
  EXPECT_EQ(posts(), 0);
  viking->release("state");
  daemon.start();
  peer = std::make_unique<Peer>(daemon);
  EXPECT_EQ(peer->daemon().recovered.in_doubt, 1);
  expect_repeated();
  EXPECT_EQ(posts(), 1);
}

TEST_F(ProviderKill, SentAndNeverActedUpon) {
  begin(R"({"method": "POST", "path": "/commit", "nth": 1, "hold": "post", "do": "reset"})", "POST", "/commit");
  daemon.kill();
  viking->release("post");
  daemon.start();
  peer = std::make_unique<Peer>(daemon);
  expect_repeated();
  EXPECT_EQ(posts(), 2);
  EXPECT_EQ(viking->effects().at("commits").as_int64(), 1);
}

TEST_F(ProviderKill, SentAndActedUponAfterTheRepetition) {
  begin(R"({"method": "POST", "path": "/commit", "nth": 1, "hold": "post"})", "POST", "/commit");
  kill_and_start();
  expect_repeated();
  // The late one sweeps the next turn along, before anything asks for it.
  turn("s");
  viking->release("post");
  ASSERT_TRUE(wait_until([&] { return viking->effects().at("commits").as_int64() == 2; }));
  EXPECT_EQ(peer->commit("s").generation, 2);
  ASSERT_TRUE(wait_settled("s"));
  expect_once("s");
}

TEST_F(ProviderKill, ActedUponAndNotAnswered) {
  begin(R"({"method": "POST", "path": "/commit", "nth": 1, "hold_answer": "post"})", "POST", "/commit");
  ASSERT_TRUE(wait_until([&] { return viking->effects().at("commits").as_int64() == 1; }));
  kill_and_start();
  expect_repeated();
  EXPECT_EQ(posts(), 1) << "what has landed is adopted";
}

TEST_F(ProviderKill, AnsweredAndNotJournaled) {
  begin(R"({"method": "POST", "path": "/commit", "nth": 1, "hold": "post"})", "POST", "/commit");
  daemon.signal(SIGSTOP);
  viking->release("post");
  ASSERT_TRUE(wait_until([&] { return answered("/commit"); }));
  kill_and_start();
  expect_repeated();
  EXPECT_EQ(posts(), 1);
}

TEST_F(ProviderKill, WhileItIsConfirmed) {
  serve();
  viking->script(R"({"tasks": {"outcome": "running"}})");
  turn("s");
  EXPECT_EQ(peer->commit("s").outcome, Outcome::accepted);
  EXPECT_EQ(peer->segments("s"), "1-1 confirming");
  const std::string key_before = key("s");
  kill_and_start();
  EXPECT_EQ(peer->segments("s"), "1-1 confirming");
  EXPECT_EQ(key("s"), key_before);
  EXPECT_EQ(peer->status("s").accepted, 1);
  turn("s");
  EXPECT_EQ(peer->commit("s").outcome, Outcome::accepted) << "it holds nothing back";
  kill_and_start();
  viking->script(R"({"finish": {"outcome": "completed"}})");
  ASSERT_TRUE(wait_settled("s"));
  EXPECT_EQ(story("s"), "committed, committed");
  EXPECT_EQ(posts(), 2);
  expect_once("s");
}

TEST_F(ProviderKill, AtAnyMoment) {
  const char* const given = std::getenv("TIDEMARK_TEST_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "TIDEMARK_TEST_SEED=" << seed << std::endl;
  std::mt19937_64 random(seed);
  serve("concurrency = 4", {}, {"--extract-ms", "30"});
  viking->script(R"({"rules": [{"path": "/commit", "nth": [3, 9, 17], "do": "lose"},
                               {"path": "/commit", "nth": [5, 14, 23], "do": "reset"},
                               {"path": "/sessions/", "delay_ms": 5, "answer_delay_ms": 5}]})");
  std::vector<std::string> sessions;
  for (int number = 0; number < 8; ++number) sessions.push_back("s" + std::to_string(number));
  for (int kill = 0; kill < 15; ++kill) {
    for (const std::string& session : sessions) {
      if (random() % 2 == 0) turn(session);
      if (random() % 2 == 0) peer->detach(session);
    }
    std::this_thread::sleep_for(Milliseconds(random() % 60));
    kill_and_start();
  }
  for (const std::string& session : sessions) {
    turn(session);
    peer->detach(session);
  }
  for (const std::string& session : sessions) EXPECT_TRUE(wait_settled(session)) << session << " " << story(session);
  expect_all_once();
}

// ---- answers that are lost

class ProviderLostAnswer : public ProviderKill, public ::testing::WithParamInterface<const char*> {};

TEST_P(ProviderLostAnswer, WhatHasLandedIsAdopted) {
  begin(std::string(R"({"method": "POST", "path": "/commit", "nth": 1, "do": ")") + GetParam() + "\"}", "POST",
        "/commit");
  ASSERT_TRUE(wait_settled("s")) << story("s");
  EXPECT_EQ(told("s"), "committed");
  EXPECT_EQ(posts(), 1);
  const auto evidence = peer->history("s").at(0).evidence;
  ASSERT_TRUE(evidence.has_value());
  EXPECT_NE(evidence->text.find("\"adopted\":true"), std::string::npos) << evidence->text;
  expect_once("s");
}

INSTANTIATE_TEST_SUITE_P(Kinds, ProviderLostAnswer, ::testing::Values("lose", "cut"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_F(ProviderKill, AResetBeforeItActedIsCommittedLater) {
  begin(R"({"method": "POST", "path": "/commit", "nth": [1, 2], "do": "reset"})", "POST", "/commit");
  ASSERT_TRUE(wait_settled("s"));
  EXPECT_EQ(told("s"), "in_doubt, in_doubt, committed");
  EXPECT_EQ(keys("s").size(), 1U);
  EXPECT_EQ(posts(), 3);
  EXPECT_EQ(viking->effects().at("commits").as_int64(), 1);
  expect_once("s");
}

// ---- turns that are marked meanwhile

TEST_F(ProviderKill, ATurnMarkedBeforeTheServerActsIsSweptAlong) {
  begin(R"({"method": "POST", "path": "/commit", "nth": 1, "hold": "post"})", "POST", "/commit");
  turn("s");
  EXPECT_EQ(peer->segments("s"), "1-1 in_flight, 2-2 open");
  viking->release("post");
  ASSERT_TRUE(peer->serve_until([&] { return peer->watermark("s") == 1; }));
  EXPECT_EQ(peer->segments("s"), "2-2 open") << "the mark goes no further than what was asked for";
  EXPECT_EQ(peer->detach("s"), Outcome::accepted);
  ASSERT_TRUE(wait_settled("s")) << peer->segments("s") << last_error("s");
  expect_once("s");
  EXPECT_EQ(viking->extracted("s"), std::vector<std::string>{"s-1 s-2"});
  EXPECT_NE(peer->history("s").at(0).evidence.value_or(ipc::RawJson{}).text.find("swept_along_by"), std::string::npos);
}

TEST_F(ProviderKill, ATurnMarkedAfterTheServerActedStaysDirty) {
  begin(R"({"method": "POST", "path": "/commit", "nth": 1, "hold_answer": "post"})", "POST", "/commit");
  ASSERT_TRUE(wait_until([&] { return viking->effects().at("commits").as_int64() == 1; }));
  turn("s");
  viking->release("post");
  ASSERT_TRUE(peer->serve_until([&] { return peer->watermark("s") == 1; }));
  EXPECT_EQ(peer->segments("s"), "2-2 open");
  EXPECT_EQ(peer->detach("s"), Outcome::accepted);
  ASSERT_TRUE(wait_settled("s"));
  EXPECT_EQ(viking->extracted("s"), (std::vector<std::string>{"s-1", "s-2"}));
  expect_once("s");
}

}  // namespace
}  // namespace tidemark::system_test
