#include "store/turn_ids.h"

#include <xxhash.h>

namespace tidemark::store {

TurnKey turn_key(std::string_view turn) {
  const XXH128_hash_t hash = XXH3_128bits(turn.data(), turn.size());
  return {hash.high64, hash.low64};
}

}  // namespace tidemark::store
