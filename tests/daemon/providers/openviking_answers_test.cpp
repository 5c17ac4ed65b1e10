#include "daemon/providers/openviking_answers.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <string>

namespace tidemark::daemon {
namespace {

namespace json = boost::json;
using Kind = OpenVikingReply::Kind;

HttpAnswer answered(long status, std::string body) {
  HttpAnswer answer;
  answer.end = HttpAnswer::End::answered;
  answer.status = status;
  answer.body = std::move(body);
  return answer;
}

std::string error_body(const std::string& code, const std::string& message, const std::string& details = "null") {
  return R"({"status":"error","error":{"code":")" + code + R"(","message":")" + message + R"(","details":)" + details +
         "}}";
}

TEST(OpenVikingAnswers, every_failure_has_its_class) {
  struct Row {
    long status;
    std::string body;
    Kind kind;
  };
  const std::string page = "<html>a page</html>";
  const Row rows[] = {
      {200, R"({"status":"ok","result":{}})", Kind::ok},
      {201, R"({"status":"ok"})", Kind::ok},
      {200, page, Kind::foreign},
      {200, R"({"status":"ok","result":{)", Kind::foreign},
      {200, R"({"healthy":true})", Kind::foreign},
      {200, "[]", Kind::foreign},
      {200, "null", Kind::foreign},
      {200, "", Kind::foreign},
      {204, "", Kind::foreign},
      // Errors under a success, as old servers have them.
      {200, error_body("CONFLICT", "commit in progress"), Kind::conflict},
      {200, error_body("NOT_FOUND", "no session"), Kind::not_found},
      {200, error_body("RESOURCE_EXHAUSTED", "x"), Kind::throttled},
      {200, error_body("INTERNAL", "x"), Kind::ambiguous},
      {200, error_body("NEVER_HEARD_OF", "x"), Kind::ambiguous},
      {200, R"({"status":"error"})", Kind::ambiguous},
      {200, error_body("INVALID_ARGUMENT", "x"), Kind::refused},
      {200, error_body("UNAUTHENTICATED", "x"), Kind::faulty},
      {200, error_body("SESSION_EXPIRED", "x"), Kind::refused},
      {200, error_body("UNAVAILABLE", "x"), Kind::ambiguous},
      {302, page, Kind::faulty},
      {308, "", Kind::faulty},
      {400, error_body("INVALID_ARGUMENT", "bad"), Kind::refused},
      {400, error_body("INVALID_ARGUMENT", "Trusted mode requests must include X"), Kind::faulty},
      {401, error_body("UNAUTHENTICATED", "no"), Kind::faulty},
      {401, page, Kind::faulty},
      {403, error_body("PERMISSION_DENIED", "no"), Kind::faulty},
      {404, error_body("NOT_FOUND", "no session"), Kind::not_found},
      {404, R"({"detail":"Session not found"})", Kind::not_found},
      {404, R"({"detail":"Not Found"})", Kind::faulty},
      {404, page, Kind::faulty},
      {405, R"({"detail":"Method Not Allowed"})", Kind::faulty},
      {407, page, Kind::faulty},
      {408, "", Kind::ambiguous},
      {409, error_body("CONFLICT", "busy", R"({"retryable":true,"conflict_type":"path_busy"})"), Kind::busy},
      {409, error_body("CONFLICT", "busy", R"({"retryable":false})"), Kind::conflict},
      {409, error_body("CONFLICT", "busy", R"({"retryable":"true"})"), Kind::conflict},
      {409, error_body("ABORTED", "x"), Kind::conflict},
      {410, error_body("SESSION_EXPIRED", "x"), Kind::refused},
      {412, error_body("FAILED_PRECONDITION", "x", R"({"archive_id":"archive_007"})"), Kind::refused},
      {412, error_body("FAILED_PRECONDITION", "Model provider API key is not configured"), Kind::faulty},
      {412, error_body("FAILED_PRECONDITION", "User deletion is in progress"), Kind::refused},
      {413, page, Kind::refused},
      {429, "", Kind::throttled},
      {500, error_body("INTERNAL", "x"), Kind::ambiguous},
      {500, page, Kind::ambiguous},
      {501, error_body("UNIMPLEMENTED", "x"), Kind::refused},
      {503, error_body("UNAVAILABLE", "x"), Kind::ambiguous},
      {504, page, Kind::ambiguous},
      {101, "", Kind::ambiguous},
  };
  for (const Row& row : rows) {
    const OpenVikingReply reply = read_reply(answered(row.status, row.body), {});
    EXPECT_EQ(reply.kind, row.kind) << row.status << " " << row.body;
    EXPECT_EQ(reply.error.empty(), reply.kind == Kind::ok) << row.status << " " << row.body;
  }
  EXPECT_EQ(read_reply(answered(412, error_body("X", "x", R"({"archive_id":"archive_007"})")), {}).archive_id,
            "archive_007");
}

TEST(OpenVikingAnswers, what_never_came_is_told_apart) {
  HttpAnswer answer;
  answer.error = "it broke";
  answer.end = HttpAnswer::End::interrupted;
  EXPECT_EQ(read_reply(answer, {}).kind, Kind::ambiguous);
  answer.end = HttpAnswer::End::not_sent;
  EXPECT_EQ(read_reply(answer, {}).kind, Kind::unreached);
  answer.misaddressed = true;
  EXPECT_EQ(read_reply(answer, {}).kind, Kind::faulty);
  EXPECT_NE(read_reply(answer, {}).error.find("it broke"), std::string::npos);
}

TEST(OpenVikingAnswers, hostile_json_is_only_foreign) {
  for (const std::string& body :
       {std::string(100'000, '['),
        R"({"status":"ok","result":)" + std::string(1'000, '[') + std::string(1'000, ']') + "}",
        std::string("{\"status\":\"ok\",\"result\":\"\xff\xfe\"}"), std::string(1'000'000, ' '),
        std::string(R"({"status":{"ok":1}})")}) {
    EXPECT_EQ(read_reply(answered(200, body), {}).kind, Kind::foreign) << body.substr(0, 40);
  }
  // Members of the wrong type say nothing.
  const json::value odd = json::parse(
      R"({"commit_count":-3,"message_count":1e300,"total_message_count":"7","uri":7,"user":[],"last_commit_at":null})");
  EXPECT_FALSE(read_session(odd));
  EXPECT_FALSE(read_session(json::value(7)));
  EXPECT_EQ(read_commit(json::value("accepted")).kind, OpenVikingCommit::Kind::unclear);
  EXPECT_EQ(read_task(json::parse(R"({"status":[],"updated_at":-1,"created_at":1e300,"result":7})")).status,
            OpenVikingTask::Status::unclear);
  EXPECT_TRUE(read_tasks(json::parse(R"({"tasks":[]})")).empty());
  EXPECT_EQ(read_failure(json::value("not json")), "");
}

TEST(OpenVikingAnswers, no_text_is_without_bound) {
  const OpenVikingReply reply =
      read_reply(answered(500, error_body(std::string(5'000, 'c'), std::string(500'000, 'm'))), {});
  EXPECT_LT(reply.error.size(), 700U);
  json::object memories;
  for (int type = 0; type < 5'000; ++type) memories[std::to_string(type) + std::string(500, 't')] = 1;
  const OpenVikingTask task = read_task(
      json::object{{"status", "completed"}, {"result", json::object{{"memories_extracted", std::move(memories)}}}});
  EXPECT_LT(json::serialize(*task.memories_extracted).size(), 10'000U);
}

TEST(OpenVikingAnswers, no_text_holds_the_key) {
  Redactor redactor;
  redactor.add("k\"ey-1");
  const std::string body = R"({"status":"error","error":{"code":"k\"ey-1","message":"bad \u006b\"ey-1",)"
                           R"("details":{"archive_id":"k\"ey-1"}}})";
  const OpenVikingReply reply = read_reply(answered(412, body), redactor);
  for (const std::string& text : {reply.error, reply.code, reply.archive_id}) {
    EXPECT_EQ(text.find("ey-1"), std::string::npos) << text;
    EXPECT_NE(text.find("***"), std::string::npos) << text;
  }
  const OpenVikingReply result =
      read_reply(answered(200, R"({"status":"ok","result":{"k\"ey-1":[{"a":"x k\"ey-1 y"}]}})"), redactor);
  EXPECT_EQ(json::serialize(result.result).find("ey-1"), std::string::npos);
  EXPECT_EQ(read_version(answered(200, R"({"version":"k\"ey-1"})"), redactor), "***");
}

TEST(OpenVikingAnswers, commits_by_their_shape) {
  using CommitKind = OpenVikingCommit::Kind;
  struct Row {
    std::string result;
    CommitKind kind;
    std::string task, archive;
  };
  const Row rows[] = {
      {R"({"status":"accepted","task_id":"t","archive_uri":"u/archive_001","archived":true})", CommitKind::accepted,
       "t", "u/archive_001"},
      {R"({"status":"accepted","task_id":"t","message":"in the background"})", CommitKind::accepted, "t", ""},
      {R"({"status":"accepted","task_id":null,"archive_uri":"u","archived":true})", CommitKind::accepted, "", "u"},
      {R"({"status":"skipped","task_id":null,"archive_uri":null,"archived":false,"reason":"no_messages"})",
       CommitKind::nothing, "", ""},
      {R"({"status":"skipped","reason":"all_within_keep_window"})", CommitKind::nothing, "", ""},
      {R"({"status":"accepted","task_id":null,"archive_uri":null,"archived":false})", CommitKind::nothing, "", ""},
      {R"({"status":"committed","archived":true})", CommitKind::committed, "", ""},
      {R"({"status":"committed","archived":false})", CommitKind::nothing, "", ""},
      {R"({"status":"committed"})", CommitKind::committed, "", ""},
      {R"({"status":"accepted"})", CommitKind::unclear, "", ""},
      {R"({"status":"delighted"})", CommitKind::unclear, "", ""},
      {R"({})", CommitKind::unclear, "", ""},
      {R"(null)", CommitKind::unclear, "", ""},
  };
  for (const Row& row : rows) {
    const OpenVikingCommit commit = read_commit(json::parse(row.result));
    EXPECT_EQ(commit.kind, row.kind) << row.result;
    EXPECT_EQ(commit.task, row.task) << row.result;
    EXPECT_EQ(commit.archive, row.archive) << row.result;
  }
}

TEST(OpenVikingAnswers, tasks) {
  using Status = OpenVikingTask::Status;
  const OpenVikingTask task = read_task(json::parse(
      R"({"task_id":"t","status":"completed","created_at":100.5,"updated_at":200.25,"resource_id":"s","error":null,
          "result":{"archive_uri":"u/archive_002","memories_extracted":{"events":2,"people":3,"total":5}}})"));
  EXPECT_EQ(task.status, Status::completed);
  EXPECT_TRUE(task.ended());
  EXPECT_EQ(task.created_at, lifecycle::Utc(lifecycle::Milliseconds(100'500)));
  EXPECT_EQ(task.updated_at, lifecycle::Utc(lifecycle::Milliseconds(200'250)));
  EXPECT_EQ(task.memories_total, 5);
  EXPECT_EQ(task.memories_extracted->size(), 2U);
  EXPECT_EQ(task.archive, "u/archive_002");
  // One that was finished after a restart of the server has no counts.
  EXPECT_FALSE(read_task(json::parse(R"({"status":"completed","result":{"session_id":"s"}})")).memories_extracted);
  for (const auto& [text, status] : {std::pair{"pending", Status::pending}, std::pair{"running", Status::running},
                                     std::pair{"cancelling", Status::cancelling}, std::pair{"failed", Status::failed},
                                     std::pair{"cancelled", Status::cancelled}, std::pair{"asleep", Status::unclear}}) {
    EXPECT_EQ(read_task(json::object{{"status", text}}).status, status) << text;
  }
}

TEST(OpenVikingAnswers, archives_have_numbers) {
  EXPECT_EQ(archive_number("viking://user/u/sessions/archive_9/history/archive_012"), 12);
  EXPECT_EQ(archive_number("archive_1234"), 1234);
  for (const std::string_view none : {"", "archive_", "archive_1x", "archive_-1", "history"}) {
    EXPECT_EQ(archive_number(none), std::nullopt) << none;
  }
  OpenVikingSession session;
  EXPECT_EQ(archive_uri(session, "s", 7), "viking://user/default/sessions/s/history/archive_007");
  session.uri = "viking://session/s";
  EXPECT_EQ(archive_uri(session, "s", 1234), "viking://session/s/history/archive_1234");
}

}  // namespace
}  // namespace tidemark::daemon
