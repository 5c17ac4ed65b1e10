// The operator's hand on what is stuck: retry, settle, abandon.
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

}  // namespace tidemark::cli
