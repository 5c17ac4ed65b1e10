// One attempt to commit a session at an OpenViking server: the state is read, what an earlier try under the same key
// has left is judged by it, the state is journaled, the commit is asked for, and whatever answer may hide that it
// landed is followed by reading the state again. Nothing is called done that isn't confirmed.
//
// I/O thread only. It lives by the call that is under way for it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "daemon/providers/openviking_calls.h"
#include "daemon/providers/openviking_decisions.h"
#include "daemon/providers/provider.h"

namespace tidemark::daemon {

class OpenVikingAttempt : public std::enable_shared_from_this<OpenVikingAttempt> {
 public:
  // `calls` is there whenever one of its answers is delivered.
  OpenVikingAttempt(OpenVikingCalls& calls, ProviderRequest request, Provider::Note note, Provider::Answered answered);

  // The server's key has been read.
  void start();
  // Ends the attempt as `faulty`.
  void give_up(std::string error);

 private:
  using Step = void (OpenVikingAttempt::*)(OpenVikingReply);
  using Kind = ProviderAnswer::Kind;

  // The next step, held by the call until its answer is there.
  OpenVikingCalls::Done to(Step step);

  void read_state(OpenVikingReply version);
  void judge_state(OpenVikingReply reply);
  void journal();
  void post();
  void judge_post(OpenVikingReply reply);

  // After an answer to the commit that may hide that it landed: `otherwise` is said unless the state shows that it did.
  void read_again(ProviderAnswer otherwise);
  void judge_again(OpenVikingReply reply);

  // All that was there before is in an archive: whose task, and how far is it?
  void adopt_earlier();
  void choose_task(OpenVikingReply reply);

  // There was nothing to commit.
  void judge_emptied(OpenVikingReply reply);
  void check_late_failure();
  void judge_late_failure(OpenVikingReply reply);
  void adopt_swept(OpenVikingSwept swept);

  // Whether the archive's extraction is over, by its markers; then `unmarked` goes on if neither is there.
  void read_markers(std::function<void()> unmarked);
  void judge_done_marker(OpenVikingReply reply);
  void judge_failed_marker(OpenVikingReply reply);

  void succeed(Kind kind);
  void fail(Kind kind, std::string error);
  void fail(Kind kind, const OpenVikingReply& reply);
  // What a call comes to that has done nothing at the server.
  void fail_by(const OpenVikingReply& reply);
  void suspect_loss(const std::string& why);
  void finish(ProviderAnswer answer);

  OpenVikingCalls& calls_;
  const ProviderRequest request_;
  const Provider::Note note_;
  const Provider::Answered answered_;
  const std::string id_;
  const std::optional<OpenVikingSettled> settled_;
  OpenVikingEvidence earlier_;  // by an earlier try under this key
  OpenVikingSession before_;    // the state that the commit is judged by
  OpenVikingSession now_;       // the state as it was read last
  lifecycle::Utc posted_at_{};
  boost::json::object evidence_;
  OpenVikingSettled next_;    // what will be settled by a success
  ProviderAnswer otherwise_;  // what is said unless the commit landed
  std::function<void()> unmarked_;
};

}  // namespace tidemark::daemon
