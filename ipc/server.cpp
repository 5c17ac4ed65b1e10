// See server.h. Sockets are made and accepted by hand, as Asio's own are not close-on-exec, and a child that inherits
// one would keep it open.
#include "ipc/server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/error.hpp>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "ipc/bounds.h"

namespace tidemark::ipc {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

std::string words_of(int error) {
  return std::generic_category().message(error);
}

// Closes what was opened unless it is kept.
class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(Descriptor const&) = delete;
  Descriptor& operator=(Descriptor const&) = delete;
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int get() const { return descriptor_; }
  int keep() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

int make_socket() {
  return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

sockaddr const* generic(sockaddr_un const& address) {
  return reinterpret_cast<sockaddr const*>(&address);
}

// Removes the file at an address in use if nobody listens there; says why not otherwise, and nothing (an empty text) if
// so.
ListenError clear_dead(std::string const& path, sockaddr_un const& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return {false, "cannot look at " + path + ": " + words_of(errno)};
  }
  if (!S_ISSOCK(status.st_mode)) return {false, path + " exists and is not a socket"};
  Descriptor const probe(make_socket());
  if (probe.get() < 0) return {false, "cannot make a socket: " + words_of(errno)};
  if (::connect(probe.get(), generic(address), sizeof address) == 0 || errno == EAGAIN || errno == EINPROGRESS)
    return {true, "another process listens on " + path};
  if (errno != ECONNREFUSED && errno != ENOENT)
    return {false, "cannot tell whether somebody listens on " + path + ": " + words_of(errno)};
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return {false, "cannot remove the dead socket " + path + ": " + words_of(errno)};
  return {};
}

}  // namespace

Listener::Opened Listener::open(asio::io_context& context, std::string const& path, mode_t mode) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path || path.find('\0') != std::string::npos)
    return ListenError{false, "a socket's path has 1 to " + std::to_string(sizeof address.sun_path - 1) +
                                  " bytes, which \"" + path + "\" has not"};
  std::memcpy(address.sun_path, path.data(), path.size());
  Descriptor descriptor(make_socket());
  if (descriptor.get() < 0) return ListenError{false, "cannot make a socket: " + words_of(errno)};
  auto const bound = [&] { return ::bind(descriptor.get(), generic(address), sizeof address) == 0; };
  if (!bound()) {
    if (errno == EADDRINUSE) {
      auto error = clear_dead(path, address);
      if (!error.text.empty()) return error;
      if (!bound()) return ListenError{errno == EADDRINUSE, "cannot listen on " + path + ": " + words_of(errno)};
    } else {
      return ListenError{false, "cannot listen on " + path + ": " + words_of(errno)};
    }
  }
  // Nobody can connect before `listen`, so the mode is in force from the first connection on.
  struct stat status {};
  if (::chmod(path.c_str(), mode) != 0 || ::lstat(path.c_str(), &status) != 0 ||
      ::listen(descriptor.get(), SOMAXCONN) != 0) {
    ListenError error{false, "cannot listen on " + path + ": " + words_of(errno)};
    ::unlink(path.c_str());
    return error;
  }
  std::shared_ptr<Listener> listener(new Listener(context, descriptor.keep()));
  listener->path_ = path;
  listener->device_ = status.st_dev;
  listener->inode_ = status.st_ino;
  return listener;
}

Listener::Opened Listener::adopt(asio::io_context& context, int descriptor) {
  auto const option = [&](int name) {
    int value = -1;
    socklen_t bytes = sizeof value;
    return ::getsockopt(descriptor, SOL_SOCKET, name, &value, &bytes) == 0 ? value : -1;
  };
  if (option(SO_DOMAIN) != AF_UNIX || option(SO_TYPE) != SOCK_STREAM || option(SO_ACCEPTCONN) != 1)
    return ListenError{false, "descriptor " + std::to_string(descriptor) + " is not a listening Unix stream socket"};
  int const flags = ::fcntl(descriptor, F_GETFL);
  if (flags < 0 || ::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0 ||
      ::fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0)
    return ListenError{false, "cannot use descriptor " + std::to_string(descriptor) + ": " + words_of(errno)};
  return std::shared_ptr<Listener>(new Listener(context, descriptor));
}

Listener::Listener(asio::io_context& context, int descriptor)
    : acceptor_(context, asio::local::stream_protocol(), descriptor), timer_(context) {}

Listener::~Listener() {
  close();
}

void Listener::start(OnConnection on_connection) {
  on_connection_ = std::move(on_connection);
  wait_acceptable();
}

void Listener::close() {
  timer_.cancel();
  error_code ignored;
  // The file goes first: until it has, a connection still finds somebody here.
  if (auto const path = std::exchange(path_, {}); !path.empty()) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_)
      ::unlink(path.c_str());
  }
  acceptor_.close(ignored);
}

void Listener::wait_acceptable() {
  acceptor_.async_wait(asio::socket_base::wait_read, [weak = weak_from_this()](error_code error) {
    auto const self = weak.lock();
    if (self != nullptr && self->acceptor_.is_open() && error != asio::error::operation_aborted) self->accept_some();
  });
}

void Listener::accept_some() {
  for (int accepted = 0; accepted < bounds::accept_burst && acceptor_.is_open(); ++accepted) {
    Descriptor descriptor(::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (descriptor.get() < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      return pause();
    }
    auto const peer = peer_of(descriptor.get());
    Socket socket(acceptor_.get_executor());
    error_code error;
    socket.assign(asio::local::stream_protocol(), descriptor.get(), error);
    if (error) return pause();
    descriptor.keep();
    on_connection_(std::move(socket), peer);
  }
  if (acceptor_.is_open()) wait_acceptable();
}

void Listener::pause() {
  ++pauses_;
  timer_.expires_after(bounds::accept_pause);
  timer_.async_wait([weak = weak_from_this()](error_code error) {
    auto const self = weak.lock();
    if (self != nullptr && self->acceptor_.is_open() && !error) self->accept_some();
  });
}

}  // namespace tidemark::ipc
