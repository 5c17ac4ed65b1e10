// One connection as the daemon sees it: who it is. Lives from accept to close, on the I/O thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>

#include "ipc/connection.h"
#include "lifecycle/time.h"

namespace tidemark::daemon {

using ClientId = std::int64_t;  // never reused while the daemon runs; 0 = none

struct Client {
  ClientId id = 0;
  uid_t uid = 0;
  bool admin = false;
  std::shared_ptr<ipc::Connection> connection;
  lifecycle::Steady heard_at{};  // when it last sent anything
};

// Where the dispatcher finds them.
class Clients {
 public:
  virtual ~Clients() = default;
  // Null once the connection has ended.
  virtual Client* find_client(ClientId id) = 0;
};

}  // namespace tidemark::daemon
