#include "daemon/providers/openviking_decisions.h"

#include <boost/json/serialize.hpp>
#include <chrono>
#include <cstdio>

namespace tidemark::daemon {

namespace json = boost::json;

namespace {

constexpr std::chrono::minutes clock_skew_max{5};  // between the server's clock and ours
constexpr std::chrono::seconds append_slack{60};   // a turn may reach the provider so long after it was marked

// Of our own texts only: other forms give the epoch.
lifecycle::Utc time_from(const std::string& text) {
  int year = 0, hour = 0, minute = 0, second = 0, millisecond = 0;
  unsigned month = 0, day = 0;
  if (std::sscanf(text.c_str(), "%4d-%2u-%2uT%2d:%2d:%2d.%3dZ", &year, &month, &day, &hour, &minute, &second,
                  &millisecond) != 7) {
    return {};
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
  if (!date.ok()) return {};
  return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         std::chrono::seconds(second) + lifecycle::Milliseconds(millisecond);
}

std::optional<OpenVikingSession> session_from(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr ? std::nullopt : read_session(*value);
}

// How many messages are in archives.
std::optional<std::int64_t> archived_messages(const OpenVikingSession& session) {
  if (!session.total_message_count) return std::nullopt;
  return *session.total_message_count - session.message_count;
}

}  // namespace

std::string time_text(lifecycle::Utc at) {
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(at - day);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()), static_cast<int>(time.subseconds().count()));
  return text;
}

json::object session_json(const OpenVikingSession& session) {
  json::object object{{"commit_count", session.commit_count}, {"message_count", session.message_count}};
  if (session.total_message_count) object["total_message_count"] = *session.total_message_count;
  if (!session.last_commit_at.empty()) object["last_commit_at"] = session.last_commit_at;
  if (!session.uri.empty()) object["uri"] = session.uri;
  if (!session.account.empty() || !session.user.empty()) {
    object["user"] = json::object{{"account_id", session.account}, {"user_id", session.user}};
  }
  return object;
}

OpenVikingEvidence read_evidence(std::string_view text) {
  OpenVikingEvidence evidence;
  const json::value value = parse_json(text);
  const json::object* object = value.if_object();
  if (object == nullptr) return evidence;
  evidence.before = session_from(*object, "before");
  evidence.posted_at = time_from(text_of(*object, "posted_at"));
  evidence.task = text_of(*object, "task");
  evidence.archive = text_of(*object, "archive");
  return evidence;
}

std::optional<OpenVikingSettled> read_settled(std::string_view text) {
  const json::value value = parse_json(text);
  const json::object* object = value.if_object();
  if (object == nullptr) return std::nullopt;
  std::optional<OpenVikingSession> before = session_from(*object, "before");
  if (!before) return std::nullopt;
  OpenVikingSettled settled;
  settled.before = std::move(*before);
  settled.answered_at = time_from(text_of(*object, "answered_at"));
  settled.task = text_of(*object, "task");
  settled.archive = text_of(*object, "archive");
  settled.commit = text_of(*object, "commit");
  settled.confirmed = object->contains("confirmed");
  return settled;
}

std::string settled_text(const OpenVikingSettled& settled) {
  json::object object{{"before", session_json(settled.before)}, {"answered_at", time_text(settled.answered_at)}};
  if (!settled.task.empty()) object["task"] = settled.task;
  if (!settled.archive.empty()) object["archive"] = settled.archive;
  if (!settled.commit.empty()) object["commit"] = settled.commit;
  if (settled.confirmed) object["confirmed"] = true;
  return json::serialize(object);
}

std::string other_identity(const OpenVikingSession& then, const OpenVikingSession& now) {
  const auto differ = [](const std::string& left, const std::string& right) {
    return !left.empty() && !right.empty() && left != right;
  };
  if (!differ(then.account, now.account) && !differ(then.user, now.user)) return {};
  return "the session was committed as account \"" + then.account + "\", user \"" + then.user +
         "\", and the provider now acts as account \"" + now.account + "\", user \"" + now.user +
         "\", for whom the same name is another session: set the key, account and user back and `tidemark retry`, or "
         "`tidemark settle` or `tidemark abandon` the turns";
}

OpenVikingEarlier judge_earlier(const OpenVikingSession& before, const OpenVikingSession& now) {
  // A commit that keeps some messages live doesn't archive all that was there.
  const std::optional<std::int64_t> archived = archived_messages(now);
  const bool partly = archived && before.total_message_count && *archived < *before.total_message_count;
  if (now.commit_count > before.commit_count && !(partly && now.message_count > 0)) return OpenVikingEarlier::landed;
  return now.message_count > 0 ? OpenVikingEarlier::undone : OpenVikingEarlier::emptied;
}

OpenVikingSwept judge_nothing(const std::optional<OpenVikingSettled>& settled, const OpenVikingSession& now,
                              lifecycle::Utc last_turn_at) {
  const std::optional<std::int64_t> archived = archived_messages(now);
  if (!settled) {
    const bool something = now.commit_count > 0 && (!archived || *archived > 0);
    return something ? OpenVikingSwept::by_another : OpenVikingSwept::not_at_all;
  }
  // Fewer commits than before: deleted, and made anew.
  if (now.commit_count < settled->before.commit_count) return OpenVikingSwept::not_at_all;
  const std::int64_t ours = archive_number(settled->archive).value_or(settled->before.commit_count + 1);
  const bool grown = archived && settled->before.total_message_count ? *archived > *settled->before.total_message_count
                                                                     : now.commit_count > ours;
  const bool in_time = last_turn_at != lifecycle::Utc{} && settled->answered_at != lifecycle::Utc{} &&
                       last_turn_at <= settled->answered_at + append_slack;
  if (!grown && !in_time) return OpenVikingSwept::not_at_all;
  return now.commit_count > ours ? OpenVikingSwept::by_another : OpenVikingSwept::by_ours;
}

const OpenVikingTask* find_task(const std::vector<OpenVikingTask>& tasks, std::string_view external_id,
                                lifecycle::Utc since, std::string_view archive) {
  const std::optional<std::int64_t> number = archive_number(archive);
  const OpenVikingTask* found = nullptr;
  int unnamed = 0;
  for (const OpenVikingTask& task : tasks) {
    if (task.id.empty() || (!task.session.empty() && task.session != external_id)) continue;
    if (const std::optional<std::int64_t> named = archive_number(task.archive)) {
      if (named == number) return &task;
      continue;
    }
    if (task.created_at != lifecycle::Utc{} && task.created_at < since - clock_skew_max) continue;
    found = &task;
    ++unnamed;
  }
  return unnamed == 1 ? found : nullptr;
}

}  // namespace tidemark::daemon
