// "Nothing to commit" from a provider is checked, not believed: swept along, committed by somebody else, failed, or
// lost; and what the operator can do about what is lost (contract, sections 7 and 9).
#include <gtest/gtest.h>

#include "tests/system/provider_fixture.h"
#include "tests/system/watcher.h"

namespace tidemark::system_test {
namespace {

class ProviderLoss : public ProviderTest {
 protected:
  // A turn that was marked, and that the server has never seen.
  void lose(const std::string& session = "s") {
    peer->complete(session, "hook");
    EXPECT_EQ(peer->commit(session).outcome, Outcome::failed);
    EXPECT_EQ(peer->segments(session), "1-1 stuck");
    EXPECT_NE(last_error(session).find("suspected loss"), std::string::npos) << last_error(session);
  }
  std::string evidence(const std::string& session) {
    const auto records = peer->history(session);
    return records.at(0).evidence ? records[0].evidence->text : std::string();
  }
};

class ProviderSkipped : public ProviderLoss, public ::testing::WithParamInterface<const char*> {
 protected:
  void serve_version() { serve({}, {}, {"--version", GetParam()}); }
};

TEST_P(ProviderSkipped, CommittedBySomebodyElse) {
  serve_version();
  turn("s");
  viking->script(R"({"auto_commit": {"session": "s"}})");
  peer->commit("s");
  ASSERT_TRUE(wait_settled("s")) << last_error("s");
  EXPECT_EQ(told("s"), "committed");
  EXPECT_NE(evidence("s").find("another committer"), std::string::npos) << evidence("s");
  expect_once("s");
}

TEST_P(ProviderSkipped, SweptAlongByTheCommitBefore) {
  serve_version();
  viking->script(R"({"rules": [{"method": "POST", "path": "/commit", "nth": 1, "hold": "post"}]})");
  turn("s");
  peer->detach("s");
  ASSERT_TRUE(wait_until([&] { return posts() == 1; }));
  turn("s");
  viking->release("post");
  ASSERT_TRUE(peer->serve_until([&] { return peer->watermark("s") == 1; }));
  peer->commit("s");
  ASSERT_TRUE(wait_settled("s")) << last_error("s");
  EXPECT_NE(evidence("s").find("swept_along_by"), std::string::npos) << evidence("s");
  expect_once("s");
}

TEST_P(ProviderSkipped, NothingHasEverArrived) {
  serve_version();
  viking->script(R"({"add": {"session": "s", "messages": []}})");
  lose();
  EXPECT_EQ(posts(), 1) << "it was asked, and had nothing";
  EXPECT_EQ(story("s"), "failed");
}

INSTANTIATE_TEST_SUITE_P(Versions, ProviderSkipped, ::testing::Values("0.2.10", "0.3.20", "0.4.6", "0.4.16"),
                         [](const auto& version) {
                           std::string name = version.param;
                           for (char& character : name) character = character == '.' ? '_' : character;
                           return name;
                         });

TEST_F(ProviderLoss, TheNewestArchiveHasFailed) {
  serve();
  viking->script(R"({"rules": [{"method": "POST", "path": "/commit", "nth": 1, "do": "fail_late"}]})");
  turn("s");
  peer->detach("s");
  ASSERT_TRUE(wait_segments("s", "1-1 stuck"));
  EXPECT_NE(last_error("s").find("archive_001"), std::string::npos) << last_error("s");
  EXPECT_EQ(peer->watermark("s"), 0);
  EXPECT_EQ(told("s"), "in_doubt, failed");
}

TEST_F(ProviderLoss, ADeletedSessionIsStuckAndShownEverywhere) {
  serve();
  Watcher watcher(daemon);
  watcher.watch();
  turn("gone");
  viking->script(R"({"delete": {"session": "gone"}})");
  EXPECT_EQ(peer->commit("gone").outcome, Outcome::failed);
  EXPECT_EQ(peer->segments("gone"), "1-1 stuck");
  EXPECT_EQ(listed(ipc::ListFilter::stuck), 1U);
  EXPECT_EQ(peer->daemon().stuck, 1);
  const auto record = peer->history("gone").at(0);
  EXPECT_EQ(record.state, ipc::AttemptState::failed);
  EXPECT_NE(record.error.value_or("").find("suspected loss"), std::string::npos);
  ASSERT_TRUE(watcher.wait_for("commit.stuck"));
  EXPECT_EQ(watcher.last("commit.stuck").session, "gone");
  EXPECT_NE(watcher.last("commit.stuck").error.value_or("").find("suspected loss"), std::string::npos);
  EXPECT_TRUE(daemon.wait_logged("suspected loss"));
  for (const char* words : {"tidemark retry", "tidemark settle", "tidemark abandon"}) {
    EXPECT_NE(last_error("gone").find(words), std::string::npos) << last_error("gone");
  }
  EXPECT_EQ(peer->commit("gone").outcome, Outcome::stuck);
  // Another session's commits go on, and its own younger ones wait.
  turn("other");
  peer->detach("other");
  EXPECT_TRUE(wait_settled("other"));
  turn("gone", "another");
  EXPECT_EQ(peer->detach("gone"), Outcome::accepted);
  EXPECT_EQ(peer->segments("gone"), "1-1 stuck, 2-2 waiting");
  kill_and_start();
  EXPECT_EQ(peer->segments("gone"), "1-1 stuck, 2-2 waiting");
}

TEST_F(ProviderLoss, ASessionThatWasMadeAnewAfterItsCommits) {
  serve();
  for (int commit = 0; commit < 2; ++commit) {
    turn("s");
    peer->detach("s");
    ASSERT_TRUE(wait_settled("s"));
  }
  viking->script(R"({"delete": {"session": "s"}})");
  viking->script(R"({"add": {"session": "s", "messages": []}})");
  peer->complete("s", "hook");
  EXPECT_EQ(peer->commit("s").outcome, Outcome::failed);
  EXPECT_EQ(peer->segments("s"), "3-3 stuck");
  EXPECT_NE(last_error("s").find("suspected loss"), std::string::npos) << last_error("s");
}

TEST_F(ProviderLoss, ARetryCommitsWhatHasArrivedMeanwhile) {
  serve();
  lose();
  EXPECT_EQ(peer->call(about<ipc::CommitRetryParams>("s")).due_segments, 1);
  ASSERT_TRUE(peer->serve_until([&] { return story("s") == "failed, failed"; })) << "still lost";
  unmarked("s", "s-1");
  EXPECT_EQ(peer->call(about<ipc::CommitRetryParams>("s")).due_segments, 1);
  ASSERT_TRUE(peer->serve_until([&] { return peer->watermark("s") == 1; }));
  EXPECT_EQ(viking->extracted("s"), std::vector<std::string>{"s-1"});
  EXPECT_EQ(peer->daemon().stuck, 0);
}

TEST_F(ProviderLoss, SettleAbandonAndForgetEndItOnTheRecord) {
  serve();
  for (const char* session : {"settled", "abandoned", "forgotten"}) lose(session);
  EXPECT_EQ(peer->call(ipc::CommitSettleParams{"settled", 1, "seen over there", {}}).watermark, 1);
  EXPECT_EQ(peer->call(ipc::CommitAbandonParams{"abandoned", 1, "nobody misses it", {}}).watermark, 1);
  const auto forgotten = peer->call(ipc::SessionForgetParams{"forgotten", "wrong name", {}});
  EXPECT_TRUE(forgotten.forgotten);
  EXPECT_EQ(forgotten.dropped, 1);
  EXPECT_EQ(story("settled"), "failed, settled");
  EXPECT_EQ(story("abandoned"), "failed, abandoned");
  EXPECT_EQ(story("forgotten"), "failed, void");
  EXPECT_EQ(peer->daemon().stuck, 0);
  EXPECT_EQ(peer->daemon().dirty, 0);
  EXPECT_EQ(posts(), 0);
  // The names are as good as any.
  for (const char* session : {"settled", "abandoned", "forgotten"}) {
    unmarked(session, "later");
    peer->complete(session, "hook");
    peer->detach(session);
    EXPECT_TRUE(peer->serve_until([&] { return peer->daemon().dirty == 0; }));
    EXPECT_EQ(viking->extracted(session), std::vector<std::string>{"later"});
  }
}

}  // namespace
}  // namespace tidemark::system_test
