// turn.complete as fast as the server answers: each connection keeps its share of marks outstanding, and an answer
// frees the slot that its id names for the next mark. Or, with a rate, marks go out by the clock.
#include <array>
#include <deque>
#include <optional>
#include <random>
#include <stdexcept>
#include <vector>

#include "bench/drive.h"
#include "bench/verify.h"

namespace tidemark::bench {
namespace {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  /// SplitMix64.
  std::uint64_t next() {
    std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15U;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31);
  }

  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(((next() >> 32) * bound) >> 32); }

 private:
  std::uint64_t state_;
};

constexpr auto hex_pairs = [] {
  std::array<std::array<char, 2>, 256> pairs{};
  for (std::size_t byte = 0; byte < pairs.size(); ++byte) {
    pairs[byte] = {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
  }
  return pairs;
}();

/// 32 random hexadecimal digits, grouped as in a UUID.
void put_turn_id(RequestBuffer& requests, Random& random) {
  char* at = requests.end();
  const std::array<std::uint64_t, 2> bits{random.next(), random.next()};
  for (unsigned byte = 0; byte < 16; ++byte) {
    if (byte == 4 || byte == 6 || byte == 8 || byte == 10) *at++ = '-';
    std::memcpy(at, hex_pairs[(bits[byte / 8] >> (byte % 8 * 8)) & 255].data(), 2);
    at += 2;
  }
  requests.advance(36);
}

constexpr std::string_view session_prefix = "session-";

class Marks {
 public:
  explicit Marks(const Options& options)
      : options_(options),
        order_(options.seed),
        // Whatever the seed: an id of an earlier run would be that run's turn.
        turn_ids_((static_cast<std::uint64_t>(std::random_device()()) << 32) ^ std::random_device()() ^ now_ns()),
        slots_(std::size_t{options.connections} * options.outstanding) {
    if (options.verify) marks_of_session_.resize(options.sessions);
    if (options.rate_per_second > 0) {
      // Slot by slot, so that consecutive marks go to different connections.
      for (std::uint32_t slot = 0; slot < options.outstanding; ++slot) {
        for (std::uint32_t connection = 0; connection < options.connections; ++connection) {
          free_.push_back({connection, slot});
        }
      }
    }
  }

  bool begin(std::uint32_t connection, std::uint32_t n, std::uint64_t now, RequestBuffer& requests) {
    if (n == options_.outstanding || options_.rate_per_second > 0) return false;
    mark(connection, n, now, requests);
    return true;
  }

  void take(std::uint32_t connection, std::string_view line, std::uint64_t now, RequestBuffer& requests) {
    const auto answer = answers_.read(line);
    if (!answer || answer->id >= options_.outstanding) {
      throw std::runtime_error("not an answer to a mark: " + std::string(line));
    }
    const auto slot_number = static_cast<std::uint32_t>(answer->id);
    const Slot& slot = slot_of(connection, slot_number);
    --outstanding_;
    if (answer->is_error) {
      if (report.errors++ == 0) report.first_error = line;
    } else {
      ++report.durable_marks;
      report.latency.record(now - slot.sent_ns);
      if (!marks_of_session_.empty()) ++marks_of_session_[slot.session];
    }
    if (options_.rate_per_second > 0) {
      free_.push_back({connection, slot_number});
    } else if (!stopped_) {
      mark(connection, slot_number, now, requests);
    }
  }

  // A mark that finds no free slot waits for one; its time counts from when it was due.
  void begin_due(Connections& connections, std::uint64_t now) {
    if (options_.rate_per_second == 0 || stopped_) return;
    const double interval_ns = 1e9 / options_.rate_per_second;
    if (rate_from_ns_ == 0) rate_from_ns_ = now;
    for (; !free_.empty(); free_.pop_front()) {
      const auto due = rate_from_ns_ + static_cast<std::uint64_t>(static_cast<double>(begun_) * interval_ns);
      if (due > now) break;
      const FreeSlot free = free_.front();
      mark(free.connection, free.slot, due, request_);
      connections.all()[free.connection]->send(request_);
      ++begun_;
    }
  }

  void stop() { stopped_ = true; }
  std::uint64_t outstanding() const { return outstanding_; }
  const std::vector<std::uint32_t>& marks_of_session() const { return marks_of_session_; }

  Report report;

 private:
  struct Slot {
    std::uint64_t sent_ns;
    std::uint32_t session;
  };

  struct FreeSlot {
    std::uint32_t connection;
    std::uint32_t slot;
  };

  Slot& slot_of(std::uint32_t connection, std::uint32_t slot) {
    return slots_[std::size_t{connection} * options_.outstanding + slot];
  }

  void mark(std::uint32_t connection, std::uint32_t slot, std::uint64_t now, RequestBuffer& requests) {
    const std::uint32_t session =
        options_.order == Order::random ? order_.below(options_.sessions) : next_session_++ % options_.sessions;
    slot_of(connection, slot) = {now, session};
    ++outstanding_;
    requests.put(R"({"jsonrpc":"2.0","id":)");
    requests.put(std::uint64_t{slot});
    requests.put(R"(,"method":"turn.complete","params":{"session":")");
    requests.put(session_prefix);
    requests.put(std::uint64_t{session});
    if (options_.agents) {
      requests.put(R"(","agent":"agent-)");
      requests.put(std::uint64_t{session});
    }
    if (options_.turn_ids) {
      requests.put(R"(","turn":")");
      put_turn_id(requests, turn_ids_);
    }
    requests.put("\"}}\n");
  }

  const Options& options_;
  Random order_;
  Random turn_ids_;
  std::uint32_t next_session_ = 0;
  AnswerReader answers_;
  std::vector<Slot> slots_;
  std::deque<FreeSlot> free_;  // with a rate only, the longest unused first
  RequestBuffer request_;
  std::uint64_t rate_from_ns_ = 0;
  std::uint64_t begun_ = 0;
  std::vector<std::uint32_t> marks_of_session_;
  std::uint64_t outstanding_ = 0;
  bool stopped_ = false;
};

}  // namespace

Report run_marks(const Options& options) {
  std::optional<Verifier> verifier;
  if (options.verify) {
    verifier.emplace(options, options.sessions,
                     [](std::uint32_t number) { return std::string(session_prefix) + std::to_string(number); });
  }
  Marks marks(options);
  drive(options, marks);
  if (verifier) marks.report.verification = verifier->verify(marks.marks_of_session());
  return marks.report;
}

}  // namespace tidemark::bench
