// How a command to the ledger can end: with its result, or refused. Values, not exceptions: every caller handles both.
#pragma once

#include <string>
#include <variant>

namespace tidemark::store {

enum class Refusal {
  journal_unavailable,  // could not be made durable; nothing of it was recorded
  outcome_unknown,      // the sync failed: it may or may not be there after the restart that follows
  not_found,
  limit,    // `limit` names the bound
  invalid,  // the command makes no sense in the state that things are in
  internal,
};

struct Refused {
  Refusal refusal;
  std::string text;   // for a person
  std::string limit;  // the bound's name; empty unless refusal is `limit`
};

template <class Result>
using Outcome = std::variant<Result, Refused>;

}  // namespace tidemark::store
