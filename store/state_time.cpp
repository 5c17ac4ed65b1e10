// The start, and what time does by itself: boundaries by time, the log's run into its places, retention.
#include <algorithm>

#include "store/state.h"

namespace tidemark::store {

using lifecycle::Generation;
using lifecycle::Session;
using lifecycle::SessionId;
using lifecycle::Steady;

namespace {

// Rows of the log that are moved as one run: large enough that the rows of one page are written together.
constexpr std::size_t fold_rows_max = 131'072;

}  // namespace

std::map<uid_t, Recovered> State::recover() {
  std::map<uid_t, Recovered> recovered;
  for (const SessionId id : rows_.live_sessions()) find(id);
  rows_.read_marks(0, -1, [&](const MarkRow& mark) {
    Resident* resident = find(mark.session_id);
    if (!resident) return;  // forgotten since
    Session& session = resident->session;
    resident->last_mark = mark.mark_id;
    if (mark.generation > session.generation) {
      lifecycle::Now then{mark.at, now_.steady_at(mark.at)};
      session.complete(mark.agent_id == 0 ? nullptr : agents_.by_id(mark.agent_id), nullptr,
                       policies_.of(session.uid).commit, then);
    }
    if (!mark.turn.empty() && mark.generation > session.watermark - policies_.retention.turn_ids) {
      resident->turns.add(turn_key(mark.turn), {mark.generation, false});
    }
  });
  for (auto& [id, resident] : by_id_) {
    Session& session = resident->session;
    const lifecycle::CommitId lost = session.recover(now_);
    if (lost != 0) {
      rows_.finish_attempt(lost, "in_doubt", now_.utc, "the daemon ended while the attempt was out", {});
    }
    const bool fell_due = go_on_losing(*resident);
    const bool rewritten = std::any_of(session.segments.begin(), session.segments.end(),
                                       [](const lifecycle::Segment& segment) { return segment.changed; });
    if (lost != 0 || fell_due || (rewritten && resident->written == session.generation)) {
      changed(*resident);
    } else {
      derive(*resident);
    }
    if (session.due_segments() > 0) changed_heads_.insert(id);
    Recovered& found = recovered[session.uid];
    for (const lifecycle::Segment& segment : session.segments) {
      found.in_doubt += segment.in_doubt();
      if (segment.phase == lifecycle::Phase::confirming) accepted_.push_back(accepted_of(session, segment));
      if (segment.owner) changed_agents_.try_emplace(segment.owner->id, segment.owner);
    }
    for (const lifecycle::OpenTurn& open : session.open_turns) {
      if (open.agent) changed_agents_.try_emplace(open.agent->id, open.agent);
    }
    if (session.dirty()) {
      ++found.sessions;
      found.generations += session.generation - session.watermark;
    }
  }
  paused_providers_ = rows_.paused_providers();
  for (const SessionId id : rows_.deleting_sessions()) later_.emplace_back(DeleteSession{id});
  return recovered;
}

// What a lost agent owns is due. Where it isn't, the daemon ended while it was falling due, session by session.
bool State::go_on_losing(Resident& resident) {
  Session& session = resident.session;
  const auto left = std::find_if(session.segments.begin(), session.segments.end(), [](const lifecycle::Segment& s) {
    return s.owner && s.owner->lost && s.dirty() && !s.due;
  });
  if (left == session.segments.end()) return false;
  std::vector<std::string> ended;
  const bool fell_due = session.orphan(*left->owner, ended);
  for (const std::string& turn : ended) rows_.delete_open_turn(session.id, turn);
  return fell_due;
}

std::optional<Steady> State::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.top().first;
}

bool State::apply_time(int limit) {
  for (int seen = 0; !deadlines_.empty() && deadlines_.top().first <= now_.steady; ++seen) {
    if (seen == limit) return true;
    const auto [deadline, id] = deadlines_.top();
    deadlines_.pop();
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) continue;
    Resident& resident = *found->second;
    if (!resident.deadline || *resident.deadline != deadline) continue;  // a later entry replaces this one
    resident.deadline.reset();
    touch(resident);
    std::vector<std::string> ended;
    if (resident.session.apply_time(policies_.of(resident.session.uid).commit, now_, ended)) {
      for (const std::string& turn : ended) rows_.delete_open_turn(id, turn);
      changed(resident);
    } else {
      schedule(resident);
    }
  }
  return false;
}

bool State::fold(int limit) {
  fold_stepped_ = true;
  if (!fold_discarded_.empty()) {
    auto& rows = fold_discarded_.back();
    for (int freed = 0; freed < limit && !rows.empty(); ++freed) rows.erase(rows.begin());
    if (rows.empty()) fold_discarded_.pop_back();
  }
  switch (fold_.stage) {
    case Fold::Stage::reading: {
      if (folded_ >= last_mark_) return false;
      if (fold_.rows.empty()) fold_.read_through = folded_;
      int read = 0;
      rows_.read_marks(fold_.read_through, limit, [&](const MarkRow& mark) {
        ++read;
        fold_.read_through = mark.mark_id;
        fold_.rows.insert_or_assign({mark.session_id, mark.generation}, mark.turn);
      });
      if (read == limit && fold_.rows.size() < fold_rows_max) return true;
      if (fold_.rows.empty()) fold_.read_through = last_mark_;
      fold_.deleted_through = folded_;
      fold_.stage = Fold::Stage::writing;
      return true;
    }
    case Fold::Stage::writing: {
      // A row here can cost three random pages, where reading and deleting go along the log.
      for (int written = 0; written <= limit / 8 && !fold_.rows.empty(); ++written) {
        const auto mark = fold_.rows.extract(fold_.rows.begin());
        const auto [session_id, generation] = mark.key();
        Resident* resident = find(session_id);
        if (!resident) continue;  // forgotten since
        Session& session = resident->session;
        if (resident->written < session.generation) {
          touch(*resident);
          rows_.write_session(session);
          resident->written = session.generation;
        }
        if (!mark.mapped().empty() && generation > session.watermark - policies_.retention.turn_ids) {
          rows_.insert_turn(session.id, {generation, mark.mapped(), false});
        }
      }
      if (fold_.rows.empty()) fold_.stage = Fold::Stage::deleting;
      return true;
    }
    case Fold::Stage::deleting: {
      fold_.deleted_through = std::min(fold_.read_through, fold_.deleted_through + limit);
      rows_.delete_marks_through(fold_.deleted_through);
      if (fold_.deleted_through == fold_.read_through) {
        folded_ = fold_.read_through;
        fold_ = Fold{};
        return folded_ < last_mark_;
      }
      return true;
    }
  }
  return false;
}

bool State::retain(int limit) {
  const RetentionPolicy& retention = policies_.retention;
  switch (retaining_) {
    case 0:
      retained_history_ = rows_.delete_history(
          retention.history > lifecycle::Milliseconds(0) ? now_.utc - retention.history : lifecycle::Utc{},
          last_commit_ - retention.history_rows, retained_history_, limit);
      if (retained_history_ == 0) ++retaining_;
      return true;
    case 1: {
      if (retention.sessions > lifecycle::Milliseconds(0)) {
        const auto page = rows_.sessions_idle_since(now_.utc - retention.sessions, retained_sessions_, limit);
        for (const SessionId id : page.found) {
          Resident* resident = find(id);
          if (!resident || resident->needed() || resident->last_mark > folded_) continue;
          const lifecycle::AgentPointer& agent = resident->session.agent;
          if (!agent || !online_.contains(agent->id)) drop(*resident);
        }
        retained_sessions_ = page.last;
      }
      if (retained_sessions_ == 0) ++retaining_;
      return true;
    }
    case 2: {
      if (retention.agents > lifecycle::Milliseconds(0)) {
        const auto page = rows_.forgettable_agents(now_.utc - retention.agents, retained_agents_, limit);
        for (const lifecycle::AgentId id : page.found) {
          if (!agents_.in_memory(id)) rows_.delete_agent(id);
        }
        retained_agents_ = page.last;
      }
      if (retained_agents_ == 0) ++retaining_;
      return true;
    }
    default:
      retaining_ = 0;
      return false;
  }
}

Outcome<Nothing> State::apply(const SetPolicies& command) {
  policies_ = command.policies;
  // Deadlines under the new policy; those queued under the old one find nothing to do.
  for (auto& [id, resident] : by_id_) {
    resident->deadline.reset();
    schedule(*resident);
  }
  return Nothing{};
}

}  // namespace tidemark::store
