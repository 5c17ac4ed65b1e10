// What a segment of a session is, and waits for, in words. Pure.
#pragma once

#include <cstddef>
#include <string>

#include "cli/table.h"
#include "ipc/messages_session.h"

namespace tidemark::cli {

/// The state, and what is true beside it: `confirming, stalled`.
std::string state_text(ipc::SegmentStatus const& segment);
Colour colour_of(ipc::SegmentStatus const& segment);

/// What the segment at `index` waits for, with the error that it met last.
std::string waits_for(ipc::SessionStatusResult const& session, std::size_t index, ipc::Utc now);

}  // namespace tidemark::cli
