// What a segment of a session is and waits for, in words, and what can be done where it waits for somebody. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli/table.h"
#include "ipc/messages_session.h"

namespace tidemark::cli {

/// The state, and what is true beside it: `confirming, stalled`.
std::string state_text(ipc::SegmentStatus const& segment);
Colour colour_of(ipc::SegmentStatus const& segment);

/// What the segment at `index` waits for, with the error that it met last.
std::string waits_for(ipc::SessionStatusResult const& session, std::size_t index, ipc::Utc now);

/// Something that can be done, and the command that does it.
struct Way {
  std::string what;
  std::string command;
};

Table table_of(std::vector<Way> const& ways);

/// What is known of why the segment at hand is stuck, beyond its error: where to look before anything is done. Empty:
/// the error says it all.
std::string advice_on(ipc::SegmentStatus const& segment);

/// What can be done about the segment at `index`, the likeliest first; nothing where all goes its way.
std::vector<Way> ways_out(ipc::SessionStatusResult const& session, std::size_t index, ipc::Utc now);

}  // namespace tidemark::cli
