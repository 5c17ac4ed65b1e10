#include "daemon/providers/key_text.h"

#include <algorithm>
#include <boost/uuid/uuid.hpp>
#include <boost/uuid/uuid_io.hpp>

namespace tidemark::daemon {

std::string key_text(const lifecycle::Key& key) {
  if (key == lifecycle::no_key) return {};
  boost::uuids::uuid uuid;
  std::copy(key.begin(), key.end(), uuid.begin());
  return boost::uuids::to_string(uuid);
}

}  // namespace tidemark::daemon
