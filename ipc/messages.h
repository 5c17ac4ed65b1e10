// The protocol's messages as types. For each call one `…Params`, with its method's name and its `Result`; a struct
// without a `Result` is a notification. Members carry the wire's names; std::optional and Flag are those that may be
// absent.
#pragma once

#include "ipc/messages_agent.h"
#include "ipc/messages_commit.h"
#include "ipc/messages_daemon.h"
#include "ipc/messages_session.h"
