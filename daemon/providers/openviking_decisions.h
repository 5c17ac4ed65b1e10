// What a session's state means for a commit: pure. OpenViking has no key that would tell a repeat from new work; what
// it has is counts. A commit archives all that is live, so that reading the state before it and again afterwards tells
// whether turns are in an archive, whoever has put them there.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/providers/openviking_answers.h"
#include "lifecycle/time.h"

namespace tidemark::daemon {

// A segment's evidence, as far as it is read again.
struct OpenVikingEvidence {
  std::optional<OpenVikingSession> before;  // the state before the commit was asked for under this key
  lifecycle::Utc posted_at{};               // when it was asked for first
  std::string task, archive;
};

// What the provider keeps of a session: its last commit that was accepted.
struct OpenVikingSettled {
  OpenVikingSession before;      // the state before it was asked for
  lifecycle::Utc answered_at{};  // all that had reached the server before is archived
  std::string task, archive;
  std::string commit;      // ours that was accepted; empty = somebody else's
  bool confirmed = false;  // extraction was over with the answer
};

// From and to the JSON texts that are journaled. Reading what isn't there or isn't ours gives nothing.
OpenVikingEvidence read_evidence(std::string_view text);
std::optional<OpenVikingSettled> read_settled(std::string_view text);
std::string settled_text(const OpenVikingSettled& settled);
boost::json::object session_json(const OpenVikingSession& session);
std::string time_text(lifecycle::Utc at);  // as in RFC 3339

// Why the session isn't the one that was committed before, for the operator; empty = it is.
std::string other_identity(const OpenVikingSession& then, const OpenVikingSession& now);

// What became of an earlier commit whose answer is not known.
enum class OpenVikingEarlier {
  landed,   // all that was there before is archived: by it, or by somebody else's
  undone,   // something is live, so that asking again does no harm
  emptied,  // nothing is live, and no archive counts
};
OpenVikingEarlier judge_earlier(const OpenVikingSession& before, const OpenVikingSession& now);

// Where the turns of a segment are when nothing was there to commit.
enum class OpenVikingSwept {
  not_at_all,  // nothing tells that they have ever reached the server
  by_ours,     // into the archive of our last accepted commit
  by_another,  // into the newest archive, by somebody else's commit
};
// `last_turn_at`: of the segment's last turn; a turn reaches the provider before it is marked.
OpenVikingSwept judge_nothing(const std::optional<OpenVikingSettled>& settled, const OpenVikingSession& now,
                              lifecycle::Utc last_turn_at);

// The one task that can have made the archive; null = none, or it can't be told. Tasks from before `since` can't have,
// give or take five minutes by which the clocks may differ.
const OpenVikingTask* find_task(const std::vector<OpenVikingTask>& tasks, std::string_view external_id,
                                lifecycle::Utc since, std::string_view archive);

}  // namespace tidemark::daemon
