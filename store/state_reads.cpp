// Reads: copies of what is in memory or in the rows.
#include <algorithm>

#include "store/state.h"

namespace tidemark::store {

using lifecycle::Segment;
using lifecycle::Session;
using lifecycle::SessionId;

namespace {

// Sessions that one call of a filtered list looks at, so that a filter that hardly anything passes holds nobody up.
constexpr int looked_at_max = 4'096;

bool has(const lifecycle::Facts& facts, ListFilter filter) {
  switch (filter) {
    case ListFilter::all:
      return true;
    case ListFilter::dirty:
      return facts.dirty;
    case ListFilter::due:
      return facts.due;
    case ListFilter::in_flight:
      return facts.in_flight;
    case ListFilter::confirming:
      return facts.confirming;
    case ListFilter::stalled:
      return facts.stalled;
    case ListFilter::in_doubt:
      return facts.in_doubt;
    case ListFilter::orphaned:
      return facts.orphaned;
    case ListFilter::stuck:
      return facts.stuck;
  }
  return false;
}

}  // namespace

SessionView State::view_of(const Session& session, bool with_segments) const {
  SessionView view;
  view.session = session.name;
  view.uid = session.uid;
  view.generation = session.generation;
  view.watermark = session.watermark;
  view.accepted = session.accepted;
  view.in_flight = session.in_flight();
  if (session.agent) view.agent = session.agent->name;
  view.turns_open = static_cast<std::int64_t>(session.open_turns.size());
  view.last_turn_at = session.last_turn_at;
  if (!with_segments) return view;
  for (const Segment& segment : session.segments) {
    if (view.segments.size() == segments_shown_max) break;
    SegmentView shown;
    shown.start = segment.start;
    shown.end = segment.end;
    if (segment.owner) {
      shown.owner = segment.owner->name;
      shown.provider = segment.owner->provider;
    }
    if (!segment.provider.empty()) shown.provider = segment.provider;
    shown.state = segment.state();
    shown.due = segment.due;
    shown.sealed = segment.sealed;
    shown.orphaned = segment.orphaned();
    shown.stalled = segment.stalled && segment.phase == lifecycle::Phase::confirming;
    shown.attempts = segment.attempts;
    if (segment.phase == lifecycle::Phase::pending && segment.next_attempt > now_.steady) {
      shown.next_attempt_at = segment.next_attempt_at;
    }
    shown.reason = segment.reason;
    shown.last_error = segment.last_error;
    shown.evidence = segment.evidence;
    shown.commit = segment.commit;
    shown.key = segment.key;
    view.segments.push_back(std::move(shown));
  }
  return view;
}

Outcome<SessionView> State::apply(const GetSession& command) {
  const Resident* resident = find(command.uid, command.session);
  if (!resident) return Refused{Refusal::not_found, "no session \"" + command.session + "\"", {}};
  return view_of(resident->session, true);
}

Outcome<ListSessions::Result> State::apply(const ListSessions& command) {
  ListSessions::Result result;
  if (command.filter == ListFilter::all) {
    // By (uid, name), which is the order of the index; the cursor is the last one shown.
    const std::size_t colon = command.cursor.find(':');
    const bool first = colon == std::string::npos;
    const uid_t after_uid = first ? 0 : static_cast<uid_t>(std::strtoul(command.cursor.c_str(), nullptr, 10));
    const std::string after_name = first ? std::string() : command.cursor.substr(colon + 1);
    const std::vector<SessionRow> rows = rows_.sessions_after(command.uid, after_uid, after_name, command.limit + 1);
    for (const SessionRow& row : rows) {
      if (static_cast<int>(result.sessions.size()) == command.limit) {
        const SessionView& last = result.sessions.back();
        result.cursor = std::to_string(last.uid) + ":" + last.session;
        break;
      }
      if (const auto found = by_id_.find(row.id); found != by_id_.end()) {
        result.sessions.push_back(view_of(found->second->session, false));
        continue;
      }
      SessionView view;
      view.session = row.name;
      view.uid = row.uid;
      view.generation = row.generation;
      view.watermark = row.watermark;
      view.accepted = row.accepted;
      if (row.agent_id != 0) view.agent = agents_.by_id(row.agent_id)->name;
      view.last_turn_at = row.last_turn_at;
      result.sessions.push_back(std::move(view));
    }
    return result;
  }
  // All other facts are those of dirty sessions, which are in memory; by number, which is the order of their making.
  const SessionId after = command.cursor.empty() ? 0 : std::strtoll(command.cursor.c_str(), nullptr, 10);
  int looked_at = 0;
  for (auto entry = dirty_.upper_bound(after); entry != dirty_.end(); ++entry) {
    const Resident& resident = *entry->second;
    if (command.uid && resident.session.uid != *command.uid) {
      // Another user's sessions cost nobody a page, only time: they are looked at all the same.
    } else if (has(resident.counted, command.filter)) {
      result.sessions.push_back(view_of(resident.session, false));
    }
    if (static_cast<int>(result.sessions.size()) == command.limit || ++looked_at == looked_at_max) {
      if (std::next(entry) != dirty_.end()) result.cursor = std::to_string(entry->first);
      break;
    }
  }
  return result;
}

Outcome<ListHistory::Result> State::apply(const ListHistory& command) {
  ListHistory::Result result;
  if (!command.uid && !command.session.empty()) {
    // Everybody's sessions of one name: one look-up for each user, newest first over all.
    for (const auto& [uid, counts] : counts_) {
      std::vector<AttemptRow> rows = rows_.history(uid, command.session, command.before, command.limit + 1);
      std::move(rows.begin(), rows.end(), std::back_inserter(result.attempts));
    }
    std::sort(result.attempts.begin(), result.attempts.end(),
              [](const AttemptRow& left, const AttemptRow& right) { return left.commit_id > right.commit_id; });
  } else {
    result.attempts = rows_.history(command.uid, command.session, command.before, command.limit + 1);
  }
  if (static_cast<int>(result.attempts.size()) > command.limit) {
    result.attempts.resize(static_cast<std::size_t>(command.limit));
    result.cursor = result.attempts.back().commit_id;
  }
  return result;
}

Outcome<Counts> State::apply(const Count& command) {
  if (command.uid) {
    const auto found = counts_.find(*command.uid);
    return found == counts_.end() ? Counts{} : found->second;
  }
  Counts all;
  for (const auto& [uid, counts] : counts_) {
    all.sessions += counts.sessions;
    all.dirty += counts.dirty;
    all.due += counts.due;
    all.in_flight += counts.in_flight;
    all.confirming += counts.confirming;
    all.stalled += counts.stalled;
    all.in_doubt += counts.in_doubt;
    all.orphaned += counts.orphaned;
    all.stuck += counts.stuck;
  }
  return all;
}

}  // namespace tidemark::store
