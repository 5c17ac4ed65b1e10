// Every meaning of "nothing to commit" for turns that are known to be dirty, and several committers of one session.
#include <chrono>

#include "tests/daemon/providers/openviking_fixture.h"

namespace tidemark::daemon {
namespace {

using Kind = ProviderAnswer::Kind;
using Texts = std::vector<std::string>;

class OpenVikingNothingTest : public OpenVikingProviderTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void serve(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.end(), {"--version", GetParam()});
    OpenVikingProviderTest::serve(std::move(arguments));
  }
  // A request whose last turn was marked so long after now.
  ProviderRequest request_later(std::chrono::seconds after) {
    ProviderRequest later = request();
    later.last_turn_at += after;
    return later;
  }
};

// One of each spelling.
INSTANTIATE_TEST_SUITE_P(Spellings, OpenVikingNothingTest, ::testing::Values("0.4.6", "0.4.16"),
                         [](const ::testing::TestParamInfo<const char*>& tested) {
                           return std::string(tested.param) == "0.4.6" ? "accepted" : "skipped";
                         });

TEST_P(OpenVikingNothingTest, committed_by_somebody_else) {
  serve();
  server->add("s", {"a"});
  server->script(R"({"auto_commit": {"session": "s"}})");
  server->extracted("s");  // it gets on with it
  const ProviderAnswer answer = commit(request());
  EXPECT_EQ(answer.kind, Kind::committed) << answer.error;
  EXPECT_EQ(member(answer.evidence, "swept_along_by"), "another committer");
  EXPECT_EQ(member(answer.evidence, "confirmed_by"), "marker");
  EXPECT_NE(member(answer.evidence, "archive").find("archive_001"), std::string::npos);
  EXPECT_EQ(server->extracted("s"), Texts{"a"});
  // That one is settled: what comes later and never arrives isn't in it.
  EXPECT_EQ(commit(request_later(std::chrono::seconds(90))).error.rfind("suspected loss: ", 0), 0U);
}

TEST_P(OpenVikingNothingTest, committed_by_somebody_else_and_not_done) {
  serve();
  server->add("s", {"a"});
  server->script(R"({"tasks": {"outcome": "running"}})");
  server->script(R"({"auto_commit": {"session": "s"}})");
  const ProviderAnswer answer = commit(request());
  ASSERT_EQ(answer.kind, Kind::accepted) << answer.error;
  EXPECT_NE(member(answer.evidence, "task"), "");
  EXPECT_EQ(look(answer).kind, ProviderLook::Kind::unfinished);
  server->script(R"({"finish": {"outcome": "completed"}})");
  EXPECT_EQ(look(answer).kind, ProviderLook::Kind::confirmed);
}

TEST_P(OpenVikingNothingTest, committed_by_somebody_else_and_failed) {
  serve();
  server->add("s", {"a"});
  server->script(R"({"tasks": {"outcome": "failed", "error": "the model is out"}})");
  server->script(R"({"auto_commit": {"session": "s"}})");
  server->extracted("s");
  const ProviderAnswer answer = commit(request());
  EXPECT_EQ(answer.kind, Kind::failed_for_good);
  EXPECT_EQ(answer.error.rfind("extraction failed", 0), 0U) << answer.error;
  EXPECT_NE(answer.error.find("the model is out"), std::string::npos) << answer.error;
  EXPECT_NE(answer.error.find("archive_001/messages.jsonl"), std::string::npos) << answer.error;
}

TEST_P(OpenVikingNothingTest, swept_along_by_our_commit_that_is_done) {
  serve();
  server->add("s", {"a", "b"});
  const ProviderAnswer first = commit(request());
  ASSERT_EQ(confirm(first).kind, ProviderLook::Kind::confirmed);
  const ProviderAnswer second = commit(request());
  EXPECT_EQ(second.kind, Kind::committed) << second.error;
  EXPECT_EQ(member(second.evidence, "swept_along_by"), "commit 1");
  EXPECT_EQ(member(second.evidence, "task"), member(first.evidence, "task"));
  EXPECT_EQ(member(second.evidence, "archive"), member(first.evidence, "archive"));
  EXPECT_EQ(server->extracted("s"), Texts{"a b"});
}

TEST_P(OpenVikingNothingTest, swept_along_by_our_commit_that_is_not_done) {
  serve();
  server->add("s", {"a", "b"});
  server->script(R"({"tasks": {"outcome": "running"}})");
  const ProviderAnswer first = commit(request());
  const ProviderAnswer second = commit(request());
  ASSERT_EQ(second.kind, Kind::accepted) << "nothing is called done that isn't confirmed";
  EXPECT_EQ(member(second.evidence, "task"), member(first.evidence, "task"));
  server->script(R"({"finish": {"outcome": "failed"}})");
  EXPECT_EQ(look(first).kind, ProviderLook::Kind::failed);
  EXPECT_EQ(look(second).kind, ProviderLook::Kind::failed);
}

TEST_P(OpenVikingNothingTest, a_turn_that_came_while_we_asked) {
  serve();
  server->add("s", {"a"});
  server->script(R"({"rules": [{"path": "/commit$", "nth": 1, "hold": "post"}]})");
  std::optional<ProviderAnswer> first;
  provider->commit(
      request(), [](std::string, std::function<void(bool)> then) { then(true); },
      [&](ProviderAnswer answer) { first = std::move(answer); });
  run_until([&] { return server->count("POST", "/commit") == 1; });
  server->add("s", {"b"});
  server->release("post");
  run_until([&] { return first.has_value(); });
  provider_state = first->provider_state;
  ASSERT_EQ(confirm(*first).kind, ProviderLook::Kind::confirmed);
  // Marked long after by our clock, but the count of messages has grown since we read it.
  const ProviderAnswer second = commit(request_later(std::chrono::seconds(90)));
  EXPECT_EQ(second.kind, Kind::committed) << second.error;
  EXPECT_EQ(member(second.evidence, "swept_along_by"), "commit 1");
  EXPECT_EQ(server->extracted("s"), Texts{"a b"});
  // That growth is spent: it doesn't speak for what comes later.
  EXPECT_EQ(commit(request_later(std::chrono::seconds(180))).error.rfind("suspected loss: ", 0), 0U);
}

TEST_P(OpenVikingNothingTest, turns_that_never_arrived) {
  serve();
  server->add("s", {"a"});
  ASSERT_EQ(commit(request()).kind, Kind::accepted);
  const ProviderAnswer answer = commit(request_later(std::chrono::seconds(90)));
  EXPECT_EQ(answer.kind, Kind::failed_for_good);
  EXPECT_EQ(answer.error.rfind("suspected loss: ", 0), 0U) << answer.error;
  for (const char* way_out : {"tidemark retry", "tidemark settle", "tidemark abandon"}) {
    EXPECT_NE(answer.error.find(way_out), std::string::npos) << way_out;
  }
  EXPECT_EQ(server->extracted("s"), Texts{"a"});
  // They do after all: trying again is enough.
  server->add("s", {"b"});
  EXPECT_EQ(commit(request_later(std::chrono::seconds(90))).kind, Kind::accepted);
  EXPECT_EQ(server->extracted("s"), (Texts{"a", "b"}));
}

TEST_P(OpenVikingNothingTest, a_commit_that_fails_late_shows_as_failed_extraction) {
  serve();
  server->add("s", {"a"});
  server->script(R"({"rules": [{"path": "/commit$", "do": "fail_late"}]})");
  const ProviderRequest first = request();
  ASSERT_EQ(commit(first).kind, Kind::in_doubt);
  const ProviderAnswer answer = commit(again(first));
  EXPECT_EQ(answer.kind, Kind::failed_for_good);
  EXPECT_EQ(answer.error.rfind("extraction failed", 0), 0U) << answer.error;
  EXPECT_EQ(server->count("POST", "/commit"), 1);
}

TEST_P(OpenVikingNothingTest, a_marker_that_cannot_be_read_now_decides_nothing) {
  serve();
  server->add("s", {});
  server->script(R"({"rules": [{"path": "content/read", "do": "error", "code": "UNAVAILABLE", "status": 503}]})");
  EXPECT_EQ(commit(request()).kind, Kind::failed);
}

TEST_P(OpenVikingNothingTest, a_session_that_was_deleted_and_made_anew) {
  serve();
  server->add("s", {"a"});
  ASSERT_EQ(commit(request()).kind, Kind::accepted);
  server->add("s", {"b"});
  ASSERT_EQ(commit(request()).kind, Kind::accepted);
  server->script(R"({"delete": {"session": "s"}})");
  server->add("s", {});
  EXPECT_EQ(commit(request()).error.rfind("suspected loss: ", 0), 0U);
}

TEST_P(OpenVikingNothingTest, messages_that_arrive_late_are_tried_again) {
  serve();
  server->add("s", {});
  // The first state is read before the POST, the second after its answer.
  server->script(R"({"rules": [{"method": "GET", "path": "sessions/s", "nth": 2, "hold": "late"}]})");
  std::optional<ProviderAnswer> answer;
  provider->commit(
      request(), [](std::string, std::function<void(bool)> then) { then(true); },
      [&](ProviderAnswer given) { answer = std::move(given); });
  run_until([&] { return server->count("GET", "sessions/s") == 2; });
  server->add("s", {"a"});
  server->release("late");
  run_until([&] { return answer.has_value(); });
  EXPECT_EQ(answer->kind, Kind::failed);
  EXPECT_NE(answer->error.find("late"), std::string::npos) << answer->error;
  EXPECT_EQ(commit(request()).kind, Kind::accepted);
}

TEST_P(OpenVikingNothingTest, somebody_elses_commit_between_our_state_and_ours) {
  for (const bool fails : {false, true}) {
    const std::string session = fails ? "fails" : "fine";
    if (!fails) serve();
    provider_state.clear();
    server->add(session, {"a"});
    server->script(R"({"rules": [{"path": ")" + session + R"(/commit$", "nth": 1, "hold": ")" + session + R"("}]})");
    std::optional<ProviderAnswer> answer;
    provider->commit(
        request(session), [](std::string, std::function<void(bool)> then) { then(true); },
        [&](ProviderAnswer given) { answer = std::move(given); });
    run_until([&] { return server->count("POST", session + "/commit") == 1; });
    server->script(R"({"tasks": {"session": ")" + session + R"(", "outcome": ")" + (fails ? "failed" : "completed") +
                   "\"}}");
    server->script(R"({"auto_commit": {"session": ")" + session + "\"}}");
    server->script(R"({"tasks": {"outcome": "completed"}})");
    server->add(session, {"b"});
    server->release(session);
    run_until([&] { return answer.has_value(); });
    ASSERT_EQ(answer->kind, Kind::accepted) << answer->error;
    EXPECT_NE(answer->evidence.find("archive_002"), std::string::npos);
    const ProviderLook last = confirm(*answer);
    EXPECT_EQ(last.kind, fails ? ProviderLook::Kind::failed : ProviderLook::Kind::confirmed) << last.error;
    EXPECT_EQ(last.error.find("archive_001") != std::string::npos, fails) << last.error;
    EXPECT_EQ(server->extracted(session), fails ? Texts{"b"} : (Texts{"a", "b"}));
  }
}

TEST_P(OpenVikingNothingTest, a_commit_that_keeps_messages_live_is_followed_by_ours) {
  serve();
  server->add("s", {"a", "b", "c"});
  server->script(R"({"rules": [{"path": "/commit$", "nth": 1, "do": "reset"}]})");
  const ProviderRequest first = request();
  ASSERT_EQ(commit(first).kind, Kind::in_doubt);
  server->script(R"({"keep": {"session": "s", "messages": 1}})");
  const ProviderAnswer answer = commit(again(first));
  ASSERT_EQ(answer.kind, Kind::accepted) << answer.error;
  EXPECT_EQ(confirm(answer).kind, ProviderLook::Kind::confirmed);
  EXPECT_EQ(server->extracted("s"), (Texts{"a b", "c"}));
}

TEST_P(OpenVikingNothingTest, several_tasks_that_could_be_ours) {
  serve();
  server->add("s", {"a"});
  server->script(R"({"tasks": {"outcome": "running"}})");
  server->script(R"({"rules": [{"path": "/commit$", "nth": 1, "do": "lose"},
                                {"path": "sessions/s\\?", "nth": 2, "hold": "read"}]})");
  std::optional<ProviderAnswer> answer;
  provider->commit(
      request(), [](std::string, std::function<void(bool)> then) { then(true); },
      [&](ProviderAnswer given) { answer = std::move(given); });
  run_until([&] { return server->count("GET", "sessions/s") == 2; });
  server->add("s", {"b"});
  server->script(R"({"auto_commit": {"session": "s"}})");
  server->release("read");
  run_until([&] { return answer.has_value(); });
  // It can't be told whose task it is, but its archive is known.
  ASSERT_EQ(answer->kind, Kind::accepted) << answer->error;
  EXPECT_EQ(member(answer->evidence, "task"), "");
  EXPECT_NE(member(answer->evidence, "archive").find("archive_001"), std::string::npos);
  EXPECT_EQ(look(*answer).kind, ProviderLook::Kind::unfinished);
  server->script(R"({"finish": {"outcome": "completed"}})");
  EXPECT_EQ(look(*answer).kind, ProviderLook::Kind::confirmed);
  EXPECT_EQ(member(look(*answer).evidence, "confirmed_by"), "marker");
}

using OpenVikingOldNothingTest = OpenVikingProviderTest;

// 0.2.11 doesn't tell how many messages there ever were; its commits do.
TEST_F(OpenVikingOldNothingTest, without_totals) {
  serve({"--version", "0.2.11"});
  server->add("s", {"a", "b"});
  ASSERT_EQ(confirm(commit(request())).kind, ProviderLook::Kind::confirmed);
  EXPECT_EQ(member(commit(request()).evidence, "swept_along_by"), "commit 1");
  ProviderRequest late = request();
  late.last_turn_at += std::chrono::seconds(90);
  EXPECT_EQ(commit(late).error.rfind("suspected loss: ", 0), 0U);
  server->add("s", {"c"});
  server->script(R"({"auto_commit": {"session": "s"}})");
  server->extracted("s");
  late.provider_state = provider_state;
  const ProviderAnswer answer = commit(late);
  EXPECT_EQ(answer.kind, Kind::committed) << answer.error;
  EXPECT_EQ(member(answer.evidence, "swept_along_by"), "another committer");
}

// A commit that waits is over when it is answered, and so is what it has swept along.
TEST_F(OpenVikingOldNothingTest, commits_that_wait) {
  serve({"--version", "0.2.10"});
  server->add("s", {"a", "b"});
  ASSERT_EQ(commit(request()).kind, Kind::committed);
  const ProviderAnswer second = commit(request());
  EXPECT_EQ(second.kind, Kind::committed) << second.error;
  EXPECT_EQ(member(second.evidence, "swept_along_by"), "commit 1");
  EXPECT_EQ(server->extracted("s"), Texts{"a b"});
}

}  // namespace
}  // namespace tidemark::daemon
