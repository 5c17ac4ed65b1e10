// One look whether an accepted commit's extraction is over: by its task, and where there is no task, or no more, by
// the archive's markers. Archives that somebody else's commits have made since the state was read before ours may hold
// turns of ours too; they are extracted in their order, so that at the end only their failures are left to be seen.
//
// I/O thread only. It lives by the call that is under way for it.
#pragma once

#include <memory>
#include <string>

#include "daemon/providers/openviking_calls.h"
#include "daemon/providers/openviking_decisions.h"
#include "daemon/providers/provider.h"

namespace tidemark::daemon {

class OpenVikingLook : public std::enable_shared_from_this<OpenVikingLook> {
 public:
  // `calls` is there whenever one of its answers is delivered.
  OpenVikingLook(OpenVikingCalls& calls, Provider::Looked looked, const Confirming& confirming);

  // The server's key has been read.
  void start();
  // Ends the look as `faulty`.
  void give_up(const std::string& error);

 private:
  using Kind = ProviderLook::Kind;

  OpenVikingCalls::Done to(void (OpenVikingLook::*step)(OpenVikingReply));
  void judge_task(OpenVikingReply reply);
  void read_done_marker();
  void judge_done_marker(OpenVikingReply reply);
  void judge_failed_marker(OpenVikingReply reply);
  void confirm(std::string_view by);
  void check_next_between();
  void judge_done_between(OpenVikingReply reply);
  void judge_failed_between(OpenVikingReply reply);
  void fail(const std::string& why, const std::string& archive);
  // By a reply that doesn't tell; false = it does.
  bool ends_untold(const OpenVikingReply& reply);
  void finish(Kind kind, const std::string& error = {});

  OpenVikingCalls& calls_;
  const Provider::Looked looked_;
  const std::string external_id_;
  const OpenVikingEvidence read_;
  boost::json::object evidence_;
  OpenVikingTask task_;       // as it was told, once it was
  std::int64_t between_ = 0;  // the number of the archive before ours that is looked at
};

}  // namespace tidemark::daemon
