// The commands that mark, commit and let go: complete, commit, flush, rotate, evict, discard, forget.
#include <memory>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/outcomes.h"
#include "ipc/messages.h"

namespace tidemark::cli {

namespace {

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
      if (!is_success(result.outcome)) {
        return context.refuse_outcome(text, cure_text(result.outcome, params->session.value));
      }
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
      if (!is_success(result.outcome)) {
        return context.refuse_outcome(text, cure_text(result.outcome, params->session.value));
      }
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
      if (!result.evicted) {
        return context.refuse_outcome(session + ": not evicted, " + outcome_text(result.outcome, result.error),
                                      cure_text(result.outcome, params->session.value));
      }
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
      if (!result.discarded) {
        auto const name = shell_word(params->session.value);
        return context.refuse_outcome(
            session + ": not discarded, as turns of it are uncommitted",
            "to commit them: tidemark flush " + name + "; to drop them: tidemark forget " + name + " --reason TEXT");
      }
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
      if (!result.forgotten) {
        return context.refuse_outcome(session + ": " + outcome_text(ipc::Outcome::unknown, {}),
                                      cure_text(ipc::Outcome::unknown, params->session.value));
      }
      context.human() << session << ": forgotten, " << count_text(result.dropped, "turn") << " dropped\n";
      return Exit::done;
    });
  };
}

}  // namespace tidemark::cli
