// See waits.h.
#include "cli/waits.h"

#include <algorithm>

#include "cli/format.h"
#include "ipc/words.h"

namespace tidemark::cli {

namespace {

using ipc::SegmentState;

// Who is to commit it: the provider where there is one, else the owner.
std::string committer_text(ipc::SegmentStatus const& segment) {
  if (segment.provider) return "provider " + *segment.provider;
  if (segment.owner) return "agent " + *segment.owner;
  return "an agent, as nobody owns it";
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
  return committer_text(segment) + (segment.provider || segment.owner ? " to be there and free" : "");
}

std::string what(ipc::SessionStatusResult const& session, std::size_t index, ipc::Utc now) {
  auto const& segment = session.segments[index];
  switch (segment.state) {
    case SegmentState::in_flight:
      return "the answer of " + committer_text(segment);
    case SegmentState::confirming:
      return committer_text(segment) + " to finish" + (segment.stalled ? ", without progress for long" : "");
    case SegmentState::stuck:
      return "a decision";
    case SegmentState::orphaned:
      return "agent " + segment.owner.value_or("nobody") + ", gone for good, or another of its group";
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

std::vector<Way> ways_out(ipc::SessionStatusResult const& session, std::size_t index, ipc::Utc now) {
  auto const& segment = session.segments[index];
  auto const name = shell_word(session.session);
  auto const through = " --through " + std::to_string(segment.end) + " --reason TEXT";
  Way const settle{"they did reach the memory", "tidemark settle " + name + through};
  Way const abandon{"drop them", "tidemark abandon " + name + through};
  Way const stand_in{"commit them in the agent's place",
                     "tidemark agent " + shell_word(segment.owner.value_or("NAME")) + " --exec COMMAND"};
  switch (segment.state) {
    case SegmentState::in_flight:
    case SegmentState::open:
      return {};
    case SegmentState::confirming:
      return segment.stalled ? std::vector<Way>{settle, abandon} : std::vector<Way>{};
    case SegmentState::stuck:
      return {{"try again", "tidemark retry " + name}, settle, abandon};
    case SegmentState::orphaned:
      return {stand_in, abandon};
    case SegmentState::in_doubt:
    case SegmentState::waiting:
      if (older_than(session, index) != nullptr) return {};
      if (segment.next_attempt_at && *segment.next_attempt_at > now) return {{"try now", "tidemark commit " + name}};
      if (segment.provider) return {{"see what ails the provider", "tidemark status"}};
      if (!segment.owner) return {{"have an agent adopt them", "tidemark commit " + name + " --agent NAME"}};
      return {stand_in};
  }
  return {};
}

}  // namespace tidemark::cli
