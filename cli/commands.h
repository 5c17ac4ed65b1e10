// The commands: a table with a row for each. A command is one function, which declares its arguments and returns what
// is run with them.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <span>
#include <string_view>

#include "cli/context.h"

namespace tidemark::cli {

using Run = std::function<Exit(Context&)>;

struct Command {
  std::string_view name;
  std::string_view summary;
  std::string_view example;
  Run (*declare)(CLI::App& app);
};

/// All commands, in the order in which help lists them.
std::span<Command const> commands();

// Looking.
Run status(CLI::App& app);
Run list(CLI::App& app);
Run show(CLI::App& app);
Run history(CLI::App& app);
Run watch(CLI::App& app);

// Marking, committing and letting go.
Run complete(CLI::App& app);
Run commit(CLI::App& app);
Run flush(CLI::App& app);
Run rotate(CLI::App& app);
Run evict(CLI::App& app);
Run discard(CLI::App& app);
Run forget(CLI::App& app);
Run drain(CLI::App& app);

// The operator's hand on what is stuck, and on providers.
Run retry(CLI::App& app);
Run settle(CLI::App& app);
Run abandon(CLI::App& app);
Run pause(CLI::App& app);
Run resume(CLI::App& app);

// The daemon's own house.
Run metrics(CLI::App& app);
Run backup(CLI::App& app);
Run verify(CLI::App& app);

// Serving.
Run agent(CLI::App& app);

}  // namespace tidemark::cli
