// The commands that look at sessions and their commits: ls, show, history.
#include <algorithm>
#include <boost/json/array.hpp>
#include <limits>
#include <memory>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/evidence.h"
#include "cli/waits.h"
#include "ipc/messages.h"
#include "ipc/words.h"

namespace tidemark::cli {

namespace {

constexpr std::int64_t no_limit = std::numeric_limits<std::int64_t>::max();
// Attempts shown where nobody says how many: what fits a screen.
constexpr std::int64_t history_entries = 20;

// Asks page after page until the list, called `name` on the wire, ends or has `most` entries. What comes out is as one
// answer with all of it; its cursor is there if the list goes on.
template <class Params, class Entry>
Asked<typename Params::Result> ask_pages(Context& context, Params params, std::int64_t most, std::string_view name,
                                         std::vector<Entry> Params::Result::*entries) {
  std::optional<Received<typename Params::Result>> all;
  for (;;) {
    std::int64_t const have = all ? static_cast<std::int64_t>((all->result.*entries).size()) : 0;
    params.limit = std::min(most - have, ipc::bounds::page_entries_max);
    auto page = context.ask(params);
    if (!page) return page.error();
    auto& json = page->json[name];
    if (!json.is_array()) return context.refuse("the daemon's answer is not understood: a list is expected");
    bool const last = !page->result.cursor || (page->result.*entries).empty();
    if (page->result.cursor) params.cursor = *page->result.cursor;
    if (!all) {
      all = std::move(*page);
    } else {
      auto& all_json = all->json[name].as_array();
      for (auto& entry : json.as_array()) all_json.push_back(std::move(entry));
      auto& list = all->result.*entries;
      std::move((page->result.*entries).begin(), (page->result.*entries).end(), std::back_inserter(list));
      all->result.cursor = page->result.cursor;
      if (page->result.cursor) {
        all->json["cursor"] = *page->result.cursor;
      } else {
        all->json.erase("cursor");
      }
    }
    if (last || static_cast<std::int64_t>((all->result.*entries).size()) >= most) return std::move(*all);
  }
}

bool is_trouble(ipc::ListFilter filter) {
  return filter == ipc::ListFilter::stuck || filter == ipc::ListFilter::orphaned ||
         filter == ipc::ListFilter::stalled || filter == ipc::ListFilter::in_doubt;
}

std::string now_text(ipc::SessionSummary const& session) {
  if (session.in_flight) return "committing";
  if (session.turns_open > 0) return "turn open";
  return session.uncommitted > 0 ? "dirty" : "clean";
}

void tell_list(Context& context, ipc::SessionListResult const& list, std::optional<ipc::ListFilter> filter) {
  if (list.sessions.empty()) {
    context.human() << "no sessions" << (filter ? " that are " + prose(ipc::word_of(*filter)) : "") << '\n';
    return;
  }
  bool const uids = context.options().uid && context.options().uid->is_all();
  std::vector<Table::Column> columns{{"SESSION"},
                                     {"AGENT"},
                                     {"NOW"},
                                     {"UNCOMMITTED", Table::Align::right},
                                     {"GENERATION", Table::Align::right},
                                     {"WATERMARK", Table::Align::right},
                                     {"LAST TURN"}};
  if (uids) columns.insert(columns.begin(), {"UID", Table::Align::right});
  Table table(columns);
  for (auto const& session : list.sessions) {
    std::vector<Cell> row{session.session,
                          session.agent.value_or("-"),
                          now_text(session),
                          session.uncommitted,
                          session.generation,
                          session.watermark,
                          session.last_turn_at ? relative_text(*session.last_turn_at, context.now()) : "never"};
    if (uids) row.insert(row.begin(), std::int64_t{session.uid});
    table.add(std::move(row));
  }
  context.print(table);
  if (list.cursor) context.human() << "there are more; see them with a higher --limit\n";
  if (filter && is_trouble(*filter)) {
    auto const name = list.sessions.size() == 1 ? shell_word(list.sessions.front().session) : "SESSION";
    context.human() << "\nWhy, and what can be done: tidemark show " << name << '\n';
  }
}

void tell_evidence(Context& context, std::optional<ipc::RawJson> const& evidence, std::string const& what) {
  if (!evidence) return;
  context.human() << "\nEvidence of " << printable(what) << ":\n";
  context.print(table_of(*evidence));
}

void tell_segments(Context& context, ipc::SessionStatusResult const& session) {
  bool const providers = std::any_of(session.segments.begin(), session.segments.end(),
                                     [](auto const& segment) { return segment.provider.has_value(); });
  std::vector<Table::Column> columns{{"TURNS"}, {"OWNER"}, {"STATE"}, {"ATTEMPTS", Table::Align::right}, {"WAITS FOR"}};
  if (providers) columns.insert(columns.begin() + 2, {"PROVIDER"});
  Table table(columns);
  for (std::size_t index = 0; index < session.segments.size(); ++index) {
    auto const& segment = session.segments[index];
    std::vector<Cell> row{range_text(segment.start, segment.end), segment.owner.value_or("nobody"),
                          Cell(state_text(segment), colour_of(segment)), segment.attempts,
                          waits_for(session, index, context.now())};
    if (providers) row.insert(row.begin() + 2, segment.provider.value_or("-"));
    table.add(std::move(row));
  }
  context.print(table);
}

void tell_session(Context& context, ipc::SessionStatusResult const& session) {
  Table facts({{""}, {""}});
  facts.add({"session", session.session});
  facts.add({"agent", session.agent.value_or("none")});
  facts.add({"generation", session.generation});
  facts.add({"watermark", session.watermark});
  facts.add({"accepted", session.accepted});
  facts.add({"uncommitted", count_text(session.uncommitted, "turn")});
  facts.add({"turns open", session.turns_open});
  facts.add({"last turn", session.last_turn_at ? relative_text(*session.last_turn_at, context.now()) : "never"});
  context.print(facts);
  context.human() << '\n';
  if (session.segments.empty()) {
    context.human() << "nothing is uncommitted\n";
    return;
  }
  tell_segments(context, session);
  for (auto const& segment : session.segments)
    tell_evidence(context, segment.evidence, turns_text(segment.start, segment.end));
  for (std::size_t index = 0; index < session.segments.size(); ++index) {
    auto const& segment = session.segments[index];
    auto const ways = ways_out(session, index, context.now());
    if (ways.empty()) continue;
    bool const stuck = segment.state == ipc::SegmentState::stuck;
    auto const advice = advice_on(segment);
    context.human() << '\n'
                    << (stuck ? "Stuck, and holding back what is younger" : "Held up") << ": "
                    << turns_text(segment.start, segment.end) << ". " << printable(advice)
                    << (advice.empty() ? "" : " ") << "What can be done:\n";
    context.print(table_of(ways));
  }
}

Colour colour_of(ipc::AttemptState state) {
  switch (state) {
    case ipc::AttemptState::committed:
      return Colour::green;
    case ipc::AttemptState::failed:
    case ipc::AttemptState::abandoned:
      return Colour::red;
    case ipc::AttemptState::in_doubt:
      return Colour::yellow;
    case ipc::AttemptState::in_flight:
    case ipc::AttemptState::confirming:
    case ipc::AttemptState::skipped:
    case ipc::AttemptState::settled:
    case ipc::AttemptState::void_:
      break;
  }
  return Colour::plain;
}

// As much of the key as tells a repeat from new work.
std::string key_text(ipc::CommitRecord const& record) {
  constexpr std::size_t shown = 8;
  return record.key ? record.key->substr(0, shown) : "-";
}

bool is_over(ipc::AttemptState state) {
  switch (state) {
    case ipc::AttemptState::committed:
    case ipc::AttemptState::skipped:
    case ipc::AttemptState::settled:
    case ipc::AttemptState::abandoned:
      return true;
    case ipc::AttemptState::in_flight:
    case ipc::AttemptState::confirming:
    case ipc::AttemptState::failed:
    case ipc::AttemptState::in_doubt:
    case ipc::AttemptState::void_:
      break;
  }
  return false;
}

// Where to look on if the newest attempt isn't the end of it.
void tell_history_way(Context& context, ipc::CommitRecord const& newest) {
  if (is_over(newest.state)) return;
  context.human() << "\nWhat is left of it, and what can be done: tidemark show "
                  << printable(shell_word(newest.session)) << '\n';
}

void tell_history(Context& context, ipc::CommitHistoryResult const& history, bool with_evidence) {
  if (history.commits.empty()) {
    context.human() << "no attempts\n";
    return;
  }
  Table table({{"SESSION"},
               {"TURNS"},
               {"OWNER"},
               {"BY"},
               {"KEY"},
               {"STATE"},
               {"ATTEMPT", Table::Align::right},
               {"STARTED"},
               {"TOOK", Table::Align::right},
               {"REASON"},
               {"ERROR"}});
  for (auto const& record : history.commits) {
    std::string const took =
        record.started_at && record.finished_at ? duration_text(*record.finished_at - *record.started_at) : "-";
    table.add({record.session, range_text(record.start, record.end), record.owner.value_or("nobody"),
               record.by.value_or("-"), key_text(record),
               Cell(prose(ipc::word_of(record.state)), colour_of(record.state)),
               record.attempt > 0 ? Cell(record.attempt) : Cell("-"),
               record.started_at ? relative_text(*record.started_at, context.now()) : "-", took, record.reason,
               record.error.value_or("")});
  }
  context.print(table);
  if (history.cursor) context.human() << "there are more; see them with a higher --limit\n";
  if (with_evidence) {
    for (auto const& record : history.commits)
      tell_evidence(
          context, record.evidence,
          record.session + ", " + turns_text(record.start, record.end) + ", attempt " + std::to_string(record.attempt));
  }
  tell_history_way(context, history.commits.front());
}

}  // namespace

Run list(CLI::App& app) {
  auto const params = std::make_shared<ipc::SessionListParams>();
  auto const limit = std::make_shared<std::optional<std::int64_t>>();
  for (auto const& [filter, word] : ipc::EnumWords<ipc::ListFilter>::rows) {
    if (filter == ipc::ListFilter::all) continue;
    std::string option = "--" + std::string(word);
    std::replace(option.begin(), option.end(), '_', '-');
    auto const take = [params, option, chosen = filter] {
      if (params->filter) throw CLI::ValidationError(option, "only one filter at a time");
      params->filter = chosen;
    };
    app.add_flag_callback(option, take, "only sessions with something " + prose(word))->group("Filters, at most one");
  }
  add_count(app, "--limit", *limit, no_limit, "how many at most; all if not given");
  return [params, limit](Context& context) {
    auto const asked =
        ask_pages(context, *params, limit->value_or(no_limit), "sessions", &ipc::SessionListResult::sessions);
    if (!asked) return asked.error();
    context.print_json(asked->json);
    tell_list(context, asked->result, params->filter);
    return Exit::done;
  };
}

Run show(CLI::App& app) {
  auto const params = std::make_shared<ipc::SessionStatusParams>();
  add_session(app, params->session);
  return [params](Context& context) {
    return context.call(*params, [&](auto const& session) {
      tell_session(context, session);
      return Exit::done;
    });
  };
}

Run history(CLI::App& app) {
  auto const params = std::make_shared<ipc::CommitHistoryParams>();
  auto const limit = std::make_shared<std::optional<std::int64_t>>();
  add_name(app, "session", params->session, "only of this session");
  add_count(app, "--limit", *limit, no_limit, "how many at most; " + std::to_string(history_entries) + " if not given");
  auto const evidence = std::make_shared<bool>(false);
  app.add_flag("--evidence", *evidence, "also what the providers have left of each: tasks, archives, counts, output");
  return [params, limit, evidence](Context& context) {
    auto const asked =
        ask_pages(context, *params, limit->value_or(history_entries), "commits", &ipc::CommitHistoryResult::commits);
    if (!asked) return asked.error();
    context.print_json(asked->json);
    tell_history(context, asked->result, *evidence);
    return Exit::done;
  };
}

}  // namespace tidemark::cli
