// The turn ids of one session that are remembered: looked up on every mark that carries one, so kept in memory as long
// as the session is. An id is kept as a 128-bit hash: two ids of one session are taken for the same with a chance of
// 2^-128, and whoever would construct such a pair could only lose turns of their own.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <string_view>
#include <vector>

#include "lifecycle/session.h"

namespace tidemark::store {

struct TurnKey {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  bool operator==(const TurnKey&) const = default;
};

TurnKey turn_key(std::string_view turn);

// Ledger thread only. The `generation` of a cancelled turn is not one, but its place among the session's cancelled
// turns: the later, the higher.
class TurnIds {
 public:
  // Null if the id isn't known. The pointer lives until the next change.
  const lifecycle::KnownTurn* find(const TurnKey& key) const {
    const auto found = turns_.find(key);
    return found == turns_.end() ? nullptr : &found->second;
  }
  // A cancelled one must be later than those that are there.
  void add(const TurnKey& key, const lifecycle::KnownTurn& turn) {
    turns_.insert_or_assign(key, turn);
    if (turn.cancelled) cancelled_.push_back(key);
  }
  // Undoes the latest add().
  void remove(const TurnKey& key) {
    const auto found = turns_.find(key);
    if (found == turns_.end()) return;
    if (found->second.cancelled) cancelled_.pop_back();
    turns_.erase(found);
  }
  // Forgets the completed turns before `from`. Cost follows the number of ids.
  void forget_before(lifecycle::Generation from) {
    boost::unordered::erase_if(
        turns_, [from](const auto& entry) { return !entry.second.cancelled && entry.second.generation < from; });
  }

  std::size_t cancelled() const { return cancelled_.size(); }
  lifecycle::Generation next_cancelled() const {
    return cancelled_.empty() ? 1 : turns_.at(cancelled_.back()).generation + 1;
  }
  // There must be one.
  std::pair<TurnKey, lifecycle::KnownTurn> forget_oldest_cancelled() {
    const auto found = turns_.find(cancelled_.front());
    const std::pair<TurnKey, lifecycle::KnownTurn> oldest = *found;
    cancelled_.erase(cancelled_.begin());
    turns_.erase(found);
    return oldest;
  }
  // Undoes the latest forget_oldest_cancelled().
  void put_back(const TurnKey& key, const lifecycle::KnownTurn& turn) {
    turns_.insert_or_assign(key, turn);
    cancelled_.insert(cancelled_.begin(), key);
  }

 private:
  struct Hash {
    using is_avalanching = void;  // the key is a hash already
    std::size_t operator()(const TurnKey& key) const noexcept { return key.low; }
  };
  boost::unordered_flat_map<TurnKey, lifecycle::KnownTurn, Hash> turns_;
  std::vector<TurnKey> cancelled_;  // the oldest first
};

}  // namespace tidemark::store
