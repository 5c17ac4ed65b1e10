// What the files of Methods share. Private to daemon/methods*.cpp.
#pragma once

#include <optional>
#include <string>

#include "daemon/convert.h"
#include "daemon/methods.h"

namespace tidemark::daemon {

inline std::string text_of(const std::optional<ipc::Name>& name) {
  return name ? name->value : std::string();
}

inline ipc::Error no_provider(const std::string& name) {
  return ipc::Error::make(ipc::ErrorReason::not_found, "no provider \"" + name + "\" is configured in this daemon");
}

// Whose sessions a call is about: the caller's, unless an admin names somebody else. Answers `call` with `forbidden`,
// and returns nothing, for anybody else who does.
inline std::optional<uid_t> whose(const Client& client, ipc::Call& call, const std::optional<ipc::Uid>& named) {
  if (!named || *named == client.uid) return client.uid;
  if (client.admin) return *named;
  call.fail(ipc::Error::make(ipc::ErrorReason::forbidden, "only admins may name another `uid`"));
  return std::nullopt;
}

// The same where "all" is possible.
struct Whose {
  bool allowed = true;
  std::optional<uid_t> uid;  // none = everybody's
};

inline Whose whose_list(const Client& client, ipc::Call& call, const std::optional<ipc::UidSelector>& named) {
  if (!named) return {true, client.uid};
  if (!named->is_all()) {
    const std::optional<uid_t> uid = whose(client, call, named->uid);
    return {uid.has_value(), uid};
  }
  if (client.admin) return {};
  call.fail(ipc::Error::make(ipc::ErrorReason::forbidden, "only admins may ask for everybody's (`uid`: \"all\")"));
  return {false, {}};
}

// A completion that answers `call` with what `make` makes of the ledger's result, or with its refusal.
template <class Command, class Make>
auto answer(ipc::Call call, Make make) {
  return [call = std::move(call), make = std::move(make)](store::Outcome<typename Command::Result> outcome) mutable {
    if (const auto* refused = std::get_if<store::Refused>(&outcome)) {
      call.fail(error_of(*refused));
    } else {
      call.reply(make(std::get<typename Command::Result>(outcome)));
    }
  };
}

}  // namespace tidemark::daemon
