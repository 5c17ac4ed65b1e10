// What the machine itself costs, without any server of ours: a round trip over a Unix socket, and a durable append.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <system_error>

#include "bench/measurement.h"

namespace tidemark::bench {
namespace {

[[noreturn]] void throw_errno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close_now(); }

  int number() const { return number_; }
  void close_now() {
    if (number_ >= 0) close(number_);
    number_ = -1;
  }

 private:
  int number_;
};

// As the loop of drive(), for a step that ends when it returns.
template <class Step>
Report repeat(const Options& options, Step step) {
  Report report;
  std::uint64_t now = now_ns();
  const std::uint64_t measure_from = now + static_cast<std::uint64_t>(options.warmup_seconds * 1e9);
  while (now < measure_from) {
    step();
    now = now_ns();
  }
  const std::uint64_t measured_from = now;
  const std::uint64_t measure_until = now + static_cast<std::uint64_t>(options.seconds * 1e9);
  const double cpu_seconds_before = cpu_seconds();
  while (now < measure_until) {
    step();
    const std::uint64_t after = now_ns();
    report.latency.record(after - now);
    now = after;
  }
  report.seconds = static_cast<double>(now - measured_from) * 1e-9;
  report.cpu_seconds = cpu_seconds() - cpu_seconds_before;
  return report;
}

// A mark with a turn id and its answer are about as long, on average.
constexpr std::size_t message_bytes = 128;

[[noreturn]] void echo_until_closed(int descriptor) {
  std::array<char, message_bytes> message;
  while (true) {
    const ssize_t count = recv(descriptor, message.data(), message.size(), 0);
    if (count <= 0) _exit(0);
    if (send(descriptor, message.data(), static_cast<std::size_t>(count), MSG_NOSIGNAL) != count) _exit(1);
  }
}

}  // namespace

Report run_echo(const Options& options) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) throw_errno("socketpair");
  Descriptor ours(ends[0]);
  Descriptor theirs(ends[1]);
  const pid_t child = fork();
  if (child < 0) throw_errno("fork");
  if (child == 0) {
    ours.close_now();
    echo_until_closed(theirs.number());
  }
  theirs.close_now();
  std::array<char, message_bytes> message{};
  const Report report = repeat(options, [&] {
    if (send(ours.number(), message.data(), message.size(), MSG_NOSIGNAL) != ssize_t{message_bytes})
      throw_errno("send");
    if (recv(ours.number(), message.data(), message.size(), MSG_WAITALL) != ssize_t{message_bytes}) throw_errno("recv");
  });
  ours.close_now();
  waitpid(child, nullptr, 0);
  return report;
}

Report run_fdatasync(const Options& options) {
  std::string path = options.directory + "/tidemark-load-XXXXXX";
  const Descriptor file(mkostemp(path.data(), O_CLOEXEC));
  if (file.number() < 0) throw_errno("mkostemp in " + options.directory);
  unlink(path.c_str());
  const std::array<char, 4096> page{};
  return repeat(options, [&] {
    if (write(file.number(), page.data(), page.size()) != ssize_t{page.size()}) throw_errno("write");
    if (fdatasync(file.number()) != 0) throw_errno("fdatasync");
  });
}

}  // namespace tidemark::bench
