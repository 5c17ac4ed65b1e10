// Sockets and epoll under the load generator's loop.
#include "bench/drive.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <stdexcept>
#include <system_error>

namespace tidemark::bench {
namespace {

// Holds the answers to 64 outstanding marks; grows for longer ones.
constexpr std::size_t receive_bytes = 8192;

[[noreturn]] void throw_errno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// As many descriptors as the system lets this process have.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) throw_errno("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) throw_errno("setrlimit");
}

}  // namespace

std::uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

double cpu_seconds() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

int connect_to(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof(address.sun_path)) throw std::runtime_error("socket path too long: " + socket_path);
  socket_path.copy(address.sun_path, socket_path.size());
  const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) throw_errno("socket");
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int error = errno;
    close(descriptor);
    throw std::system_error(error, std::generic_category(), "connect to " + socket_path);
  }
  return descriptor;
}

void throw_silent(std::uint64_t outstanding) {
  throw std::runtime_error("no answer any more; outstanding: " + std::to_string(outstanding));
}

Connection::Connection(std::uint32_t index, int descriptor, int epoll)
    : index_(index), descriptor_(descriptor), epoll_(epoll), received_(receive_bytes) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = this;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor_, &event) != 0) throw_errno("epoll_ctl");
}

Connection::~Connection() {
  close(descriptor_);
}

void Connection::send(RequestBuffer& requests) {
  std::string_view rest = requests.view();
  if (unsent_.empty() && !rest.empty()) {
    const ssize_t sent = ::send(descriptor_, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno != EAGAIN) {
      throw_errno("send");
    }
    if (!rest.empty()) wait_for(true);
  }
  unsent_.append(rest);
  requests.clear();
}

void Connection::flush() {
  if (unsent_.empty()) return;
  const ssize_t sent = ::send(descriptor_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0) {
    unsent_.erase(0, static_cast<std::size_t>(sent));
  } else if (errno != EAGAIN) {
    throw_errno("send");
  }
  // Said again even if nothing changed: only that makes the edge-triggered epoll look again at once.
  wait_for(!unsent_.empty());
}

// Writability is waited for only while something is unsent: else each read by the peer would wake the loop.
void Connection::wait_for(bool writable) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET | (writable ? EPOLLOUT : 0U);
  event.data.ptr = this;
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor_, &event) != 0) throw_errno("epoll_ctl");
}

Connection::Received Connection::receive() {
  std::memmove(received_.data(), received_.data() + line_begin_, received_end_ - line_begin_);
  received_end_ -= line_begin_;
  line_begin_ = 0;
  if (received_end_ == received_.size()) received_.resize(received_.size() * 2);
  const std::size_t room = received_.size() - received_end_;
  const ssize_t count = recv(descriptor_, received_.data() + received_end_, room, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return Received::nothing;
  if (count < 0) throw_errno("recv");
  if (count == 0) throw std::runtime_error("the server closed connection " + std::to_string(index_));
  received_end_ += static_cast<std::size_t>(count);
  return static_cast<std::size_t>(count) < room ? Received::all : Received::more;
}

Connections::Connections(const Options& options)
    : epoll_(epoll_create1(EPOLL_CLOEXEC)), wait_max_ms_(options.rate_per_second > 0 ? 1 : 20) {
  if (epoll_ < 0) throw_errno("epoll_create1");
  raise_descriptor_limit();
  for (std::uint32_t index = 0; index < options.connections; ++index) {
    all_.push_back(std::make_unique<Connection>(index, connect_to(options.socket), epoll_));
  }
}

Connections::~Connections() {
  close(epoll_);
}

const std::vector<Connections::Event>& Connections::wait() {
  std::array<epoll_event, 128> events;
  const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), wait_max_ms_);
  if (count < 0 && errno != EINTR) throw_errno("epoll_wait");
  ready_.clear();
  for (int n = 0; n < count; ++n) {
    const auto& event = events[static_cast<std::size_t>(n)];
    ready_.push_back({static_cast<Connection*>(event.data.ptr), (event.events & EPOLLOUT) != 0});
  }
  return ready_;
}

}  // namespace tidemark::bench
