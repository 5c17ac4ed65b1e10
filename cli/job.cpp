// See job.h.
#include "cli/job.h"

#include <boost/json/serialize.hpp>

#include "cli/format.h"
#include "process/child.h"

namespace tidemark::cli {

namespace {
// An agent's errors carry codes of its own; this one says that the command failed.
constexpr int command_failed_code = 1;
}  // namespace

Job::Job(boost::asio::io_context& context, ipc::AgentCommitParams first, boost::json::object const& params)
    : request(std::move(first)), input(boost::json::serialize(params) + "\n"), progress_timer(context) {}

std::string Job::text() const {
  return "commit of " + printable(request.session.value) + ", " + turns_text(request.start, request.end);
}

std::vector<std::string> Job::environment() const {
  auto variables = process::inherited_environment();
  variables.push_back("TIDEMARK_SESSION=" + request.session.value);
  variables.push_back("TIDEMARK_START=" + std::to_string(request.start));
  variables.push_back("TIDEMARK_END=" + std::to_string(request.end));
  variables.push_back("TIDEMARK_KEY=" + request.key);
  variables.push_back("TIDEMARK_ATTEMPT=" + std::to_string(request.attempt));
  variables.push_back("TIDEMARK_AGENT=" + request.agent.value);
  variables.push_back("TIDEMARK_REASON=" + request.reason);
  if (request.external_id) variables.push_back("TIDEMARK_EXTERNAL_ID=" + request.external_id->value);
  return variables;
}

void Job::answer_committed() {
  for (auto& asking : askings) asking.call.reply(ipc::AgentCommitResult{ipc::CommitStatus::committed});
  askings.clear();
}

void Job::answer_failed(std::string const& message) {
  for (auto& asking : askings) asking.call.fail(ipc::Error{command_failed_code, message, {}, {}, {}, false});
  askings.clear();
}

}  // namespace tidemark::cli
