// What a provider has left with a commit, for a person: a JSON value that only the provider knows the meaning of. Pure.
#pragma once

#include "cli/table.h"
#include "ipc/wire_types.h"

namespace tidemark::cli {

/// A line a member, nested ones as JSON; shortened where a line would be longer than a person reads. `--json` has it
/// whole.
Table table_of(ipc::RawJson const& evidence);

}  // namespace tidemark::cli
