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

/// What can be done about the segment at `index`, the likeliest first; nothing where all goes its way.
std::vector<Way> ways_out(ipc::SessionStatusResult const& session, std::size_t index, ipc::Utc now);

}  // namespace tidemark::cli
