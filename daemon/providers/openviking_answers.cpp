#include "daemon/providers/openviking_answers.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

#include "daemon/providers/excerpt.h"

namespace tidemark::daemon {

namespace json = boost::json;

namespace {

constexpr std::size_t text_bytes_max = 16'384;  // of any text that is looked at
constexpr std::size_t name_bytes_max = 1024;    // of any text that is kept
constexpr std::size_t sentence_bytes_max = 500;
constexpr std::size_t types_max = 64;  // of memories that are counted

// Every text in it, and every member's name, without secrets. The depth is bounded by the parser.
json::value redacted(const json::value& value, const Redactor& redactor) {
  if (const json::string* text = value.if_string()) return json::value(redactor.redact_start(*text, text_bytes_max));
  if (const json::array* array = value.if_array()) {
    json::array clean;
    for (const json::value& item : *array) clean.push_back(redacted(item, redactor));
    return clean;
  }
  if (const json::object* object = value.if_object()) {
    json::object clean;
    for (const auto& [name, member] : *object) {
      clean.insert_or_assign(redactor.redact(name), redacted(member, redactor));
    }
    return clean;
  }
  return value;
}

const json::object* member_object(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr ? nullptr : value->if_object();
}

std::int64_t status_of(std::string_view code) {
  struct Row {
    std::string_view code;
    std::int64_t status;
  };
  static constexpr Row rows[] = {
      {"INVALID_ARGUMENT", 400},  {"INVALID_URI", 400},         {"UNAUTHENTICATED", 401},    {"PERMISSION_DENIED", 403},
      {"NOT_FOUND", 404},         {"ALREADY_EXISTS", 409},      {"CONFLICT", 409},           {"ABORTED", 409},
      {"SESSION_EXPIRED", 410},   {"FAILED_PRECONDITION", 412}, {"RESOURCE_EXHAUSTED", 429}, {"UNIMPLEMENTED", 501},
      {"UNAVAILABLE", 503},       {"MODEL_UNAVAILABLE", 503},   {"BOT_RESTARTED", 503},      {"NO_VECTOR_DB", 503},
      {"DEADLINE_EXCEEDED", 504},
  };
  const auto* const found =
      std::find_if(std::begin(rows), std::end(rows), [code](const Row& row) { return row.code == code; });
  return found == std::end(rows) ? 500 : found->status;
}

// What a failure comes to. `routed` = it was OpenViking that said so.
OpenVikingReply::Kind kind_of(std::int64_t status, std::string_view message, bool retryable, bool routed) {
  using Kind = OpenVikingReply::Kind;
  const auto says = [message](std::string_view words) { return message.find(words) != std::string_view::npos; };
  switch (status) {
    case 400:
      return says("Trusted mode requests must include") ? Kind::faulty : Kind::refused;
    case 401:
    case 403:
    case 405:
    case 407:
      return Kind::faulty;
    case 404:
      return routed ? Kind::not_found : Kind::faulty;
    case 408:
      return Kind::ambiguous;
    case 409:
      return retryable ? Kind::busy : Kind::conflict;
    case 412:
      return says("Model provider API key is not configured") ? Kind::faulty : Kind::refused;
    case 429:
      return Kind::throttled;
    case 501:
      return Kind::refused;
    default:
      if (status >= 300 && status < 400) return Kind::faulty;
      return status >= 500 || status < 200 ? Kind::ambiguous : Kind::refused;
  }
}

lifecycle::Utc time_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || !value->is_number()) return {};
  const double seconds = value->to_number<double>();
  if (!(seconds > 0 && seconds < 1e11)) return {};
  return lifecycle::Utc(lifecycle::Milliseconds(static_cast<std::int64_t>(seconds * 1000)));
}

}  // namespace

json::value parse_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = 64;
  boost::system::error_code error;
  json::value value = json::parse(text, error, {}, options);
  return error ? json::value() : value;
}

std::string text_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(whole_characters(*text, name_bytes_max));
}

std::optional<std::int64_t> count_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  boost::system::error_code error;
  const auto count = value->to_number<std::int64_t>(error);
  if (error || count < 0) return std::nullopt;
  return count;
}

OpenVikingReply read_reply(const HttpAnswer& answer, const Redactor& redactor) {
  using Kind = OpenVikingReply::Kind;
  OpenVikingReply reply;
  reply.retry_after = answer.retry_after;
  if (answer.end != HttpAnswer::End::answered) {
    const bool unsent = answer.end == HttpAnswer::End::not_sent;
    reply.kind = !unsent ? Kind::ambiguous : answer.misaddressed ? Kind::faulty : Kind::unreached;
    reply.error = (unsent ? "OpenViking can't be reached: " : "no whole answer came from OpenViking: ") +
                  excerpt(redactor.redact(answer.error), sentence_bytes_max);
    return reply;
  }
  const json::value body = redacted(parse_json(answer.body), redactor);
  const json::object* envelope = body.if_object();
  const std::string status = envelope == nullptr ? std::string() : text_of(*envelope, "status");
  const bool success = answer.status >= 200 && answer.status < 300;
  if (success && status == "ok") {
    const json::value* result = envelope->if_contains("result");
    reply.kind = Kind::ok;
    if (result != nullptr) reply.result = *result;
    return reply;
  }
  const std::string answered = "OpenViking answered " + std::to_string(answer.status);
  if (success && status != "error") {
    reply.kind = Kind::foreign;
    reply.error = answered + " with something that isn't its protocol: is that its address?";
    return reply;
  }
  std::string message;
  bool retryable = false;
  const json::object* error = envelope == nullptr ? nullptr : member_object(*envelope, "error");
  if (error != nullptr) {
    reply.code = excerpt(text_of(*error, "code"), 64);
    message = excerpt(text_of(*error, "message"), sentence_bytes_max);
    if (const json::object* details = member_object(*error, "details")) {
      const json::value* told = details->if_contains("retryable");
      retryable = told != nullptr && told->is_bool() && told->get_bool();
      reply.archive_id = excerpt(text_of(*details, "archive_id"), 64);
    }
  }
  // A web server or proxy that has no such route says so in words of its own, or in FastAPI's.
  const bool routed = error != nullptr || (envelope != nullptr && text_of(*envelope, "detail") != "Not Found");
  reply.kind = kind_of(success ? status_of(reply.code) : answer.status, message, retryable, routed);
  reply.error = answered;
  if (!reply.code.empty()) reply.error += " " + reply.code;
  if (!message.empty()) reply.error += ": " + message;
  if (error == nullptr && reply.kind == Kind::faulty) reply.error += ": are the address and the credentials right?";
  return reply;
}

std::string read_version(const HttpAnswer& answer, const Redactor& redactor) {
  if (answer.end != HttpAnswer::End::answered || answer.status != 200) return {};
  const json::value body = parse_json(answer.body);
  const json::object* health = body.if_object();
  return health == nullptr ? std::string() : excerpt(redactor.redact(text_of(*health, "version")), 64);
}

std::optional<OpenVikingSession> read_session(const json::value& result) {
  const json::object* object = result.if_object();
  if (object == nullptr) return std::nullopt;
  const std::optional<std::int64_t> commits = count_of(*object, "commit_count");
  const std::optional<std::int64_t> messages = count_of(*object, "message_count");
  if (!commits && !messages) return std::nullopt;
  OpenVikingSession session;
  session.commit_count = commits.value_or(0);
  session.message_count = messages.value_or(0);
  session.total_message_count = count_of(*object, "total_message_count");
  session.last_commit_at = text_of(*object, "last_commit_at");
  session.uri = text_of(*object, "uri");
  if (const json::object* user = member_object(*object, "user")) {
    session.account = text_of(*user, "account_id");
    session.user = text_of(*user, "user_id");
  }
  return session;
}

OpenVikingCommit read_commit(const json::value& result) {
  using Kind = OpenVikingCommit::Kind;
  OpenVikingCommit commit;
  const json::object* object = result.if_object();
  if (object == nullptr) return commit;
  commit.task = text_of(*object, "task_id");
  commit.archive = text_of(*object, "archive_uri");
  const std::string status = text_of(*object, "status");
  const json::value* told = object->if_contains("archived");
  const bool archived = told != nullptr && told->is_bool() && told->get_bool();
  const bool unarchived = told != nullptr && told->is_bool() && !told->get_bool();
  if (commit.task.empty() && (status == "skipped" || unarchived)) {
    commit.kind = Kind::nothing;
  } else if (commit.task.empty() && status == "committed") {
    commit.kind = Kind::committed;
  } else if (!commit.task.empty() || archived) {
    commit.kind = Kind::accepted;
  }
  return commit;
}

OpenVikingTask read_task(const json::value& result) {
  using Status = OpenVikingTask::Status;
  struct Row {
    std::string_view text;
    Status status;
  };
  static constexpr Row rows[] = {{"pending", Status::pending},       {"running", Status::running},
                                 {"cancelling", Status::cancelling}, {"completed", Status::completed},
                                 {"failed", Status::failed},         {"cancelled", Status::cancelled}};
  OpenVikingTask task;
  const json::object* object = result.if_object();
  if (object == nullptr) return task;
  task.status_text = excerpt(text_of(*object, "status"), 64);
  for (const Row& row : rows) {
    if (row.text == task.status_text) task.status = row.status;
  }
  task.id = text_of(*object, "task_id");
  task.session = text_of(*object, "resource_id");
  task.error = excerpt(text_of(*object, "error"), sentence_bytes_max);
  task.created_at = time_of(*object, "created_at");
  task.updated_at = time_of(*object, "updated_at");
  const json::object* outcome = member_object(*object, "result");
  if (outcome == nullptr) return task;
  task.archive = text_of(*outcome, "archive_uri");
  if (const json::object* memories = member_object(*outcome, "memories_extracted")) {
    task.memories_extracted.emplace();
    for (const auto& [name, ignored] : *memories) {
      const std::optional<std::int64_t> count = count_of(*memories, name);
      // The sum of all types, where it is told, isn't one more of them.
      if (!count || name == "total" || task.memories_extracted->size() == types_max) continue;
      task.memories_extracted->insert_or_assign(excerpt(name, 64), *count);
      task.memories_total += std::min<std::int64_t>(*count, 1'000'000'000);
    }
    task.memories_total = count_of(*memories, "total").value_or(task.memories_total);
  }
  return task;
}

std::vector<OpenVikingTask> read_tasks(const json::value& result) {
  std::vector<OpenVikingTask> tasks;
  if (const json::array* list = result.if_array()) {
    tasks.reserve(list->size());
    for (const json::value& item : *list) tasks.push_back(read_task(item));
  }
  return tasks;
}

std::string read_failure(const json::value& marker) {
  const json::string* text = marker.if_string();
  const json::value content = text == nullptr ? json::value() : parse_json(*text);
  const json::object* failure = content.if_object();
  if (failure == nullptr) return {};
  const std::string stage = excerpt(text_of(*failure, "stage"), 64);
  const std::string error = excerpt(text_of(*failure, "error"), sentence_bytes_max);
  return stage.empty() || error.empty() ? stage + error : stage + ": " + error;
}

std::optional<std::int64_t> archive_number(std::string_view archive) {
  constexpr std::string_view prefix = "archive_";
  const std::size_t begin = archive.rfind(prefix);
  if (begin == std::string_view::npos) return std::nullopt;
  const char* const end = archive.data() + archive.size();
  std::int64_t number = 0;
  const auto [rest, error] = std::from_chars(archive.data() + begin + prefix.size(), end, number);
  if (error != std::errc() || rest != end || number < 0) return std::nullopt;
  return number;
}

std::string archive_uri(const OpenVikingSession& session, std::string_view external_id, std::int64_t number) {
  std::string uri = session.uri;
  if (uri.empty()) {
    uri =
        "viking://user/" + (session.user.empty() ? "default" : session.user) + "/sessions/" + std::string(external_id);
  }
  char name[32];
  std::snprintf(name, sizeof name, "/history/archive_%03lld", static_cast<long long>(number));
  return uri + name;
}

}  // namespace tidemark::daemon
