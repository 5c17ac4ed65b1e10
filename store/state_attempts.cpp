// Attempts: journaled before their owner hears of them, and how they ended; then what providers have accepted.
#include <algorithm>

#include "store/state.h"

namespace tidemark::store {

using lifecycle::Attempt;
using lifecycle::Segment;
using lifecycle::Session;

namespace {

// The word of the history.
const char* end_name(AttemptEnd end) {
  switch (end) {
    case AttemptEnd::committed:
      return "committed";
    case AttemptEnd::skipped:
      return "skipped";
    case AttemptEnd::accepted:
      return "confirming";
    case AttemptEnd::failed:
    case AttemptEnd::failed_for_good:
      return "failed";
    case AttemptEnd::in_doubt:
    case AttemptEnd::withdrawn_in_doubt:
      return "in_doubt";
    case AttemptEnd::withdrawn:
      break;
  }
  return "void";
}

// Null if no segment is being confirmed under that key.
const Segment* confirming(const Session& session, const lifecycle::Key& key) {
  for (const Segment& segment : session.segments) {
    if (segment.key == key && segment.phase == lifecycle::Phase::confirming) return &segment;
  }
  return nullptr;
}

}  // namespace

Outcome<BeginAttempt::Result> State::apply(const BeginAttempt& command) {
  BeginAttempt::Result result;
  Resident* resident = find(command.uid, command.session);
  if (!resident) return result;
  Session& session = resident->session;
  result.marks = marks_of(session);
  const Segment* next = session.next();
  if (!next) return result;
  const lifecycle::AgentPointer owner = next->owner ? next->owner : session.agent;
  if (!owner || owner->id != command.owner) {
    changed_heads_.insert(session.id);
    return result;
  }
  touch(*resident);
  const std::string reason = !command.reason.empty() ? command.reason : next->attempts > 0 ? "retry" : next->reason;
  std::optional<Attempt> attempt = session.begin_attempt(last_commit_ + 1, command.new_key);
  if (!attempt) {
    changed_heads_.insert(session.id);
    return result;
  }
  ++last_commit_;
  AttemptRow row;
  row.commit_id = attempt->commit;
  row.uid = session.uid;
  row.session = session.name;
  row.key = attempt->key;
  row.owner = attempt->owner->name;
  row.asked = command.asked;
  row.start = attempt->start;
  row.end = attempt->end;
  row.state = "in_flight";
  row.attempt = attempt->attempt;
  row.reason = reason;
  row.started_at = now_.utc;
  rows_.insert_attempt(row);
  changed(*resident);
  tell(EventKind::commit_started, session, attempt->owner.get(), attempt->commit);
  result.owner = attempt->owner->name;
  attempt->owner = nullptr;  // the ledger's memory doesn't leave its thread
  result.attempt = std::move(attempt);
  result.reason = reason;
  result.provider_state = session.provider_state;
  return result;
}

Outcome<NoteAttempt::Result> State::apply(const NoteAttempt& command) {
  Resident* resident = find(command.uid, command.session);
  if (!resident) return NoteAttempt::Result{false};
  touch(*resident);
  const auto is_out = [&](const Segment& segment) {
    return segment.phase == lifecycle::Phase::in_flight && segment.commit == command.commit;
  };
  const auto& segments = resident->session.segments;
  if (std::none_of(segments.begin(), segments.end(), is_out)) return NoteAttempt::Result{false};
  if (!command.evidence.empty()) {
    resident->session.note(command.commit, command.evidence);
    changed(*resident);
  }
  rows_.note_attempt(command.commit, command.asked, command.evidence);
  return NoteAttempt::Result{true};
}

Outcome<EndAttempt::Result> State::apply(const EndAttempt& command) {
  EndAttempt::Result result;
  Resident* resident = find(command.uid, command.session);
  const bool success = command.end == AttemptEnd::committed || command.end == AttemptEnd::skipped;
  if (resident) {
    Session& session = resident->session;
    touch(*resident);
    const lifecycle::RetryPolicy& retry = policies_.retry;
    // An attempt of the same key may be out while an earlier one's success comes in: it has become pointless.
    // What a provider has accepted under that key is done with it, too.
    const Segment* out = nullptr;
    lifecycle::AgentPointer owner;  // stays when its segment is settled
    for (const Segment& segment : session.segments) {
      if (segment.key != command.key) continue;
      owner = segment.owner;
      if (segment.phase == lifecycle::Phase::in_flight || segment.phase == lifecycle::Phase::confirming) {
        out = &segment;
      }
    }
    const lifecycle::CommitId pointless = out && out->commit != command.commit ? out->commit : 0;
    switch (command.end) {
      case AttemptEnd::committed:
      case AttemptEnd::skipped:
        result.applied = session.succeed(command.key);
        if (result.applied && pointless != 0) {
          rows_.finish_attempt(pointless, "void", now_.utc, "an earlier attempt under the same key succeeded", {});
        }
        break;
      case AttemptEnd::failed:
      case AttemptEnd::failed_for_good:
        result.applied = session.fail(command.commit, command.error, command.end == AttemptEnd::failed_for_good, retry,
                                      command.chance, now_);
        break;
      case AttemptEnd::accepted:
        // Only the attempt that is out: its row of the history is the one that goes on.
        result.applied = out && out->phase == lifecycle::Phase::in_flight && out->commit == command.commit &&
                         session.accept(command.key, command.provider, command.evidence);
        if (result.applied) accepted_.push_back(accepted_of(session, *out));
        break;
      case AttemptEnd::withdrawn:
        result.applied = session.withdraw(command.commit, command.error);
        break;
      case AttemptEnd::withdrawn_in_doubt:
        result.applied = session.withdraw_in_doubt(command.commit, command.error);
        break;
      case AttemptEnd::in_doubt:
        result.applied = session.doubt(command.commit, command.error, retry, command.chance, now_);
        break;
    }
    if (result.applied) {
      if (!command.provider_state.empty()) session.provider_state = command.provider_state;
      tell_end(session, command, owner);
      changed(*resident);
      if (success) forget_settled_turns(*resident);
    }
    result.marks = marks_of(session);
  }
  if (!result.applied) result.settled = rows_.key_settled(command.uid, command.session, command.key);
  if (result.applied && command.end == AttemptEnd::accepted) {
    rows_.accept_attempt(command.commit, command.evidence);
  } else if (result.applied) {
    rows_.finish_attempt(command.commit, end_name(command.end), now_.utc, command.error, command.evidence);
  }
  return result;
}

Outcome<PausedProvider> State::apply(const PauseProvider& command) {
  PausedProvider paused{command.provider, command.reason, now_.utc};
  rows_.write_paused_provider(paused);
  return paused;
}

Outcome<Nothing> State::apply(const ResumeProvider& command) {
  rows_.delete_paused_provider(command.provider);
  return Nothing{};
}

Outcome<EndConfirmation::Result> State::apply(const EndConfirmation& command) {
  Resident* resident = find(command.uid, command.session);
  if (!resident) return EndConfirmation::Result{false};
  Session& session = resident->session;
  const Segment* segment = confirming(session, command.key);
  if (!segment) return EndConfirmation::Result{false};
  touch(*resident);
  const lifecycle::CommitId commit = segment->commit;
  const lifecycle::AgentPointer owner = segment->owner;
  if (command.confirmed) {
    session.succeed(command.key);
    tell(EventKind::commit_succeeded, session, owner.get(), commit);
  } else {
    session.fail_confirmation(command.key, command.error, command.evidence);
    tell(EventKind::commit_failed, session, owner.get(), commit, command.error);
    tell(EventKind::commit_stuck, session, owner.get(), commit, command.error);
  }
  changed(*resident);
  if (command.confirmed) forget_settled_turns(*resident);
  rows_.finish_attempt(commit, command.confirmed ? "committed" : "failed", now_.utc, command.error, command.evidence);
  return EndConfirmation::Result{true};
}

Outcome<Nothing> State::apply(const SetStalled& command) {
  Resident* resident = find(command.uid, command.session);
  if (!resident) return Nothing{};
  Session& session = resident->session;
  touch(*resident);
  if (!session.set_stalled(command.key, command.stalled)) return Nothing{};
  const Segment* segment = confirming(session, command.key);
  if (command.stalled) tell(EventKind::commit_stalled, session, segment->owner.get(), segment->commit);
  changed(*resident);
  return Nothing{};
}

Outcome<GetConfirming::Result> State::apply(const GetConfirming& command) {
  const Resident* resident = find(command.uid, command.session);
  const Segment* segment = resident ? confirming(resident->session, command.key) : nullptr;
  if (!segment) return GetConfirming::Result{};
  return GetConfirming::Result{true, segment->stalled, segment->external_id, segment->evidence};
}

Accepted State::accepted_of(const Session& session, const Segment& segment) const {
  return {session.uid, session.name, segment.key, segment.commit, segment.start, segment.end, segment.provider};
}

}  // namespace tidemark::store
