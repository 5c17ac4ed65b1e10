// Turns, agents, and what needs no provider.
#include "daemon/methods_detail.h"

namespace tidemark::daemon {

void Methods::complete(const Client& client, ipc::Call call, ipc::TurnCompleteParams params) {
  store::Complete command;
  command.uid = client.uid;
  command.session = std::move(params.session.value);
  if (params.agent) command.agent = std::move(params.agent->value);
  if (params.turn) command.turn = std::move(params.turn->value);
  command.ephemeral = params.ephemeral;
  context_.ledger.submit(std::move(command),
                         answer<store::Complete>(std::move(call), [this](const lifecycle::Completed& completed) {
                           Counters& counters = context_.counters;
                           ++(!completed.counted    ? counters.turns_uncounted
                              : completed.duplicate ? counters.turns_repeated
                                                    : counters.turns_completed);
                           ipc::TurnCompleteResult result;
                           result.generation = completed.generation;
                           result.duplicate = completed.duplicate;
                           result.counted = completed.counted;
                           return result;
                         }));
}

void Methods::begin(const Client& client, ipc::Call call, ipc::TurnBeginParams params) {
  store::BeginTurn command;
  command.uid = client.uid;
  command.session = std::move(params.session.value);
  command.turn = std::move(params.turn.value);
  command.agent = text_of(params.agent);
  context_.ledger.submit(std::move(command),
                         answer<store::BeginTurn>(std::move(call), [](store::Nothing) { return ipc::Empty{}; }));
}

void Methods::cancel(const Client& client, ipc::Call call, ipc::TurnCancelParams params) {
  store::CancelTurn command;
  command.uid = client.uid;
  command.session = std::move(params.session.value);
  command.turn = std::move(params.turn.value);
  context_.ledger.submit(std::move(command),
                         answer<store::CancelTurn>(std::move(call), [](store::Nothing) { return ipc::Empty{}; }));
}

void Methods::register_agent(const Client& client, ipc::Call call, ipc::AgentRegisterParams params) {
  if (params.provider && params.fallback) {
    call.fail(ipc::Error::make(ipc::ErrorReason::invalid_params,
                               "`provider` and `fallback` exclude each other: a provider commits always, a fallback "
                               "only once the agent is lost"));
    return;
  }
  if (params.external_id && !params.session) {
    call.fail(ipc::Error::make(ipc::ErrorReason::invalid_params,
                               "`external_id` is a session's: it needs the `session` it belongs to"));
    return;
  }
  if (const auto& provider = params.provider ? params.provider : params.fallback) {
    if (!context_.providers.find(provider->value)) return call.fail(no_provider(provider->value));
    if (!context_.providers.find_for(client.uid, provider->value)) {
      return call.fail(
          ipc::Error::make(ipc::ErrorReason::forbidden,
                           "provider \"" + provider->value + "\" is not for uid " + std::to_string(client.uid)));
    }
  }
  if (context_.dispatcher.served_count(client.id) >= agents_per_connection_max) {
    call.fail(ipc::Error::at_limit("agents_per_connection", "one connection may serve at most " +
                                                                std::to_string(agents_per_connection_max) + " agents"));
    return;
  }
  store::Register command;
  command.uid = client.uid;
  command.agent = params.agent.value;
  command.session = text_of(params.session);
  command.group = text_of(params.group);
  command.provider = text_of(params.provider);
  command.fallback = text_of(params.fallback);
  command.external_id = text_of(params.external_id);
  command.serves = params.serves;
  Dispatcher::Registration registration;
  registration.client = client.id;
  registration.session = command.session;
  registration.serves = params.serves;
  registration.serves_orphans = params.serves_orphans;
  registration.max_in_flight = params.max_in_flight ? params.max_in_flight->value : ipc::bounds::in_flight;
  context_.ledger.submit(std::move(command),
                         [this, call = std::move(call), registration = std::move(registration),
                          agent = params.agent.value](store::Outcome<store::Registered> outcome) mutable {
                           if (const auto* refused = std::get_if<store::Refused>(&outcome)) {
                             call.fail(error_of(*refused));
                             return;
                           }
                           const auto& registered = std::get<store::Registered>(outcome);
                           call.reply(ipc::AgentRegisterResult{agent, registered.epoch, registered.due_segments});
                           context_.dispatcher.on_registered(registration, registered);
                         });
}

void Methods::unregister_agent(const Client& client, ipc::Call call, ipc::AgentUnregisterParams params) {
  if (params.session.has_value() == params.agent.has_value()) {
    call.fail(ipc::Error::make(ipc::ErrorReason::invalid_params,
                               "exactly one of `session` (forget its current agent) and `agent` (gone for good)"));
    return;
  }
  if (params.session) {
    store::UnregisterSession command;
    command.uid = client.uid;
    command.session = params.session->value;
    context_.ledger.submit(std::move(command), answer<store::UnregisterSession>(
                                                   std::move(call), [](store::Nothing) { return ipc::Empty{}; }));
    return;
  }
  store::UnregisterAgent command;
  command.uid = client.uid;
  command.agent = params.agent->value;
  context_.ledger.submit(std::move(command),
                         [this, uid = client.uid, agent = params.agent->value,
                          call = std::move(call)](const store::Outcome<store::Nothing>& outcome) mutable {
                           if (const auto* refused = std::get_if<store::Refused>(&outcome)) {
                             call.fail(error_of(*refused));
                             return;
                           }
                           context_.dispatcher.on_unregistered(uid, agent);
                           call.reply(ipc::Empty{});
                         });
}

void Methods::rotate(const Client& client, ipc::Call call, ipc::SessionRotateParams params) {
  const auto uid = whose(client, call, params.uid);
  if (!uid) return;
  store::Rotate command;
  command.uid = *uid;
  command.from = std::move(params.from.value);
  command.to = text_of(params.to);
  command.agent = text_of(params.agent);
  context_.ledger.submit(
      std::move(command), answer<store::Rotate>(std::move(call), [](const store::Rotate::Result& result) {
        return ipc::SessionRotateResult{result.due_segments, result.marks.generation, result.marks.watermark};
      }));
}

void Methods::discard(const Client& client, ipc::Call call, ipc::SessionDiscardParams params) {
  const auto uid = whose(client, call, params.uid);
  if (!uid) return;
  store::Discard command;
  command.uid = *uid;
  command.session = std::move(params.session.value);
  context_.ledger.submit(std::move(command),
                         answer<store::Discard>(std::move(call), [](const store::Discard::Result& result) {
                           return ipc::SessionDiscardResult{result.discarded};
                         }));
}

void Methods::forget(const Client& client, ipc::Call call, ipc::SessionForgetParams params) {
  const auto uid = whose(client, call, params.uid);
  if (!uid) return;
  store::Forget command;
  command.uid = *uid;
  command.session = std::move(params.session.value);
  command.reason = std::move(params.reason.value);
  context_.ledger.submit(std::move(command),
                         answer<store::Forget>(std::move(call), [](const store::Forget::Result& result) {
                           return ipc::SessionForgetResult{result.forgotten, result.dropped};
                         }));
}

void Methods::status(const Client& client, ipc::Call call, ipc::SessionStatusParams params) {
  const auto uid = whose(client, call, params.uid);
  if (!uid) return;
  store::GetSession command;
  command.uid = *uid;
  command.session = std::move(params.session.value);
  context_.ledger.submit(
      std::move(command),
      answer<store::GetSession>(std::move(call), [](const store::SessionView& view) { return status_of(view); }));
}

void Methods::list(const Client& client, ipc::Call call, ipc::SessionListParams params) {
  const Whose whose = whose_list(client, call, params.uid);
  if (!whose.allowed) return;
  store::ListSessions command;
  command.uid = whose.uid;
  command.filter = filter_of(params.filter.value_or(ipc::ListFilter::all));
  command.limit = static_cast<int>(params.limit ? params.limit->value : ipc::bounds::page_entries);
  if (params.cursor) command.cursor = params.cursor->value;
  context_.ledger.submit(std::move(command),
                         answer<store::ListSessions>(std::move(call), [](const store::ListSessions::Result& page) {
                           ipc::SessionListResult result;
                           result.sessions.reserve(page.sessions.size());
                           for (const store::SessionView& view : page.sessions) {
                             result.sessions.push_back(summary_of(view));
                           }
                           if (!page.cursor.empty()) result.cursor = page.cursor;
                           return result;
                         }));
}

}  // namespace tidemark::daemon
