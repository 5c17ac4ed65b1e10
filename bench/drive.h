// The load generator's loop: one thread, edge-triggered epoll, non-blocking sockets. Whatever one read brings is
// answered by one write, so a connection with many outstanding requests costs two system calls a bunch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/measurement.h"
#include "bench/wire.h"

namespace tidemark::bench {

/// One connection; owned by its Connections, used on the loop's thread.
class Connection {
 public:
  Connection(std::uint32_t index, int descriptor, int epoll);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  std::uint32_t index() const { return index_; }

  /// Writes the requests, or keeps what the socket doesn't take until flush(); clears the buffer.
  void send(RequestBuffer& requests);
  void flush();

  enum class Received { nothing, all, more };
  /// Reads once: nothing was there, all that was there, or there may be more. Throws when the peer has closed.
  Received receive();

  /// The next whole line without its end, valid until the next receive(); false if there is none.
  bool next_line(std::string_view& line) {
    const char* const begin = received_.data() + line_begin_;
    const auto* newline = static_cast<const char*>(std::memchr(begin, '\n', received_end_ - line_begin_));
    if (newline == nullptr) return false;
    const auto bytes = static_cast<std::size_t>(newline - begin);
    line = {begin, bytes};
    line_begin_ += bytes + 1;
    return true;
  }

 private:
  void wait_for(bool writable);

  std::uint32_t index_;
  int descriptor_;
  int epoll_;
  std::vector<char> received_;
  std::size_t line_begin_ = 0;
  std::size_t received_end_ = 0;
  std::string unsent_;
};

/// The connections of a run and what waits on them.
class Connections {
 public:
  /// Throws std::system_error if one can't be made.
  explicit Connections(const Options& options);
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;
  ~Connections();

  struct Event {
    Connection* connection;
    bool writable;
  };

  std::vector<std::unique_ptr<Connection>>& all() { return all_; }

  /// Waits for a moment at most, which is short where marks fall due by time; the answer holds until the next call.
  const std::vector<Event>& wait();

 private:
  int epoll_;
  int wait_max_ms_;
  std::vector<std::unique_ptr<Connection>> all_;
  std::vector<Event> ready_;
};

/// Throws std::runtime_error: no answer came for so long that none will.
[[noreturn]] void throw_silent(std::uint64_t outstanding);

/// Runs a workload: warm-up, measured time, then the answers that are still out. A workload has
///   begin(connection, n, now_ns, requests)    appends the nth request that a connection starts with; false: no more,
///   take(connection, line, now_ns, requests)  takes a line and appends at most one request upon it,
///   stop()                                    from now on nothing new is begun,
///   outstanding()                             begun and unanswered,
///   begin_due(connections, now_ns)            sends what is due by now, about once a millisecond (with a rate only),
///   report                                    a Report that it counts into.
template <class Workload>
void drive(const Options& options, Workload& workload) {
  constexpr std::uint64_t silence_max_ns = 30'000'000'000;

  Connections connections(options);
  RequestBuffer requests;
  std::uint64_t now = now_ns();
  const std::uint64_t measure_from = now + static_cast<std::uint64_t>(options.warmup_seconds * 1e9);
  std::uint64_t measured_from = 0;
  double cpu_seconds_before = 0;
  LatencyHistogram measured;
  enum class Phase { warming, measuring, ending } phase = Phase::warming;

  for (auto& connection : connections.all()) {
    for (std::uint32_t n = 0; workload.begin(connection->index(), n, now_ns(), requests); ++n) {
      if (!requests.has_room()) connection->send(requests);
    }
    connection->send(requests);
  }
  std::uint64_t last_line = now_ns();
  while (phase != Phase::ending || workload.outstanding() > 0) {
    const auto& ready = connections.wait();
    now = now_ns();
    if constexpr (requires { workload.begin_due(connections, now); }) workload.begin_due(connections, now);
    if (phase == Phase::warming && now >= measure_from) {
      workload.report.latency = {};
      measured_from = now;
      cpu_seconds_before = cpu_seconds();
      phase = Phase::measuring;
    } else if (phase == Phase::measuring && static_cast<double>(now - measured_from) >= options.seconds * 1e9) {
      measured = workload.report.latency;
      workload.report.seconds = static_cast<double>(now - measured_from) * 1e-9;
      workload.report.cpu_seconds = cpu_seconds() - cpu_seconds_before;
      workload.stop();
      phase = Phase::ending;
    }
    if (ready.empty() && now - last_line > silence_max_ns) throw_silent(workload.outstanding());
    for (const auto& event : ready) {
      Connection& connection = *event.connection;
      if (event.writable) connection.flush();
      auto received = Connection::Received::more;
      while (received == Connection::Received::more) {
        received = connection.receive();
        if (received == Connection::Received::nothing) break;
        now = now_ns();
        last_line = now;
        std::string_view line;
        while (connection.next_line(line)) {
          workload.take(connection.index(), line, now, requests);
          if (!requests.has_room()) connection.send(requests);
        }
        if (!requests.empty()) connection.send(requests);
      }
    }
  }
  workload.report.latency = measured;
}

}  // namespace tidemark::bench
