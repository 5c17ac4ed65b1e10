// The commands that mark, commit and let go: complete, commit, flush, rotate, evict, discard, forget, drain.
#include <memory>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "ipc/bounds.h"
#include "ipc/messages.h"
#include "ipc/words.h"

namespace tidemark::cli {

namespace {

// What an outcome other than success means, and what to do about it. `error` is the provider's word, if it has one.
std::string outcome_text(ipc::Outcome outcome, std::optional<std::string> const& error) {
  std::string const because = error ? ": " + *error : "";
  switch (outcome) {
    case ipc::Outcome::committed:
      return "committed";
    case ipc::Outcome::clean:
      return "nothing to commit";
    case ipc::Outcome::accepted:
      return "accepted, and being committed in the background";
    case ipc::Outcome::busy:
      return "a commit is in flight already; wait for it with --wait";
    case ipc::Outcome::failed:
      return "the commit failed" + because + "; it is tried again by itself, see `tidemark show`";
    case ipc::Outcome::in_doubt:
      return "whether the commit succeeded can't be known" + because + "; it is tried again with the same key";
    case ipc::Outcome::no_owner:
      return "nobody owns these turns; name an agent with --agent";
    case ipc::Outcome::owner_offline:
      return "the agent that owns these turns is offline; it is asked as soon as it is back";
    case ipc::Outcome::paused:
      return "the provider is paused" + because + "; see `tidemark status`";
    case ipc::Outcome::stuck:
      return "the oldest turns are stuck" + because + "; `tidemark show` says what can be done";
    case ipc::Outcome::timeout:
      return "not done in the time given; the attempt goes on";
    case ipc::Outcome::running:
      return "a turn is running; try again when it has ended";
    case ipc::Outcome::unknown:
      return "no such session; `tidemark ls` lists those that are known";
  }
  return {};
}

bool is_success(ipc::Outcome outcome) {
  return outcome == ipc::Outcome::committed || outcome == ipc::Outcome::clean || outcome == ipc::Outcome::accepted;
}

std::string marks_text(std::int64_t watermark, std::int64_t generation) {
  return " (watermark " + std::to_string(watermark) + " of " + std::to_string(generation) + ")";
}

}  // namespace

Run complete(CLI::App& app) {
  auto const params = std::make_shared<ipc::TurnCompleteParams>();
  add_session(app, params->session);
  add_name(app, "--agent", params->agent, "who owns the turn; the session's current agent if not given");
  add_name(app, "--turn", params->turn, "the turn's id: with it, the same call again counts nothing twice");
  return [params](Context& context) {
    return context.call(*params, [&](auto const& result) {
      auto const session = printable(params->session.value);
      if (!result.counted) {
        context.human() << session << ": not counted, as that turn was cancelled\n";
      } else {
        context.human() << session << ": turn " << result.generation
                        << (result.duplicate ? " was completed before\n" : " completed\n");
      }
      return Exit::done;
    });
  };
}

Run commit(CLI::App& app) {
  auto const params = std::make_shared<ipc::SessionCommitParams>();
  add_session(app, params->session);
  add_name(app, "--agent", params->agent, "who adopts turns that nobody owns");
  app.add_flag_callback(
      "--wait", [params] { params->wait = true; }, "wait for a commit that is in flight first");
  add_duration(app, "--timeout", params->timeout_ms, {},
               "how long to wait, like 10s; as long as it takes if not given");
  return [params](Context& context) {
    return context.call(*params, [&](auto const& result) {
      std::string text = printable(params->session.value) + ": " + outcome_text(result.outcome, result.error);
      if (!is_success(result.outcome)) return context.refuse_outcome(text);
      if (result.start && result.end) text += ": " + turns_text(*result.start, *result.end);
      context.human() << text << marks_text(result.watermark, result.generation) << '\n';
      return Exit::done;
    });
  };
}

Run flush(CLI::App& app) {
  auto const params = std::make_shared<ipc::SessionFlushParams>();
  add_session(app, params->session);
  add_duration(app, "--timeout", params->timeout_ms, {},
               "how long to wait, like 10s; as long as it takes if not given");
  return [params](Context& context) {
    return context.call(*params, [&](auto const& result) {
      std::string text = printable(params->session.value) + ": " + outcome_text(result.outcome, {});
      if (result.segments > 0) text += ", " + count_text(result.segments, "segment") + " done";
      text += marks_text(result.watermark, result.generation);
      if (!is_success(result.outcome)) return context.refuse_outcome(text);
      context.human() << text << '\n';
      return Exit::done;
    });
  };
}

Run rotate(CLI::App& app) {
  auto const params = std::make_shared<ipc::SessionRotateParams>();
  add_name(app, "from", params->from, "the session that is left")->required();
  add_name(app, "to", params->to, "the session that begins");
  add_name(app, "--agent", params->agent, "the agent of the session that begins");
  return [params](Context& context) {
    return context.call(*params, [&](auto const& result) {
      context.human() << printable(params->from.value) << ": " << count_text(result.due_segments, "segment")
                      << " to commit" << marks_text(result.watermark, result.generation) << '\n';
      return Exit::done;
    });
  };
}

Run evict(CLI::App& app) {
  auto const params = std::make_shared<ipc::SessionEvictParams>();
  add_session(app, params->session);
  add_duration(app, "--timeout", params->timeout_ms, {},
               "how long to wait, like 10s; as long as it takes if not given");
  return [params](Context& context) {
    return context.call(*params, [&](auto const& result) {
      auto const session = printable(params->session.value);
      if (!result.evicted)
        return context.refuse_outcome(session + ": not evicted, " + outcome_text(result.outcome, result.error));
      context.human() << session << ": evicted" << marks_text(result.watermark, result.generation) << '\n';
      return Exit::done;
    });
  };
}

Run discard(CLI::App& app) {
  auto const params = std::make_shared<ipc::SessionDiscardParams>();
  add_session(app, params->session);
  return [params](Context& context) {
    return context.call(*params, [&](auto const& result) {
      auto const session = printable(params->session.value);
      if (!result.discarded)
        return context.refuse_outcome(session + ": not discarded, as turns of it are uncommitted; commit it first");
      context.human() << session << ": discarded\n";
      return Exit::done;
    });
  };
}

Run forget(CLI::App& app) {
  auto const params = std::make_shared<ipc::SessionForgetParams>();
  add_session(app, params->session);
  add_text(app, "--reason", params->reason, "why, for the record")->required();
  return [params](Context& context) {
    return context.call(*params, [&](auto const& result) {
      auto const session = printable(params->session.value);
      if (!result.forgotten)
        return context.refuse_outcome(session + ": no such session; `tidemark ls` lists those that are known");
      context.human() << session << ": forgotten, " << count_text(result.dropped, "turn") << " dropped\n";
      return Exit::done;
    });
  };
}

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
    return context.call(*params, [&](auto const& result) {
      auto const committed = count_text(result.committed, "segment") + " committed";
      if (result.drained) {
        context.human() << "drained, " << committed << '\n';
        return Exit::done;
      }
      std::string text = "not drained, " + committed;
      char const* separator = "; left: ";
      for (auto const& session : result.remaining) {
        text += separator + session;
        separator = ", ";
      }
      return context.refuse_outcome(text);
    });
  };
}

}  // namespace tidemark::cli
