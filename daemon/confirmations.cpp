#include "daemon/confirmations.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "daemon/clock.h"
#include "daemon/convert.h"

namespace tidemark::daemon {

using lifecycle::Milliseconds;

namespace {

// Between looks at what has no provider (any more).
constexpr Milliseconds put_off_for{60'000};

// How the provider wants to be asked.
OpenVikingConfig polling_of(const ProviderLine* line) {
  const auto* openviking = line ? std::get_if<OpenVikingConfig>(&line->config.kind) : nullptr;
  return openviking ? *openviking : OpenVikingConfig();
}

}  // namespace

void Confirmations::on_effects(const store::Effects& effects) {
  for (const store::Accepted& accepted : effects.accepted) {
    Entry& entry = entries_[accepted.key];
    entry.accepted = accepted;
    entry.since = now().utc;
    if (!entry.looking) schedule(entry, polling_of(lines_.find(accepted.provider)).poll_initial);
  }
  arm();
}

void Confirmations::hurry() {
  for (auto& [key, entry] : entries_) {
    if (!entry.looking) schedule(entry, polling_of(lines_.find(entry.accepted.provider)).poll_initial);
  }
  arm();
}

void Confirmations::schedule(Entry& entry, Milliseconds pause) {
  const Key& key = entry.accepted.key;
  queue_.erase({entry.at, key});
  if (const auto due = due_.find(entry.accepted.provider); due != due_.end()) due->second.erase({entry.at, key});
  entry.pause = pause;
  entry.at = now().steady + pause;
  queue_.emplace(entry.at, key);
}

void Confirmations::arm() {
  if (queue_.empty() || (armed_ && *armed_ <= queue_.begin()->first)) return;
  armed_ = queue_.begin()->first;
  timer_.expires_at(std::chrono::steady_clock::time_point(*armed_));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) on_timer();
  });
}

void Confirmations::on_timer() {
  armed_.reset();
  const lifecycle::Steady instant = now().steady;
  std::set<std::string> providers;
  while (!queue_.empty() && queue_.begin()->first <= instant) {
    const auto next = *queue_.begin();
    queue_.erase(queue_.begin());
    const std::string& provider = entries_.at(next.second).accepted.provider;
    due_[provider].insert(next);
    providers.insert(provider);
  }
  for (const std::string& provider : providers) look_at(provider);
  arm();
}

void Confirmations::look_at(const std::string& provider) {
  auto& due = due_[provider];
  const ProviderLine* line = lines_.find(provider);
  while (!due.empty() && (!line || looks_[provider] < line->config.concurrency)) {
    Entry& entry = entries_.at(due.begin()->second);
    due.erase(due.begin());
    look(entry);
  }
}

void Confirmations::look(Entry& entry) {
  entry.looking = true;
  ++looks_[entry.accepted.provider];
  store::GetConfirming command;
  command.uid = entry.accepted.uid;
  command.session = entry.accepted.session;
  command.key = entry.accepted.key;
  ledger_->submit(std::move(command),
                  [this, key = entry.accepted.key](const auto& outcome) { on_state(key, outcome); });
}

void Confirmations::on_state(const Key& key, const store::Outcome<store::GetConfirming::Result>& outcome) {
  Entry& entry = entries_.at(key);
  const auto* state = std::get_if<store::GetConfirming::Result>(&outcome);
  ProviderLine* line = lines_.find(entry.accepted.provider);
  if (state && !state->confirming) {
    // Settled, abandoned or forgotten, or an earlier attempt turned out to have succeeded.
    end_look(entry);
    forget(key);
  } else if (!state || !line || !std::holds_alternative<OpenVikingConfig>(line->config.kind) || !may_look(*line)) {
    // One of the same name and another kind knows nothing of it.
    end_look(entry);
    put_off(entry);
    if (state) on_unfinished(entry, state->stalled, {});
  } else {
    Confirming confirming;
    confirming.uid = entry.accepted.uid;
    confirming.session = entry.accepted.session;
    confirming.external_id = state->external_id.empty() ? entry.accepted.session : state->external_id;
    confirming.evidence = state->evidence;
    // Held, so that a reload doesn't end the look.
    line->provider->look(std::move(confirming), [this, key, stalled = state->stalled, held = line->provider](
                                                    ProviderLook seen) { on_look(key, stalled, std::move(seen)); });
  }
}

void Confirmations::on_look(const Key& key, bool was_stalled, ProviderLook seen) {
  Entry& entry = entries_.at(key);
  end_look(entry);
  ProviderLine* line = lines_.find(entry.accepted.provider);
  const OpenVikingConfig polling = polling_of(line);
  switch (seen.kind) {
    case ProviderLook::Kind::confirmed:
    case ProviderLook::Kind::failed:
      if (line) dispatcher_.on_sound(*line);
      on_done(entry, seen);
      forget(key);
      return;
    case ProviderLook::Kind::faulty:
      put_off(entry);
      if (line) dispatcher_.on_fault(*line, seen.error);
      return;
    case ProviderLook::Kind::unfinished:
      if (line) dispatcher_.on_sound(*line);
      break;
    case ProviderLook::Kind::unknown:
      spdlog::debug("session \"{}\": whether {}..{} is done can't be learned: {}", entry.accepted.session,
                    entry.accepted.start, entry.accepted.end, seen.error);
      break;
  }
  schedule(entry, std::clamp(entry.pause * 3 / 2, polling.poll_initial, polling.poll_max));
  on_unfinished(entry, was_stalled, seen);
  arm();
}

// Progress is the provider's word where it gives one; otherwise having been accepted is the last that is known.
void Confirmations::on_unfinished(Entry& entry, bool was_stalled, const ProviderLook& seen) {
  const Milliseconds stalled_after = polling_of(lines_.find(entry.accepted.provider)).stalled_after;
  const bool stalled = now().utc - std::max(entry.since, seen.progress_at) >= stalled_after;
  // After a start it is unknown since when: what was stalled before is so until there is progress.
  const bool moves = seen.progress_at != lifecycle::Utc{} && now().utc - seen.progress_at < stalled_after;
  if (stalled == was_stalled || (was_stalled && !moves)) return;
  const store::Accepted& accepted = entry.accepted;
  if (stalled) {
    spdlog::warn(
        "session \"{}\": {}..{} was accepted by provider \"{}\", which hasn't got on with it for {} (commit {}). Look "
        "there; `tidemark settle` or `abandon` ends the wait",
        accepted.session, accepted.start, accepted.end, accepted.provider, duration_text(stalled_after),
        accepted.commit);
  }
  store::SetStalled command;
  command.uid = accepted.uid;
  command.session = accepted.session;
  command.key = accepted.key;
  command.stalled = stalled;
  ledger_->submit(std::move(command), [](const auto&) {});
}

void Confirmations::on_done(const Entry& entry, const ProviderLook& seen) {
  const bool confirmed = seen.kind == ProviderLook::Kind::confirmed;
  const store::Accepted& accepted = entry.accepted;
  if (confirmed) {
    spdlog::debug("session \"{}\": {}..{} is confirmed by provider \"{}\" (commit {})", accepted.session,
                  accepted.start, accepted.end, accepted.provider, accepted.commit);
  } else {
    spdlog::error(
        "session \"{}\": provider \"{}\" accepted {}..{} and failed: {} (commit {}). It is stuck until `tidemark "
        "retry`, "
        "`settle` or `abandon`",
        accepted.session, accepted.provider, accepted.start, accepted.end, seen.error, accepted.commit);
  }
  store::EndConfirmation command;
  command.uid = accepted.uid;
  command.session = accepted.session;
  command.key = accepted.key;
  command.confirmed = confirmed;
  command.error = seen.error;
  command.evidence = seen.evidence;
  ledger_->submit(std::move(command), [](const auto&) {});
}

// While the provider is paused by a fault, a look may be what shows that it is over.
bool Confirmations::may_look(ProviderLine& line) {
  if (!line.queue.paused()) return true;
  const lifecycle::Steady instant = now().steady;
  if (!line.queue.may_begin(instant)) return false;
  line.queue.probe_begun(instant);
  return true;
}

void Confirmations::put_off(Entry& entry) {
  const ProviderLine* line = lines_.find(entry.accepted.provider);
  schedule(entry, line ? line->config.probe : put_off_for);
  arm();
}

void Confirmations::forget(const Key& key) {
  const Entry& entry = entries_.at(key);
  queue_.erase({entry.at, key});
  entries_.erase(key);
}

void Confirmations::end_look(Entry& entry) {
  entry.looking = false;
  const std::string provider = entry.accepted.provider;
  --looks_[provider];
  look_at(provider);
}

}  // namespace tidemark::daemon
