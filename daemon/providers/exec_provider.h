// A provider that is a command of the operator's: run once for each attempt, never through a shell, in a process group
// of its own. Its exit status is the answer; the end of what it wrote is the evidence.
//
// At the timeout the group is asked to end, and soon after it is ended. Once the command itself has ended, so does
// whatever is left of its group; only a process that has left the group can outlive the attempt.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/providers/provider.h"
#include "daemon/providers/provider_config.h"

namespace tidemark::daemon {

class ExecProvider final : public Provider {
 public:
  // `io` outlives it. Commands get the environment of now, without what is meant for the daemon alone.
  ExecProvider(ExecConfig config, lifecycle::Milliseconds timeout, boost::asio::io_context& io);
  // Ends the groups of all commands under way, and waits for that, for a second at most.
  ~ExecProvider() override;

  void commit(ProviderRequest request, Note note, Answered answered) override;
  // Never asked: a command that has ended is done.
  void look(Confirming confirming, Looked looked) override;

 private:
  class Command;

  ExecConfig config_;
  lifecycle::Milliseconds timeout_;
  boost::asio::io_context& io_;
  std::vector<std::string> environment_;
  std::vector<char> buffer_;                     // what one read takes; nothing stays in it
  std::set<std::shared_ptr<Command>> commands_;  // under way
};

}  // namespace tidemark::daemon
