// What is in memory and what is derived from it; batches and how they are undone.
#include "store/state.h"

#include <algorithm>
#include <cassert>
#include <climits>

namespace tidemark::store {

using lifecycle::AgentPointer;
using lifecycle::Facts;
using lifecycle::Generation;
using lifecycle::Segment;
using lifecycle::Session;
using lifecycle::SessionId;

namespace {

// Clean sessions that stay in memory, so that an agent's next turn needn't read them again.
constexpr std::size_t clean_sessions_max = 4'096;
constexpr std::size_t stale_deadlines_max = 1'024;  // and as many as twice the sessions in memory

}  // namespace

State::State(SQLite::Database& database, Policies policies, std::function<lifecycle::Now()> now)
    : policies_(std::move(policies)),
      clock_(std::move(now)),
      now_(clock_()),
      rows_(database),
      agents_(rows_),
      last_session_(rows_.last_number("sessions")),
      last_commit_(rows_.last_number("attempts")),
      last_epoch_(rows_.counter("epoch")),
      last_mark_(rows_.last_mark()),
      folded_(0) {
  const std::int64_t first = rows_.first_mark();
  folded_ = first > 0 ? first - 1 : last_mark_;
  for (const auto& [uid, sessions] : rows_.session_counts()) counts_[uid].sessions = sessions;
}

State::~State() = default;

void State::begin_batch() {
  now_ = clock_();
  ++batch_;
  last_mark_before_ = last_mark_;
  folded_before_ = folded_;
  later_before_ = later_;
}

void State::write_derived() {
  for (const uid_t uid : counts_to_write_) rows_.write_session_count(uid, counts_[uid].sessions);
}

Effects State::end_batch() {
  Effects effects;
  effects.heads = std::move(gone_heads_);
  gone_heads_.clear();
  for (const SessionId id : changed_heads_) {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) continue;
    Session& session = found->second->session;
    effects.heads.push_back(head_of(session));
    const Segment* next = session.next();
    const AgentPointer& owner = next && next->owner ? next->owner : session.agent;
    if (owner) changed_agents_.try_emplace(owner->id, owner);
  }
  changed_heads_.clear();
  for (const auto& [id, agent] : changed_agents_) effects.agents.push_back(*agent);
  changed_agents_.clear();
  effects.accepted = std::move(accepted_);
  accepted_.clear();
  effects.paused_providers = std::move(paused_providers_);
  paused_providers_.clear();
  effects.events = std::move(events_);
  events_.clear();
  for (const auto& [resident, from] : turns_to_forget_) resident->turns.forget_before(from);
  turns_to_forget_.clear();
  before_.clear();
  turns_changed_.clear();
  dropped_.clear();
  counts_to_write_.clear();
  agents_.end_batch();
  online_changed_.clear();
  fold_stepped_ = false;
  while (clean_.size() > clean_sessions_max && clean_.front()->last_mark <= folded_) leave(*clean_.front());
  trim_deadlines();
  return effects;
}

void State::roll_back() {
  // Agents first: whether a session counts as orphaned is theirs to say.
  const std::vector<lifecycle::AgentId> restored_agents = agents_.roll_back();
  for (auto change = turns_changed_.rbegin(); change != turns_changed_.rend(); ++change) {
    if (change->forgotten) {
      change->resident->turns.put_back(change->key, *change->forgotten);
    } else {
      change->resident->turns.remove(change->key);
    }
  }
  turns_changed_.clear();
  turns_to_forget_.clear();
  // Sessions made in this batch go first: one may have taken the name of one that was dropped in it.
  for (const Before& before : before_) {
    if (before.session) continue;
    const SessionId id = before.resident->session.id;
    --counts_[before.resident->session.uid].sessions;
    if (by_id_.contains(id)) leave(*before.resident);
  }
  for (std::unique_ptr<Resident>& resident : dropped_) {
    const bool made = std::any_of(before_.begin(), before_.end(), [&](const Before& before) {
      return before.resident == resident.get() && !before.session;
    });
    ++counts_[resident->session.uid].sessions;
    if (!made) enter(std::move(resident));
  }
  for (Before& before : before_) {
    if (!before.session) continue;
    before.resident->session = std::move(*before.session);
    before.resident->written = before.written;
    before.resident->last_mark = before.last_mark;
    before.resident->batch = 0;
    derive(*before.resident);
  }
  before_.clear();
  dropped_.clear();
  counts_to_write_.clear();
  changed_heads_.clear();
  gone_heads_.clear();
  changed_agents_.clear();
  accepted_.clear();
  events_.clear();
  // The loss or return of an owner is counted at sessions that the batch hasn't touched.
  for (const lifecycle::AgentId agent : restored_agents) {
    for_owned(agent, 0, INT_MAX, [this](Resident& resident) { count(resident, resident.session.facts()); });
  }
  for (auto change = online_changed_.rbegin(); change != online_changed_.rend(); ++change) {
    if (change->second) {
      online_.insert_or_assign(change->first, *change->second);
    } else {
      online_.erase(change->first);
    }
  }
  online_changed_.clear();
  last_mark_ = last_mark_before_;
  later_ = later_before_;
  folded_ = folded_before_;
  // Rows that a step has read may not be there any more, and what it wrote isn't: the run is begun again.
  if (fold_stepped_) {
    if (!fold_.rows.empty()) fold_discarded_.push_back(std::move(fold_.rows));
    fold_ = Fold{};
  }
  fold_stepped_ = false;
  trim_deadlines();
}

State::Resident* State::find(uid_t uid, std::string_view name) {
  if (const auto found = by_name_.find({uid, name}); found != by_name_.end()) return found->second;
  const std::optional<SessionRow> row = rows_.find_session(uid, name);
  return row ? &load(*row) : nullptr;
}

State::Resident* State::find(SessionId id) {
  if (const auto found = by_id_.find(id); found != by_id_.end()) return found->second.get();
  const std::optional<SessionRow> row = rows_.find_session(id);
  return row ? &load(*row) : nullptr;
}

State::Resident& State::find_or_create(uid_t uid, std::string_view name) {
  Resident* found = find(uid, name);
  return found ? *found : create(uid, name);
}

State::Resident& State::create(uid_t uid, std::string_view name) {
  auto made = std::make_unique<Resident>(std::string(name));
  Resident& resident = *made;
  resident.session.id = ++last_session_;
  resident.session.uid = uid;
  resident.session.name = name;
  resident.session.last_turn = now_.steady;
  resident.batch = batch_;
  rows_.insert_session(resident.session);
  ++counts_[uid].sessions;
  counts_to_write_.insert(uid);
  before_.push_back({&resident, std::nullopt, 0, 0});
  enter(std::move(made));
  return resident;
}

State::Resident& State::load(const SessionRow& row) {
  auto loaded = std::make_unique<Resident>(row.name);
  Resident& resident = *loaded;
  Session& session = resident.session;
  const auto agent_by_id = [this](lifecycle::AgentId id) { return agents_.by_id(id); };
  session.id = row.id;
  session.uid = row.uid;
  session.name = row.name;
  session.generation = resident.written = row.generation;
  session.watermark = row.watermark;
  session.accepted = row.accepted;
  if (row.agent_id != 0) session.agent = agents_.by_id(row.agent_id);
  session.external_id = row.external_id;
  session.provider_state = row.provider_state;
  session.last_turn_at = row.last_turn_at;
  session.last_turn = now_.steady_at(row.last_turn_at);
  if (session.dirty()) session.segments = rows_.segments(row.id, agent_by_id, now_);
  for (Segment& segment : session.segments) {
    segment.next_attempt = now_.deadline_at(segment.next_attempt_at, policies_.retry.wait_max());
  }
  session.open_turns = rows_.open_turns(row.id, agent_by_id, now_);
  rows_.read_turns(row.id, [&](const TurnRow& turn) {
    // Those of turns long settled are just not deleted yet.
    if (!turn.cancelled && turn.generation <= row.watermark - policies_.retention.turn_ids) return;
    resident.turns.add(turn_key(turn.turn), {turn.generation, turn.cancelled});
  });
  enter(std::move(loaded));
  return resident;
}

void State::enter(std::unique_ptr<Resident> entering) {
  Resident& resident = *entering;
  by_name_.emplace(Name{resident.session.uid, resident.name}, &resident);
  by_id_.emplace(resident.session.id, std::move(entering));
  derive(resident);
}

void State::leave(Resident& resident) {
  count(resident, Facts{});
  count_only_open(resident, false);
  dirty_.erase(resident.session.id);
  for (const lifecycle::AgentId owner : resident.owners) by_owner_.erase({owner, resident.session.id});
  if (resident.clean) clean_.erase(*resident.clean);
  by_name_.erase({resident.session.uid, resident.name});
  by_id_.erase(resident.session.id);
}

void State::touch(Resident& resident) {
  if (resident.batch == batch_) return;
  resident.batch = batch_;
  before_.push_back({&resident, resident.session, resident.written, resident.last_mark});
}

void State::changed(Resident& resident) {
  rows_.write_session(resident.session);
  resident.written = resident.session.generation;
  const Facts before = resident.counted;
  derive(resident);
  changed_heads_.insert(resident.session.id);
  tell_difference(resident.session, before, resident.counted);
}

void State::derive(Resident& resident) {
  count(resident, resident.session.facts());
  count_only_open(resident, resident.needed() && !resident.session.dirty());
  index_owners(resident);
  schedule(resident);
  keep_or_drop(resident);
}

void State::count(Resident& resident, const Facts& facts) {
  if (facts == resident.counted) return;
  Counts& counts = counts_[resident.session.uid];
  const auto move = [](std::int64_t& counter, bool before, bool after) { counter += int{after} - int{before}; };
  move(counts.dirty, resident.counted.dirty, facts.dirty);
  move(counts.due, resident.counted.due, facts.due);
  move(counts.in_flight, resident.counted.in_flight, facts.in_flight);
  move(counts.confirming, resident.counted.confirming, facts.confirming);
  move(counts.stalled, resident.counted.stalled, facts.stalled);
  move(counts.in_doubt, resident.counted.in_doubt, facts.in_doubt);
  move(counts.orphaned, resident.counted.orphaned, facts.orphaned);
  move(counts.stuck, resident.counted.stuck, facts.stuck);
  if (facts.dirty != resident.counted.dirty) {
    if (facts.dirty) {
      dirty_.emplace(resident.session.id, &resident);
    } else {
      dirty_.erase(resident.session.id);
    }
  }
  resident.counted = facts;
}

void State::count_only_open(Resident& resident, bool only_open) {
  if (resident.only_open == only_open) return;
  resident.only_open = only_open;
  only_open_[resident.session.uid] += only_open ? 1 : -1;
}

void State::index_owners(Resident& resident) {
  std::vector<lifecycle::AgentId> owners;
  for (const Segment& segment : resident.session.segments) {
    if (segment.owner) owners.push_back(segment.owner->id);
  }
  for (const lifecycle::OpenTurn& open : resident.session.open_turns) {
    if (open.agent) owners.push_back(open.agent->id);
  }
  std::sort(owners.begin(), owners.end());
  owners.erase(std::unique(owners.begin(), owners.end()), owners.end());
  if (owners == resident.owners) return;
  for (const lifecycle::AgentId owner : resident.owners) by_owner_.erase({owner, resident.session.id});
  for (const lifecycle::AgentId owner : owners) by_owner_.emplace(owner, resident.session.id);
  resident.owners = std::move(owners);
}

void State::schedule(Resident& resident) {
  const auto deadline = resident.session.next_deadline(policies_.of(resident.session.uid).commit);
  // A later deadline needs no entry of its own: the earlier one looks again when it comes up.
  if (!deadline || (resident.deadline && *resident.deadline <= *deadline)) return;
  resident.deadline = deadline;
  deadlines_.emplace(*deadline, resident.session.id);
}

// Entries stay when their session goes, until their time comes: not too many of them.
void State::trim_deadlines() {
  if (deadlines_.size() <= 2 * by_id_.size() + stale_deadlines_max) return;
  std::vector<Deadline> live;
  live.reserve(by_id_.size());
  for (const auto& [id, resident] : by_id_) {
    if (resident->deadline) live.emplace_back(*resident->deadline, id);
  }
  deadlines_ = decltype(deadlines_)(std::greater<>(), std::move(live));
}

void State::keep_or_drop(Resident& resident) {
  if (resident.clean) {
    clean_.erase(*resident.clean);
    resident.clean.reset();
  }
  if (!resident.needed()) resident.clean = clean_.insert(clean_.end(), &resident);
}

void State::drop(Resident& resident) {
  const Session& session = resident.session;
  touch(resident);
  tell(EventKind::session_discarded, session, session.agent.get());
  go_on(DeleteSession{session.id});
  --counts_[session.uid].sessions;
  counts_to_write_.insert(session.uid);
  Head gone;
  gone.uid = session.uid;
  gone.session = session.name;
  gone_heads_.push_back(std::move(gone));
  std::unique_ptr<Resident> kept = std::move(by_id_.at(session.id));
  count(resident, Facts{});
  count_only_open(resident, false);
  for (const lifecycle::AgentId owner : resident.owners) by_owner_.erase({owner, session.id});
  resident.owners.clear();
  if (resident.clean) clean_.erase(*resident.clean);
  resident.clean.reset();
  resident.deadline.reset();
  by_name_.erase({session.uid, resident.name});
  by_id_.erase(session.id);
  dropped_.push_back(std::move(kept));
}

Head State::head_of(Session& session) const {
  Head head;
  head.uid = session.uid;
  head.session = session.name;
  head.session_id = session.id;
  head.in_flight = session.in_flight();
  const Segment* next = session.next();
  if (!next) return head;
  const AgentPointer& owner = next->owner ? next->owner : session.agent;
  head.due = next->due && next->phase == lifecycle::Phase::pending && !head.in_flight;
  head.stuck = next->phase == lifecycle::Phase::stuck;
  head.sealed = next->sealed;
  head.owner = owner ? owner->id : 0;
  head.began_at = next->began_at;
  head.next_attempt = next->next_attempt;
  return head;
}

Marks State::marks_of(const Session& session) const {
  return {true, session.generation, session.watermark, session.accepted};
}

void State::for_owned(lifecycle::AgentId agent, SessionId after, int limit,
                      const std::function<void(Resident&)>& each) {
  std::vector<SessionId> ids;
  for (auto entry = by_owner_.upper_bound({agent, after});
       entry != by_owner_.end() && entry->first == agent && static_cast<int>(ids.size()) < limit; ++entry) {
    ids.push_back(entry->second);
  }
  for (const SessionId id : ids) each(*by_id_.at(id));
}

void State::check_invariants() const {
  for (const auto& [id, resident] : by_id_) {
    resident->session.check_invariants();
    Facts facts = resident->session.facts();
    // A recount may be on its way.
    if (!later_.empty()) facts.orphaned = resident->counted.orphaned;
    assert(resident->counted == facts);
    assert(resident->only_open == (resident->needed() && !resident->session.dirty()));
    assert(resident->session.dirty() == dirty_.contains(id));
    assert(resident->session.dirty() || resident->written == resident->session.generation);
  }
  assert(deadlines_.size() <= 2 * by_id_.size() + stale_deadlines_max);
}

}  // namespace tidemark::store
