#include "daemon/providers/openviking_attempt.h"

#include <boost/json/serialize.hpp>
#include <chrono>
#include <utility>

namespace tidemark::daemon {

namespace json = boost::json;
using ReplyKind = OpenVikingReply::Kind;

namespace {

lifecycle::Utc utc_now() {
  return std::chrono::time_point_cast<lifecycle::Milliseconds>(std::chrono::system_clock::now());
}

ProviderAnswer answer_of(ProviderAnswer::Kind kind, std::string error) {
  ProviderAnswer answer;
  answer.kind = kind;
  answer.error = std::move(error);
  return answer;
}

}  // namespace

OpenVikingAttempt::OpenVikingAttempt(OpenVikingCalls& calls, ProviderRequest request, Provider::Note note,
                                     Provider::Answered answered)
    : calls_(calls),
      request_(std::move(request)),
      note_(std::move(note)),
      answered_(std::move(answered)),
      id_(std::to_string(request_.commit)),
      settled_(read_settled(request_.provider_state)) {
  if (request_.sealed) earlier_ = read_evidence(request_.evidence);
}

OpenVikingCalls::Done OpenVikingAttempt::to(Step step) {
  return [self = shared_from_this(), step](OpenVikingReply reply) { (self.get()->*step)(std::move(reply)); };
}

void OpenVikingAttempt::start() {
  calls_.learn_version(to(&OpenVikingAttempt::read_state));
}

void OpenVikingAttempt::read_state(OpenVikingReply version) {
  if (version.kind != ReplyKind::ok) return fail_by(version);
  calls_.get_session(request_.external_id, id_, to(&OpenVikingAttempt::judge_state));
}

void OpenVikingAttempt::judge_state(OpenVikingReply reply) {
  if (reply.kind == ReplyKind::not_found) return suspect_loss("OpenViking knows no such session (" + reply.error + ")");
  if (reply.kind != ReplyKind::ok) return fail_by(reply);
  std::optional<OpenVikingSession> state = read_session(reply.result);
  if (!state) return fail(Kind::faulty, "OpenViking answered with something that is no session's state");
  now_ = std::move(*state);
  std::string other = settled_ ? other_identity(settled_->before, now_) : std::string();
  if (other.empty() && earlier_.before) other = other_identity(*earlier_.before, now_);
  if (!other.empty()) return fail(Kind::failed_for_good, std::move(other));
  before_ = now_;
  if (!earlier_.before) return journal();
  switch (judge_earlier(*earlier_.before, now_)) {
    case OpenVikingEarlier::landed:
      before_ = *earlier_.before;
      posted_at_ = earlier_.posted_at;
      return adopt_earlier();
    case OpenVikingEarlier::undone:
      // Its task would still be the one to look for, should it land after all.
      if (earlier_.before->commit_count == now_.commit_count) posted_at_ = earlier_.posted_at;
      return journal();
    case OpenVikingEarlier::emptied:
      return check_late_failure();
  }
}

void OpenVikingAttempt::journal() {
  if (posted_at_ == lifecycle::Utc{}) posted_at_ = utc_now();
  json::object before = session_json(before_);
  if (!calls_.version().empty()) before["server_version"] = calls_.version();
  evidence_ = {{"provider_kind", "openviking"}, {"before", std::move(before)}, {"posted_at", time_text(posted_at_)}};
  note_(json::serialize(evidence_), calls_.while_here([self = shared_from_this()](bool noted) {
    if (noted) return self->post();
    self->fail(Kind::failed, "the session's state couldn't be journaled, so nothing was asked of OpenViking");
  }));
}

void OpenVikingAttempt::post() {
  calls_.commit(request_.external_id, id_, to(&OpenVikingAttempt::judge_post));
}

void OpenVikingAttempt::judge_post(OpenVikingReply reply) {
  switch (reply.kind) {
    case ReplyKind::ok:
      break;
    case ReplyKind::ambiguous:
    case ReplyKind::conflict: {
      ProviderAnswer answer =
          answer_of(Kind::in_doubt, reply.error + "; whether the commit has landed isn't known yet");
      answer.retry_after = reply.retry_after.value_or(lifecycle::Milliseconds(0));
      return read_again(std::move(answer));
    }
    case ReplyKind::foreign:
      return read_again(answer_of(Kind::faulty, reply.error));
    case ReplyKind::not_found:
      return suspect_loss("OpenViking has lost the session (" + reply.error + ")");
    case ReplyKind::unreached:
    case ReplyKind::faulty:
    case ReplyKind::throttled:
    case ReplyKind::busy:
    case ReplyKind::refused:
      return fail_by(reply);
  }
  const OpenVikingCommit commit = read_commit(reply.result);
  next_.before = before_;
  next_.answered_at = utc_now();
  next_.task = commit.task;
  next_.archive = commit.archive;
  next_.commit = id_;
  switch (commit.kind) {
    case OpenVikingCommit::Kind::unclear:
      return read_again(answer_of(
          Kind::in_doubt, "OpenViking's answer can't be understood; whether the commit has landed isn't known yet"));
    case OpenVikingCommit::Kind::nothing:
      return calls_.get_session(request_.external_id, id_, to(&OpenVikingAttempt::judge_emptied));
    case OpenVikingCommit::Kind::accepted:
    case OpenVikingCommit::Kind::committed:
      break;
  }
  if (next_.archive.empty()) {
    next_.archive = archive_uri(before_, request_.external_id, before_.commit_count + 1);
  }
  next_.confirmed = commit.kind == OpenVikingCommit::Kind::committed;
  if (!next_.confirmed) return succeed(Kind::accepted);
  evidence_["confirmed_by"] = "answer";
  succeed(Kind::committed);
}

void OpenVikingAttempt::read_again(ProviderAnswer otherwise) {
  otherwise_ = std::move(otherwise);
  calls_.get_session(request_.external_id, id_, to(&OpenVikingAttempt::judge_again));
}

void OpenVikingAttempt::judge_again(OpenVikingReply reply) {
  if (reply.kind == ReplyKind::not_found) {
    return suspect_loss("OpenViking has lost the session (" + otherwise_.error + "; then: " + reply.error + ")");
  }
  if (reply.kind == ReplyKind::faulty || reply.kind == ReplyKind::foreign) {
    otherwise_ = answer_of(Kind::faulty, reply.error);
  }
  const std::optional<OpenVikingSession> state =
      reply.kind == ReplyKind::ok ? read_session(reply.result) : std::nullopt;
  if (!state || judge_earlier(before_, *state) != OpenVikingEarlier::landed) {
    otherwise_.may_have_landed = otherwise_.kind == Kind::faulty;
    return finish(otherwise_);
  }
  now_ = *state;
  adopt_earlier();
}

void OpenVikingAttempt::adopt_earlier() {
  if (evidence_.empty()) {
    evidence_ = {
        {"provider_kind", "openviking"}, {"before", session_json(before_)}, {"posted_at", time_text(posted_at_)}};
  }
  evidence_["adopted"] = true;
  next_.before = before_;
  next_.answered_at = posted_at_;
  next_.task.clear();
  next_.archive = archive_uri(now_, request_.external_id, before_.commit_count + 1);
  next_.commit = id_;
  calls_.list_tasks(request_.external_id, to(&OpenVikingAttempt::choose_task));
}

void OpenVikingAttempt::choose_task(OpenVikingReply reply) {
  const std::vector<OpenVikingTask> tasks = read_tasks(reply.result);
  const OpenVikingTask* task = find_task(tasks, request_.external_id, posted_at_, next_.archive);
  if (task != nullptr) next_.task = task->id;
  if (task != nullptr || unmarked_) return succeed(Kind::accepted);
  read_markers([this] { succeed(Kind::accepted); });
}

void OpenVikingAttempt::judge_emptied(OpenVikingReply reply) {
  if (reply.kind == ReplyKind::not_found) return suspect_loss("OpenViking has lost the session (" + reply.error + ")");
  if (reply.kind != ReplyKind::ok) return fail_by(reply);
  const std::optional<OpenVikingSession> state = read_session(reply.result);
  if (!state) return fail(Kind::faulty, "OpenViking answered with something that is no session's state");
  now_ = *state;
  if (now_.message_count > 0) {
    return fail(Kind::failed, "OpenViking had nothing to commit, and has messages since: they arrived late");
  }
  check_late_failure();
}

void OpenVikingAttempt::check_late_failure() {
  next_.archive = archive_uri(now_, request_.external_id, now_.commit_count + 1);
  calls_.read_marker(next_.archive, ".failed.json", to(&OpenVikingAttempt::judge_late_failure));
}

void OpenVikingAttempt::judge_late_failure(OpenVikingReply reply) {
  if (reply.kind == ReplyKind::ok) return judge_failed_marker(std::move(reply));
  if (reply.transient()) return fail_by(reply);
  adopt_swept(judge_nothing(settled_, now_, request_.last_turn_at));
}

void OpenVikingAttempt::adopt_swept(OpenVikingSwept swept) {
  next_ = {};
  next_.before = now_;
  next_.answered_at = utc_now();
  switch (swept) {
    case OpenVikingSwept::not_at_all:
      return suspect_loss("OpenViking has nothing to commit, and no commit can have taken these turns along");
    case OpenVikingSwept::by_ours:
      next_.answered_at = settled_->answered_at;
      next_.task = settled_->task;
      next_.archive = settled_->archive;
      next_.commit = settled_->commit;
      next_.confirmed = settled_->confirmed;
      break;
    case OpenVikingSwept::by_another:
      next_.archive = archive_uri(now_, request_.external_id, now_.commit_count);
      break;
  }
  if (evidence_.empty()) evidence_ = {{"provider_kind", "openviking"}, {"before", session_json(now_)}};
  evidence_["swept_along_by"] = next_.commit.empty() ? "another committer" : "commit " + next_.commit;
  if (next_.confirmed) return succeed(Kind::committed);
  read_markers([this] {
    if (!next_.task.empty()) return succeed(Kind::accepted);
    posted_at_ = settled_ ? settled_->answered_at : lifecycle::Utc{};
    calls_.list_tasks(request_.external_id, to(&OpenVikingAttempt::choose_task));
  });
}

void OpenVikingAttempt::read_markers(std::function<void()> unmarked) {
  unmarked_ = std::move(unmarked);
  calls_.read_marker(next_.archive, ".done", to(&OpenVikingAttempt::judge_done_marker));
}

void OpenVikingAttempt::judge_done_marker(OpenVikingReply reply) {
  if (reply.kind != ReplyKind::ok) {
    return calls_.read_marker(next_.archive, ".failed.json", to(&OpenVikingAttempt::judge_failed_marker));
  }
  evidence_["confirmed_by"] = "marker";
  next_.confirmed = true;
  succeed(Kind::committed);
}

void OpenVikingAttempt::judge_failed_marker(OpenVikingReply reply) {
  if (reply.kind != ReplyKind::ok) return unmarked_();
  const std::string told = read_failure(reply.result);
  fail(Kind::failed_for_good, "extraction failed" + (told.empty() ? std::string() : " (" + told + ")") +
                                  "; the messages are in " + next_.archive + "/messages.jsonl");
}

void OpenVikingAttempt::succeed(Kind kind) {
  evidence_["answered_at"] = time_text(utc_now());
  evidence_["archive"] = next_.archive;
  if (!next_.task.empty()) evidence_["task"] = next_.task;
  ProviderAnswer answer = answer_of(kind, {});
  answer.evidence = json::serialize(evidence_);
  answer.provider_state = settled_text(next_);
  finish(std::move(answer));
}

void OpenVikingAttempt::fail_by(const OpenVikingReply& reply) {
  switch (reply.kind) {
    case ReplyKind::unreached:
      return fail(Kind::unreachable, reply);
    case ReplyKind::foreign:
    case ReplyKind::faulty:
      return fail(Kind::faulty, reply);
    case ReplyKind::throttled:
      return fail(Kind::throttled, reply);
    case ReplyKind::not_found:
    case ReplyKind::refused:
      if (reply.archive_id.empty()) return fail(Kind::failed_for_good, reply);
      return fail(Kind::failed_for_good, "the failed archive " + reply.archive_id + " blocks the session (" +
                                             reply.error + "): mend or remove it at the server, then `tidemark retry`");
    case ReplyKind::ok:
    case ReplyKind::ambiguous:
    case ReplyKind::busy:
    case ReplyKind::conflict:
      return fail(Kind::failed, reply);
  }
}

void OpenVikingAttempt::fail(Kind kind, const OpenVikingReply& reply) {
  // One session's trouble is nothing that the whole provider has to wait for.
  const bool waits = reply.kind != ReplyKind::busy && reply.kind != ReplyKind::conflict;
  ProviderAnswer answer = answer_of(kind, reply.error);
  if (reply.retry_after && waits) answer.retry_after = *reply.retry_after;
  finish(std::move(answer));
}

void OpenVikingAttempt::fail(Kind kind, std::string error) {
  finish(answer_of(kind, std::move(error)));
}

void OpenVikingAttempt::suspect_loss(const std::string& why) {
  fail(Kind::failed_for_good,
       "suspected loss: " + why +
           "; the provider may act as somebody else, the session may have been deleted, or the turns never have been "
           "stored: `tidemark retry` once that is mended, `tidemark settle` if they are known to be committed, "
           "`tidemark abandon` to give them up");
}

void OpenVikingAttempt::give_up(std::string error) {
  fail(Kind::faulty, std::move(error));
}

void OpenVikingAttempt::finish(ProviderAnswer answer) {
  if (answer.kind == Kind::faulty) calls_.distrust();
  // Redacted once more as a whole: it also holds texts that were journaled before.
  answer.error = calls_.redact(answer.error);
  answered_(std::move(answer));
}

}  // namespace tidemark::daemon
