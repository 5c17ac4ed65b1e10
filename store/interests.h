// Which events anybody wants. The ledger knows, so that what nobody watches isn't even made, and costs a mark nothing.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "lifecycle/session.h"

namespace tidemark::store {

// What one subscription is about.
struct Filter {
  std::optional<uid_t> uid;  // none = everybody
  // None = all sessions, and what is about no session.
  std::optional<std::set<std::string, std::less<>>> sessions;
  bool turns = true;  // wants turn_completed, the only kind that comes with every mark

  bool wants(uid_t about, std::string_view session) const {
    if (uid && *uid != about) return false;
    return !sessions || sessions->contains(session);
  }
};

// All subscriptions' filters, each under its subscription's number; adding or removing one twice changes nothing.
class Interests {
 public:
  void add(std::int64_t subscription, std::shared_ptr<const Filter> filter);
  void remove(std::int64_t subscription);

  // What is about no session: `session` empty. True whenever a filter wants it, and sometimes when none does.
  bool wants(uid_t uid, std::string_view session) const;
  bool wants_turns() const { return turns_ > 0; }
  bool empty() const { return filters_.empty(); }

 private:
  void count(const Filter& filter, int by);

  using Name = std::pair<uid_t, std::string>;
  struct NameLess {
    using is_transparent = void;
    template <class Left, class Right>
    bool operator()(const Left& left, const Right& right) const {
      return left.first != right.first ? left.first < right.first : left.second < right.second;
    }
  };
  std::map<std::int64_t, std::shared_ptr<const Filter>> filters_;
  // How many filters want all sessions of everybody, of a user, and one session.
  int everybody_ = 0;
  std::map<uid_t, int> users_;
  std::map<Name, int, NameLess> sessions_;
  int turns_ = 0;
};

}  // namespace tidemark::store
