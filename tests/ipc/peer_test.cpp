// Who is at the other end.
#include "ipc/peer.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

namespace tidemark::ipc {
namespace {

TEST(Peer, IsWhoTheKernelSays) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
  auto const peer = peer_of(pair[0]);
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->pid, ::getpid());
  EXPECT_EQ(peer->uid, ::geteuid());
  EXPECT_EQ(peer->gid, ::getegid());
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST(Peer, IsUnavailableWithoutAPeer) {
  int const lonely = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_GE(lonely, 0);
  EXPECT_EQ(peer_of(lonely).error(), PeerError::unavailable);
  ::close(lonely);
  EXPECT_EQ(peer_of(-1).error(), PeerError::unavailable);
}

TEST(Peer, TheOverflowUserIsNobodyInParticular) {
  EXPECT_EQ(checked({1, 65534, 0}).error(), PeerError::unmapped);
  EXPECT_TRUE(checked({1, 65533, 65534}));
}

}  // namespace
}  // namespace tidemark::ipc
