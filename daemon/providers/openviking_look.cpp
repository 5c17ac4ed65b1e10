#include "daemon/providers/openviking_look.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <utility>

namespace tidemark::daemon {

namespace json = boost::json;
using ReplyKind = OpenVikingReply::Kind;

namespace {

constexpr std::int64_t between_max = 16;  // the newest of them

}  // namespace

OpenVikingLook::OpenVikingLook(OpenVikingCalls& calls, Provider::Looked looked, const Confirming& confirming)
    : calls_(calls),
      looked_(std::move(looked)),
      external_id_(confirming.external_id),
      read_(read_evidence(confirming.evidence)) {
  const json::value value = parse_json(confirming.evidence);
  if (const json::object* object = value.if_object()) evidence_ = *object;
}

OpenVikingCalls::Done OpenVikingLook::to(void (OpenVikingLook::*step)(OpenVikingReply)) {
  return [self = shared_from_this(), step](OpenVikingReply reply) { (self.get()->*step)(std::move(reply)); };
}

void OpenVikingLook::start() {
  if (read_.task.empty()) return read_done_marker();
  calls_.get_task(read_.task, to(&OpenVikingLook::judge_task));
}

void OpenVikingLook::judge_task(OpenVikingReply reply) {
  using Status = OpenVikingTask::Status;
  // Records are kept for a day or a week, or until the server starts again; the markers stay.
  if (reply.kind == ReplyKind::not_found) return read_done_marker();
  if (ends_untold(reply)) return;
  task_ = read_task(reply.result);
  switch (task_.status) {
    case Status::pending:
    case Status::running:
    case Status::cancelling:
      evidence_["task_status"] = task_.status_text;
      return finish(Kind::unfinished);
    case Status::completed:
      return confirm("task");
    case Status::failed:
    case Status::cancelled:
      // It may have failed after the extraction, at indexing.
      return read_done_marker();
    case Status::unclear:
      return finish(Kind::unknown, "OpenViking tells of the task something that isn't known");
  }
}

void OpenVikingLook::read_done_marker() {
  calls_.read_marker(read_.archive, ".done", to(&OpenVikingLook::judge_done_marker));
}

void OpenVikingLook::judge_done_marker(OpenVikingReply reply) {
  if (reply.kind == ReplyKind::ok) return confirm("marker");
  if (reply.transient()) return finish(Kind::unknown, reply.error);
  if (task_.ended())
    return fail("the task " + task_.status_text + (task_.error.empty() ? "" : ": " + task_.error), read_.archive);
  if (reply.kind != ReplyKind::not_found && ends_untold(reply)) return;
  calls_.read_marker(read_.archive, ".failed.json", to(&OpenVikingLook::judge_failed_marker));
}

void OpenVikingLook::judge_failed_marker(OpenVikingReply reply) {
  if (reply.kind == ReplyKind::not_found) return finish(Kind::unfinished);
  if (ends_untold(reply)) return;
  fail(read_failure(reply.result), read_.archive);
}

void OpenVikingLook::confirm(std::string_view by) {
  evidence_["confirmed_by"] = json::string_view(by.data(), by.size());
  evidence_.erase("task_status");
  if (task_.ended() && !task_.error.empty()) evidence_["task_error"] = task_.error;
  if (task_.memories_extracted) {
    evidence_["memories_extracted"] = *task_.memories_extracted;
    evidence_["memories_total"] = task_.memories_total;
    if (task_.memories_total == 0) evidence_["confirmed_empty"] = true;
  }
  const std::int64_t ours = archive_number(read_.archive).value_or(0);
  between_ = std::max(read_.before ? read_.before->commit_count : ours, ours - between_max - 1);
  check_next_between();
}

void OpenVikingLook::check_next_between() {
  ++between_;
  if (between_ >= archive_number(read_.archive).value_or(0)) return finish(Kind::confirmed);
  calls_.read_marker(archive_uri(*read_.before, external_id_, between_), ".done",
                     to(&OpenVikingLook::judge_done_between));
}

void OpenVikingLook::judge_done_between(OpenVikingReply reply) {
  if (reply.kind == ReplyKind::ok) return check_next_between();
  if (reply.kind != ReplyKind::not_found && ends_untold(reply)) return;
  calls_.read_marker(archive_uri(*read_.before, external_id_, between_), ".failed.json",
                     to(&OpenVikingLook::judge_failed_between));
}

void OpenVikingLook::judge_failed_between(OpenVikingReply reply) {
  if (reply.kind == ReplyKind::not_found) return check_next_between();
  if (ends_untold(reply)) return;
  fail(read_failure(reply.result), archive_uri(*read_.before, external_id_, between_));
}

void OpenVikingLook::fail(const std::string& why, const std::string& archive) {
  finish(Kind::failed, "extraction failed" + (why.empty() ? why : " (" + why + ")") + "; the messages are in " +
                           archive + "/messages.jsonl");
}

bool OpenVikingLook::ends_untold(const OpenVikingReply& reply) {
  if (reply.kind == ReplyKind::ok) return false;
  const bool fault = reply.kind == ReplyKind::faulty || reply.kind == ReplyKind::foreign;
  finish(fault ? Kind::faulty : Kind::unknown, reply.error);
  return true;
}

void OpenVikingLook::give_up(const std::string& error) {
  finish(Kind::faulty, error);
}

void OpenVikingLook::finish(Kind kind, const std::string& error) {
  if (kind == Kind::faulty) calls_.distrust();
  ProviderLook look;
  look.kind = kind;
  look.error = calls_.redact(error);
  if (!evidence_.empty()) look.evidence = json::serialize(evidence_);
  look.progress_at = task_.updated_at;
  looked_(std::move(look));
}

}  // namespace tidemark::daemon
