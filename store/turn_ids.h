// The turn ids of one session that are remembered: looked up on every mark that carries one, so kept in memory as long
// as the session is. An id is kept as a 128-bit hash: two ids of one session are taken for the same with a chance of
// 2^-128, and whoever would construct such a pair could only lose turns of their own.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <string_view>

#include "lifecycle/session.h"

namespace tidemark::store {

struct TurnKey {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  bool operator==(const TurnKey&) const = default;
};

TurnKey turn_key(std::string_view turn);

// Ledger thread only.
class TurnIds {
 public:
  // Null if the id isn't known. The pointer lives until the next change.
  const lifecycle::KnownTurn* find(const TurnKey& key) const {
    const auto found = turns_.find(key);
    return found == turns_.end() ? nullptr : &found->second;
  }
  void add(const TurnKey& key, const lifecycle::KnownTurn& turn) { turns_.insert_or_assign(key, turn); }
  void remove(const TurnKey& key) { turns_.erase(key); }
  // Forgets what is settled and lies before `from`. Cost follows the number of ids.
  void forget_before(lifecycle::Generation from) {
    boost::unordered::erase_if(turns_, [from](const auto& entry) { return entry.second.generation < from; });
  }
  std::size_t size() const { return turns_.size(); }

 private:
  struct Hash {
    using is_avalanching = void;  // the key is a hash already
    std::size_t operator()(const TurnKey& key) const noexcept { return key.low; }
  };
  boost::unordered_flat_map<TurnKey, lifecycle::KnownTurn, Hash> turns_;
};

}  // namespace tidemark::store
