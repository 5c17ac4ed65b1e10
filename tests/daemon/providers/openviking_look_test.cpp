// Looks of the OpenViking provider at commits that were accepted, its identity, and its secrets.
#include <fstream>

#include "tests/daemon/providers/openviking_fixture.h"

namespace tidemark::daemon {
namespace {

using Kind = ProviderLook::Kind;
using AnswerKind = ProviderAnswer::Kind;
using Texts = std::vector<std::string>;

class OpenVikingLookTest : public OpenVikingProviderTest {
 protected:
  ProviderAnswer accepted(const std::string& tasks) {
    server->script(R"({"tasks": )" + tasks + "}");
    server->add("s", {"a"});
    const ProviderAnswer answer = commit(request());
    EXPECT_EQ(answer.kind, AnswerKind::accepted) << answer.error;
    return answer;
  }
};

TEST_F(OpenVikingLookTest, a_task_that_runs_is_unfinished_and_says_since_when) {
  serve();
  const ProviderAnswer answer = accepted(R"({"outcome": "running"})");
  const ProviderLook running = look(answer);
  EXPECT_EQ(running.kind, Kind::unfinished);
  EXPECT_EQ(running.error, "");
  EXPECT_EQ(member(running.evidence, "task_status"), "running");
  const auto now = std::chrono::system_clock::now();
  EXPECT_GT(running.progress_at, now - std::chrono::minutes(1));
  EXPECT_LT(running.progress_at, now + std::chrono::minutes(1));
  EXPECT_EQ(look(answer).progress_at, running.progress_at);
}

TEST_F(OpenVikingLookTest, counts_are_evidence) {
  serve();
  const ProviderLook some = confirm(accepted(R"({"memories": {"events": 2, "people": 1}})"));
  EXPECT_EQ(some.kind, Kind::confirmed);
  EXPECT_EQ(member(some.evidence, "memories_extracted"), R"({"events":2,"people":1})");
  EXPECT_EQ(member(some.evidence, "memories_total"), "3");
  EXPECT_EQ(member(some.evidence, "confirmed_empty"), "");
  const ProviderLook none = confirm(accepted(R"({"memories": {}})"));
  EXPECT_EQ(none.kind, Kind::confirmed);
  EXPECT_EQ(member(none.evidence, "confirmed_empty"), "true");
}

TEST_F(OpenVikingLookTest, a_task_that_failed) {
  for (const char* outcome : {"failed", "cancelled"}) {
    serve();
    const ProviderLook failed =
        confirm(accepted(R"({"outcome": ")" + std::string(outcome) + R"(", "error": "the model is out"})"));
    EXPECT_EQ(failed.kind, Kind::failed);
    EXPECT_EQ(failed.error.rfind("extraction failed (the task " + std::string(outcome) + ": the model is out)", 0), 0U)
        << failed.error;
    EXPECT_NE(failed.error.find("archive_001/messages.jsonl"), std::string::npos) << failed.error;
  }
}

TEST_F(OpenVikingLookTest, a_task_that_failed_after_the_extraction) {
  serve();
  const ProviderLook done = confirm(accepted(R"({"outcome": "late_failure", "error": "no index"})"));
  EXPECT_EQ(done.kind, Kind::confirmed) << done.error;
  EXPECT_EQ(member(done.evidence, "confirmed_by"), "marker");
  EXPECT_EQ(member(done.evidence, "task_error"), "no index");
}

TEST_F(OpenVikingLookTest, a_task_that_is_forgotten) {
  serve();
  const ProviderAnswer running = accepted(R"({"outcome": "running"})");
  server->script(R"({"forget_tasks": true})");
  EXPECT_EQ(look(running).kind, Kind::unfinished) << "no marker yet";
  server->script(R"({"finish": {"outcome": "completed"}})");
  const ProviderLook done = look(running);
  EXPECT_EQ(done.kind, Kind::confirmed);
  EXPECT_EQ(member(done.evidence, "confirmed_by"), "marker");
  const ProviderAnswer other = accepted(R"({"outcome": "running"})");
  server->script(R"({"forget_tasks": true, "finish": {"outcome": "failed", "error": "the model is out"}})");
  const ProviderLook failed = look(other);
  EXPECT_EQ(failed.kind, Kind::failed);
  EXPECT_NE(failed.error.find("the model is out"), std::string::npos) << failed.error;
  EXPECT_EQ(confirm(accepted(R"({"outcome": "vanished"})")).kind, Kind::confirmed);
}

TEST_F(OpenVikingLookTest, a_server_that_starts_again) {
  struct Row {
    const char* version;
    bool root;  // in dev mode every caller is ROOT, whose tasks aren't found again
    Kind kind;
  };
  // Extraction itself goes on only from 0.4.10.
  const Row rows[] = {{"0.3.17", false, Kind::unfinished}, {"0.2.11", false, Kind::unfinished},
                      {"0.4.9", false, Kind::unfinished},  {"0.4.9", true, Kind::unfinished},
                      {"0.4.12", false, Kind::confirmed},  {"0.4.16", true, Kind::confirmed}};
  for (const Row& row : rows) {
    std::vector<std::string> arguments{"--version", row.version};
    if (!row.root) arguments.insert(arguments.end(), {"--api-key", "the-key-1"});
    serve(arguments, row.root ? OpenVikingConfig{} : with_key("the-key-1"));
    const ProviderAnswer answer = accepted(R"({"after_ms": 300})");
    server->script(R"({"restart": true})");
    if (row.kind == Kind::confirmed) {
      EXPECT_EQ(confirm(answer).kind, row.kind) << row.version;
    } else {
      EXPECT_EQ(look(answer).kind, row.kind) << row.version;
    }
  }
}

TEST_F(OpenVikingLookTest, what_cannot_be_learned) {
  struct Row {
    std::string rule;
    Kind kind;
  };
  const Row rows[] = {{R"("do": "error", "code": "UNAUTHENTICATED")", Kind::faulty},
                      {R"("do": "error", "code": "PERMISSION_DENIED")", Kind::faulty},
                      {R"("do": "html")", Kind::faulty},
                      {R"("do": "html", "status": 404)", Kind::faulty},
                      {R"("do": "redirect")", Kind::faulty},
                      {R"("do": "truncate")", Kind::faulty},
                      {R"("do": "deep")", Kind::faulty},
                      {R"("do": "reset")", Kind::unknown},
                      {R"("do": "huge")", Kind::unknown},
                      {R"("do": "html", "status": 503)", Kind::unknown},
                      {R"("do": "error", "code": "RESOURCE_EXHAUSTED")", Kind::unknown},
                      {R"("do": "reply", "body": {"status": "ok", "result": {"status": "asleep"}})", Kind::unknown}};
  serve();
  const ProviderAnswer answer = accepted(R"({"outcome": "running"})");
  for (const Row& row : rows) {
    server->script(R"({"clear": true})");
    server->script(R"({"rules": [{"path": "/tasks/", )" + row.rule + "}]}");
    const ProviderLook last = look(answer);
    EXPECT_EQ(last.kind, row.kind) << row.rule << last.error;
    EXPECT_NE(last.error, "") << row.rule;
  }
  server->script(R"({"clear": true})");
  server->script(R"({"forget_tasks": true, "rules": [{"path": "content/read", "do": "html", "status": 503}]})");
  EXPECT_EQ(look(answer).kind, Kind::unknown);
  server->process().kill();
  EXPECT_EQ(look(answer).kind, Kind::unknown);
  EXPECT_EQ(look(std::string("{}")).kind, Kind::unknown);
}

TEST_F(OpenVikingLookTest, no_text_holds_the_key_whatever_the_server_sends) {
  secret = "sk-live \"0123456789\"";
  serve({"--api-key", secret + "=acme/alice"}, with_key(secret));
  server->script(R"({"echo_keys": true})");
  const ProviderAnswer answer = accepted(R"({"outcome": "failed"})");
  EXPECT_EQ(confirm(answer).kind, Kind::failed);
  server->add("s", {"b"});
  server->script(R"({"rules": [{"path": "/commit$", "do": "error", "code": "INVALID_ARGUMENT"}]})");
  EXPECT_NE(commit(request()).error.find("***"), std::string::npos);
  for (const auto& sent : server->requests()) {
    const std::string path(sent.at("path").as_string());
    EXPECT_EQ(path.find("sk-live"), std::string::npos) << path;
    EXPECT_EQ(sent.at("headers").at("x-api-key").as_string(), "(set)") << path;
  }
}

TEST_F(OpenVikingLookTest, refused_credentials_are_a_fault_until_they_are_mended) {
  serve({"--api-key", "right=acme/alice"}, with_key("wrong"));
  server->add("s", {"a"});
  EXPECT_EQ(commit(request()).kind, AnswerKind::faulty);
  with_key("right");  // the same file
  EXPECT_EQ(commit(request()).kind, AnswerKind::accepted);
  OpenVikingConfig config = with_key("wrong");
  config.url = server->url();
  make_provider(config);
  EXPECT_EQ(look(std::string(R"({"task": "t"})")).kind, Kind::faulty);
  with_key("right");
  EXPECT_EQ(look(std::string(R"({"task": "t"})")).kind, Kind::unfinished);
  server->script(R"({"auth": "broken"})");
  EXPECT_EQ(commit(request()).kind, AnswerKind::faulty);
}

TEST_F(OpenVikingLookTest, a_key_that_cannot_be_read_is_a_fault) {
  OpenVikingConfig config;
  config.api_key.file = "/nowhere/key";
  serve({}, config);
  const ProviderAnswer answer = commit(request());
  EXPECT_EQ(answer.kind, AnswerKind::faulty);
  EXPECT_NE(answer.error.find("/nowhere/key"), std::string::npos) << answer.error;
  EXPECT_EQ(look(std::string("{}")).kind, Kind::faulty);
  EXPECT_TRUE(server->requests().empty());
}

TEST_F(OpenVikingLookTest, another_identity_is_refused) {
  serve({"--api-key", "first=acme/alice", "--api-key", "second=acme/bob"}, with_key("first"));
  server->add("s", {"a"});
  server->script(R"({"add": {"account": "acme", "user": "bob", "session": "s", "messages": ["x"]}})");
  const ProviderRequest first = request();
  ASSERT_EQ(commit(first).kind, AnswerKind::accepted);
  with_key("second");
  OpenVikingConfig config = with_key("second");
  config.url = server->url();
  make_provider(config);
  const ProviderAnswer other = commit(request());
  EXPECT_EQ(other.kind, AnswerKind::failed_for_good);
  EXPECT_NE(other.error.find("\"alice\""), std::string::npos) << other.error;
  EXPECT_NE(other.error.find("\"bob\""), std::string::npos) << other.error;
  // Also where only the state before an unanswered commit tells.
  provider_state.clear();
  EXPECT_EQ(commit(again(first)).kind, AnswerKind::failed_for_good);
  EXPECT_EQ(server->extracted("acme/bob/s"), Texts{});
}

TEST_F(OpenVikingLookTest, trusted_mode_needs_the_headers) {
  OpenVikingConfig config;
  serve({"--trusted"}, config);
  server->script(R"({"add": {"account": "acme", "user": "carol", "session": "s", "messages": ["a"]}})");
  EXPECT_EQ(commit(request()).kind, AnswerKind::faulty);
  config.url = server->url();
  config.account = "acme";
  config.user = "carol";
  make_provider(config);
  EXPECT_EQ(commit(request()).kind, AnswerKind::accepted);
  EXPECT_EQ(server->extracted("acme/carol/s"), Texts{"a"});
}

TEST_F(OpenVikingLookTest, names_are_one_segment_and_the_base_path_stays) {
  OpenVikingConfig config;
  config.url = "/openviking";
  serve({"--base", "/openviking"}, config);
  for (const std::string session : {"a/b?c#d", "..", ".", "%2e%2e", "spaced name", "\xc3\xa9&x=y"}) {
    provider_state.clear();
    server->add(session, {session});
    const ProviderAnswer answer = commit(request(session));
    ASSERT_EQ(answer.kind, AnswerKind::accepted) << session << ": " << answer.error;
    EXPECT_EQ(confirm(answer).kind, Kind::confirmed) << session;
    EXPECT_EQ(server->effects().at("sessions").at("default/default/" + session).at("archives").as_array().size(), 1U);
  }
  for (const auto& sent : server->requests()) {
    EXPECT_EQ(sent.at("path").as_string().find("/openviking/"), 0U) << sent.at("path").as_string();
  }
  config.url = server->url() + "/elsewhere";
  make_provider(config);
  EXPECT_EQ(commit(request()).kind, AnswerKind::faulty) << "a wrong base path is no lost session";
}

TEST_F(OpenVikingLookTest, the_attempt_is_named_in_the_servers_log) {
  serve();
  server->add("s", {"a"});
  const ProviderRequest first = request();
  commit(first);
  for (const auto& sent : server->requests()) {
    if (sent.at("path").as_string().find("/sessions/") == boost::json::string::npos) continue;
    EXPECT_EQ(sent.at("headers").at("x-request-id").as_string(), std::to_string(first.commit));
  }
}

TEST_F(OpenVikingLookTest, a_provider_that_ends_calls_nobody) {
  serve();
  server->add("s", {"a"});
  server->script(R"({"rules": [{"path": "/commit$", "hold": "post"}]})");
  bool called = false;
  std::function<void(bool)> then_later;
  const auto begin = [&](bool keep) {
    provider->commit(
        request(),
        [&, keep](std::string, std::function<void(bool)> then) {
          if (keep) {
            then_later = std::move(then);
          } else {
            then(true);
          }
        },
        [&](ProviderAnswer) { called = true; });
  };
  begin(false);
  run_until([&] { return server->count("POST", "/commit") == 1; });
  begin(true);
  run_until([&] { return then_later != nullptr; });
  provider->look({}, [&](ProviderLook) { called = true; });
  provider.reset();
  then_later(true);
  server->release("post");
  bool idle = false;
  http.send({.method = "GET", .url = server->url() + "/health", .headers = {}, .body = {}},
            [&](HttpAnswer) { idle = true; });
  run_until([&] { return idle; });
  EXPECT_FALSE(called);
  EXPECT_EQ(server->count("POST", "/commit"), 1);
}

}  // namespace
}  // namespace tidemark::daemon
