// The operator's hand: retry, settle and abandon on what is stuck, pause and resume on providers.
#include <limits>
#include <memory>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "ipc/messages.h"

namespace tidemark::cli {

namespace {

// Settle and abandon differ in one word.
template <class Params>
Run end_through(CLI::App& app, std::string const& done) {
  auto const params = std::make_shared<Params>();
  auto const through = std::make_shared<std::optional<std::int64_t>>();
  add_session(app, params->session);
  add_count(app, "--through", *through, std::numeric_limits<std::int64_t>::max(), "up to this turn, included")
      ->required();
  add_text(app, "--reason", params->reason, "why, for the record")->required();
  return [params, through, done](Context& context) {
    params->through = **through;
    return context.call(*params, [&](auto const& result) {
      context.human() << printable(params->session.value) << ": " << done << "; the watermark is " << result.watermark
                      << '\n';
      return Exit::done;
    });
  };
}

// Pause and resume, too.
template <class Params>
Run change_provider(CLI::App& app, std::string const& why, std::string const& done) {
  auto const params = std::make_shared<Params>();
  auto const reason = std::make_shared<ipc::Text>();
  add_name(app, "provider", params->provider, "the provider's name, as in the configuration")->required();
  add_text(app, "--reason", *reason, why);
  return [params, reason, done](Context& context) {
    if (!reason->value.empty()) params->reason = *reason;
    return context.call(*params, [&](auto const&) {
      context.human() << "provider " << printable(params->provider.value) << done << '\n';
      return Exit::done;
    });
  };
}

}  // namespace

Run retry(CLI::App& app) {
  auto const params = std::make_shared<ipc::CommitRetryParams>();
  add_session(app, params->session);
  return [params](Context& context) {
    return context.call(*params, [&](auto const& result) {
      context.human() << printable(params->session.value) << ": " << count_text(result.due_segments, "segment")
                      << " to commit\n";
      return Exit::done;
    });
  };
}

Run settle(CLI::App& app) {
  return end_through<ipc::CommitSettleParams>(app, "settled");
}

Run abandon(CLI::App& app) {
  return end_through<ipc::CommitAbandonParams>(app, "abandoned");
}

Run pause(CLI::App& app) {
  return change_provider<ipc::ProviderPauseParams>(app, "why, for those who look at its state",
                                                   " is paused: what it would commit waits until it is resumed");
}

Run resume(CLI::App& app) {
  return change_provider<ipc::ProviderResumeParams>(app, "why; it isn't kept", " is asked again");
}

}  // namespace tidemark::cli
