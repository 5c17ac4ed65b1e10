// The listening socket: its file, and accepting through thick and thin.
#include "ipc/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/ipc/loop.h"

namespace tidemark::ipc {
namespace {

class ListenerTest : public testing::Test {
 protected:
  ListenerTest() {
    std::string pattern = testing::TempDir() + "tidemark_ipc_XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    folder = pattern;
    path = folder + "/socket";
  }
  ~ListenerTest() override {
    for (int const descriptor : descriptors) ::close(descriptor);
    std::filesystem::remove_all(folder);
  }

  static sockaddr_un address_of(std::string const& at) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, at.data(), at.size());
    return address;
  }
  /// A connected socket, or -1.
  int connect_to(std::string const& at) {
    int const descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto const address = address_of(at);
    descriptors.push_back(descriptor);
    return ::connect(descriptor, reinterpret_cast<sockaddr const*>(&address), sizeof address) == 0 ? descriptor : -1;
  }
  /// A socket bound to `at` that nobody listens on after this.
  void leave_dead_socket(std::string const& at) {
    int const descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto const address = address_of(at);
    ASSERT_EQ(::bind(descriptor, reinterpret_cast<sockaddr const*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(descriptor, 1), 0);
    ::close(descriptor);
    ASSERT_TRUE(std::filesystem::exists(at));
  }
  void accept_into(std::shared_ptr<Listener> const& listener) {
    listener->start([this](Listener::Socket socket, boost::system::result<Peer, PeerError> peer) {
      accepted.push_back(std::move(socket));
      peers.push_back(peer);
    });
  }

  std::string folder;
  std::string path;
  std::vector<int> descriptors;
  boost::asio::io_context context;
  std::vector<Listener::Socket> accepted;
  std::vector<boost::system::result<Peer, PeerError>> peers;
};

TEST_F(ListenerTest, ListensWithTheModeGivenAndNamesThePeer) {
  mode_t const umask_before = ::umask(0077);
  auto const opened = Listener::open(context, path, 0666);
  ::umask(umask_before);
  ASSERT_TRUE(opened) << opened.error().text;
  struct stat status {};
  ASSERT_EQ(::lstat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0666U);
  accept_into(*opened);
  ASSERT_GE(connect_to(path), 0);
  ASSERT_TRUE(run_until(context, [&] { return !accepted.empty(); }));
  ASSERT_TRUE(peers[0]);
  EXPECT_EQ(peers[0]->pid, ::getpid());
  EXPECT_EQ(peers[0]->uid, ::geteuid());
  EXPECT_NE(::fcntl(accepted[0].native_handle(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(ListenerTest, AcceptsManyAtOnce) {
  auto const opened = Listener::open(context, path, 0600);
  ASSERT_TRUE(opened);
  for (int count = 0; count < 200; ++count) ASSERT_GE(connect_to(path), 0);
  accept_into(*opened);
  ASSERT_TRUE(run_until(context, [&] { return accepted.size() == 200; }));
}

TEST_F(ListenerTest, ReplacesADeadSocket) {
  leave_dead_socket(path);
  auto const opened = Listener::open(context, path, 0600);
  ASSERT_TRUE(opened) << opened.error().text;
  EXPECT_GE(connect_to(path), 0);
}

TEST_F(ListenerTest, LeavesALiveSocketAlone) {
  auto const first = Listener::open(context, path, 0600);
  ASSERT_TRUE(first);
  auto const second = Listener::open(context, path, 0600);
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().live);
  EXPECT_EQ(second.error().text, "another process listens on " + path);
  EXPECT_GE(connect_to(path), 0);
}

TEST_F(ListenerTest, ALiveSocketWithAFullBacklogIsLive) {
  int const descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  descriptors.push_back(descriptor);
  auto const address = address_of(path);
  ASSERT_EQ(::bind(descriptor, reinterpret_cast<sockaddr const*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(descriptor, 0), 0);
  ASSERT_GE(connect_to(path), 0);
  auto const opened = Listener::open(context, path, 0600);
  ASSERT_FALSE(opened);
  EXPECT_TRUE(opened.error().live) << opened.error().text;
}

TEST_F(ListenerTest, LeavesWhatIsNoSocketAlone) {
  std::ofstream(path) << "precious";
  auto const opened = Listener::open(context, path, 0600);
  ASSERT_FALSE(opened);
  EXPECT_FALSE(opened.error().live);
  EXPECT_EQ(opened.error().text, path + " exists and is not a socket");
  EXPECT_EQ(std::filesystem::file_size(path), 8U);
}

TEST_F(ListenerTest, ExplainsAPathThatCannotBe) {
  for (std::string const& wrong : {std::string(), folder + "/" + std::string(200, 'x'), folder + "/none/socket"}) {
    auto const opened = Listener::open(context, wrong, 0600);
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().text.find(wrong), std::string::npos) << opened.error().text;
  }
}

TEST_F(ListenerTest, RemovesItsOwnFileOnly) {
  auto const first = Listener::open(context, path, 0600);
  ASSERT_TRUE(first);
  (*first)->close();
  EXPECT_FALSE(std::filesystem::exists(path));
  (*first)->close();

  auto second = Listener::open(context, path, 0600);
  ASSERT_TRUE(second);
  std::filesystem::rename(path, path + ".old");  // keeps the inode in use, so that the next file has another
  auto const third = Listener::open(context, path, 0600);
  ASSERT_TRUE(third) << third.error().text;
  *second = nullptr;
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_GE(connect_to(path), 0);
}

TEST_F(ListenerTest, AdoptsAListeningSocketAndLeavesItsFile) {
  int const descriptor = ::socket(AF_UNIX, SOCK_STREAM, 0);
  auto const address = address_of(path);
  ASSERT_EQ(::bind(descriptor, reinterpret_cast<sockaddr const*>(&address), sizeof address), 0);
  EXPECT_FALSE(Listener::adopt(context, descriptor)) << "not listening yet";
  ASSERT_EQ(::listen(descriptor, 5), 0);
  auto const adopted = Listener::adopt(context, descriptor);
  ASSERT_TRUE(adopted) << adopted.error().text;
  EXPECT_NE(::fcntl(descriptor, F_GETFD) & FD_CLOEXEC, 0);
  accept_into(*adopted);
  ASSERT_GE(connect_to(path), 0);
  ASSERT_TRUE(run_until(context, [&] { return !accepted.empty(); }));
  (*adopted)->close();
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_FALSE(Listener::adopt(context, 0));
  EXPECT_FALSE(Listener::adopt(context, -1));
}

TEST_F(ListenerTest, RestsWhenOutOfDescriptorsAndGoesOn) {
  auto const opened = Listener::open(context, path, 0600);
  ASSERT_TRUE(opened);
  accept_into(*opened);
  settle(context);
  ASSERT_GE(connect_to(path), 0);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  // The lowest free descriptor is the first that isn't allowed.
  int const lowest = ::dup(0);
  ::close(lowest);
  rlimit lowered = before;
  lowered.rlim_cur = static_cast<rlim_t>(lowest);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &lowered), 0);
  bool const rested = run_until(context, [&] { return (*opened)->pauses() >= 2; });
  std::uint64_t const pauses = (*opened)->pauses();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(rested);
  EXPECT_LE(pauses, 2U) << "it rests, it doesn't spin";
  EXPECT_TRUE(accepted.empty());
  ASSERT_TRUE(run_until(context, [&] { return !accepted.empty(); })) << "by itself, when there are some again";
  ASSERT_GE(connect_to(path), 0);
  ASSERT_TRUE(run_until(context, [&] { return accepted.size() == 2; }));
}

}  // namespace
}  // namespace tidemark::ipc
