// What an OpenViking server's answers mean: pure functions from what came over HTTP to what it says. They go by the
// shape of an answer, not by the server's version, and whatever a server sends, no text of it gets through unredacted
// or unbounded.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/providers/http_client.h"
#include "daemon/providers/secret.h"
#include "lifecycle/time.h"

namespace tidemark::daemon {

// An answer to any call.
struct OpenVikingReply {
  enum class Kind {
    ok,         // `result` is there
    unreached,  // nobody was reached: nothing was done
    ambiguous,  // it may have been acted on: no whole answer, 408, 5xx
    foreign,    // a success that isn't OpenViking's: it may have been acted on
    faulty,     // refused credentials, a redirect, not its routes, a server without a model: nothing was done
    throttled,  // 429
    busy,       // 409, and it says that trying again helps
    conflict,   // any other 409
    not_found,
    refused,  // anything else: trying again won't help
  };
  Kind kind = Kind::ambiguous;
  boost::json::value result;
  std::string code;        // OpenViking's word for an error; empty = none
  std::string error;       // one sentence without its full stop, with all but `ok`
  std::string archive_id;  // of a refusal: the archive that blocks the session
  std::optional<lifecycle::Milliseconds> retry_after;

  // Nothing was learned this time, and may be the next.
  bool transient() const {
    return kind == Kind::unreached || kind == Kind::ambiguous || kind == Kind::throttled || kind == Kind::busy;
  }
};

OpenVikingReply read_reply(const HttpAnswer& answer, const Redactor& redactor);

// The version in an answer of /health; empty = it has none.
std::string read_version(const HttpAnswer& answer, const Redactor& redactor);

// A session's state, as far as it tells commits apart.
struct OpenVikingSession {
  std::int64_t commit_count = 0;                    // the number of its newest archive
  std::int64_t message_count = 0;                   // live: in no archive yet
  std::optional<std::int64_t> total_message_count;  // ever; old servers don't say
  std::string last_commit_at;                       // only compared; empty = never
  std::string uri;
  std::string account, user;  // who it belongs to; empty = the server doesn't say
};

// Nothing: that is no session.
std::optional<OpenVikingSession> read_session(const boost::json::value& result);

struct OpenVikingCommit {
  enum class Kind {
    accepted,   // archived, extraction goes on
    committed,  // archived and extracted
    nothing,    // nothing was live
    unclear,
  };
  Kind kind = Kind::unclear;
  std::string task, archive;  // empty = it names none
};

OpenVikingCommit read_commit(const boost::json::value& result);

struct OpenVikingTask {
  enum class Status { pending, running, cancelling, completed, failed, cancelled, unclear };
  Status status = Status::unclear;
  std::string status_text;
  std::string id, archive, session, error;  // empty = it doesn't say
  lifecycle::Utc created_at{}, updated_at{};
  std::optional<boost::json::object> memories_extracted;  // counts by their type
  std::int64_t memories_total = 0;                        // their sum

  bool ended() const { return status == Status::completed || status == Status::failed || status == Status::cancelled; }
};

OpenVikingTask read_task(const boost::json::value& result);
std::vector<OpenVikingTask> read_tasks(const boost::json::value& result);

// What a `.failed.json` says, for a sentence; empty = nothing that could be read.
std::string read_failure(const boost::json::value& marker);

// The number N of a URI that ends with archive_N.
std::optional<std::int64_t> archive_number(std::string_view archive);
// The session's archive of that number.
std::string archive_uri(const OpenVikingSession& session, std::string_view external_id, std::int64_t number);

// JSON without a throw: null for what isn't JSON, is nested too deep or has another beginning.
boost::json::value parse_json(std::string_view text);
// A member's value: nothing where there is no such member, or of another type.
std::string text_of(const boost::json::object& object, std::string_view name);
std::optional<std::int64_t> count_of(const boost::json::object& object, std::string_view name);

}  // namespace tidemark::daemon
