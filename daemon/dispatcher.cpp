// The mirror of what is due, and who is asked when. Attempts are in dispatcher_attempts.cpp.
#include "daemon/dispatcher.h"

#include <spdlog/spdlog.h>

#include <cassert>

#include "daemon/clock.h"
#include "daemon/convert.h"

namespace tidemark::daemon {

Dispatcher::Dispatcher(boost::asio::io_context& context, const Config& config, Clients& clients, ProviderLines& lines,
                       Watchers& watchers, Counters& counters)
    : context_(context),
      config_(config),
      clients_(clients),
      lines_(lines),
      watchers_(watchers),
      counters_(counters),
      backoff_timer_(context) {}

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
  if (delivering_) {
    maybe_unneeded_.push_back(owner.facts.id);
    return;
  }
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
  delivering_ = true;
  for (const store::PausedProvider& paused : effects.paused_providers) lines_.pause(paused);
  for (const lifecycle::Agent& facts : effects.agents) set_facts(facts);
  for (const store::Head& head : effects.heads) on_head(head);
}

void Dispatcher::after_answers(const store::Effects& effects) {
  delivering_ = false;
  for (const lifecycle::Agent& facts : effects.agents) maybe_unneeded_.push_back(facts.id);
  for (const lifecycle::AgentId id : maybe_unneeded_) {
    if (const auto found = owners_.find(id); found != owners_.end()) drop_if_unneeded(*found->second);
  }
  maybe_unneeded_.clear();
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
    assert(record.owner);  // whose set it is in
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
  if (record.line) {
    record.line->queue.remove(record);
    record.line = nullptr;
  }
  if (record.backoff) {
    backoffs_.erase({*record.backoff, &record});
    record.backoff.reset();
  }
}

void Dispatcher::place(SessionRecord& record) {
  unplace(record);
  const bool idle = record.phase == SessionRecord::Phase::idle;
  const std::shared_ptr<Wait> caller =
      idle && !record.waits.empty() && record.waits.front()->stage == Wait::Stage::attempting ? record.waits.front()
                                                                                              : nullptr;
  if (caller && ended(record, caller)) return;
  if (!record.head.due || !idle) {
    drop_if_unneeded(record);
    return;
  }
  // While a caller's turn is being decided, nothing begins beside it.
  if (!record.waits.empty() && record.waits.front()->stage == Wait::Stage::asking) return;
  if (!record.owner || (stopping_ && !caller)) return;
  if (!caller && !record.skip_backoff && record.head.next_attempt > now().steady) {
    record.backoff = record.head.next_attempt;
    backoffs_.emplace(*record.backoff, &record);
    arm_backoff();
    return;
  }
  Owner& owner = *record.owner;
  ProviderLine* line = line_of(owner);
  const bool paused = line && line->queue.paused();
  if (line && (paused || !owner.online())) {
    record.line = line;
    line->queue.add(record);
  }
  // While its provider is paused an agent has nothing to prepare; somebody of a lost one's group may still do it.
  if (owner.online() ? !paused && !lacks_provider(owner) : !line || paused) {
    owner.ready.insert(&record);
    record.ready = true;
  }
  if (record.ready && owner.online()) return pump(owner);
  if (record.ready && owner.facts.lost) {
    orphans_[{owner.facts.uid, owner.facts.group}].insert(&owner);
    if (Owner* target = target_of(owner, record)) return begin(record, target, nullptr);
  }
  if (line) pump(*line);
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

Dispatcher::Reach Dispatcher::reach(Owner& owner, const SessionRecord& record) {
  const ProviderLine* line = line_of(owner);
  if (line && !line->queue.paused()) return Reach::somebody;
  const Reach otherwise = line ? Reach::paused : Reach::nobody;
  if (owner.online()) return line || lacks_provider(owner) ? Reach::paused : Reach::somebody;
  if (!owner.facts.lost || owner.facts.group.empty()) return otherwise;
  const auto members = groups_.find({owner.facts.uid, owner.facts.group});
  if (members == groups_.end()) return otherwise;
  for (Owner* member : members->second) {
    if (!member->online()) continue;
    if (member->presence->serves_orphans || member->presence->sessions.contains(record.name)) return Reach::somebody;
  }
  return otherwise;
}

void Dispatcher::pump(Owner& owner) {
  while (owner.has_slot() && !owner.ready.empty()) begin(**owner.ready.begin(), &owner, nullptr);
}

std::vector<std::pair<uid_t, std::string>> Dispatcher::due_sessions() const {
  std::vector<std::pair<uid_t, std::string>> due;
  for (const auto& [name, record] : sessions_) {
    if (record->head.due || record->phase != SessionRecord::Phase::idle) due.emplace_back(record->uid, record->name);
  }
  return due;
}

}  // namespace tidemark::daemon
