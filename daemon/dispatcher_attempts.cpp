// Attempts: journaled, asked for, answered, and brought back to the ledger.
#include <spdlog/spdlog.h>

#include <boost/uuid/uuid.hpp>
#include <boost/uuid/uuid_generators.hpp>
#include <cassert>
#include <random>

#include "daemon/clock.h"
#include "daemon/convert.h"
#include "daemon/dispatcher.h"

namespace tidemark::daemon {

using lifecycle::CommitId;
using lifecycle::Milliseconds;
using store::AttemptEnd;

namespace {

// How long a session is left alone after the journal refused its attempt.
constexpr Milliseconds journal_retry{1'000};

}  // namespace

void Dispatcher::begin(SessionRecord& record, Owner* target, ProviderLine* line) {
  assert((target == nullptr) != (line == nullptr));
  unplace(record);
  record.phase = SessionRecord::Phase::beginning;
  record.skip_backoff = false;
  if (target) ++target->presence->in_flight;
  if (line) line->queue.begin(now().steady);
  store::BeginAttempt command;
  command.uid = record.uid;
  command.session = record.name;
  command.owner = record.head.owner;
  command.asked = target ? target->facts.name : line->name;
  command.new_key = new_key();
  if (!record.waits.empty() && record.waits.front()->stage == Wait::Stage::attempting) {
    record.waits.front()->own_attempt = true;
    command.reason = record.waits.front()->reason;
  }
  ledger_->submit(std::move(command),
                  [this, uid = record.uid, session = record.name, line, asked = target ? target->facts.id : 0,
                   presence = target ? target->presence->number : 0](auto outcome) {
                    on_begun(uid, session, asked, presence, line, std::move(outcome));
                  });
  // Who doesn't wait for somebody else's attempt hears of it now.
  const auto waits = record.waits;
  for (const auto& wait : waits) {
    if (!wait->patient && !wait->own_attempt) finish(wait, ipc::Outcome::busy);
  }
}

void Dispatcher::on_begun(uid_t uid, const std::string& session, lifecycle::AgentId asked, std::int64_t presence,
                          ProviderLine* line, store::Outcome<store::BeginAttempt::Result> outcome) {
  SessionRecord& record = record_of(uid, session);
  auto* begun = std::get_if<store::BeginAttempt::Result>(&outcome);
  if (!begun || !begun->attempt) {
    record.phase = SessionRecord::Phase::idle;
    record.probe = false;
    if (line) line->queue.end();
    release_slot(asked, presence);
    const std::shared_ptr<Wait> caller =
        !record.waits.empty() && record.waits.front()->own_attempt ? record.waits.front() : nullptr;
    if (caller) caller->own_attempt = false;
    if (!begun) {
      const auto& refused = std::get<store::Refused>(outcome);
      spdlog::warn("session \"{}\": no attempt could be journaled: {}", session, refused.text);
      record.head.next_attempt = now().steady + journal_retry;
      if (caller) {
        WaitResult result;
        result.refused = refused;
        finish(caller, std::move(result));
        if (line) pump(*line);
        return;
      }
    }
    advance(record);  // things have changed since: whoever is first looks again
    if (line) pump(*line);
    return;
  }
  record.phase = SessionRecord::Phase::out;
  ++counters_.attempts_begun;
  Out& out = outs_[begun->attempt->commit];
  out.uid = uid;
  out.session = session;
  out.begun = std::move(*begun);
  out.commit = out.begun.attempt->commit;
  out.key = out.begun.attempt->key;
  out.start = out.begun.attempt->start;
  out.end = out.begun.attempt->end;
  out.asked = asked;
  out.presence = presence;
  if (line) {
    out.line = line;
    return ask(out);
  }
  Owner* target = present(asked, presence);
  if (!target) {
    end(out.commit, {AttemptEnd::withdrawn, "the agent went offline before it could be asked", {}, {}});
    return;
  }
  ask(out, *target);
}

void Dispatcher::ask(Out& out, Owner& target) {
  const lifecycle::Attempt& attempt = *out.begun.attempt;
  ipc::AgentCommitParams params;
  params.commit = ipc::CommitId(std::to_string(attempt.commit));
  params.key = key_text(attempt.key);
  params.session = ipc::Name(out.session);
  if (!attempt.external_id.empty()) params.external_id = ipc::Name(attempt.external_id);
  params.agent = ipc::Name(out.begun.owner);
  const SessionRecord* record = find(out.uid, out.session);
  const ProviderLine* line = record && record->owner ? line_of(*record->owner) : nullptr;
  // One that stands in while the provider is paused has to commit by itself.
  out.to_provider = line && (record->probe || !line->queue.paused());
  // Only who stands in for somebody else commits alone what is a provider's.
  if (!out.to_provider && record && record->owner == &target && !target.facts.provider.empty()) {
    const std::string why = line ? "provider \"" + line->name + "\" is paused" : unconfigured_text(target);
    return end(out.commit, {AttemptEnd::withdrawn, why, {}, {}});
  }
  if (out.to_provider) params.provider = ipc::Name(line->name);
  params.start = attempt.start;
  params.end = attempt.end;
  params.attempt = attempt.attempt;
  params.reason = out.begun.reason;
  params.timeout_ms = config_.times_of(out.uid).commit_timeout;
  Client* client = clients_.find_client(target.presence->client);
  const bool sent =
      client && client->connection->request(
                    params, [this, commit = attempt.commit, uid = out.uid, session = out.session,
                             key = attempt.key](const auto& answer) { on_answer(commit, uid, session, key, answer); });
  if (!sent) {
    end(out.commit, {AttemptEnd::withdrawn, "the agent's connection ended before it could be asked", {}, {}});
    go_offline(target, "the agent can't be asked any more");
    return;
  }
  spdlog::debug("session \"{}\": asked agent \"{}\" to commit {}..{} (commit {}, attempt {}, {})", out.session,
                target.facts.name, attempt.start, attempt.end, attempt.commit, attempt.attempt, out.begun.reason);
  out.asked_at = std::chrono::steady_clock::now();
  arm_timeout(out);
}

void Dispatcher::arm_timeout(Out& out) {
  if (!out.timeout) out.timeout = std::make_unique<boost::asio::steady_timer>(context_);
  out.timeout->expires_after(config_.times_of(out.uid).commit_timeout);
  out.timeout->async_wait([this, commit = out.commit](const boost::system::error_code& error) {
    // A progress that came while this was on its way counts.
    const auto found = outs_.find(commit);
    // (So does a "synced", which has ended the agent's part.)
    if (error || found == outs_.end() || !found->second.timeout) return;
    if (found->second.timeout->expiry() > std::chrono::steady_clock::now()) return;
    on_timeout(commit);
  });
}

// ---- how attempts end

void Dispatcher::on_answer(CommitId commit, uid_t uid, const std::string& session, const lifecycle::Key& key,
                           const ipc::Answer<ipc::AgentCommitResult>& answer) {
  AttemptEnd how = AttemptEnd::in_doubt;
  std::string error;
  if (const auto* result = std::get_if<ipc::AgentCommitResult>(&answer)) {
    switch (result->status.value_or(ipc::CommitStatus::committed)) {
      case ipc::CommitStatus::committed:
        how = AttemptEnd::committed;
        break;
      case ipc::CommitStatus::skipped:
        how = AttemptEnd::skipped;
        break;
      case ipc::CommitStatus::synced:
        if (const auto out = outs_.find(commit); out != outs_.end() && on_synced(out->second)) return;
        how = AttemptEnd::failed;
        error = "the agent answered \"synced\", but it has no provider that the daemon could commit through";
        break;
    }
  } else if (const auto* failure = std::get_if<ipc::Error>(&answer);
             failure && !failure->is(ipc::ErrorReason::invalid_request)) {
    how = failure->permanent ? AttemptEnd::failed_for_good : AttemptEnd::failed;
    error =
        failure->message.empty() ? "the agent answered with error " + std::to_string(failure->code) : failure->message;
  } else if (failure) {
    // It answered, but with nothing that says what became of it.
    error = failure->message;
  } else {
    error = "the agent's connection ended before it answered";
  }
  if (const auto out = outs_.find(commit); out != outs_.end()) {
    // An agent that can't answer any more can't be asked either: all that it has is in doubt, and nothing new begins.
    if (std::holds_alternative<ipc::Ended>(answer)) {
      if (Owner* gone = present(out->second.asked, out->second.presence)) go_offline(*gone, error);
    }
    if (outs_.contains(commit)) end(commit, {how, error, {}, {}});
    return;
  }
  // Late: its timeout was over, or it was fenced. The first success for a key counts all the same; a failure doesn't.
  if (how != AttemptEnd::committed && how != AttemptEnd::skipped) return;
  spdlog::info("session \"{}\": commit {} succeeded late", session, commit);
  store::EndAttempt command;
  command.uid = uid;
  command.session = session;
  command.commit = commit;
  command.key = key;
  command.end = how;
  ledger_->submit(std::move(command), [](const auto&) {});
}

void Dispatcher::on_timeout(CommitId commit) {
  const auto found = outs_.find(commit);
  if (found == outs_.end()) return;
  const lifecycle::AgentId asked = found->second.asked;
  const std::int64_t presence = found->second.presence;
  end(commit, {AttemptEnd::in_doubt,
               "no answer within " + duration_text(config_.times_of(found->second.uid).commit_timeout),
               {},
               {}});
  if (Owner* owner = present(asked, presence)) suspect(*owner);
}

void Dispatcher::end(CommitId commit, Ending ending) {
  const auto found = outs_.find(commit);
  assert(found != outs_.end());
  const auto out = std::make_shared<Out>(std::move(found->second));
  outs_.erase(found);
  out->timeout.reset();
  if (out->asked_at != decltype(out->asked_at){}) {
    counters_.attempt_duration.add(std::chrono::steady_clock::now() - out->asked_at);
  }
  count_end(ending.how);
  SessionRecord& record = record_of(out->uid, out->session);
  record.phase = SessionRecord::Phase::ending;
  record.skip_backoff = false;
  record.probe = false;
  store::EndAttempt command;
  command.uid = out->uid;
  command.session = out->session;
  command.commit = out->commit;
  command.key = out->key;
  command.end = ending.how;
  command.error = ending.error;
  command.evidence = std::move(ending.evidence);
  command.provider_state = std::move(ending.provider_state);
  if (ending.how == AttemptEnd::accepted) command.provider = out->line->name;
  command.chance = chance();
  ledger_->submit(std::move(command), [this, out, how = ending.how, error = std::move(ending.error)](auto outcome) {
    on_ended(*out, how, error, std::move(outcome));
  });
  release_slot(out->asked, out->presence);
}

void Dispatcher::count_end(AttemptEnd how) {
  switch (how) {
    case AttemptEnd::committed:
      ++counters_.attempts_committed;
      break;
    case AttemptEnd::skipped:
      ++counters_.attempts_skipped;
      break;
    case AttemptEnd::accepted:
      ++counters_.attempts_accepted;
      break;
    case AttemptEnd::failed:
    case AttemptEnd::failed_for_good:
      ++counters_.attempts_failed;
      break;
    case AttemptEnd::in_doubt:
      ++counters_.attempts_in_doubt;
      break;
    case AttemptEnd::withdrawn:
    case AttemptEnd::withdrawn_in_doubt:
      ++counters_.attempts_withdrawn;
      break;
  }
}

void Dispatcher::on_ended(const Out& out, AttemptEnd how, const std::string& error,
                          store::Outcome<store::EndAttempt::Result> outcome) {
  SessionRecord& record = record_of(out.uid, out.session);
  record.phase = SessionRecord::Phase::idle;
  const auto* result = std::get_if<store::EndAttempt::Result>(&outcome);
  const store::Marks marks = result ? result->marks : store::Marks{};
  // Another attempt's success under the same key may have come first: what counts is that the range is settled.
  if (result && !result->applied && result->settled) how = AttemptEnd::committed;
  switch (how) {
    case AttemptEnd::committed:
    case AttemptEnd::skipped:
      spdlog::debug("session \"{}\": {}..{} committed (commit {})", out.session, out.start, out.end, out.commit);
      break;
    case AttemptEnd::failed:
      spdlog::warn("session \"{}\": committing {}..{} failed, to be tried again: {} (commit {})", out.session,
                   out.start, out.end, error, out.commit);
      break;
    case AttemptEnd::failed_for_good:
      spdlog::error(
          "session \"{}\": committing {}..{} failed for good: {} (commit {}). It is stuck until `tidemark "
          "retry`, `settle` or `abandon`",
          out.session, out.start, out.end, error, out.commit);
      break;
    case AttemptEnd::accepted:
      spdlog::debug("session \"{}\": {}..{} was accepted by provider \"{}\" (commit {})", out.session, out.start,
                    out.end, out.line->name, out.commit);
      break;
    case AttemptEnd::withdrawn:
    case AttemptEnd::withdrawn_in_doubt:
      spdlog::debug("session \"{}\": {} (commit {})", out.session, error, out.commit);
      break;
    case AttemptEnd::in_doubt:
      spdlog::warn(
          "session \"{}\": whether {}..{} was committed is in doubt: {} (commit {}); to be repeated under the "
          "same key",
          out.session, out.start, out.end, error, out.commit);
      break;
  }
  if (record.head.stuck && how == AttemptEnd::failed) {
    spdlog::error("session \"{}\": {}..{} is stuck after its last allowed attempt", out.session, out.start, out.end);
  }
  on_attempt_ended(record, out, how, error, marks);
}

Owner* Dispatcher::present(lifecycle::AgentId agent, std::int64_t presence) {
  const auto found = owners_.find(agent);
  if (found == owners_.end() || !found->second->presence) return nullptr;
  return found->second->presence->number == presence ? found->second.get() : nullptr;
}

void Dispatcher::release_slot(lifecycle::AgentId asked, std::int64_t presence) {
  Owner* owner = present(asked, presence);
  if (!owner) return;
  --owner->presence->in_flight;
  pump(*owner);
  serve_group(*owner);
}

double Dispatcher::chance() {
  static std::mt19937_64 generator{std::random_device{}()};
  return std::uniform_real_distribution<double>(0.0, 1.0)(generator);
}

lifecycle::Key Dispatcher::new_key() {
  static boost::uuids::random_generator generator;
  const boost::uuids::uuid uuid = generator();
  lifecycle::Key key;
  std::copy(uuid.begin(), uuid.end(), key.begin());
  return key;
}

}  // namespace tidemark::daemon
