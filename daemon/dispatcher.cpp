// Sessions that are due, and attempts: from the ledger's word to the agent's answer and back.
#include "daemon/dispatcher.h"

#include <spdlog/spdlog.h>

#include <boost/uuid/uuid.hpp>
#include <boost/uuid/uuid_generators.hpp>
#include <boost/uuid/uuid_io.hpp>
#include <cassert>
#include <random>

#include "daemon/clock.h"
#include "daemon/convert.h"

namespace tidemark::daemon {

using lifecycle::CommitId;
using lifecycle::Milliseconds;
using store::AttemptEnd;

namespace {

// How long a session is left alone after the journal refused its attempt.
constexpr Milliseconds journal_retry{1'000};

}  // namespace

Dispatcher::Dispatcher(boost::asio::io_context& context, const Config& config, Clients& clients)
    : context_(context), config_(config), clients_(clients), backoff_timer_(context) {}

Dispatcher::~Dispatcher() = default;

// ---- the mirror

SessionRecord* Dispatcher::find(uid_t uid, const std::string& name) {
  const auto found = sessions_.find({uid, name});
  return found == sessions_.end() ? nullptr : found->second.get();
}

SessionRecord& Dispatcher::record_of(uid_t uid, const std::string& name) {
  auto& slot = sessions_[{uid, name}];
  if (!slot) {
    slot = std::make_unique<SessionRecord>();
    slot->uid = uid;
    slot->name = name;
  }
  return *slot;
}

void Dispatcher::drop_if_unneeded(SessionRecord& record) {
  if (record.needed()) return;
  unplace(record);
  set_owner(record, 0);
  sessions_.erase({record.uid, record.name});
}

void Dispatcher::drop_if_unneeded(Owner& owner) {
  if (owner.needed()) return;
  owner_by_name_.erase({owner.facts.uid, owner.facts.name});
  owners_.erase(owner.facts.id);
}

void Dispatcher::set_owner(SessionRecord& record, lifecycle::AgentId id) {
  const auto found = owners_.find(id);
  Owner* owner = found == owners_.end() ? nullptr : found->second.get();
  if (record.owner == owner) return;
  Owner* before = record.owner;
  record.owner = owner;
  if (owner) owner->records.insert(&record);
  if (before) {
    before->records.erase(&record);
    drop_if_unneeded(*before);
  }
}

void Dispatcher::on_effects(const store::Effects& effects) {
  for (const lifecycle::Agent& facts : effects.agents) set_facts(facts);
  for (const store::Head& head : effects.heads) on_head(head);
}

void Dispatcher::after_answers(const store::Effects& effects) {
  for (const lifecycle::Agent& facts : effects.agents) {
    if (const auto found = owners_.find(facts.id); found != owners_.end()) drop_if_unneeded(*found->second);
  }
}

void Dispatcher::on_head(const store::Head& head) {
  SessionRecord* record = find(head.uid, head.session);
  if (!record && !head.due && !head.in_flight) return;
  if (!record) record = &record_of(head.uid, head.session);
  unplace(*record);
  const bool forgotten = head.session_id == 0 && record->head.session_id != 0;
  record->head = head;
  set_owner(*record, head.owner);
  if (record->owner) start_grace(*record->owner);
  if (forgotten) {
    // Whoever waits for it waits for nothing; an attempt that is out runs on, and the name waits for its end.
    const auto waits = record->waits;
    for (const auto& wait : waits) {
      if (wait->stage != Wait::Stage::asking) finish(wait, ipc::Outcome::unknown);
    }
    record = find(head.uid, head.session);
    if (!record) return;
  }
  place(*record);
}

void Dispatcher::unplace(SessionRecord& record) {
  if (record.ready) {
    record.owner->ready.erase(&record);
    record.ready = false;
    if (record.owner->ready.empty() && record.owner->facts.lost) {
      const auto group = orphans_.find({record.owner->facts.uid, record.owner->facts.group});
      if (group != orphans_.end()) {
        group->second.erase(record.owner);
        if (group->second.empty()) orphans_.erase(group);
      }
    }
  }
  if (record.backoff) {
    backoffs_.erase({*record.backoff, &record});
    record.backoff.reset();
  }
}

void Dispatcher::place(SessionRecord& record) {
  unplace(record);
  if (!record.head.due || record.phase != SessionRecord::Phase::idle) {
    drop_if_unneeded(record);
    return;
  }
  // While a caller's turn is being decided, nothing begins beside it.
  if (!record.waits.empty() && record.waits.front()->stage == Wait::Stage::asking) return;
  if (!record.owner) return;
  const bool called = !record.waits.empty() && record.waits.front()->stage == Wait::Stage::attempting;
  if (stopping_ && !called) return;
  if (!called && !record.skip_backoff && record.head.next_attempt > now().steady) {
    record.backoff = record.head.next_attempt;
    backoffs_.emplace(*record.backoff, &record);
    arm_backoff();
    return;
  }
  Owner& owner = *record.owner;
  owner.ready.insert(&record);
  record.ready = true;
  if (owner.facts.lost) orphans_[{owner.facts.uid, owner.facts.group}].insert(&owner);
  pump(owner);
}

void Dispatcher::arm_backoff() {
  if (backoffs_.empty() || (backoff_armed_ && *backoff_armed_ <= backoffs_.begin()->first)) return;
  backoff_armed_ = backoffs_.begin()->first;
  backoff_timer_.expires_at(std::chrono::steady_clock::time_point(*backoff_armed_));
  backoff_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    backoff_armed_.reset();
    const lifecycle::Steady instant = now().steady;
    while (!backoffs_.empty() && backoffs_.begin()->first <= instant) {
      SessionRecord& record = *backoffs_.begin()->second;
      record.skip_backoff = true;
      place(record);
    }
    arm_backoff();
  });
}

// ---- who is asked, and when

Owner* Dispatcher::target_of(Owner& owner, const SessionRecord& record) {
  if (owner.online()) return owner.has_slot() ? &owner : nullptr;
  if (!owner.facts.lost || owner.facts.group.empty()) return nullptr;
  const auto members = groups_.find({owner.facts.uid, owner.facts.group});
  if (members == groups_.end()) return nullptr;
  for (Owner* member : members->second) {
    if (!member->has_slot()) continue;
    if (member->presence->serves_orphans || member->presence->sessions.contains(record.name)) return member;
  }
  return nullptr;
}

bool Dispatcher::anybody_could(Owner& owner, const SessionRecord& record) {
  if (owner.online()) return true;
  if (!owner.facts.lost || owner.facts.group.empty()) return false;
  const auto members = groups_.find({owner.facts.uid, owner.facts.group});
  if (members == groups_.end()) return false;
  for (Owner* member : members->second) {
    if (!member->online()) continue;
    if (member->presence->serves_orphans || member->presence->sessions.contains(record.name)) return true;
  }
  return false;
}

void Dispatcher::pump(Owner& owner) {
  if (owner.online()) {
    while (!owner.ready.empty() && owner.has_slot()) begin(**owner.ready.begin(), owner);
    return;
  }
  if (!owner.facts.lost) return;
  // Each of an orphan's sessions may have another agent that can stand in.
  const std::vector<SessionRecord*> ready(owner.ready.begin(), owner.ready.end());
  for (SessionRecord* record : ready) {
    if (Owner* target = target_of(owner, *record)) begin(*record, *target);
  }
}

void Dispatcher::begin(SessionRecord& record, Owner& target) {
  unplace(record);
  record.phase = SessionRecord::Phase::beginning;
  record.skip_backoff = false;
  ++target.presence->in_flight;
  store::BeginAttempt command;
  command.uid = record.uid;
  command.session = record.name;
  command.owner = record.head.owner;
  command.asked = target.facts.name;
  command.new_key = new_key();
  if (!record.waits.empty() && record.waits.front()->stage == Wait::Stage::attempting) {
    record.waits.front()->own_attempt = true;
    command.reason = record.waits.front()->reason;
  }
  ledger_->submit(std::move(command), [this, uid = record.uid, session = record.name, asked = target.facts.id,
                                       epoch = target.presence->epoch](auto outcome) {
    on_begun(uid, session, asked, epoch, std::move(outcome));
  });
}

void Dispatcher::on_begun(uid_t uid, const std::string& session, lifecycle::AgentId asked, std::int64_t epoch,
                          store::Outcome<store::BeginAttempt::Result> outcome) {
  SessionRecord& record = record_of(uid, session);
  const auto* begun = std::get_if<store::BeginAttempt::Result>(&outcome);
  if (!begun || !begun->attempt) {
    release_slot(asked, epoch);
    record.phase = SessionRecord::Phase::idle;
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
        return;
      }
    } else if (caller) {
      // Things have changed since: the caller looks again.
      step(record, caller);
      return;
    }
    place(record);
    return;
  }
  const auto found = owners_.find(asked);
  Owner* target = found == owners_.end() ? nullptr : found->second.get();
  record.phase = SessionRecord::Phase::out;
  record.out = begun->attempt->commit;
  Out& out = outs_[begun->attempt->commit];
  out.uid = uid;
  out.session = session;
  out.commit = begun->attempt->commit;
  out.key = begun->attempt->key;
  out.start = begun->attempt->start;
  out.end = begun->attempt->end;
  out.asked = asked;
  out.epoch = epoch;
  if (!target || !target->presence || target->presence->epoch != epoch) {
    end(out.commit, AttemptEnd::failed, "the agent went offline before it could be asked");
    return;
  }
  out.client = target->presence->client;
  ask(record, *target, *begun);
}

void Dispatcher::ask(SessionRecord& record, Owner& target, const store::BeginAttempt::Result& begun) {
  const lifecycle::Attempt& attempt = *begun.attempt;
  const Milliseconds timeout = config_.times_of(record.uid).commit_timeout;
  ipc::AgentCommitParams params;
  params.commit = ipc::CommitId(std::to_string(attempt.commit));
  params.key = key_text(attempt.key);
  params.session = ipc::Name(record.name);
  if (!attempt.external_id.empty()) params.external_id = ipc::Name(attempt.external_id);
  params.agent = ipc::Name(begun.owner);
  params.start = attempt.start;
  params.end = attempt.end;
  params.attempt = attempt.attempt;
  params.reason = begun.reason;
  params.timeout_ms = timeout;
  Client* client = clients_.find_client(target.presence->client);
  const bool sent =
      client && client->connection->request(
                    params, [this, commit = attempt.commit, uid = record.uid, session = record.name,
                             key = attempt.key](const auto& answer) { on_answer(commit, uid, session, key, answer); });
  if (!sent) {
    end(attempt.commit, AttemptEnd::failed, "the agent's connection ended before it could be asked");
    return;
  }
  spdlog::debug("session \"{}\": asked agent \"{}\" to commit {}..{} (commit {}, attempt {}, {})", record.name,
                target.facts.name, attempt.start, attempt.end, attempt.commit, attempt.attempt, begun.reason);
  arm_timeout(outs_.at(attempt.commit));
}

void Dispatcher::arm_timeout(Out& out) {
  if (!out.timeout) out.timeout = std::make_unique<boost::asio::steady_timer>(context_);
  out.timeout->expires_after(config_.times_of(out.uid).commit_timeout);
  out.timeout->async_wait([this, commit = out.commit](const boost::system::error_code& error) {
    if (error) return;
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
  if (outs_.contains(commit)) {
    end(commit, how, error);
    return;
  }
  // Late: its timeout was over, or it was fenced. The first success for a key counts all the same; a failure doesn't.
  if (how != AttemptEnd::committed && how != AttemptEnd::skipped) return;
  Out late;
  late.uid = uid;
  late.session = session;
  late.commit = commit;
  late.key = key;
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
  const auto owner = owners_.find(found->second.asked);
  const std::int64_t epoch = found->second.epoch;
  Owner* asked = owner == owners_.end() ? nullptr : owner->second.get();
  end(commit, AttemptEnd::in_doubt,
      "no answer within " + duration_text(config_.times_of(found->second.uid).commit_timeout));
  if (asked && asked->presence && asked->presence->epoch == epoch) suspect(*asked);
}

void Dispatcher::end(CommitId commit, AttemptEnd how, const std::string& error) {
  const auto found = outs_.find(commit);
  assert(found != outs_.end());
  Out out = std::move(found->second);
  outs_.erase(found);
  out.timeout.reset();
  SessionRecord& record = record_of(out.uid, out.session);
  record.phase = SessionRecord::Phase::ending;
  record.out = 0;
  submit_end(out, how, error);
  release_slot(out.asked, out.epoch);
}

void Dispatcher::submit_end(const Out& out, AttemptEnd how, const std::string& error) {
  store::EndAttempt command;
  command.uid = out.uid;
  command.session = out.session;
  command.commit = out.commit;
  command.key = out.key;
  command.end = how;
  command.error = error;
  command.chance = chance();
  auto copy = std::make_shared<Out>();
  copy->uid = out.uid;
  copy->session = out.session;
  copy->commit = out.commit;
  copy->start = out.start;
  copy->end = out.end;
  ledger_->submit(std::move(command),
                  [this, copy, how, error](auto outcome) { on_ended(*copy, how, error, std::move(outcome)); });
}

void Dispatcher::on_ended(const Out& out, AttemptEnd how, const std::string& error,
                          store::Outcome<store::EndAttempt::Result> outcome) {
  SessionRecord& record = record_of(out.uid, out.session);
  record.phase = SessionRecord::Phase::idle;
  const auto* result = std::get_if<store::EndAttempt::Result>(&outcome);
  const store::Marks marks = result ? result->marks : store::Marks{};
  // Another attempt's success under the same key may have come first: what counts is that the range is settled.
  if (result && !result->applied && marks.known && marks.watermark >= out.end) how = AttemptEnd::committed;
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

void Dispatcher::release_slot(lifecycle::AgentId asked, std::int64_t epoch) {
  const auto found = owners_.find(asked);
  if (found == owners_.end()) return;
  Owner& owner = *found->second;
  if (!owner.presence || owner.presence->epoch != epoch) return;
  --owner.presence->in_flight;
  pump(owner);
  serve_group(owner);
}

double Dispatcher::chance() {
  static thread_local std::mt19937_64 generator{std::random_device{}()};
  return std::uniform_real_distribution<double>(0.0, 1.0)(generator);
}

lifecycle::Key Dispatcher::new_key() {
  static thread_local boost::uuids::random_generator generator;
  const boost::uuids::uuid uuid = generator();
  lifecycle::Key key;
  std::copy(uuid.begin(), uuid.end(), key.begin());
  return key;
}

std::vector<std::pair<uid_t, std::string>> Dispatcher::due_sessions() const {
  std::vector<std::pair<uid_t, std::string>> due;
  for (const auto& [name, record] : sessions_) {
    if (record->head.due || record->phase != SessionRecord::Phase::idle) due.emplace_back(record->uid, record->name);
  }
  return due;
}

}  // namespace tidemark::daemon
