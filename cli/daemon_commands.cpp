// The commands about the daemon's own house: metrics, backup, verify.
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/copy_file.h"
#include "ipc/messages.h"

namespace tidemark::cli {

namespace {

// How long a large journal takes nobody can say beforehand.
Patience endless(std::string what) {
  return {std::nullopt, waiting_line(std::move(what))};
}

// What stands in the way of a file there, seen before the daemon goes to work; empty: nothing.
std::string obstacle(std::filesystem::path const& path, bool replace) {
  std::error_code error;
  auto const status = std::filesystem::symlink_status(path, error);
  if (std::filesystem::is_directory(path, error)) return path.string() + " is a folder; name a file in it";
  if (std::filesystem::exists(status) && !replace) return path.string() + " is there already; --force replaces it";
  auto const folder = path.parent_path();
  if (!std::filesystem::is_directory(folder, error)) return folder.string() + " is no folder";
  if (::access(folder.c_str(), W_OK | X_OK) != 0)
    return "cannot write to " + folder.string() + ": " + std::generic_category().message(errno);
  return {};
}

Exit make_backup(Context& context, std::filesystem::path const& path, bool replace) {
  if (auto const reason = obstacle(path, replace); !reason.empty()) return context.refuse(reason);
  auto asked = context.ask(ipc::DaemonBackupParams{}, endless("making the backup"));
  if (!asked) return asked.error();
  auto const& made = asked->result;
  auto const stays = "; the daemon's own copy stays at " + made.path;
  std::optional<Progress> progress;
  if (context.terminal().live) progress.emplace(context.terminal().err, waiting_line("copying the backup"));
  auto const error = copy_file(made.path, made.bytes, path.string(), replace);
  progress.reset();
  if (!error.empty()) return context.refuse(error + stays);
  if (::unlink(made.path.c_str()) != 0)
    context.refuse("cannot remove " + made.path + ": " + std::generic_category().message(errno) + stays);
  asked->json["path"] = path.string();
  context.print_json(asked->json);
  context.human() << "backup of " << bytes_text(made.bytes) << " at " << printable(path.string()) << '\n';
  return Exit::done;
}

}  // namespace

Run metrics(CLI::App&) {
  return [](Context& context) {
    return context.call(ipc::DaemonMetricsParams{}, [&](auto const& result) {
      context.human() << result.text;
      return Exit::done;
    });
  };
}

Run backup(CLI::App& app) {
  auto const path = std::make_shared<std::string>();
  auto const force = std::make_shared<bool>(false);
  app.add_option("path", *path, "the file to write, readable for you alone")->required()->type_name("PATH");
  app.add_flag("--force", *force, "replace a file that is there");
  return [path, force](Context& context) {
    std::error_code error;
    auto const absolute = std::filesystem::absolute(*path, error);
    if (path->empty() || error || !absolute.has_filename())
      return context.refuse("\"" + *path + "\" names no file", Exit::usage);
    return make_backup(context, absolute, *force);
  };
}

Run verify(CLI::App&) {
  return [](Context& context) {
    auto const tell = [&](ipc::DaemonVerifyResult const& result) {
      if (result.ok) {
        context.human() << "the journal is whole, and every row keeps the contract\n";
        return Exit::done;
      }
      for (auto const& problem : result.problems) context.human() << printable(problem) << '\n';
      return context.refuse_outcome(
          "the journal has " + count_text(static_cast<std::int64_t>(result.problems.size()), "problem"),
          "keep a copy of it as it is (tidemark backup PATH) before you restore an older one");
    };
    return context.call(ipc::DaemonVerifyParams{}, tell, endless("verifying a copy of the journal"));
  };
}

}  // namespace tidemark::cli
