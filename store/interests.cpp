#include "store/interests.h"

namespace tidemark::store {

namespace {

template <class Map, class Key>
void count_at(Map& map, const Key& key, int by) {
  const auto found = map.emplace(key, 0).first;
  found->second += by;
  if (found->second == 0) map.erase(found);
}

}  // namespace

void Interests::add(std::int64_t subscription, std::shared_ptr<const Filter> filter) {
  const auto [entry, added] = filters_.emplace(subscription, std::move(filter));
  if (added) count(*entry->second, 1);
}

void Interests::remove(std::int64_t subscription) {
  const auto found = filters_.find(subscription);
  if (found == filters_.end()) return;
  count(*found->second, -1);
  filters_.erase(found);
}

void Interests::count(const Filter& filter, int by) {
  if (filter.turns) turns_ += by;
  if (!filter.sessions || !filter.uid) {
    // Sessions of that name, whosever they are: rare enough to be sorted out later.
    if (filter.uid) {
      count_at(users_, *filter.uid, by);
    } else {
      everybody_ += by;
    }
    return;
  }
  for (const std::string& session : *filter.sessions) count_at(sessions_, Name(*filter.uid, session), by);
}

bool Interests::wants(uid_t uid, std::string_view session) const {
  if (filters_.empty()) return false;
  if (everybody_ > 0 || users_.contains(uid)) return true;
  return !session.empty() && sessions_.contains(std::pair<uid_t, std::string_view>(uid, session));
}

}  // namespace tidemark::store
