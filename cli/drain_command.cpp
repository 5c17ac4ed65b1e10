// Drain: shows on a terminal how much is left while it goes on, and at the end what each session that is left waits
// for. What is left is looked up on a connection of its own, as the first one waits.
#include <algorithm>
#include <memory>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/waits.h"
#include "ipc/bounds.h"
#include "ipc/messages.h"
#include "ipc/words.h"

namespace tidemark::cli {

namespace {

// A look takes the daemon one page: above that only its size is known.
constexpr std::int64_t sessions_looked_at = ipc::bounds::page_entries_max;
constexpr std::chrono::milliseconds look_timeout{500};
// Sessions of which is told what they wait for; one look each.
constexpr std::size_t sessions_told = 10;

class DrainLook {
 public:
  DrainLook(std::string socket, std::optional<ipc::UidSelector> uid) : socket_(std::move(socket)) {
    params_.filter = ipc::ListFilter::dirty;
    params_.limit = sessions_looked_at;
    params_.uid = uid;
  }

  std::string line(std::chrono::seconds waited) {
    std::string const text = "draining: " + duration_text(waited);
    if (!client_ || !client_->connected()) {
      auto connected = ipc::Client::connect(socket_);
      if (!connected) return text;
      client_ = std::move(*connected);
    }
    auto const list = client_->call(params_, look_timeout);
    if (!list) {
      client_.reset();
      return text;
    }
    if (list->cursor) return text + ", over " + count_text(sessions_looked_at, "session") + " left";
    std::int64_t turns = 0;
    std::int64_t in_flight = 0;
    for (auto const& session : list->sessions) {
      turns += session.uncommitted;
      in_flight += session.in_flight ? 1 : 0;
    }
    most_turns_ = std::max(most_turns_, turns);
    return text + ", " + count_text(most_turns_ - turns, "turn") + " committed, " + count_text(turns, "turn") +
           " left in " + count_text(static_cast<std::int64_t>(list->sessions.size()), "session") + ", " +
           count_text(in_flight, "commit") + " in flight";
  }

 private:
  std::string socket_;
  ipc::SessionListParams params_;
  std::optional<ipc::Client> client_;
  std::int64_t most_turns_ = 0;  // that were left at one time
};

// What the oldest turns of these sessions wait for, and the likeliest thing to do about it.
void tell_left(Context& context, std::vector<std::string> const& sessions) {
  Table table({{"SESSION"}, {"TURNS"}, {"STATE"}, {"WAITS FOR"}, {"WHAT CAN BE DONE"}});
  for (std::size_t index = 0; index < std::min(sessions.size(), sessions_told); ++index) {
    ipc::SessionStatusParams params;
    params.session = sessions[index];
    auto const connected = context.connection();
    if (!connected || !context.set_user(params)) return;
    auto const looked = (*connected)->call(params, look_timeout);
    if (!looked || looked->segments.empty()) continue;  // forgotten or committed by now
    auto const& session = *looked;
    auto const& segment = session.segments.front();
    auto const ways = ways_out(session, 0, context.now());
    bool const choice = ways.size() > 1;
    table.add({session.session, range_text(segment.start, segment.end), Cell(state_text(segment), colour_of(segment)),
               waits_for(session, 0, context.now()),
               ways.empty() || choice ? "tidemark show " + shell_word(session.session) : ways.front().command});
  }
  context.print(table);
  if (sessions.size() > sessions_told) context.human() << "and others: tidemark ls --dirty\n";
}

}  // namespace

Run drain(CLI::App& app) {
  auto const params = std::make_shared<ipc::DrainParams>();
  app.add_option_function<std::string>(
         "--scope", [params](std::string const& word) { params->scope = ipc::from_word<ipc::DrainScope>(word); },
         "what the agents of this connection own, all of the user's (as if not given), or everybody's")
      ->check(CLI::IsMember({"connection", "user", "all"}))
      ->type_name("SCOPE");
  add_duration(app, "--deadline", params->deadline_ms, ipc::bounds::duration_max,
               "how long to go on, like 30s; as the daemon is configured if not given");
  return [params](Context& context) {
    auto const& options = context.options();
    bool const everybody = params->scope == ipc::DrainScope::all;
    auto const look =
        std::make_shared<DrainLook>(options.socket, everybody ? std::optional(ipc::UidSelector::all()) : options.uid);
    Patience const patience{std::nullopt, [look](std::chrono::seconds waited) { return look->line(waited); }};
    auto const tell = [&](ipc::DrainResult const& result) {
      auto const committed = count_text(result.committed, "segment") + " committed";
      if (result.drained) {
        context.human() << "drained, " << committed << '\n';
        return Exit::done;
      }
      auto const left = static_cast<std::int64_t>(result.remaining.size());
      auto const exit = context.refuse_outcome(
          "not drained, " + committed + ", " + count_text(left, "session") + " left",
          everybody ? "which, and whose: tidemark --uid all ls --dirty" : "what is left is due, and goes on by itself");
      if (!options.json && !everybody) tell_left(context, result.remaining);
      return exit;
    };
    return context.call(*params, tell, patience);
  };
}

}  // namespace tidemark::cli
