// Between the ledger's values and the protocol's messages.
#pragma once

#include <string>

#include "daemon/providers/key_text.h"
#include "ipc/messages.h"
#include "store/commands.h"

namespace tidemark::daemon {

// "30 s", "1500 ms", "2 min": for people.
std::string duration_text(lifecycle::Milliseconds duration);

ipc::Error error_of(const store::Refused& refused);
ipc::SessionStatusResult status_of(const store::SessionView& view);
ipc::SessionSummary summary_of(const store::SessionView& view);
ipc::CommitRecord record_of(const store::AttemptRow& row);
store::ListFilter filter_of(ipc::ListFilter filter);
ipc::EventType event_type_of(store::EventKind kind);
// Without the subscription's number, its `seq`, and the type.
ipc::EventParams event_of(const store::Event& event);

}  // namespace tidemark::daemon
