// Who is at the other end of a Unix socket, as the kernel says.
#pragma once

#include <sys/types.h>

#include <boost/system/result.hpp>
#include <cstdint>

namespace tidemark::ipc {

struct Peer {
  pid_t pid = 0;  ///< of the process that connected; it may have ended since
  uid_t uid = 0;
  gid_t gid = 0;
};

enum class PeerError {
  unmapped,     ///< the kernel says the overflow uid: a user that can't be told from others
  unavailable,  ///< the kernel doesn't say: not a connected Unix socket
};

/// The credentials that the peer of `descriptor` had when it connected.
boost::system::result<Peer, PeerError> peer_of(int descriptor);

/// The same, of credentials as the kernel gave them: refuses the overflow uid.
boost::system::result<Peer, PeerError> checked(Peer peer);

}  // namespace tidemark::ipc
