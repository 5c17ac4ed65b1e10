// One blocking connection of its own, opened for each round of questions.
#include "bench/verify.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <numeric>
#include <random>
#include <stdexcept>
#include <utility>

#include "bench/wire.h"

namespace tidemark::bench {
namespace {

constexpr std::uint32_t ask_all_max = 2000;
constexpr std::uint32_t sample_size = 50;
constexpr int answer_wait_max_s = 30;

class BlockingClient {
 public:
  explicit BlockingClient(const std::string& socket) : descriptor_(connect_to(socket)) {
    const timeval wait{answer_wait_max_s, 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
  }
  BlockingClient(const BlockingClient&) = delete;
  BlockingClient& operator=(const BlockingClient&) = delete;
  ~BlockingClient() { close(descriptor_); }

  std::string call(const std::string& request) {
    if (::send(descriptor_, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
      throw std::runtime_error("a session.status could not be sent");
    }
    std::string line;
    while (line.empty() || line.back() != '\n') {
      std::array<char, 4096> bytes;
      const ssize_t count = recv(descriptor_, bytes.data(), bytes.size(), 0);
      if (count <= 0) throw std::runtime_error("no answer to a session.status");
      line.append(bytes.data(), static_cast<std::size_t>(count));
    }
    return line;
  }

 private:
  int descriptor_;
};

}  // namespace

Verifier::Verifier(const Options& options, std::uint32_t session_count, std::function<std::string(std::uint32_t)> name)
    : socket_(options.socket), numbers_(session_count), name_(std::move(name)) {
  std::iota(numbers_.begin(), numbers_.end(), 0U);
  if (session_count > ask_all_max) {
    std::vector<std::uint32_t> sample;
    std::mt19937_64 random(options.seed);
    std::sample(numbers_.begin(), numbers_.end(), std::back_inserter(sample), sample_size, random);
    numbers_ = std::move(sample);
  }
  before_ = ask();
}

std::vector<std::uint64_t> Verifier::ask() const {
  BlockingClient client(socket_);
  std::vector<std::uint64_t> generations;
  generations.reserve(numbers_.size());
  for (const std::uint32_t number : numbers_) {
    const std::string answer = client.call(
        R"({"jsonrpc":"2.0","id":1,"method":"session.status","params":{"session":")" + name_(number) + "\"}}\n");
    const auto generation = value_of(answer, "\"generation\":");
    if (generation) {
      generations.push_back(number_at(*generation).value_or(0));
    } else if (position_of(answer, "not_found")) {
      generations.push_back(0);
    } else {
      throw std::runtime_error("unexpected answer to session.status: " + answer);
    }
  }
  return generations;
}

Verification Verifier::verify(const std::vector<std::uint32_t>& marks) const {
  const std::vector<std::uint64_t> after = ask();
  Verification result;
  result.sessions_asked = numbers_.size();
  for (std::size_t n = 0; n < numbers_.size(); ++n) {
    const std::uint64_t expected = marks[numbers_[n]];
    const std::uint64_t found = after[n] - before_[n];
    result.generations_expected += expected;
    result.generations_found += found;
    if (found != expected) ++result.sessions_wrong;
  }
  return result;
}

}  // namespace tidemark::bench
