// Providers: who goes there, what is asked of them, and what their answers mean for everybody else.
#include <spdlog/spdlog.h>

#include "daemon/clock.h"
#include "daemon/convert.h"
#include "daemon/dispatcher.h"

namespace tidemark::daemon {

using store::AttemptEnd;

ProviderLine* Dispatcher::line_of(const Owner& owner) {
  const lifecycle::Agent& facts = owner.facts;
  if (!facts.provider.empty()) {
    // One that serves has yet to hand its turns over: while it may come back, nobody else can do that.
    const bool ready = !facts.served || facts.lost || owner.online();
    return ready ? lines_.find_for(facts.uid, facts.provider) : nullptr;
  }
  const bool stands_in = !facts.fallback.empty() && facts.lost && !owner.online();
  return stands_in ? lines_.find_for(facts.uid, facts.fallback) : nullptr;
}

bool Dispatcher::lacks_provider(const Owner& owner) {
  return !owner.facts.provider.empty() && owner.online() && !line_of(owner);
}

std::string Dispatcher::unconfigured_text(const Owner& owner) {
  return "provider \"" + owner.facts.provider + "\" is not configured, or not for this user";
}

void Dispatcher::pump(ProviderLine& line) {
  // One instant for the whole of it: what may not begin now is waited for from now.
  const lifecycle::Steady instant = now().steady;
  while (line.queue.may_begin(instant)) {
    if (!line.synced.empty()) {
      Out& out = outs_.at(line.synced.front());
      line.synced.pop_front();
      hand_over(out, line);
      continue;
    }
    SessionRecord* record = line.queue.front();
    if (!record) break;
    Owner& owner = *record->owner;
    // Its owner has gone, come, or is another since it was put here: then its place is elsewhere.
    if (line_of(owner) != &line || (owner.online() && !line.queue.paused())) {
      place(*record);
      continue;
    }
    line.queue.take(*record);
    record->line = nullptr;
    if (!owner.online()) {
      begin(*record, nullptr, &line);
      continue;
    }
    // Only while it is paused: whether it still is shows once the agent has prepared what goes there.
    line.queue.probe_begun(instant);
    if (owner.has_slot()) {
      record->probe = true;
      begin(*record, &owner, nullptr);
    } else {
      record->line = &line;
      line.queue.add(*record);
    }
  }
  arm(line, instant);
}

void Dispatcher::arm(ProviderLine& line, lifecycle::Steady instant) {
  if (line.queue.empty() && line.synced.empty()) return;
  const std::optional<lifecycle::Steady> at = line.queue.next_at(instant);
  if (!at || (line.armed && *line.armed <= *at)) return;
  line.armed = at;
  line.timer.expires_at(std::chrono::steady_clock::time_point(*at));
  line.timer.async_wait([this, &line](const boost::system::error_code& error) {
    if (error) return;
    line.armed.reset();
    pump(line);
  });
}

bool Dispatcher::on_synced(Out& out) {
  const SessionRecord& record = record_of(out.uid, out.session);
  if (!out.to_provider || !record.owner) return false;
  ProviderLine* line = line_of(*record.owner);
  if (!line) {
    end(out.commit, {AttemptEnd::withdrawn, unconfigured_text(*record.owner), {}, {}});
    return true;
  }
  out.stage = Out::Stage::synced;
  out.timeout.reset();
  if (!line->queue.paused()) {
    line->synced.push_back(out.commit);
    pump(*line);
  } else if (record.probe && !line->queue.paused_by_hand()) {
    hand_over(out, *line);
  } else {
    end(out.commit, {AttemptEnd::withdrawn, "provider \"" + line->name + "\" is paused", {}, {}});
  }
  return true;
}

void Dispatcher::hand_over(Out& out, ProviderLine& line) {
  line.queue.begin(now().steady);
  out.stage = Out::Stage::provider;
  out.line = &line;
  store::NoteAttempt command;
  command.uid = out.uid;
  command.session = out.session;
  command.commit = out.commit;
  command.asked = line.name;
  ledger_->submit(std::move(command), [this,
                                       commit = out.commit](const store::Outcome<store::NoteAttempt::Result>& outcome) {
    Out& noted = outs_.at(commit);
    const auto* result = std::get_if<store::NoteAttempt::Result>(&outcome);
    if (result && result->noted) return ask(noted);
    noted.line->queue.end();
    ProviderLine& its = *noted.line;
    end(commit, {AttemptEnd::withdrawn, result ? "it was dropped meanwhile" : "the journal can't be written", {}, {}});
    pump(its);
  });
}

void Dispatcher::ask(Out& out) {
  ProviderLine& line = *out.line;
  out.stage = Out::Stage::provider;
  out.provider = line.provider;
  const bool allowed = out.provider && line.config.users.contains(out.uid);
  if (!allowed || line.queue.paused_by_hand()) {
    line.queue.end();
    const std::string why = allowed ? "\" is paused" : "\" is not configured any more, or not for this user";
    end(out.commit, {AttemptEnd::withdrawn, "provider \"" + line.name + why, {}, {}});
    return pump(line);
  }
  const lifecycle::Attempt& attempt = *out.begun.attempt;
  ProviderRequest request;
  request.uid = out.uid;
  request.session = out.session;
  request.external_id = attempt.external_id.empty() ? out.session : attempt.external_id;
  request.owner = out.begun.owner;
  request.reason = out.begun.reason;
  request.commit = attempt.commit;
  request.key = attempt.key;
  request.start = attempt.start;
  request.end = attempt.end;
  request.attempt = attempt.attempt;
  request.sealed = attempt.sealed;
  request.evidence = attempt.evidence;
  request.provider_state = out.begun.provider_state;
  request.last_turn_at = attempt.last_turn_at;
  if (out.asked_at == decltype(out.asked_at){}) out.asked_at = std::chrono::steady_clock::now();
  spdlog::debug("session \"{}\": asked provider \"{}\" to commit {}..{} (commit {}, attempt {}, {})", out.session,
                line.name, attempt.start, attempt.end, attempt.commit, attempt.attempt, request.reason);
  auto note = [this, uid = out.uid, session = out.session, commit = out.commit](std::string evidence,
                                                                                std::function<void(bool)> then) {
    store::NoteAttempt command;
    command.uid = uid;
    command.session = session;
    command.commit = commit;
    command.evidence = std::move(evidence);
    ledger_->submit(std::move(command),
                    [then = std::move(then)](const store::Outcome<store::NoteAttempt::Result>& outcome) {
                      const auto* result = std::get_if<store::NoteAttempt::Result>(&outcome);
                      then(result && result->noted);
                    });
  };
  out.provider->commit(std::move(request), std::move(note),
                       [this, commit = out.commit](ProviderAnswer answer) { on_answer(commit, std::move(answer)); });
}

void Dispatcher::on_answer(lifecycle::CommitId commit, ProviderAnswer answer) {
  using Kind = ProviderAnswer::Kind;
  ProviderLine& line = *outs_.at(commit).line;
  const lifecycle::Steady instant = now().steady;
  Ending ending;
  ending.error = std::move(answer.error);
  ending.evidence = std::move(answer.evidence);
  ending.provider_state = std::move(answer.provider_state);
  bool sound = true, paused = false;
  switch (answer.kind) {
    case Kind::committed:
      ending.how = AttemptEnd::committed;
      break;
    case Kind::accepted:
      ending.how = AttemptEnd::accepted;
      break;
    case Kind::failed:
      ending.how = AttemptEnd::failed;
      break;
    case Kind::failed_for_good:
      ending.how = AttemptEnd::failed_for_good;
      break;
    case Kind::throttled:
      ending.how = AttemptEnd::withdrawn;
      line.queue.on_throttled(instant, answer.retry_after);
      break;
    case Kind::in_doubt:
      // What was to show whether a fault is over spends nobody's attempts.
      ending.how = line.queue.paused() ? AttemptEnd::withdrawn_in_doubt : AttemptEnd::in_doubt;
      sound = false;
      break;
    case Kind::unreachable:
      paused = line.queue.on_unreachable(instant, ending.error);
      ending.how = line.queue.paused() ? AttemptEnd::withdrawn : AttemptEnd::failed;
      sound = false;
      break;
    case Kind::faulty:
      paused = line.queue.on_fault(instant, ending.error);
      ending.how = answer.may_have_landed ? AttemptEnd::withdrawn_in_doubt : AttemptEnd::withdrawn;
      sound = false;
      break;
  }
  line.queue.rest(instant, answer.retry_after);
  line.queue.end();
  // First, so that whoever is begun by the slot that gets free knows of it.
  if (paused) on_paused(line);
  end(commit, std::move(ending));
  if (sound) on_sound(line);
  pump(line);
}

// ---- pauses

void Dispatcher::on_fault(ProviderLine& line, const std::string& error) {
  if (line.queue.on_fault(now().steady, error)) on_paused(line);
}

void Dispatcher::on_sound(ProviderLine& line) {
  if (line.queue.on_answer()) on_resumed(line);
}

void Dispatcher::pause(ProviderLine& line, const store::PausedProvider& paused) {
  const bool was_by_hand = line.queue.paused_by_hand();
  line.queue.pause_by_hand(paused.reason);
  line.since = paused.at;
  if (!was_by_hand) on_paused(line);
}

void Dispatcher::resume(ProviderLine& line) {
  if (line.queue.resume()) on_resumed(line);
}

void Dispatcher::on_paused(ProviderLine& line) {
  line.since = now().utc;
  if (line.queue.paused_by_hand()) {
    spdlog::warn("provider \"{}\" was paused by hand ({}): its commits wait until `tidemark resume {}`", line.name,
                 line.queue.error().empty() ? "no reason given" : line.queue.error(), line.name);
  } else {
    spdlog::error(
        "provider \"{}\" is paused: {}. Its commits wait, nothing is lost; it is tried every {}, at a reload, and at "
        "`tidemark resume {}`",
        line.name, line.queue.error(), duration_text(line.config.probe), line.name);
  }
  watchers_.publish_provider(ipc::EventType::provider_paused, line.name, line.config.users, line.queue.error());
  place_all(line.name);
  const auto synced = std::exchange(line.synced, {});
  for (const lifecycle::CommitId commit : synced) {
    end(commit, {AttemptEnd::withdrawn, "provider \"" + line.name + "\" is paused", {}, {}});
  }
}

void Dispatcher::on_resumed(ProviderLine& line) {
  line.since = now().utc;
  spdlog::info("provider \"{}\" commits again", line.name);
  watchers_.publish_provider(ipc::EventType::provider_resumed, line.name, line.config.users, {});
  place_all(line.name);
  pump(line);
}

void Dispatcher::on_providers_configured() {
  for (auto& [name, line] : lines_.all()) {
    if (line.queue.forget_fault() && line.provider) {
      on_resumed(line);
      continue;
    }
    place_all(name);
    if (!line.provider) {
      const auto synced = std::exchange(line.synced, {});
      for (const lifecycle::CommitId commit : synced) {
        end(commit, {AttemptEnd::withdrawn, "provider \"" + name + "\" is not configured any more", {}, {}});
      }
    }
    pump(line);
  }
}

void Dispatcher::place_all(const std::string& provider) {
  std::vector<SessionRecord*> records;
  for (const auto& [id, owner] : owners_) {
    if (owner->facts.provider != provider && owner->facts.fallback != provider) continue;
    records.insert(records.end(), owner->records.begin(), owner->records.end());
  }
  // All out of their places first: what one of them sets going must not find another where it isn't to be any more.
  for (SessionRecord* record : records) unplace(*record);
  for (SessionRecord* record : records) place(*record);
}

}  // namespace tidemark::daemon
