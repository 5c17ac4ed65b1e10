// See run.h. CLI11 parses everything but what follows --exec, which is another program's business.
#include "cli/run.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "cli/commands.h"

namespace tidemark::cli {

namespace {

std::string environment(char const* name) {
  char const* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

// Cuts off what follows the first --exec behind the word agent; false: there is none.
bool cut_exec(std::vector<std::string>& arguments, std::vector<std::string>& exec) {
  auto const agent = std::find(arguments.begin(), arguments.end(), "agent");
  auto const found = std::find(agent, arguments.end(), "--exec");
  if (found == arguments.end()) return false;
  exec.assign(found + 1, arguments.end());
  arguments.erase(found, arguments.end());
  if (!exec.empty() && exec.front() == "--") exec.erase(exec.begin());
  if (!arguments.empty() && arguments.back() == "--") arguments.pop_back();
  return true;
}

std::optional<ipc::UidSelector> uid_of(std::string const& text) {
  if (text == "all") return ipc::UidSelector::all();
  ipc::Uid uid = 0;
  auto const parsed = std::from_chars(text.data(), text.data() + text.size(), uid);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return ipc::UidSelector{uid};
}

// CLI11's own words, with where to read on.
Exit tell_usage(CLI::App const& app, CLI::ParseError const& error, Terminal& terminal) {
  auto const chosen = app.get_subcommands();
  std::string const help = chosen.empty() ? "tidemark --help" : "tidemark " + chosen.front()->get_name() + " --help";
  std::string text = error.what();
  if (chosen.empty() && !app.remaining().empty()) text = "there is no command or option " + app.remaining().front();
  terminal.err << "tidemark: " << printable(text) << "; see `" << help << "`\n";
  return Exit::usage;
}

}  // namespace

std::string socket_path(std::string const& given) {
  if (!given.empty()) return given;
  if (auto named = environment("TIDEMARK_SOCKET"); !named.empty()) return named;
  if (auto const runtime = environment("XDG_RUNTIME_DIR"); !runtime.empty()) {
    auto own = runtime + "/tidemark/tidemark.sock";
    std::error_code ignored;
    if (std::filesystem::exists(own, ignored)) return own;
  }
  return "/run/tidemark/tidemark.sock";
}

Exit run(std::vector<std::string> arguments, Terminal terminal) {
  Options options;
  bool const has_exec = cut_exec(arguments, options.exec);

  CLI::App app("Looks at Tidemark's daemon and tells it what to do.", "tidemark");
  app.footer(
      "Example:\n  tidemark ls --dirty\n\nExit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no daemon.");
  app.add_option("--socket", options.socket,
                 "the daemon's socket; else TIDEMARK_SOCKET, $XDG_RUNTIME_DIR/tidemark/tidemark.sock if there, or "
                 "/run/tidemark/tidemark.sock")
      ->type_name("PATH");
  app.add_flag("--json", options.json, "print the daemon's result as one line of JSON");
  app.add_option_function<std::string>(
         "--uid",
         [&](std::string const& text) {
           options.uid = uid_of(text);
           if (!options.uid) throw CLI::ValidationError("--uid", "must be a user's number, or all");
         },
         "for admins: whose sessions are meant")
      ->type_name("UID|all");
  app.set_version_flag("--version", "tidemark " TIDEMARK_VERSION);
  app.require_subcommand(1);
  std::map<std::string_view, Run> runs;
  for (auto const& command : commands()) {
    auto* const declared = app.add_subcommand(std::string(command.name), std::string(command.summary));
    declared->fallthrough();
    declared->footer("Example:\n  " + std::string(command.example));
    runs.emplace(command.name, command.declare(*declared));
  }
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (CLI::ParseError const& error) {
    if (error.get_exit_code() != 0) return tell_usage(app, error, terminal);
    app.exit(error, terminal.out, terminal.err);
    return Exit::done;
  }
  auto const name = app.get_subcommands().front()->get_name();
  options.socket = socket_path(options.socket);
  Context context(std::move(options), terminal);
  if (has_exec && name != "agent") return context.refuse("--exec belongs to the command agent", Exit::usage);
  return runs.at(name)(context);
}

}  // namespace tidemark::cli
