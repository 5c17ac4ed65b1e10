// The command that looks at the daemon as a whole: counts, providers, and where a hand is needed.
#include <algorithm>
#include <memory>

#include "cli/commands.h"
#include "cli/waits.h"
#include "ipc/messages.h"
#include "ipc/words.h"

namespace tidemark::cli {

namespace {

// A count that is trouble as soon as there is one.
Cell trouble(std::int64_t count, Colour colour) {
  return {std::to_string(count), count > 0 ? colour : Colour::plain};
}

bool is_paused(ipc::ProviderStatus const& provider) {
  return provider.state == ipc::ProviderState::paused;
}

bool is_healthy(ipc::DaemonStatusResult const& status) {
  bool const paused = std::any_of(status.providers.begin(), status.providers.end(), is_paused);
  return status.stuck == 0 && status.stalled == 0 && !paused && status.journal.healthy;
}

// What there is to do about a pause. The daemon's text begins so when somebody has asked for it.
Way way_of(ipc::ProviderStatus const& provider) {
  bool const by_hand = provider.error.value_or("").starts_with("paused by hand");
  return {"provider " + provider.name +
              (by_hand ? ", paused by hand" : ", once its fault is mended (it is also tried by itself)"),
          "tidemark resume " + shell_word(provider.name)};
}

// Where to look on for what does not mend itself.
void tell_status_ways(Context& context, ipc::DaemonStatusResult const& status) {
  std::vector<Way> ways;
  for (auto const& provider : status.providers)
    if (is_paused(provider)) ways.push_back(way_of(provider));
  if (status.stuck > 0) ways.push_back({"what is stuck, to retry, settle or abandon", "tidemark ls --stuck"});
  if (status.orphaned > 0) ways.push_back({"what its agent has left for good", "tidemark ls --orphaned"});
  if (status.stalled > 0) ways.push_back({"what its provider doesn't finish", "tidemark ls --stalled"});
  if (ways.empty()) return;
  context.human() << "\nWhat needs a hand:\n";
  context.print(table_of(ways));
}

void tell_status(Context& context, ipc::DaemonStatusResult const& status) {
  Table facts({{""}, {""}});
  facts.add({"daemon", "version " + status.version + ", up " + duration_text(status.uptime_ms) + ", at " +
                           context.options().socket});
  facts.add({"journal", status.journal.healthy
                            ? Cell("healthy, " + bytes_text(status.journal.bytes), Colour::green)
                            : Cell("not healthy: " + status.journal.error.value_or("no reason given"), Colour::red)});
  facts.add({"recovered", count_text(status.recovered.sessions, "dirty session") + ", " +
                              count_text(status.recovered.generations, "turn") + ", " +
                              count_text(status.recovered.in_doubt, "attempt") + " in doubt (at the last start)"});
  facts.add({"agents online", status.agents_online});
  facts.add({"sessions", status.sessions});
  facts.add({"  dirty", status.dirty});
  facts.add({"  due", status.due});
  facts.add({"  in flight", status.in_flight});
  facts.add({"  confirming", status.confirming});
  facts.add({"  stalled", trouble(status.stalled, Colour::yellow)});
  facts.add({"  in doubt", trouble(status.in_doubt, Colour::yellow)});
  facts.add({"  orphaned", trouble(status.orphaned, Colour::yellow)});
  facts.add({"  stuck", trouble(status.stuck, Colour::red)});
  context.print(facts);
  context.human() << '\n';
  if (status.providers.empty()) {
    context.human() << "no providers\n";
    return tell_status_ways(context, status);
  }
  Table providers({{"PROVIDER"}, {"KIND"}, {"STATE"}, {"SINCE"}, {"WHY"}});
  for (auto const& provider : status.providers) {
    providers.add({provider.name, provider.kind,
                   Cell(prose(ipc::word_of(provider.state)), is_paused(provider) ? Colour::red : Colour::green),
                   relative_text(provider.since, context.now()), provider.error.value_or("")});
  }
  context.print(providers);
  tell_status_ways(context, status);
}

}  // namespace

Run status(CLI::App& app) {
  auto const check = std::make_shared<bool>(false);
  app.add_flag("--check", *check,
               "exit with 1 if something is stuck, stalled or paused, or the journal is not healthy");
  return [check](Context& context) {
    return context.call(ipc::DaemonStatusParams{}, [&](auto const& status) {
      tell_status(context, status);
      return *check && !is_healthy(status) ? Exit::refused : Exit::done;
    });
  };
}

}  // namespace tidemark::cli
