// Metrics, by the protocol and by HTTP: what they count, and what they don't tell.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/system/peer.h"

namespace tidemark::system_test {
namespace {

// A port that nobody listens on, for the moment at least.
std::uint16_t free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  if (::bind(descriptor, reinterpret_cast<sockaddr*>(&address), bytes) != 0 ||
      ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) {
    throw std::runtime_error("no free port");
  }
  ::close(descriptor);
  return ntohs(address.sin_port);
}

// A connection over which requests go as they are.
class Http {
 public:
  explicit Http(std::uint16_t port) : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (::connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("no connection");
    }
  }
  ~Http() { ::close(descriptor_); }
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;

  // The other side may have closed: then there is nothing to receive.
  void send(const std::string& text) const { (void)::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL); }
  // What comes until it ends with `end`, or the connection does.
  std::string receive(const std::string& end) const {
    std::string text;
    while (!text.ends_with(end)) {
      pollfd state{descriptor_, POLLIN, 0};
      if (::poll(&state, 1, static_cast<int>(patience.count())) != 1) return text + " (and nothing more)";
      char buffer[4096];
      const ssize_t count = ::recv(descriptor_, buffer, sizeof buffer, 0);
      if (count <= 0) return text + "(end)";
      text.append(buffer, static_cast<std::size_t>(count));
    }
    return text;
  }
  std::string get(const std::string& target, const std::string& end) const {
    send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return receive(end);
  }

 private:
  int descriptor_;
};

class Metrics : public ::testing::Test {
 protected:
  static std::string config(std::uint16_t port) {
    return "[metrics]\nlisten = \"127.0.0.1:" + std::to_string(port) + "\"\n";
  }
  std::uint16_t port = free_port();
  RunningDaemon daemon{config(port)};
};

bool has_line(const std::string& page, const std::string& line) {
  return ("\n" + page).find("\n" + line + "\n") != std::string::npos;
}

TEST_F(Metrics, CountWhatHappened) {
  Agent agent(daemon, "a telling agent", "a secret session");
  agent.answers({failed()});
  agent.complete("a secret session", "", "t");
  agent.complete("a secret session", "", "t");
  agent.commit("a secret session");
  agent.commit("a secret session");
  agent.complete("a secret session");
  agent.refusal(about<ipc::SessionStatusParams>("unknown"));
  const std::string page = agent.call(ipc::DaemonMetricsParams{}).text;
  for (const char* line : {
           "tidemark_sessions 1",
           "tidemark_sessions_dirty 1",
           "tidemark_agents_online 1",
           "tidemark_connections 1",
           "tidemark_turns_total{result=\"counted\"} 2",
           "tidemark_turns_total{result=\"repeated\"} 1",
           "tidemark_attempts_begun_total 2",
           "tidemark_attempts_total{end=\"committed\"} 1",
           "tidemark_attempts_total{end=\"failed\"} 1",
           "tidemark_attempt_duration_seconds_count 2",
           "tidemark_calls_total{method=\"turn.complete\"} 3",
           "tidemark_errors_total{reason=\"not_found\"} 1",
           "tidemark_journal_healthy 1",
       }) {
    EXPECT_TRUE(has_line(page, line)) << line << " is missing in\n" << page;
  }
  EXPECT_TRUE(page.ends_with("\n# EOF\n"));
  EXPECT_EQ(page.find("secret"), std::string::npos) << "no names of sessions";
  EXPECT_EQ(page.find("telling"), std::string::npos) << "nor of agents";
}

TEST_F(Metrics, ComeByHttpOneAfterAnother) {
  const Http http(port);
  for (int times = 0; times < 3; ++times) {
    const std::string answer = http.get("/metrics", "# EOF\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_NE(answer.find("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
              std::string::npos);
    EXPECT_TRUE(has_line(answer, "tidemark_sessions 0")) << answer;
  }
  EXPECT_TRUE(http.get("/metrics?name=x", "# EOF\n").starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_TRUE(http.get("/", "/metrics\n").starts_with("HTTP/1.1 404 Not Found\r\n"));
  http.send("DELETE /metrics HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(http.receive("only GET\n").starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
  http.send("HEAD /nowhere HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(http.receive("\r\n\r\n").starts_with("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_TRUE(http.get("/metrics", "# EOF\n").starts_with("HTTP/1.1 200 OK\r\n")) << "nothing came in between";
  http.send("HEAD /metrics HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(http.receive("(never)").ends_with("\r\n\r\n(end)"));
}

TEST_F(Metrics, RefuseWhatIsNoRequest) {
  const Http nonsense(port);
  nonsense.send("good morning\r\n\r\n");
  EXPECT_TRUE(nonsense.receive("metrics\n").starts_with("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_EQ(nonsense.receive("(never)"), "(end)");
  const Http large(port);
  large.send("GET /metrics HTTP/1.1\r\nX: " + std::string(20'000, 'x'));
  EXPECT_TRUE(large.receive("metrics\n").starts_with("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_TRUE(Http(port).get("/metrics", "# EOF\n").starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_F(Metrics, TakeFewConnectionsAtATimeAndFreeThem) {
  std::vector<std::unique_ptr<Http>> silent;
  for (int number = 0; number < 16; ++number) silent.push_back(std::make_unique<Http>(port));
  // Each is there once it has been answered.
  for (const auto& http : silent) EXPECT_TRUE(http->get("/metrics", "# EOF\n").starts_with("HTTP/1.1 200"));
  EXPECT_EQ(Http(port).receive("(never)"), "(end)") << "one too many";
  silent.pop_back();
  EXPECT_TRUE(wait_until([&] { return Http(port).get("/metrics", "# EOF\n").starts_with("HTTP/1.1 200"); }));
  EXPECT_TRUE(Peer(daemon).daemon().journal.healthy);
}

TEST_F(Metrics, SayWhyTheyCannotBeListenedFor) {
  Daemon second(config(port));
  try {
    second.start();
    FAIL() << "the port is taken";
  } catch (const std::exception&) {
    EXPECT_NE(second.log().find("can't listen for metrics on 127.0.0.1 port " + std::to_string(port) +
                                ": Address already in use"),
              std::string::npos)
        << second.log();
  }
}

}  // namespace
}  // namespace tidemark::system_test
