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
  return "an agent: nobody owns it; name one with `tidemark commit --agent`";
}

std::string turn_text(ipc::SessionStatusResult const& session, std::size_t index, ipc::Utc now) {
  auto const& segment = session.segments[index];
  auto const older =
      std::find_if(session.segments.begin(), session.segments.begin() + static_cast<std::ptrdiff_t>(index),
                   [](auto const& other) { return other.state != SegmentState::confirming; });
  if (older != session.segments.begin() + static_cast<std::ptrdiff_t>(index))
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
      return "a decision, see below";
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

}  // namespace tidemark::cli
