// Attempts: journaled before their owner hears of them, and how they ended.
#include "store/state.h"

namespace tidemark::store {

using lifecycle::Attempt;
using lifecycle::Segment;
using lifecycle::Session;

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
  return result;
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
    const Segment* out = nullptr;
    lifecycle::AgentPointer owner;  // stays when its segment is settled
    for (const Segment& segment : session.segments) {
      if (segment.key != command.key) continue;
      owner = segment.owner;
      if (segment.phase == lifecycle::Phase::in_flight) out = &segment;
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
      case AttemptEnd::not_asked:
        result.applied = session.withdraw(command.commit);
        break;
      case AttemptEnd::in_doubt:
        result.applied = session.doubt(command.commit, command.error, retry, command.chance, now_);
        break;
    }
    if (result.applied) {
      tell_end(session, command, owner);
      changed(*resident);
      if (success) forget_settled_turns(*resident);
    }
    result.marks = marks_of(session);
  }
  if (!result.applied) result.settled = rows_.key_settled(command.uid, command.session, command.key);
  if (result.applied) {
    const char* state = success ? (command.end == AttemptEnd::skipped ? "skipped" : "committed")
                        : command.end == AttemptEnd::in_doubt  ? "in_doubt"
                        : command.end == AttemptEnd::not_asked ? "void"
                                                               : "failed";
    rows_.finish_attempt(command.commit, state, now_.utc, command.error, command.evidence);
  }
  return result;
}

}  // namespace tidemark::store
