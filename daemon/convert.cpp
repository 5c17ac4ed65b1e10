#include "daemon/convert.h"

#include <algorithm>

namespace tidemark::daemon {

namespace {

ipc::Nullable<std::string> text_or_null(const std::string& text) {
  ipc::Nullable<std::string> value;
  if (!text.empty()) value.emplace(text);
  return value;
}

ipc::Nullable<ipc::Utc> time_or_null(lifecycle::Utc at) {
  ipc::Nullable<ipc::Utc> value;
  if (at != lifecycle::Utc{}) value.emplace(at);
  return value;
}

ipc::SegmentStatus status_of(const store::SegmentView& view) {
  ipc::SegmentStatus status;
  status.start = view.start;
  status.end = view.end;
  status.owner = text_or_null(view.owner);
  switch (view.state) {
    case lifecycle::SegmentState::in_flight:
      status.state = ipc::SegmentState::in_flight;
      break;
    case lifecycle::SegmentState::confirming:
      status.state = ipc::SegmentState::confirming;
      break;
    case lifecycle::SegmentState::stuck:
      status.state = ipc::SegmentState::stuck;
      break;
    case lifecycle::SegmentState::orphaned:
      status.state = ipc::SegmentState::orphaned;
      break;
    case lifecycle::SegmentState::in_doubt:
      status.state = ipc::SegmentState::in_doubt;
      break;
    case lifecycle::SegmentState::waiting:
      status.state = ipc::SegmentState::waiting;
      break;
    case lifecycle::SegmentState::open:
      status.state = ipc::SegmentState::open;
      break;
  }
  status.due = view.due;
  status.sealed = view.sealed;
  status.attempts = view.attempts;
  status.next_attempt_at = time_or_null(view.next_attempt_at);
  status.last_error = text_or_null(view.last_error);
  if (view.commit != 0) status.commit.emplace(std::to_string(view.commit));
  status.key = text_or_null(key_text(view.key));
  if (!view.provider.empty()) status.provider = view.provider;
  status.orphaned = view.orphaned;
  status.stalled = view.stalled;
  if (!view.evidence.empty()) status.evidence = ipc::RawJson{view.evidence};
  return status;
}

}  // namespace

std::string duration_text(lifecycle::Milliseconds duration) {
  const std::int64_t count = duration.count();
  if (count % 60'000 == 0 && count > 0) return std::to_string(count / 60'000) + " min";
  if (count % 1'000 == 0) return std::to_string(count / 1'000) + " s";
  return std::to_string(count) + " ms";
}

ipc::Error error_of(const store::Refused& refused) {
  switch (refused.refusal) {
    case store::Refusal::journal_unavailable: {
      ipc::Error error = ipc::Error::make(ipc::ErrorReason::journal_unavailable, refused.text);
      error.retry_after_ms = 1'000;
      return error;
    }
    case store::Refusal::outcome_unknown:
      return ipc::Error::make(ipc::ErrorReason::outcome_unknown, refused.text);
    case store::Refusal::not_found:
      return ipc::Error::make(ipc::ErrorReason::not_found, refused.text);
    case store::Refusal::limit:
      return ipc::Error::at_limit(refused.limit, refused.text);
    case store::Refusal::invalid:
      return ipc::Error::make(ipc::ErrorReason::invalid_params, refused.text);
    case store::Refusal::internal:
      break;
  }
  return ipc::Error::make(ipc::ErrorReason::internal, refused.text);
}

ipc::SessionSummary summary_of(const store::SessionView& view) {
  ipc::SessionSummary summary;
  summary.session = view.session;
  summary.uid = view.uid;
  summary.generation = view.generation;
  summary.watermark = view.watermark;
  summary.accepted = view.accepted;
  summary.uncommitted = view.generation - view.watermark;
  summary.in_flight = view.in_flight;
  summary.agent = text_or_null(view.agent);
  summary.turns_open = view.turns_open;
  summary.last_turn_at = time_or_null(view.last_turn_at);
  return summary;
}

ipc::SessionStatusResult status_of(const store::SessionView& view) {
  ipc::SessionStatusResult status;
  static_cast<ipc::SessionSummary&>(status) = summary_of(view);
  status.segments.reserve(view.segments.size());
  for (const store::SegmentView& segment : view.segments) status.segments.push_back(status_of(segment));
  return status;
}

ipc::CommitRecord record_of(const store::AttemptRow& row) {
  ipc::CommitRecord record;
  record.commit = std::to_string(row.commit_id);
  record.key = text_or_null(key_text(row.key));
  record.uid = row.uid;
  record.session = row.session;
  record.owner = text_or_null(row.owner);
  record.by = text_or_null(row.asked);
  record.start = row.start;
  record.end = row.end;
  record.state = ipc::from_word<ipc::AttemptState>(row.state).value_or(ipc::AttemptState::void_);
  record.attempt = row.attempt;
  record.reason = row.reason;
  record.started_at.emplace(row.started_at);
  if (row.finished_at) record.finished_at.emplace(*row.finished_at);
  if (!row.error.empty()) record.error = row.error;
  if (!row.evidence.empty()) record.evidence = ipc::RawJson{row.evidence};
  return record;
}

store::ListFilter filter_of(ipc::ListFilter filter) {
  switch (filter) {
    case ipc::ListFilter::all:
      return store::ListFilter::all;
    case ipc::ListFilter::dirty:
      return store::ListFilter::dirty;
    case ipc::ListFilter::due:
      return store::ListFilter::due;
    case ipc::ListFilter::in_flight:
      return store::ListFilter::in_flight;
    case ipc::ListFilter::confirming:
      return store::ListFilter::confirming;
    case ipc::ListFilter::stalled:
      return store::ListFilter::stalled;
    case ipc::ListFilter::in_doubt:
      return store::ListFilter::in_doubt;
    case ipc::ListFilter::orphaned:
      return store::ListFilter::orphaned;
    case ipc::ListFilter::stuck:
      return store::ListFilter::stuck;
  }
  return store::ListFilter::all;
}

ipc::EventType event_type_of(store::EventKind kind) {
  switch (kind) {
    case store::EventKind::turn_completed:
      return ipc::EventType::turn_completed;
    case store::EventKind::session_due:
      return ipc::EventType::session_due;
    case store::EventKind::commit_started:
      return ipc::EventType::commit_started;
    case store::EventKind::commit_accepted:
      return ipc::EventType::commit_accepted;
    case store::EventKind::commit_succeeded:
      return ipc::EventType::commit_succeeded;
    case store::EventKind::commit_failed:
      return ipc::EventType::commit_failed;
    case store::EventKind::commit_in_doubt:
      return ipc::EventType::commit_in_doubt;
    case store::EventKind::commit_stalled:
      return ipc::EventType::commit_stalled;
    case store::EventKind::commit_stuck:
      return ipc::EventType::commit_stuck;
    case store::EventKind::session_clean:
      return ipc::EventType::session_clean;
    case store::EventKind::session_discarded:
      return ipc::EventType::session_discarded;
    case store::EventKind::agent_orphaned:
      break;
  }
  return ipc::EventType::agent_orphaned;
}

ipc::EventParams event_of(const store::Event& event) {
  ipc::EventParams params;
  params.at = event.at;
  params.uid = event.uid;
  if (!event.agent.empty()) params.agent = event.agent;
  if (!event.session.empty()) {
    params.session = event.session;
    params.generation = event.generation;
    params.watermark = event.watermark;
    params.accepted = event.accepted;
  }
  if (event.commit != 0) params.commit = std::to_string(event.commit);
  if (!event.error.empty()) params.error = event.error;
  return params;
}

}  // namespace tidemark::daemon
