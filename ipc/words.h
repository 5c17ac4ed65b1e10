// The words of the protocol: one enum for each set of them, spelled as on the wire.
#pragma once

#include <array>
#include <boost/describe/enum.hpp>
#include <string_view>
#include <utility>

#include "ipc/described.h"

namespace tidemark::ipc {

/// How a commit, flush or evict ended.
enum class Outcome {
  committed,
  clean,     ///< nothing was dirty
  busy,      ///< an attempt is out
  accepted,  ///< detached, or the provider took it and is not done
  failed,    ///< the provider said no
  in_doubt,  ///< the connection was lost, or the attempt timed out
  no_owner,
  owner_offline,
  paused,
  stuck,    ///< the oldest segment is
  timeout,  ///< the caller's time is over; the attempt goes on
  running,  ///< evict: a turn is open
  unknown,  ///< no such session, or forgotten meanwhile
};
BOOST_DESCRIBE_ENUM(Outcome, committed, clean, busy, accepted, failed, in_doubt, no_owner, owner_offline, paused, stuck,
                    timeout, running, unknown)

/// A segment's state as it is shown: the first that applies.
enum class SegmentState { in_flight, confirming, stuck, orphaned, in_doubt, waiting, open };
BOOST_DESCRIBE_ENUM(SegmentState, in_flight, confirming, stuck, orphaned, in_doubt, waiting, open)

/// An attempt's state in the history.
enum class AttemptState { in_flight, confirming, committed, skipped, failed, in_doubt, settled, abandoned, void_ };
BOOST_DESCRIBE_ENUM(AttemptState, in_flight, confirming, committed, skipped, failed, in_doubt, settled, abandoned,
                    void_)

/// Which sessions a list shows: by the fact, not by the word shown.
enum class ListFilter { all, dirty, due, in_flight, confirming, stalled, in_doubt, orphaned, stuck };
BOOST_DESCRIBE_ENUM(ListFilter, all, dirty, due, in_flight, confirming, stalled, in_doubt, orphaned, stuck)

/// Whose sessions are drained: what agents of this connection own, the user's, or everybody's.
enum class DrainScope { connection, user, all };
BOOST_DESCRIBE_ENUM(DrainScope, connection, user, all)

/// What an agent says of a commit that did not fail.
enum class CommitStatus {
  committed,
  skipped,  ///< nothing was there to extract
  synced,   ///< the turns are with the provider; now the daemon commits through it
};
BOOST_DESCRIBE_ENUM(CommitStatus, committed, skipped, synced)

enum class ProviderState { ok, paused };
BOOST_DESCRIBE_ENUM(ProviderState, ok, paused)

/// What can be watched. An `Event` carries the word itself, as a watcher passes over types that it doesn't know.
enum class EventType {
  turn_completed,
  session_due,
  commit_started,
  commit_accepted,
  commit_succeeded,
  commit_failed,
  commit_in_doubt,
  commit_stalled,
  commit_stuck,
  session_clean,
  session_discarded,
  agent_online,
  agent_offline,
  agent_orphaned,
  provider_paused,
  provider_resumed,
  daemon_draining,
  watch_overflow,  ///< the last event of a subscriber that didn't keep up
};

template <>
struct EnumWords<EventType> {
  static constexpr std::array<std::pair<EventType, std::string_view>, 18> rows{{
      {EventType::turn_completed, "turn.completed"},
      {EventType::session_due, "session.due"},
      {EventType::commit_started, "commit.started"},
      {EventType::commit_accepted, "commit.accepted"},
      {EventType::commit_succeeded, "commit.succeeded"},
      {EventType::commit_failed, "commit.failed"},
      {EventType::commit_in_doubt, "commit.in_doubt"},
      {EventType::commit_stalled, "commit.stalled"},
      {EventType::commit_stuck, "commit.stuck"},
      {EventType::session_clean, "session.clean"},
      {EventType::session_discarded, "session.discarded"},
      {EventType::agent_online, "agent.online"},
      {EventType::agent_offline, "agent.offline"},
      {EventType::agent_orphaned, "agent.orphaned"},
      {EventType::provider_paused, "provider.paused"},
      {EventType::provider_resumed, "provider.resumed"},
      {EventType::daemon_draining, "daemon.draining"},
      {EventType::watch_overflow, "watch.overflow"},
  }};
};

}  // namespace tidemark::ipc
