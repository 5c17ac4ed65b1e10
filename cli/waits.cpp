// See waits.h.
#include "cli/waits.h"

#include <algorithm>
#include <string_view>

#include "cli/format.h"
#include "ipc/words.h"

namespace tidemark::cli {

namespace {

using ipc::SegmentState;

// How the daemon's errors begin where a provider has, or may have, failed for good.
constexpr std::string_view suspected_loss = "suspected loss: ";
constexpr std::string_view extraction_failed = "extraction failed";

bool failed_with(ipc::SegmentStatus const& segment, std::string_view beginning) {
  return segment.state == SegmentState::stuck && segment.last_error && segment.last_error->starts_with(beginning);
}

bool is_orphaned(ipc::SegmentStatus const& segment) {
  return segment.orphaned || segment.state == SegmentState::orphaned;
}

// Who is to commit it. An agent that serves is asked before its provider; that it doesn't serve can't be seen here.
std::string committer_text(ipc::SegmentStatus const& segment) {
  std::string const agent = segment.owner ? "agent " + *segment.owner : "an agent, as nobody owns it";
  if (segment.provider)
    return (segment.owner && !is_orphaned(segment) ? agent + " or " : "") + "provider " + *segment.provider;
  return is_orphaned(segment) ? agent + ", which is gone for good, or whoever may stand in for it" : agent;
}

// The older segment that is to be committed first, if there is one.
ipc::SegmentStatus const* older_than(ipc::SessionStatusResult const& session, std::size_t index) {
  auto const end = session.segments.begin() + static_cast<std::ptrdiff_t>(index);
  auto const older = std::find_if(session.segments.begin(), end,
                                  [](auto const& other) { return other.state != SegmentState::confirming; });
  return older == end ? nullptr : &*older;
}

std::string turn_text(ipc::SessionStatusResult const& session, std::size_t index, ipc::Utc now) {
  auto const& segment = session.segments[index];
  if (auto const* const older = older_than(session, index))
    return turns_text(older->start, older->end) + " to be committed first";
  if (segment.next_attempt_at && *segment.next_attempt_at > now)
    return "the next attempt, " + relative_text(*segment.next_attempt_at, now);
  bool const free = segment.provider || (segment.owner && !is_orphaned(segment));
  return committer_text(segment) + (free ? " to be there and free" : "");
}

std::string what(ipc::SessionStatusResult const& session, std::size_t index, ipc::Utc now) {
  auto const& segment = session.segments[index];
  switch (segment.state) {
    case SegmentState::in_flight:
      return "the answer of " + committer_text(segment);
    case SegmentState::confirming:
      return (segment.provider ? "provider " + *segment.provider : "the provider") + " to finish" +
             (segment.stalled ? ", without progress for long" : "");
    case SegmentState::stuck:
      return "a decision";
    case SegmentState::orphaned:
    case SegmentState::in_doubt:
    case SegmentState::waiting:
      return turn_text(session, index, now);
    case SegmentState::open:
      return "a boundary or a commit";
  }
  return {};
}

}  // namespace

std::string state_text(ipc::SegmentStatus const& segment) {
  std::string text = prose(ipc::word_of(segment.state));
  if (segment.stalled) text += ", stalled";
  if (segment.orphaned && segment.state != SegmentState::orphaned) text += ", orphaned";
  return text;
}

Colour colour_of(ipc::SegmentStatus const& segment) {
  switch (segment.state) {
    case SegmentState::stuck:
      return Colour::red;
    case SegmentState::orphaned:
    case SegmentState::in_doubt:
      return Colour::yellow;
    case SegmentState::in_flight:
    case SegmentState::confirming:
    case SegmentState::waiting:
    case SegmentState::open:
      break;
  }
  return segment.stalled ? Colour::yellow : Colour::plain;
}

std::string waits_for(ipc::SessionStatusResult const& session, std::size_t index, ipc::Utc now) {
  auto text = what(session, index, now);
  if (auto const& error = session.segments[index].last_error) text += " (last error: " + *error + ")";
  return text;
}

Table table_of(std::vector<Way> const& ways) {
  Table table({{""}, {""}});
  for (auto const& way : ways) table.add({"  " + way.what, way.command});
  return table;
}

std::string advice_on(ipc::SegmentStatus const& segment) {
  // A fallback isn't named here.
  auto const provider = segment.provider ? "provider " + *segment.provider : std::string("the provider");
  if (failed_with(segment, suspected_loss))
    return "Look at " + provider + " first: whether it has these turns, and under which account.";
  if (failed_with(segment, extraction_failed))
    return "They have reached " + provider + ", which made no memories of them.";
  return {};
}

std::vector<Way> ways_out(ipc::SessionStatusResult const& session, std::size_t index, ipc::Utc now) {
  auto const& segment = session.segments[index];
  auto const name = shell_word(session.session);
  auto const through = " --through " + std::to_string(segment.end) + " --reason TEXT";
  auto const settle = "tidemark settle " + name + through;
  auto const abandon = "tidemark abandon " + name + through;
  auto const retry = "tidemark retry " + name;
  Way const landed{"they did reach the memory", settle};
  Way const drop{"drop them", abandon};
  Way const stand_in{"commit them in the agent's place",
                     "tidemark agent " + shell_word(segment.owner.value_or("NAME")) + " --exec COMMAND"};
  bool const backs_off = segment.next_attempt_at && *segment.next_attempt_at > now;
  switch (segment.state) {
    case SegmentState::in_flight:
    case SegmentState::open:
      return {};
    case SegmentState::confirming:
      if (!segment.stalled) return {};
      return {{"see whether it is paused", "tidemark status"}, landed, drop};
    case SegmentState::stuck:
      if (failed_with(segment, suspected_loss))
        return {{"try again, once what is wrong there is mended", retry},
                {"they are in the memory after all", settle},
                {"they are lost", abandon}};
      if (failed_with(segment, extraction_failed))
        return {{"look again, once they were extracted there after all", retry},
                {"they have reached the memory in another way", settle},
                {"do without them", abandon}};
      return {{"try again", retry}, landed, drop};
    case SegmentState::orphaned:
    case SegmentState::in_doubt:
    case SegmentState::waiting:
      break;
  }
  if (older_than(session, index) != nullptr) return {};
  if (backs_off) return {{"try now", "tidemark commit " + name}};
  if (segment.provider) return {{"see what ails the provider", "tidemark status"}};
  if (is_orphaned(segment))
    return {stand_in, {"see whether a provider that stands in for it is paused", "tidemark status"}, drop};
  if (!segment.owner) return {{"have an agent adopt them", "tidemark commit " + name + " --agent NAME"}};
  return {stand_in};
}

}  // namespace tidemark::cli
