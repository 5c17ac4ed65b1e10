// The command that serves an agent's commits.
#include <memory>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/serving_agent.h"
#include "ipc/bounds.h"

namespace tidemark::cli {

Run agent(CLI::App& app) {
  auto const served = std::make_shared<AgentOptions>();
  auto const max_in_flight = std::make_shared<std::optional<std::int64_t>>();
  add_name(app, "agent", served->registration.agent, "the agent's name")->required();
  add_names(app, "--session", served->sessions, "a session whose current agent it becomes; may be repeated");
  add_name(app, "--group", served->registration.group, "agents of one group commit for those that are gone for good");
  app.add_flag_callback(
      "--serves-orphans", [served] { served->registration.serves_orphans = true; },
      "commit for any of the group that is gone, whatever its session");
  add_count(app, "--max-in-flight", *max_in_flight, ipc::bounds::in_flight_max,
            "how many commands run at a time; " + std::to_string(ipc::bounds::in_flight) + " if not given");
  // Never gets here with its command; declared for the help, and for --exec=COMMAND.
  app.add_option_function<std::string>(
         "--exec", [](std::string const&) { throw CLI::ValidationError("--exec", "write --exec COMMAND ARGUMENTS"); },
         "the program to run for each commit and its arguments: all that follows")
      ->type_name("COMMAND...");
  return [served, max_in_flight](Context& context) {
    auto const& options = context.options();
    if (options.exec.empty())
      return context.refuse("--exec COMMAND is missing; see `tidemark agent --help`", Exit::usage);
    if (options.uid) return context.refuse("--uid has no meaning for this command", Exit::usage);
    served->socket = options.socket;
    served->command = options.exec;
    served->json = options.json;
    if (*max_in_flight) served->registration.max_in_flight = **max_in_flight;
    return ServingAgent(*served, context.terminal()).run();
  };
}

}  // namespace tidemark::cli
