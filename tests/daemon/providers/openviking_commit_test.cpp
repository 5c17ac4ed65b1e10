// Commits of the OpenViking provider against the stand-in server: what each answer comes to, in every version, and that
// no message is extracted twice.
#include <algorithm>

#include "tests/daemon/providers/openviking_fixture.h"

namespace tidemark::daemon {
namespace {

using Kind = ProviderAnswer::Kind;
using Texts = std::vector<std::string>;

class OpenVikingCommitTest : public OpenVikingProviderTest {};
class OpenVikingVersionTest : public OpenVikingProviderTest, public ::testing::WithParamInterface<const char*> {};

constexpr const char* all_versions[] = {"0.2.10", "0.2.11", "0.3.17", "0.4.4", "0.4.6", "0.4.9", "0.4.12", "0.4.16"};
std::string version_name(const ::testing::TestParamInfo<const char*>& tested) {
  std::string name = tested.param;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, OpenVikingVersionTest, ::testing::ValuesIn(all_versions), version_name);

TEST_P(OpenVikingVersionTest, commits_once_and_confirms) {
  serve({"--version", GetParam()});
  server->add("s", {"a", "b"});
  const ProviderAnswer answer = commit(request());
  const bool waits = GetParam() == std::string("0.2.10");
  ASSERT_EQ(answer.kind, waits ? Kind::committed : Kind::accepted) << answer.error;
  EXPECT_NE(member(answer.evidence, "archive").find("archive_001"), std::string::npos) << answer.evidence;
  EXPECT_NE(member(answer.evidence, "before").find(GetParam()), std::string::npos) << answer.evidence;
  if (!waits) {
    EXPECT_NE(member(answer.evidence, "task"), "");
    const ProviderLook done = confirm(answer);
    EXPECT_EQ(done.kind, ProviderLook::Kind::confirmed) << done.error;
    EXPECT_EQ(member(done.evidence, "memories_total"), "2");
    EXPECT_EQ(member(done.evidence, "confirmed_by"), "task");
    EXPECT_EQ(member(done.evidence, "task"), member(answer.evidence, "task"));
  }
  EXPECT_EQ(server->extracted("s"), Texts{"a b"});
  ASSERT_EQ(notes.size(), 1U);
  server->add("s", {"c"});
  ASSERT_EQ(commit(request()).kind, answer.kind);
  EXPECT_EQ(server->extracted("s"), (Texts{"a b", "c"}));
  EXPECT_EQ(server->count("GET", "/health"), 1);
}

TEST_P(OpenVikingVersionTest, an_answer_that_was_lost_is_adopted) {
  serve({"--version", GetParam()});
  server->add("s", {"a"});
  server->script(R"({"rules": [{"method": "POST", "path": "/commit$", "nth": 1, "do": "lose"}]})");
  const ProviderAnswer answer = commit(request());
  // A commit that waits leaves no task; its archive's marker tells.
  const bool waits = GetParam() == std::string("0.2.10");
  ASSERT_EQ(answer.kind, waits ? Kind::committed : Kind::accepted) << answer.error;
  EXPECT_EQ(member(answer.evidence, "adopted"), "true");
  if (!waits) {
    EXPECT_EQ(confirm(answer).kind, ProviderLook::Kind::confirmed);
  }
  EXPECT_EQ(server->count("POST", "/commit"), 1);
  EXPECT_EQ(server->extracted("s"), Texts{"a"});
}

TEST_P(OpenVikingVersionTest, a_crash_after_the_post_is_reconciled) {
  serve({"--version", GetParam()});
  server->add("s", {"a"});
  const ProviderRequest first = request();
  const ProviderAnswer unheard = commit(first);
  ASSERT_TRUE(unheard.error.empty()) << unheard.error;
  provider_state.clear();  // it was never journaled
  server->add("s", {"b"});
  const ProviderAnswer answer = commit(again(first));
  EXPECT_TRUE(answer.kind == Kind::accepted || answer.kind == Kind::committed) << answer.error;
  EXPECT_EQ(server->count("POST", "/commit"), 1) << "it was asked for twice";
  EXPECT_EQ(member(answer.evidence, "task"), member(unheard.evidence, "task"));
  EXPECT_EQ(member(answer.evidence, "archive"), member(unheard.evidence, "archive"));
  EXPECT_EQ(server->extracted("s"), Texts{"a"});
}

TEST_P(OpenVikingVersionTest, a_crash_before_the_post_costs_nothing) {
  serve({"--version", GetParam()});
  server->add("s", {"a"});
  server->script(R"({"rules": [{"path": "/commit$", "nth": 1, "do": "reset"}]})");
  const ProviderRequest first = request();
  ASSERT_EQ(commit(first).kind, Kind::in_doubt);
  const ProviderAnswer answer = commit(again(first));
  EXPECT_TRUE(answer.kind == Kind::accepted || answer.kind == Kind::committed) << answer.error;
  EXPECT_EQ(server->extracted("s"), Texts{"a"});
}

TEST_P(OpenVikingVersionTest, turns_that_never_came_are_a_suspected_loss) {
  serve({"--version", GetParam()});
  server->add("s", {});
  const ProviderAnswer answer = commit(request());
  EXPECT_EQ(answer.kind, Kind::failed_for_good);
  EXPECT_EQ(answer.error.rfind("suspected loss: ", 0), 0U) << answer.error;
  EXPECT_EQ(commit(request("unknown")).error.rfind("suspected loss: ", 0), 0U);
}

TEST_F(OpenVikingCommitTest, nothing_is_asked_before_it_is_journaled) {
  serve();
  server->add("s", {"a"});
  journal_writable = false;
  EXPECT_EQ(commit(request()).kind, Kind::failed);
  EXPECT_EQ(server->count("POST", "/commit"), 0);
}

TEST_F(OpenVikingCommitTest, every_answer_to_the_commit) {
  struct Row {
    std::string rule;
    Kind kind;
    std::string says;
  };
  const Row rows[] = {
      {R"("do": "error", "code": "CONFLICT", "details": {"retryable": true, "conflict_type": "path_busy"})",
       Kind::failed, "409"},
      {R"("do": "error", "code": "CONFLICT")", Kind::in_doubt, "409"},
      {R"("do": "error", "code": "FAILED_PRECONDITION", "details": {"archive_id": "archive_003"})",
       Kind::failed_for_good, "archive_003"},
      {R"("do": "error", "code": "FAILED_PRECONDITION", "message": "Model provider API key is not configured")",
       Kind::faulty, "Model provider"},
      {R"("do": "error", "code": "FAILED_PRECONDITION", "message": "User deletion is in progress")",
       Kind::failed_for_good, "deletion"},
      {R"("do": "error", "code": "INVALID_ARGUMENT")", Kind::failed_for_good, "400"},
      {R"("do": "error", "code": "INVALID_ARGUMENT", "message": "Trusted mode requests must include X")", Kind::faulty,
       "Trusted"},
      {R"("do": "error", "code": "UNAUTHENTICATED")", Kind::faulty, "401"},
      {R"("do": "error", "code": "PERMISSION_DENIED")", Kind::faulty, "403"},
      {R"("do": "error", "code": "NOT_FOUND")", Kind::failed_for_good, "suspected loss: "},
      {R"("do": "error", "code": "SESSION_EXPIRED", "status": 410)", Kind::failed_for_good, "410"},
      {R"("do": "error", "code": "UNIMPLEMENTED", "status": 501)", Kind::failed_for_good, "501"},
      {R"("do": "error", "code": "RESOURCE_EXHAUSTED")", Kind::throttled, "429"},
      {R"("do": "error", "code": "INTERNAL")", Kind::in_doubt, "500"},
      {R"("do": "error", "code": "UNAVAILABLE", "status": 503)", Kind::in_doubt, "503"},
      {R"("do": "error", "code": "DEADLINE_EXCEEDED", "status": 504)", Kind::in_doubt, "504"},
      {R"("do": "reply", "status": 408)", Kind::in_doubt, "408"},
      {R"("do": "error", "code": "CONFLICT", "status": 200)", Kind::in_doubt, "CONFLICT"},
      {R"("do": "error", "code": "UNAUTHENTICATED", "status": 200)", Kind::faulty, "UNAUTHENTICATED"},
      {R"("do": "redirect")", Kind::faulty, "302"},
      {R"("do": "html")", Kind::faulty, "200"},
      {R"("do": "html", "status": 502)", Kind::in_doubt, "502"},
      {R"("do": "reset")", Kind::in_doubt, "isn't known"},
      {R"("do": "reply", "body": {"status": "ok", "result": {"status": "delighted"}})", Kind::in_doubt, "understood"},
  };
  serve();
  int number = 0;
  for (const Row& row : rows) {
    const std::string session = "s" + std::to_string(++number);
    provider_state.clear();
    server->add(session, {"a"});
    server->script(R"({"rules": [{"path": ")" + session + R"(/commit$", "nth": 1, )" + row.rule + "}]}");
    const ProviderRequest first = request(session);
    const ProviderAnswer answer = commit(first);
    EXPECT_EQ(answer.kind, row.kind) << row.rule << ": " << answer.error;
    EXPECT_NE(answer.error.find(row.says), std::string::npos) << row.rule << ": " << answer.error;
    EXPECT_EQ(answer.may_have_landed, row.rule.find("html\"") != std::string::npos && row.kind == Kind::faulty)
        << row.rule;
    EXPECT_EQ(server->extracted(session), Texts{}) << row.rule;
    // Nothing had landed: the next try under the same key does it, once.
    EXPECT_EQ(commit(again(first)).kind, Kind::accepted) << row.rule;
    EXPECT_EQ(server->extracted(session), Texts{"a"}) << row.rule;
  }
}

TEST_F(OpenVikingCommitTest, whatever_hides_that_it_landed_is_seen_through) {
  const char* const ways[] = {
      R"("do": "lose")",
      R"("do": "truncate")",
      R"("do": "cut")",
      R"("do": "huge")",
      R"("do": "deep")",
      R"("do": "html", "act": true)",
      R"("do": "html", "act": true, "status": 502)",
      R"("do": "error", "act": true, "code": "INTERNAL")",
      R"("do": "error", "act": true, "code": "UNAVAILABLE", "status": 503)",
      R"("do": "error", "act": true, "code": "CONFLICT")",
      R"("do": "reply", "act": true, "status": 504, "headers": {"Retry-After": "7"})",
      R"("do": "reply", "act": true, "body": {"status": "ok", "result": null})",
      R"("answer_delay_ms": 900)",
  };
  timeout = lifecycle::Milliseconds(600);
  serve({"--extract-ms", "60"});
  int number = 0;
  for (const char* way : ways) {
    const std::string session = "s" + std::to_string(++number);
    provider_state.clear();
    server->add(session, {"a"});
    server->script(R"({"rules": [{"path": ")" + session + R"(/commit$", "nth": 1, )" + way + "}]}");
    const ProviderAnswer answer = commit(request(session));
    ASSERT_EQ(answer.kind, Kind::accepted) << way << ": " << answer.error;
    EXPECT_EQ(member(answer.evidence, "adopted"), "true") << way;
    EXPECT_NE(member(answer.evidence, "task"), "") << way;
    EXPECT_EQ(confirm(answer).kind, ProviderLook::Kind::confirmed) << way;
    EXPECT_EQ(server->count("POST", session + "/commit"), 1) << way;
    EXPECT_EQ(server->extracted(session), Texts{"a"}) << way;
  }
}

TEST_F(OpenVikingCommitTest, a_commit_that_is_still_under_way_stays_in_doubt) {
  timeout = lifecycle::Milliseconds(300);
  serve();
  server->add("s", {"a"});
  server->script(R"({"rules": [{"path": "/commit$", "nth": 1, "hold": "post"}]})");
  const ProviderRequest first = request();
  const ProviderAnswer answer = commit(first);
  EXPECT_EQ(answer.kind, Kind::in_doubt);
  EXPECT_NE(answer.error.find("isn't known"), std::string::npos) << answer.error;
  server->add("s", {"b"});
  server->release("post");
  ASSERT_TRUE(system_test::wait_until([&] { return !server->extracted("s").empty(); }));
  EXPECT_EQ(commit(again(first)).kind, Kind::accepted);
  EXPECT_EQ(server->count("POST", "/commit"), 1);
  EXPECT_EQ(server->extracted("s"), Texts{"a b"});
}

TEST_F(OpenVikingCommitTest, the_state_not_to_be_had_after_the_post) {
  struct Row {
    std::string rule;
    Kind kind;
    bool may_have_landed;
  };
  const Row rows[] = {{R"("do": "reset")", Kind::in_doubt, false},
                      {R"("do": "error", "code": "UNAVAILABLE", "status": 503)", Kind::in_doubt, false},
                      {R"("do": "error", "code": "UNAUTHENTICATED")", Kind::faulty, true},
                      {R"("do": "html")", Kind::faulty, true},
                      {R"("do": "error", "code": "NOT_FOUND")", Kind::failed_for_good, false}};
  serve();
  int number = 0;
  for (const Row& row : rows) {
    const std::string session = "s" + std::to_string(++number);
    provider_state.clear();
    server->add(session, {"a"});
    server->script(R"({"rules": [{"path": ")" + session + R"(/commit$", "nth": 1, "do": "lose"},
                      {"method": "GET", "path": "sessions/)" +
                   session + R"(\\?", "nth": 2, )" + row.rule + "}]}");
    const ProviderRequest first = request(session);
    const ProviderAnswer answer = commit(first);
    EXPECT_EQ(answer.kind, row.kind) << row.rule << ": " << answer.error;
    EXPECT_EQ(answer.may_have_landed, row.may_have_landed) << row.rule;
    EXPECT_EQ(commit(again(first)).error, "") << row.rule;
    EXPECT_EQ(server->count("POST", session + "/commit"), 1) << row.rule;
    EXPECT_EQ(server->extracted(session), Texts{"a"}) << row.rule;
  }
}

TEST_F(OpenVikingCommitTest, the_state_not_to_be_had_before_the_post) {
  struct Row {
    std::string rule;
    Kind kind;
  };
  const Row rows[] = {
      {R"("do": "reset")", Kind::failed},
      {R"("do": "error", "code": "INTERNAL")", Kind::failed},
      {R"("do": "error", "code": "RESOURCE_EXHAUSTED", "headers": {"Retry-After": "9"})", Kind::throttled},
      {R"("do": "error", "code": "UNAUTHENTICATED")", Kind::faulty},
      {R"("do": "redirect")", Kind::faulty},
      {R"("do": "html")", Kind::faulty},
      {R"("do": "html", "status": 404)", Kind::faulty},
      {R"("do": "truncate")", Kind::faulty},
      {R"("do": "deep")", Kind::faulty},
      {R"("do": "huge")", Kind::failed},
      {R"("do": "reply", "body": {"status": "ok", "result": {}})", Kind::faulty},
      {R"("do": "error", "code": "INVALID_ARGUMENT")", Kind::failed_for_good}};
  serve();
  server->add("s", {"a"});
  for (const Row& row : rows) {
    server->script(R"({"clear": true})");
    server->script(R"({"rules": [{"method": "GET", "path": "sessions/s", )" + row.rule + "}]}");
    const ProviderAnswer answer = commit(request());
    EXPECT_EQ(answer.kind, row.kind) << row.rule << ": " << answer.error;
    EXPECT_FALSE(answer.may_have_landed) << row.rule;
    if (row.kind == Kind::throttled) {
      EXPECT_EQ(answer.retry_after, lifecycle::Milliseconds(9'000));
    }
  }
  EXPECT_EQ(server->count("POST", "/commit"), 0);
  EXPECT_TRUE(notes.empty());
}

TEST_F(OpenVikingCommitTest, too_many_at_a_time_is_throttled) {
  serve();
  server->add("s", {"a"});
  server->script(R"({"limit": {"commits": 0, "retry_after": 11}})");
  const ProviderAnswer answer = commit(request());
  EXPECT_EQ(answer.kind, Kind::throttled);
  EXPECT_EQ(answer.retry_after, lifecycle::Milliseconds(11'000));
}

TEST_F(OpenVikingCommitTest, nobody_there) {
  serve();
  server->process().kill();
  EXPECT_EQ(commit(request()).kind, Kind::unreachable);
  OpenVikingConfig config;
  config.url = "http://tidemark-test.invalid";
  make_provider(config);
  EXPECT_EQ(commit(request()).kind, Kind::faulty);
}

TEST_F(OpenVikingCommitTest, a_failed_archive_blocks_where_it_does) {
  for (const auto& [version, blocks] : {std::pair{"0.4.4", true}, std::pair{"0.4.6", false}}) {
    provider_state.clear();
    serve({"--version", version});
    server->add("s", {"a"});
    server->script(R"({"tasks": {"outcome": "failed"}})");
    const ProviderAnswer first = commit(request());
    ASSERT_EQ(first.kind, Kind::accepted);
    EXPECT_EQ(confirm(first).kind, ProviderLook::Kind::failed);
    server->add("s", {"b"});
    const ProviderAnswer second = commit(request());
    EXPECT_EQ(second.kind, blocks ? Kind::failed_for_good : Kind::accepted) << version << second.error;
    if (blocks) {
      EXPECT_NE(second.error.find("archive_001 blocks"), std::string::npos) << second.error;
    }
  }
}

}  // namespace
}  // namespace tidemark::daemon
