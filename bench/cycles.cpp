// Whole cycles of an agent: each connection serves an agent of its own, completes a turn, asks for its commit, is
// asked to do it, says that it is done, and begins the next when the daemon has answered.
#include <optional>
#include <stdexcept>
#include <vector>

#include "bench/drive.h"
#include "bench/verify.h"

namespace tidemark::bench {
namespace {

constexpr std::string_view session_prefix = "cycle-session-";

class Cycles {
 public:
  explicit Cycles(const Options& options) : agents_(options.connections), marks_of_session_(options.connections) {}

  bool begin(std::uint32_t connection, std::uint32_t n, std::uint64_t, RequestBuffer& requests) {
    if (n > 0) return false;
    ++outstanding_;
    put_call(requests, register_id, "agent.register", connection);
    requests.put(R"(","agent":"cycle-agent-)");
    requests.put(std::uint64_t{connection});
    requests.put("\",\"serves\":true}}\n");
    return true;
  }

  void take(std::uint32_t connection, std::string_view line, std::uint64_t now, RequestBuffer& requests) {
    if (const auto method = value_of(line, "\"method\":")) {
      if (method->starts_with("\"commit\"")) {
        answer_commit(line, requests);
      } else if (method->starts_with("\"agent.fenced\"")) {
        throw std::runtime_error("another connection took this agent: " + std::string(line));
      }
      return;
    }
    const auto answer = answers_.read(line);
    if (!answer) throw std::runtime_error("not an answer: " + std::string(line));
    const bool failed = answer->id == commit_id ? !is_committed(line) : answer->is_error;
    if (failed && report.errors++ == 0) report.first_error = line;
    switch (answer->id) {
      case register_id:
        if (failed) throw std::runtime_error("no agent could be registered: " + std::string(line));
        end_cycle(connection, now, requests);
        break;
      case mark_id:
        if (failed) {
          end_cycle(connection, now, requests);
          break;
        }
        ++report.durable_marks;
        ++marks_of_session_[connection];
        put_call(requests, commit_id, "session.commit", connection);
        requests.put("\",\"wait\":true}}\n");
        break;
      case commit_id:
        if (!failed) report.latency.record(now - agents_[connection].begun_ns);
        end_cycle(connection, now, requests);
        break;
      default:
        throw std::runtime_error("an answer to nothing: " + std::string(line));
    }
  }

  void stop() { stopped_ = true; }
  std::uint64_t outstanding() const { return outstanding_; }
  const std::vector<std::uint32_t>& marks_of_session() const { return marks_of_session_; }

  Report report;

 private:
  static constexpr std::uint64_t register_id = 1;
  static constexpr std::uint64_t mark_id = 2;
  static constexpr std::uint64_t commit_id = 3;

  struct Agent {
    std::uint64_t begun_ns;
  };

  static void put_call(RequestBuffer& requests, std::uint64_t id, std::string_view method, std::uint32_t connection) {
    requests.put(R"({"jsonrpc":"2.0","id":)");
    requests.put(id);
    requests.put(R"(,"method":")");
    requests.put(method);
    requests.put(R"(","params":{"session":")");
    requests.put(session_prefix);
    requests.put(std::uint64_t{connection});
  }

  // The daemon's id goes back as it came, number or text.
  static void answer_commit(std::string_view line, RequestBuffer& requests) {
    const auto value = value_of(line, "\"id\":");
    const std::size_t end = value ? value->find_first_of(",} ") : std::string_view::npos;
    if (end == std::string_view::npos || end > 64) {
      throw std::runtime_error("a commit request without an id: " + std::string(line));
    }
    requests.put(R"({"jsonrpc":"2.0","id":)");
    requests.put(value->substr(0, end));
    requests.put(",\"result\":{\"status\":\"committed\"}}\n");
  }

  // Not by `error`: a commit that failed names its error inside the result.
  static bool is_committed(std::string_view line) {
    const auto committed = value_of(line, "\"committed\":");
    return committed && committed->starts_with("true");
  }

  void end_cycle(std::uint32_t connection, std::uint64_t now, RequestBuffer& requests) {
    --outstanding_;
    if (stopped_) return;
    ++outstanding_;
    agents_[connection].begun_ns = now;
    put_call(requests, mark_id, "turn.complete", connection);
    requests.put("\"}}\n");
  }

  std::vector<Agent> agents_;
  std::vector<std::uint32_t> marks_of_session_;
  AnswerReader answers_;
  std::uint64_t outstanding_ = 0;
  bool stopped_ = false;
};

}  // namespace

Report run_cycles(const Options& options) {
  std::optional<Verifier> verifier;
  if (options.verify) {
    verifier.emplace(options, options.connections,
                     [](std::uint32_t number) { return std::string(session_prefix) + std::to_string(number); });
  }
  Cycles cycles(options);
  drive(options, cycles);
  if (verifier) cycles.report.verification = verifier->verify(cycles.marks_of_session());
  return cycles.report;
}

}  // namespace tidemark::bench
