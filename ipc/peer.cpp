// See peer.h.
#include "ipc/peer.h"

#include <sys/socket.h>

namespace tidemark::ipc {

namespace {
// What a uid without a mapping into our user namespace looks like.
constexpr uid_t overflow_uid = 65534;
}  // namespace

boost::system::result<Peer, PeerError> checked(Peer peer) {
  if (peer.uid == overflow_uid) return PeerError::unmapped;
  return peer;
}

boost::system::result<Peer, PeerError> peer_of(int descriptor) {
  ucred credentials{};
  socklen_t bytes = sizeof credentials;
  // A socket without a peer has pid 0 and uid -1.
  if (::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0 || credentials.pid == 0 ||
      credentials.uid == static_cast<uid_t>(-1))
    return PeerError::unavailable;
  return checked(Peer{credentials.pid, credentials.uid, credentials.gid});
}

}  // namespace tidemark::ipc
