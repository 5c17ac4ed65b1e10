// How a commit, flush or evict ended, in words, and what can be done where it did not succeed. Pure.
#pragma once

#include <optional>
#include <string>

#include "ipc/words.h"

namespace tidemark::cli {

/// Committed, clean or accepted.
bool is_success(ipc::Outcome outcome);

/// What the outcome means. `error` is the provider's or agent's word, if it has one.
std::string outcome_text(ipc::Outcome outcome, std::optional<std::string> const& error);

/// What can be done about it, with the command that does; empty after a success.
std::string cure_text(ipc::Outcome outcome, std::string const& session);

}  // namespace tidemark::cli
