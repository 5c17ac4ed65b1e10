// A provider: who commits in an agent's stead, by the daemon. One interface for every kind; when one is asked, and what
// becomes of what it says, is the dispatcher's business.
//
// I/O thread only. Nothing here blocks. A completion is called exactly once and never from inside the call that was
// given it; when the provider is destroyed before, not at all.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "lifecycle/session.h"

namespace tidemark::daemon {

// One attempt. It is journaled when it gets here.
struct ProviderRequest {
  uid_t uid = 0;
  std::string session;
  std::string external_id;  // the provider's name for the session; the session's own name where none was given
  std::string owner;
  std::string reason;
  lifecycle::CommitId commit = 0;
  lifecycle::Key key{};
  lifecycle::Generation start = 0, end = 0;
  std::int64_t attempt = 0;  // from 1
  bool sealed = false;       // an earlier try under this key may have landed
  // What the provider itself has left. JSON objects as text; empty = nothing.
  std::string evidence;           // of the segment: by earlier tries
  std::string provider_state;     // of the session: by the last commit that was accepted
  lifecycle::Utc last_turn_at{};  // when the last turn of the range was completed
};

struct ProviderAnswer {
  enum class Kind {
    committed,
    accepted,         // taken, and not done: look() tells when it is
    failed,           // it has not landed; to be tried again
    failed_for_good,  // it has not landed, and won't by trying again
    in_doubt,         // it may have landed
    unreachable,      // nobody was there to be asked: it has not landed
    throttled,        // too much for the provider now: it has not landed, and spends no attempt
    faulty,           // the provider as a whole (credentials, address, not its protocol): spends no attempt
  };
  Kind kind = Kind::in_doubt;
  bool may_have_landed = false;            // with `faulty` only
  std::string error;                       // one sentence for the operator; empty with a success
  std::string evidence;                    // JSON object as text, replaces the segment's; empty = as it was
  std::string provider_state;              // the same, of the session; with committed and accepted only
  lifecycle::Milliseconds retry_after{0};  // leave the whole provider alone for so long; 0 = it didn't say
};

// A commit that was accepted, as look() needs it.
struct Confirming {
  uid_t uid = 0;
  std::string session;
  std::string external_id;
  std::string evidence;  // as the answer that accepted it left it
};

struct ProviderLook {
  enum class Kind {
    unfinished,
    confirmed,
    failed,   // it was accepted and will never be done
    unknown,  // nothing could be learned
    faulty,   // as in ProviderAnswer
  };
  Kind kind = Kind::unknown;
  std::string error;             // with all but unfinished and confirmed
  std::string evidence;          // as in ProviderAnswer
  lifecycle::Utc progress_at{};  // when it last got on, by the provider's clock; the epoch = it doesn't say
};

class Provider {
 public:
  // Journals evidence with the attempt that is out, before something is done that may land. `then(false)`: that
  // couldn't be done, so nothing may be sent.
  using Note = std::function<void(std::string evidence, std::function<void(bool noted)> then)>;
  using Answered = std::function<void(ProviderAnswer)>;
  using Looked = std::function<void(ProviderLook)>;

  Provider() = default;
  Provider(const Provider&) = delete;
  Provider& operator=(const Provider&) = delete;
  virtual ~Provider() = default;

  virtual void commit(ProviderRequest request, Note note, Answered answered) = 0;
  // Whether a commit that it has accepted is done. Only asked of kinds that answer `accepted`.
  virtual void look(Confirming confirming, Looked looked) = 0;
};

}  // namespace tidemark::daemon
