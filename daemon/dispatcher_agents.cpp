// Agents: who is there, who has gone, and who stands in.
#include <spdlog/spdlog.h>

#include <cassert>

#include "daemon/clock.h"
#include "daemon/convert.h"
#include "daemon/dispatcher.h"

namespace tidemark::daemon {

using lifecycle::Milliseconds;

namespace {

// Sessions of one agent on one connection that it may stand in for as a member of its group. Of more it still commits
// its own work, which doesn't need them.
constexpr std::size_t sessions_served_max = 65'536;

}  // namespace

void Dispatcher::set_facts(const lifecycle::Agent& facts) {
  auto& slot = owners_[facts.id];
  if (!slot) {
    slot = std::make_unique<Owner>();
    slot->facts = facts;
    owner_by_name_[{facts.uid, facts.name}] = facts.id;
  }
  Owner& owner = *slot;
  const bool newly_lost = facts.lost && !owner.facts.lost;
  const bool regrouped = facts.group != owner.facts.group || facts.lost != owner.facts.lost;
  const bool moved = facts.provider != owner.facts.provider || facts.fallback != owner.facts.fallback ||
                     facts.served != owner.facts.served;
  if (regrouped) {
    const NameKey before{owner.facts.uid, owner.facts.group};
    if (const auto group = orphans_.find(before); group != orphans_.end()) {
      group->second.erase(&owner);
      if (group->second.empty()) orphans_.erase(group);
    }
    leave_group(owner);
  }
  // Lost while it is there: it was unregistered. Its work goes elsewhere from now on, so it isn't asked first. (Unless
  // it was silent for so long that the ledger was told, and has been heard again since: then it is back already.)
  if (newly_lost && owner.online() && !owner.losing) let_go(owner);
  if (newly_lost || facts.epoch != owner.facts.epoch) owner.losing = false;
  owner.facts = facts;
  if (owner.presence && !facts.group.empty()) groups_[{facts.uid, facts.group}].insert(&owner);
  if (newly_lost) {
    spdlog::warn("agent \"{}\" (uid {}) is lost: its uncommitted turns go to {}", facts.name, facts.uid,
                 line_of(owner)        ? "provider \"" + line_of(owner)->name + "\""
                 : facts.group.empty() ? "whoever serves its name next"
                                       : "an agent of its group \"" + facts.group + "\"");
    owner.grace.reset();
  }
  if (moved || (regrouped && facts.lost)) {
    const std::set<SessionRecord*> records = owner.records;
    for (SessionRecord* record : records) {
      // What the lost one's own attempts have waited for is nothing to those who commit in its stead.
      if (newly_lost && record->phase == SessionRecord::Phase::idle) record->skip_backoff = true;
      place(*record);
    }
  }
  start_grace(owner);
}

void Dispatcher::leave_group(Owner& owner) {
  const auto group = groups_.find({owner.facts.uid, owner.facts.group});
  if (group == groups_.end()) return;
  group->second.erase(&owner);
  if (group->second.empty()) groups_.erase(group);
}

void Dispatcher::look_again(Owner& owner) {
  const std::set<SessionRecord*> records = owner.records;
  for (SessionRecord* record : records) {
    if (!record->waits.empty() || record->line) place(*record);
  }
}

void Dispatcher::look_again_in_group(const Owner& member) {
  const auto lost = orphans_.find({member.facts.uid, member.facts.group});
  if (lost == orphans_.end()) return;
  const std::set<Owner*> owners = lost->second;
  for (Owner* owner : owners) look_again(*owner);
}

// Begins to count towards "lost", unless it is there, is lost already, has never served, or is being counted.
void Dispatcher::start_grace(Owner& owner) {
  if (stopping_ || owner.online() || owner.facts.lost || !owner.facts.served || owner.grace) return;
  owner.grace = std::make_unique<boost::asio::steady_timer>(context_, config_.times_of(owner.facts.uid).orphan_grace);
  owner.grace->async_wait(
      [this, id = owner.facts.id, epoch = owner.facts.epoch](const boost::system::error_code& error) {
        if (error) return;
        const auto found = owners_.find(id);
        if (found == owners_.end() || stopping_) return;
        Owner& lost = *found->second;
        // It may have come back while this was on its way.
        if (lost.online() || lost.facts.epoch != epoch || !lost.grace) return;
        lost.grace.reset();
        lost.losing = true;
        store::AgentLost command;
        command.uid = lost.facts.uid;
        command.agent = lost.facts.name;
        command.epoch = lost.facts.epoch;
        ledger_->submit(std::move(command), [](const auto&) {});
        drop_if_unneeded(lost);
      });
}

void Dispatcher::on_registered(const Registration& registration, const store::Registered& registered) {
  if (!registration.serves) return;
  const auto found = owners_.find(registered.agent_id);
  Client* client = clients_.find_client(registration.client);
  assert(found != owners_.end());  // its facts came with the effects of the same batch
  Owner& owner = *found->second;
  if (!client) {
    // It went away before the registration was durable.
    if (!owner.presence) {
      store::AgentOffline command;
      command.uid = owner.facts.uid;
      command.agent = owner.facts.name;
      command.epoch = registered.epoch;
      ledger_->submit(std::move(command), [](const auto&) {});
      start_grace(owner);
    }
    return;
  }
  const bool same = owner.presence && owner.presence->client == registration.client;
  const bool was_online = owner.online();
  if (owner.presence && !same) {
    spdlog::info("agent \"{}\" (uid {}) is served by another connection now; the older one is fenced", owner.facts.name,
                 owner.facts.uid);
    if (Client* older = clients_.find_client(owner.presence->client)) {
      ipc::AgentFencedParams fenced;
      fenced.agent = ipc::Name(owner.facts.name);
      fenced.epoch = registered.epoch;
      older->connection->notify(fenced);
    }
    served_[owner.presence->client].erase(&owner);
    const Presence older = std::move(*owner.presence);
    owner.presence.reset();
    end_attempts_of(owner.facts.id, older, "another connection has registered the agent's name");
  }
  if (!owner.presence) {
    owner.presence.emplace();
    owner.presence->number = ++last_presence_;
  }
  Presence& presence = *owner.presence;
  presence.client = registration.client;
  presence.epoch = registered.epoch;
  presence.max_in_flight = registration.max_in_flight;
  presence.serves_orphans = registration.serves_orphans;
  if (!registration.session.empty() && presence.sessions.size() < sessions_served_max) {
    presence.sessions.insert(registration.session);
  }
  served_[registration.client].insert(&owner);
  owner.grace.reset();
  if (!owner.facts.group.empty()) groups_[{owner.facts.uid, owner.facts.group}].insert(&owner);
  if (!was_online && owner.online()) {
    watchers_.publish(ipc::EventType::agent_online, owner.facts.uid, owner.facts.name);
  }
  if (!same) {
    spdlog::info("agent \"{}\" (uid {}) is online, {} of its segments are due", owner.facts.name, owner.facts.uid,
                 registered.due_segments);
    kick(owner);
  }
  pump(owner);
  serve_group(owner);
}

// Whatever of its work is due is tried at once.
void Dispatcher::kick(Owner& owner) {
  const std::set<SessionRecord*> records = owner.records;
  for (SessionRecord* record : records) {
    // What is out may fail yet, and then backs off; what has just ended in doubt doesn't.
    if (record->phase == SessionRecord::Phase::beginning || record->phase == SessionRecord::Phase::out) continue;
    record->skip_backoff = true;
    place(*record);
  }
}

// The member may stand in for lost owners of its group.
void Dispatcher::serve_group(Owner& member) {
  if (member.facts.group.empty() || !member.has_slot()) return;
  const auto lost = orphans_.find({member.facts.uid, member.facts.group});
  if (lost == orphans_.end()) return;
  if (member.presence->serves_orphans) {
    const std::set<Owner*> owners = lost->second;
    for (Owner* owner : owners) {
      while (member.has_slot() && !owner->ready.empty()) begin(**owner->ready.begin(), &member, nullptr);
    }
    return;
  }
  for (const std::string& session : member.presence->sessions) {
    if (!member.has_slot()) return;
    SessionRecord* record = find(member.facts.uid, session);
    if (!record || !record->ready || !record->owner->facts.lost) continue;
    if (record->owner->facts.group == member.facts.group) begin(*record, &member, nullptr);
  }
}

void Dispatcher::on_unregistered(uid_t uid, const std::string& agent) {
  const auto id = owner_by_name_.find({uid, agent});
  if (id == owner_by_name_.end()) return;
  Owner& owner = *owners_.at(id->second);
  if (owner.presence) let_go(owner);
  drop_if_unneeded(owner);
}

// An agent that was unregistered is asked no more; what it was asked already it may still answer.
void Dispatcher::let_go(Owner& owner) {
  served_[owner.presence->client].erase(&owner);
  leave_group(owner);
  if (owner.online()) watchers_.publish(ipc::EventType::agent_offline, owner.facts.uid, owner.facts.name);
  owner.presence.reset();
  spdlog::info("agent \"{}\" (uid {}) was unregistered", owner.facts.name, owner.facts.uid);
  look_again(owner);
  look_again_in_group(owner);
}

void Dispatcher::end_attempts_of(lifecycle::AgentId agent, const Presence& presence, const std::string& why) {
  if (presence.in_flight == 0) return;
  std::vector<lifecycle::CommitId> commits;
  for (const auto& [commit, out] : outs_) {
    if (out.stage != Out::Stage::agent) continue;  // its part is done
    if (out.asked == agent && out.presence == presence.number) commits.push_back(commit);
  }
  for (const lifecycle::CommitId commit : commits) {
    if (outs_.contains(commit)) end(commit, {store::AttemptEnd::in_doubt, why, {}, {}});
  }
}

void Dispatcher::on_client_closed(ClientId client) {
  if (const auto waits = waits_by_client_.extract(client)) {
    for (const auto& wait : waits.mapped()) finish(wait, ipc::Outcome::timeout);
  }
  const auto served = served_.find(client);
  if (served == served_.end()) return;
  const std::set<Owner*> owners = served->second;
  for (Owner* owner : owners) go_offline(*owner, "the agent's connection ended");
  served_.erase(client);
}

void Dispatcher::go_offline(Owner& owner, const std::string& why) {
  if (owner.online()) watchers_.publish(ipc::EventType::agent_offline, owner.facts.uid, owner.facts.name);
  // Gone first, so that nothing more begins there while what it had is brought to an end.
  const Presence gone = std::move(*owner.presence);
  owner.presence.reset();
  if (const auto served = served_.find(gone.client); served != served_.end()) served->second.erase(&owner);
  leave_group(owner);
  spdlog::info("agent \"{}\" (uid {}) is offline", owner.facts.name, owner.facts.uid);
  store::AgentOffline command;
  command.uid = owner.facts.uid;
  command.agent = owner.facts.name;
  command.epoch = gone.epoch;
  ledger_->submit(std::move(command), [](const auto&) {});
  end_attempts_of(owner.facts.id, gone, why);
  start_grace(owner);
  look_again(owner);
  look_again_in_group(owner);
  drop_if_unneeded(owner);
}

// An attempt timed out. If nothing is heard for the grace either, it isn't asked any more until something is.
void Dispatcher::suspect(Owner& owner) {
  Presence& presence = *owner.presence;
  if (presence.silence || presence.silent) return;
  presence.silence =
      std::make_unique<boost::asio::steady_timer>(context_, config_.times_of(owner.facts.uid).orphan_grace);
  presence.silence->async_wait([this, id = owner.facts.id, number = presence.number,
                                since = now().steady](const boost::system::error_code& error) {
    if (error) return;
    Owner* owner_there = present(id, number);
    if (!owner_there || !owner_there->presence->silence) return;
    Owner& silent = *owner_there;
    silent.presence->silence.reset();
    const Client* client = clients_.find_client(silent.presence->client);
    if (!client || client->heard_at > since) return;
    spdlog::warn("agent \"{}\" (uid {}) let an attempt time out and says nothing: it counts as offline until it does",
                 silent.facts.name, silent.facts.uid);
    silent.presence->silent = true;
    watchers_.publish(ipc::EventType::agent_offline, silent.facts.uid, silent.facts.name);
    start_grace(silent);
    look_again(silent);
    look_again_in_group(silent);
  });
}

void Dispatcher::on_heard(const Client& client) {
  const auto served = served_.find(client.id);
  if (served == served_.end()) return;
  const std::set<Owner*> owners = served->second;
  for (Owner* owner : owners) {
    if (!owner->presence || !owner->presence->silent) continue;
    spdlog::info("agent \"{}\" (uid {}) is heard again", owner->facts.name, owner->facts.uid);
    owner->presence->silent = false;
    watchers_.publish(ipc::EventType::agent_online, owner->facts.uid, owner->facts.name);
    owner->grace.reset();
    if (owner->facts.lost || owner->losing) {
      store::AgentBack command;
      command.uid = owner->facts.uid;
      command.agent = owner->facts.name;
      command.epoch = owner->presence->epoch;
      ledger_->submit(std::move(command), [](const auto&) {});
    }
    kick(*owner);
  }
}

void Dispatcher::on_progress(uid_t uid, lifecycle::CommitId commit) {
  const auto found = outs_.find(commit);
  if (found != outs_.end() && found->second.uid == uid && found->second.timeout) arm_timeout(found->second);
}

std::int64_t Dispatcher::agents_online(std::optional<uid_t> uid) const {
  std::int64_t online = 0;
  for (const auto& [client, owners] : served_) {
    for (const Owner* owner : owners) online += owner->online() && (!uid || owner->facts.uid == *uid);
  }
  return online;
}

std::size_t Dispatcher::served_count(ClientId client) const {
  const auto served = served_.find(client);
  return served == served_.end() ? 0 : served->second.size();
}

std::vector<std::string> Dispatcher::served_by(ClientId client) const {
  std::vector<std::string> names;
  if (const auto served = served_.find(client); served != served_.end()) {
    for (const Owner* owner : served->second) names.push_back(owner->facts.name);
  }
  return names;
}

}  // namespace tidemark::daemon
