// Boundaries that wait for a provider, and the operator's hand on commits.
#include <charconv>

#include "daemon/drain.h"
#include "daemon/methods_detail.h"

namespace tidemark::daemon {

namespace {

// The ids of attempts are the ledger's numbers as text; 0 for anything else, which no attempt has.
lifecycle::CommitId commit_id_of(const std::string& text) {
  lifecycle::CommitId id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  return error == std::errc() && end == text.data() + text.size() ? id : 0;
}

}  // namespace

bool Methods::may_wait(const Client& client, ipc::Call& call) {
  const std::int64_t most = context_.config.limits_of(client.uid).waiting_calls;
  if (static_cast<std::int64_t>(client.connection->calls_waiting()) >= most) {
    call.fail(ipc::Error::at_limit(
        "waiting_calls", "at most " + std::to_string(most) + " calls of one connection may wait for a provider"));
    return false;
  }
  call.set_waiting();
  return true;
}

template <class Result, class Fill>
void Methods::answer_wait(ipc::Call call, uid_t uid, const std::string& session, WaitResult result, Fill fill) {
  if (result.refused) {
    call.fail(error_of(*result.refused));
    return;
  }
  if (result.marks) {
    call.reply(fill(result, *result.marks));
    return;
  }
  store::GetSession command;
  command.uid = uid;
  command.session = session;
  context_.ledger.submit(std::move(command), [call = std::move(call), result = std::move(result),
                                              fill](const store::Outcome<store::SessionView>& outcome) mutable {
    store::Marks marks;
    if (const auto* view = std::get_if<store::SessionView>(&outcome)) {
      marks = {true, view->generation, view->watermark, view->accepted};
    } else if (result.outcome == ipc::Outcome::busy &&
               std::get<store::Refused>(outcome).refusal == store::Refusal::not_found) {
      result.outcome = ipc::Outcome::unknown;  // forgotten; what is out belongs to nobody
    }
    call.reply(fill(result, marks));
  });
}

void Methods::commit(const Client& client, ipc::Call call, ipc::SessionCommitParams params) {
  const auto uid = whose(client, call, params.uid);
  if (!uid) return;
  if (params.detach) {
    detach(std::move(call), *uid, std::move(params));
    return;
  }
  if (!may_wait(client, call)) return;
  const auto fill = [](const WaitResult& ended, const store::Marks& marks) {
    ipc::SessionCommitResult result;
    result.outcome = ended.outcome;
    result.committed = ended.outcome == ipc::Outcome::committed;
    if (ended.start != 0) {
      result.start = ended.start;
      result.end = ended.end;
    }
    if (!ended.error.empty()) result.error = ended.error;
    result.generation = marks.generation;
    result.watermark = marks.watermark;
    return result;
  };
  if (!params.wait && context_.dispatcher.busy(*uid, params.session.value)) {
    WaitResult busy;
    busy.outcome = ipc::Outcome::busy;
    answer_wait<ipc::SessionCommitResult>(std::move(call), *uid, params.session.value, std::move(busy), fill);
    return;
  }
  auto wait = std::make_shared<Wait>();
  wait->kind = Wait::Kind::commit;
  wait->client = client.id;
  wait->uid = *uid;
  wait->session = params.session.value;
  wait->agent = text_of(params.agent);
  wait->patient = params.wait;
  wait->reason = params.reason && !params.reason->value.empty() ? params.reason->value : "commit";
  wait->done = [this, uid = *uid, session = params.session.value, fill,
                held = std::make_shared<ipc::Call>(std::move(call))](WaitResult result) {
    answer_wait<ipc::SessionCommitResult>(std::move(*held), uid, session, std::move(result), fill);
  };
  context_.dispatcher.enqueue(std::move(wait), params.timeout_ms);
}

// A boundary without the wait.
void Methods::detach(ipc::Call call, uid_t uid, ipc::SessionCommitParams params) {
  store::MakeDue command;
  command.uid = uid;
  command.session = params.session.value;
  command.agent = text_of(params.agent);
  command.reason = params.reason && !params.reason->value.empty() ? params.reason->value : "commit";
  context_.ledger.submit(std::move(command),
                         answer<store::MakeDue>(std::move(call), [](const store::MakeDue::Result& made) {
                           ipc::SessionCommitResult result;
                           result.outcome = !made.marks.known         ? ipc::Outcome::unknown
                                            : made.dirty_segments > 0 ? ipc::Outcome::accepted
                                                                      : ipc::Outcome::clean;
                           result.generation = made.marks.generation;
                           result.watermark = made.marks.watermark;
                           return result;
                         }));
}

void Methods::flush(const Client& client, ipc::Call call, ipc::SessionFlushParams params) {
  const auto uid = whose(client, call, params.uid);
  if (!uid || !may_wait(client, call)) return;
  auto wait = std::make_shared<Wait>();
  wait->kind = Wait::Kind::flush;
  wait->client = client.id;
  wait->uid = *uid;
  wait->session = params.session.value;
  wait->reason = "flush";
  wait->done = [this, uid = *uid, session = params.session.value,
                held = std::make_shared<ipc::Call>(std::move(call))](WaitResult result) {
    answer_wait<ipc::SessionFlushResult>(
        std::move(*held), uid, session, std::move(result), [](const WaitResult& ended, const store::Marks& marks) {
          return ipc::SessionFlushResult{ended.outcome == ipc::Outcome::committed, ended.outcome, ended.segments,
                                         marks.generation, marks.watermark};
        });
  };
  context_.dispatcher.enqueue(std::move(wait), params.timeout_ms);
}

void Methods::evict(const Client& client, ipc::Call call, ipc::SessionEvictParams params) {
  const auto uid = whose(client, call, params.uid);
  if (!uid || !may_wait(client, call)) return;
  auto wait = std::make_shared<Wait>();
  wait->kind = Wait::Kind::evict;
  wait->client = client.id;
  wait->uid = *uid;
  wait->session = params.session.value;
  wait->reason = "evict";
  wait->done = [this, uid = *uid, session = params.session.value,
                held = std::make_shared<ipc::Call>(std::move(call))](WaitResult result) {
    answer_wait<ipc::SessionEvictResult>(std::move(*held), uid, session, std::move(result),
                                         [](const WaitResult& ended, const store::Marks& marks) {
                                           ipc::SessionEvictResult answered;
                                           answered.evicted = ended.evicted || ended.outcome == ipc::Outcome::unknown;
                                           answered.outcome = ended.outcome;
                                           if (!ended.error.empty()) answered.error = ended.error;
                                           answered.generation = marks.generation;
                                           answered.watermark = marks.watermark;
                                           return answered;
                                         });
  };
  context_.dispatcher.enqueue(std::move(wait), params.timeout_ms);
}

void Methods::drain(const Client& client, ipc::Call call, ipc::DrainParams params) {
  const auto uid = whose(client, call, params.uid);
  if (!uid) return;
  Drain::Scope scope;
  switch (params.scope.value_or(ipc::DrainScope::user)) {
    case ipc::DrainScope::user:
      scope.uid = *uid;
      break;
    case ipc::DrainScope::connection:
      scope.uid = client.uid;
      break;
    case ipc::DrainScope::all:
      if (!client.admin) {
        call.fail(ipc::Error::make(ipc::ErrorReason::forbidden, "only admins may drain everybody's sessions"));
        return;
      }
      break;
  }
  if (drains_[client.uid] >= drains_per_user_max) {
    call.fail(ipc::Error::at_limit("drains_per_user", "your user has as many drains going on as it may have: " +
                                                          std::to_string(drains_per_user_max)));
    return;
  }
  if (!may_wait(client, call)) return;
  scope.client = client.id;
  ++drains_[client.uid];
  const lifecycle::Milliseconds deadline = params.deadline_ms.value_or(context_.config.drain_deadline);
  auto held = std::make_shared<ipc::Call>(std::move(call));
  const bool of_connection = params.scope == ipc::DrainScope::connection;
  // Whom the connection serves is known once its earlier registrations are durable.
  context_.ledger.submit(store::Ping{}, [this, uid = client.uid, scope = std::move(scope), deadline, held,
                                         of_connection](const store::Outcome<store::Nothing>&) mutable {
    if (of_connection) scope.owners = context_.dispatcher.served_by(scope.client);
    begin_drain(uid, std::move(scope), deadline, held);
  });
}

void Methods::begin_drain(uid_t uid, Drain::Scope scope, lifecycle::Milliseconds deadline,
                          const std::shared_ptr<ipc::Call>& call) {
  Drain::begin(context_.io, context_.ledger, context_.dispatcher, std::move(scope), deadline,
               [this, uid, call](const Drain::Result& drained) {
                 if (--drains_[uid] == 0) drains_.erase(uid);
                 if (drained.refused) {
                   call->fail(error_of(*drained.refused));
                   return;
                 }
                 call->reply(ipc::DrainResult{drained.remaining.empty(), drained.committed, drained.remaining});
               });
}

void Methods::progress(const Client& client, ipc::Call call, ipc::CommitProgressParams params) {
  const auto uid = whose(client, call, params.uid);
  if (!uid) return;
  context_.dispatcher.on_progress(*uid, commit_id_of(params.commit.value));
  call.reply(ipc::Empty{});
}

void Methods::retry(const Client& client, ipc::Call call, ipc::CommitRetryParams params) {
  const auto uid = whose(client, call, params.uid);
  if (!uid) return;
  store::Retry command;
  command.uid = *uid;
  command.session = std::move(params.session.value);
  context_.ledger.submit(std::move(command),
                         answer<store::Retry>(std::move(call), [](const store::Retry::Result& result) {
                           return ipc::CommitRetryResult{result.due_segments};
                         }));
}

void Methods::settle(const Client& client, ipc::Call call, ipc::CommitSettleParams params) {
  const auto uid = whose(client, call, params.uid);
  if (!uid) return;
  drop_through(std::move(call), *uid, params.session.value, params.through, params.reason.value, true);
}

void Methods::abandon(const Client& client, ipc::Call call, ipc::CommitAbandonParams params) {
  const auto uid = whose(client, call, params.uid);
  if (!uid) return;
  drop_through(std::move(call), *uid, params.session.value, params.through, params.reason.value, false);
}

void Methods::drop_through(ipc::Call call, uid_t uid, std::string session, std::int64_t through, std::string reason,
                           bool settle) {
  store::DropThrough command;
  command.uid = uid;
  command.session = std::move(session);
  command.through = through;
  command.reason = std::move(reason);
  command.settle = settle;
  context_.ledger.submit(std::move(command),
                         answer<store::DropThrough>(std::move(call), [](const store::DropThrough::Result& result) {
                           return ipc::WatermarkResult{result.watermark};
                         }));
}

void Methods::history(const Client& client, ipc::Call call, ipc::CommitHistoryParams params) {
  const Whose whose = whose_list(client, call, params.uid);
  if (!whose.allowed) return;
  store::ListHistory command;
  command.uid = whose.uid;
  command.session = text_of(params.session);
  command.limit = static_cast<int>(params.limit ? params.limit->value : ipc::bounds::page_entries);
  if (params.cursor) {
    command.before = commit_id_of(params.cursor->value);
    if (command.before <= 0) {
      call.fail(
          ipc::Error::make(ipc::ErrorReason::invalid_params, "`cursor` must be one that a page before ended with"));
      return;
    }
  }
  context_.ledger.submit(std::move(command),
                         answer<store::ListHistory>(std::move(call), [](const store::ListHistory::Result& page) {
                           ipc::CommitHistoryResult result;
                           result.commits.reserve(page.attempts.size());
                           for (const store::AttemptRow& row : page.attempts) {
                             result.commits.push_back(record_of(row));
                           }
                           if (page.cursor != 0) result.cursor = std::to_string(page.cursor);
                           return result;
                         }));
}

}  // namespace tidemark::daemon
