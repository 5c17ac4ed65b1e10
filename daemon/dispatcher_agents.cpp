// Agents: who is there, who has gone, and who stands in.
#include <spdlog/spdlog.h>

#include <cassert>

#include "daemon/clock.h"
#include "daemon/convert.h"
#include "daemon/dispatcher.h"

namespace tidemark::daemon {

using lifecycle::Milliseconds;

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
  if (regrouped) {
    const NameKey before{owner.facts.uid, owner.facts.group};
    if (const auto group = orphans_.find(before); group != orphans_.end()) {
      group->second.erase(&owner);
      if (group->second.empty()) orphans_.erase(group);
    }
    if (const auto group = groups_.find(before); group != groups_.end()) {
      group->second.erase(&owner);
      if (group->second.empty()) groups_.erase(group);
    }
  }
  // Lost while it is there: it was unregistered. Its work goes elsewhere from now on, so it isn't asked first.
  if (newly_lost && owner.online()) let_go(owner);
  owner.facts = facts;
  if (owner.presence && !facts.group.empty()) groups_[{facts.uid, facts.group}].insert(&owner);
  if (newly_lost) {
    spdlog::warn(
        "agent \"{}\" (uid {}) is lost: its uncommitted turns go to {}", facts.name, facts.uid,
        facts.group.empty() ? "whoever serves its name next" : "an agent of its group \"" + facts.group + "\"");
    owner.grace.reset();
    const std::set<SessionRecord*> records = owner.records;
    for (SessionRecord* record : records) place(*record);
    return;
  }
  start_grace(owner);
}

// Begins to count towards "lost", unless it is there, is lost already, has never served, or is being counted.
void Dispatcher::start_grace(Owner& owner) {
  if (stopping_ || owner.online() || owner.facts.lost || !owner.facts.served || owner.grace) return;
  owner.grace = std::make_unique<boost::asio::steady_timer>(context_, config_.times_of(owner.facts.uid).orphan_grace);
  owner.grace->async_wait([this, id = owner.facts.id](const boost::system::error_code& error) {
    if (error) return;
    const auto found = owners_.find(id);
    if (found == owners_.end() || stopping_) return;
    Owner& lost = *found->second;
    lost.grace.reset();
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
    store::AgentOffline command;
    command.uid = owner.facts.uid;
    command.agent = owner.facts.name;
    ledger_->submit(std::move(command), [](const auto&) {});
    start_grace(owner);
    return;
  }
  const bool same = owner.presence && owner.presence->client == registration.client;
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
    end_attempts_of(owner, "another connection has registered the agent's name");
    owner.presence.reset();
  }
  if (!owner.presence) owner.presence.emplace();
  Presence& presence = *owner.presence;
  if (same) {
    // The attempts that are out were begun under the older registration and keep their slots.
    for (auto& [commit, out] : outs_) {
      if (out.asked == owner.facts.id && out.epoch == presence.epoch) out.epoch = registered.epoch;
    }
  }
  presence.client = registration.client;
  presence.epoch = registered.epoch;
  presence.max_in_flight = registration.max_in_flight;
  presence.serves_orphans = registration.serves_orphans;
  if (!registration.session.empty()) presence.sessions.insert(registration.session);
  served_[registration.client].insert(&owner);
  owner.grace.reset();
  if (!owner.facts.group.empty()) groups_[{owner.facts.uid, owner.facts.group}].insert(&owner);
  if (!same) {
    spdlog::info("agent \"{}\" (uid {}) is online, {} of its segments are due", owner.facts.name, owner.facts.uid,
                 registered.due_segments);
    kick(owner);
  }
  serve_group(owner);
}

// Whatever of its work is due is tried at once.
void Dispatcher::kick(Owner& owner) {
  const std::set<SessionRecord*> records = owner.records;
  for (SessionRecord* record : records) {
    record->skip_backoff = true;
    place(*record);
  }
}

// The member may stand in for lost owners of its group.
void Dispatcher::serve_group(Owner& member) {
  if (member.facts.group.empty() || !member.has_slot()) return;
  const auto lost = orphans_.find({member.facts.uid, member.facts.group});
  if (lost == orphans_.end()) return;
  const std::set<Owner*> owners = lost->second;
  for (Owner* owner : owners) {
    if (!member.has_slot()) return;
    pump(*owner);
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
  if (const auto group = groups_.find({owner.facts.uid, owner.facts.group}); group != groups_.end()) {
    group->second.erase(&owner);
    if (group->second.empty()) groups_.erase(group);
  }
  owner.presence.reset();
  spdlog::info("agent \"{}\" (uid {}) was unregistered", owner.facts.name, owner.facts.uid);
}

void Dispatcher::end_attempts_of(const Owner& owner, const std::string& why) {
  std::vector<lifecycle::CommitId> commits;
  for (const auto& [commit, out] : outs_) {
    if (out.asked == owner.facts.id && out.epoch == owner.presence->epoch) commits.push_back(commit);
  }
  for (const lifecycle::CommitId commit : commits) {
    if (outs_.contains(commit)) end(commit, store::AttemptEnd::in_doubt, why);
  }
}

void Dispatcher::on_client_closed(ClientId client) {
  if (const auto waits = waits_by_client_.extract(client)) {
    for (const auto& wait : waits.mapped()) finish(wait, ipc::Outcome::timeout);
  }
  const auto served = served_.extract(client);
  if (!served) return;
  for (Owner* owner : served.mapped()) {
    store::AgentOffline command;
    command.uid = owner->facts.uid;
    command.agent = owner->facts.name;
    ledger_->submit(std::move(command), [](const auto&) {});
    go_offline(*owner, "the agent's connection ended");
  }
}

void Dispatcher::go_offline(Owner& owner, const std::string& why) {
  end_attempts_of(owner, why);
  if (const auto group = groups_.find({owner.facts.uid, owner.facts.group}); group != groups_.end()) {
    group->second.erase(&owner);
    if (group->second.empty()) groups_.erase(group);
  }
  owner.presence.reset();
  spdlog::info("agent \"{}\" (uid {}) is offline", owner.facts.name, owner.facts.uid);
  start_grace(owner);
  drop_if_unneeded(owner);
}

// An attempt timed out. If nothing is heard for the grace either, it isn't asked any more until something is.
void Dispatcher::suspect(Owner& owner) {
  Presence& presence = *owner.presence;
  if (presence.silence || presence.silent) return;
  presence.silence =
      std::make_unique<boost::asio::steady_timer>(context_, config_.times_of(owner.facts.uid).orphan_grace);
  presence.silence->async_wait([this, id = owner.facts.id, epoch = presence.epoch,
                                since = now().steady](const boost::system::error_code& error) {
    if (error) return;
    const auto found = owners_.find(id);
    if (found == owners_.end() || !found->second->presence || found->second->presence->epoch != epoch) return;
    Owner& silent = *found->second;
    silent.presence->silence.reset();
    const Client* client = clients_.find_client(silent.presence->client);
    if (!client || client->heard_at > since) return;
    spdlog::warn("agent \"{}\" (uid {}) let an attempt time out and says nothing: it counts as offline until it does",
                 silent.facts.name, silent.facts.uid);
    silent.presence->silent = true;
    start_grace(silent);
  });
}

void Dispatcher::on_heard(const Client& client) {
  const auto served = served_.find(client.id);
  if (served == served_.end()) return;
  for (Owner* owner : served->second) {
    if (!owner->presence->silent) continue;
    spdlog::info("agent \"{}\" (uid {}) is heard again", owner->facts.name, owner->facts.uid);
    owner->presence->silent = false;
    owner->grace.reset();
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

std::vector<std::string> Dispatcher::served_by(ClientId client) const {
  std::vector<std::string> names;
  if (const auto served = served_.find(client); served != served_.end()) {
    for (const Owner* owner : served->second) names.push_back(owner->facts.name);
  }
  return names;
}

}  // namespace tidemark::daemon
