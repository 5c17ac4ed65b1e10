#include "daemon/providers/http_client.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "process/child.h"
#include "tests/daemon/providers/test_http_server.h"

namespace tidemark::daemon {
namespace {

namespace asio = boost::asio;
using End = HttpAnswer::End;
using Reply = TestHttpServer::Reply;
using std::chrono::milliseconds;
using Steady = std::chrono::steady_clock;

constexpr std::chrono::seconds patience{60};

class HttpClientTest : public testing::Test {
 protected:
  HttpClientTest() {
    // Nobody's proxy is to be asked for what is said on loopback.
    for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) ::unsetenv(name);
  }

  HttpAnswer exchange(HttpRequest request) {
    std::optional<HttpAnswer> answer;
    client_->send(std::move(request), [&](HttpAnswer got) { answer.emplace(std::move(got)); });
    run_until([&] { return answer.has_value(); });
    return answer.value_or(HttpAnswer{});
  }

  HttpAnswer get(std::string url, milliseconds timeout = milliseconds(20'000)) {
    HttpRequest request;
    request.url = std::move(url);
    request.timeout = timeout;
    return exchange(std::move(request));
  }

  template <typename Condition>
  void run_until(Condition reached) {
    io_.restart();
    const auto work = asio::make_work_guard(io_);
    const auto end = Steady::now() + patience;
    while (!reached() && Steady::now() < end) io_.run_one_for(milliseconds(100));
    ASSERT_TRUE(reached()) << "this takes too long";
  }

  asio::io_context io_;
  std::unique_ptr<HttpClient> client_ = std::make_unique<HttpClient>(io_);
};

HttpRequest request_of(std::string url) {
  HttpRequest request;
  request.url = std::move(url);
  return request;
}

Reply raw(std::string bytes, Reply::Then then = Reply::Then::close) {
  return {std::move(bytes), then, {}};
}

// A free port that nobody listens on: reserved by a socket of the test's own for as long as that is there.
class UnusedPort {
 public:
  UnusedPort() : socket_(io_, asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {}
  std::string url() const { return "http://127.0.0.1:" + std::to_string(socket_.local_endpoint().port()) + "/"; }

 private:
  asio::io_context io_;
  asio::ip::tcp::socket socket_;  // bound and not listening
};

TEST_F(HttpClientTest, ReturnsTheWholeAnswerOfAnyStatus) {
  for (const int status : {200, 204, 301, 404, 429, 500, 599}) {
    TestHttpServer server([&](const auto&) { return TestHttpServer::reply(status, status == 204 ? "" : "the body"); });
    const HttpAnswer answer = get(server.url());
    EXPECT_EQ(answer.end, End::answered) << answer.error;
    EXPECT_EQ(answer.status, status);
    EXPECT_EQ(answer.body, status == 204 ? "" : "the body");
    EXPECT_EQ(answer.error, "");
    EXPECT_FALSE(answer.misaddressed);
    EXPECT_FALSE(answer.retry_after);
  }
}

TEST_F(HttpClientTest, SendsWhatItIsGiven) {
  TestHttpServer server([](const auto&) { return TestHttpServer::reply(200); });
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE"}) {
    HttpRequest request;
    request.method = method;
    request.url = server.url("/a/%2E%2E/../b?q=%20");
    request.headers = {{"X-One", "1"}, {"Content-Type", "application/json"}, {"X-Empty", ""}};
    request.body = "{\"a\":1}";
    ASSERT_EQ(exchange(request).end, End::answered);
    const auto sent = server.requests().back();
    EXPECT_EQ(sent.method_string(), method);
    EXPECT_EQ(sent.target(), "/a/%2E%2E/../b?q=%20") << "a path is not tidied up";
    EXPECT_EQ(sent.version(), 11U);
    EXPECT_EQ(sent["X-One"], "1");
    EXPECT_EQ(sent.count("X-Empty"), 1U);
    EXPECT_EQ(sent["Content-Type"], "application/json");
    EXPECT_EQ(sent["Connection"], "close");
    EXPECT_EQ(sent["User-Agent"], "tidemark/" TIDEMARK_VERSION);
    EXPECT_EQ(sent.count("Expect"), 0U);
    EXPECT_EQ(sent.body(), "{\"a\":1}");
  }
}

TEST_F(HttpClientTest, SendsLargeBodiesWithoutWaitingForLeave) {
  TestHttpServer server([](const auto&) { return TestHttpServer::reply(200); });
  HttpRequest request;
  request.method = "POST";
  request.url = server.url();
  request.body.assign(3'000'000, 'x');
  ASSERT_EQ(exchange(request).end, End::answered);
  EXPECT_EQ(server.requests().back().body().size(), 3'000'000U);
  EXPECT_EQ(server.requests().back().count("Expect"), 0U);
  EXPECT_EQ(server.requests().back().count("Content-Type"), 0U);
}

TEST_F(HttpClientTest, SendsAnEmptyBodyWithPostAndNoneWithGet) {
  TestHttpServer server([](const auto&) { return TestHttpServer::reply(200); });
  HttpRequest request;
  request.method = "POST";
  request.url = server.url();
  ASSERT_EQ(exchange(request).end, End::answered);
  EXPECT_EQ(server.requests().back()["Content-Length"], "0");
  request.method = "GET";
  request.body = "not sent";
  ASSERT_EQ(exchange(request).end, End::answered);
  EXPECT_EQ(server.requests().back().body(), "");
  EXPECT_EQ(server.requests().back().count("Content-Length"), 0U);
}

TEST_F(HttpClientTest, SpeaksToUnixSocketsPastTheProxy) {
  const auto path = std::filesystem::temp_directory_path() / ("tidemark-http " + std::to_string(::getpid()));
  TestHttpServer server(path.string(), [](const auto&) { return TestHttpServer::reply(201, "hello"); });
  std::string host = path.string();
  for (std::size_t at = 0; (at = host.find_first_of("/ ", at)) != std::string::npos;) {
    host.replace(at, 1, host[at] == '/' ? "%2F" : "%20");
  }
  const UnusedPort no_proxy;
  ::setenv("http_proxy", no_proxy.url().c_str(), 1);
  const HttpAnswer answer = get("http+unix://" + host + "/v1/x?y=z");
  ::unsetenv("http_proxy");
  EXPECT_EQ(answer.status, 201) << answer.error;
  EXPECT_EQ(answer.body, "hello");
  EXPECT_EQ(server.requests().at(0).target(), "/v1/x?y=z");
  EXPECT_EQ(server.requests().at(0)["Host"], "localhost");

  const HttpAnswer nobody = get("http+unix://%2Fnonexistent%2Fsocket/v1");
  EXPECT_EQ(nobody.end, End::not_sent);
  EXPECT_FALSE(nobody.misaddressed);
  EXPECT_NE(nobody.error.find("/nonexistent/socket"), std::string::npos) << nobody.error;
}

TEST_F(HttpClientTest, UsesTheProxyOfTheEnvironment) {
  TestHttpServer proxy([](const auto&) { return TestHttpServer::reply(200, "from the proxy"); });
  ::setenv("http_proxy", proxy.url().c_str(), 1);
  const HttpAnswer answer = get("http://nowhere.invalid/path");
  ::unsetenv("http_proxy");
  EXPECT_EQ(answer.body, "from the proxy") << answer.error;
  EXPECT_EQ(proxy.requests().at(0).target(), "http://nowhere.invalid/path");
}

TEST_F(HttpClientTest, HasSentNothingWhereTheProxyRefusesToConnect) {
  TestHttpServer proxy([](const auto&) { return TestHttpServer::reply(503, "", "Retry-After: 7\r\n"); });
  ::setenv("https_proxy", proxy.url().c_str(), 1);
  HttpRequest request;
  request.method = "POST";
  request.url = "https://nowhere.invalid/path";
  request.body = "the body";
  const HttpAnswer answer = exchange(request);
  ::unsetenv("https_proxy");
  EXPECT_EQ(answer.end, End::not_sent);
  EXPECT_EQ(answer.status, 0);
  EXPECT_EQ(proxy.requests().at(0).method_string(), "CONNECT");
  EXPECT_EQ(proxy.requests().at(0).body(), "");
}

TEST_F(HttpClientTest, HasSentNothingWhereNobodyListens) {
  const HttpAnswer answer = get(UnusedPort().url());
  EXPECT_EQ(answer.end, End::not_sent);
  EXPECT_FALSE(answer.misaddressed);
  EXPECT_EQ(answer.status, 0);
  EXPECT_NE(answer.error.find("127.0.0.1:"), std::string::npos) << answer.error;
  EXPECT_NE(answer.error.find("refused"), std::string::npos) << answer.error;
}

TEST_F(HttpClientTest, IsMisaddressedWhereTheNameIsUnknown) {
  const HttpAnswer answer = get("http://nowhere.invalid:81/path?token=hidden");
  EXPECT_EQ(answer.end, End::not_sent);
  EXPECT_TRUE(answer.misaddressed);
  EXPECT_EQ(answer.error, "the host name of nowhere.invalid:81 can't be resolved");
}

TEST_F(HttpClientTest, IsMisaddressedByUrlsThatCannotBeSpokenTo) {
  for (const char* url : {"", "ftp://127.0.0.1/", "file:///etc/passwd", "127.0.0.1", "http://",
                          "http+unix://relative/x", "http://127.0.0.1:99999/", "gopher://user:hidden@127.0.0.1/"}) {
    const HttpAnswer answer = get(url);
    EXPECT_EQ(answer.end, End::not_sent) << url;
    EXPECT_TRUE(answer.misaddressed) << url;
    EXPECT_NE(answer.error, "") << url;
    EXPECT_EQ(answer.error.find("hidden"), std::string::npos) << answer.error;
  }
}

TEST_F(HttpClientTest, RefusesHeadersThatWouldEndALine) {
  TestHttpServer server([](const auto&) { return TestHttpServer::reply(200); });
  const std::vector<std::pair<std::string, std::string>> bad{{"X-One", "1\r\nX-Two: 2"},
                                                             {"X-One", "1\n"},
                                                             {"X-One: 1\r\nX-Two", "2"},
                                                             {"", "1"},
                                                             {"X-One", std::string("1\0", 2)}};
  for (const auto& header : bad) {
    HttpRequest request;
    request.url = server.url();
    request.headers = {header};
    EXPECT_EQ(exchange(request).end, End::not_sent);
  }
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(HttpClientTest, IsMisaddressedWherePlainHttpAnswersTls) {
  TestHttpServer server([](const auto&) { return TestHttpServer::reply(200); });
  const HttpAnswer answer = get("https" + server.url("/path?hidden").substr(4));
  EXPECT_EQ(answer.end, End::not_sent) << answer.error;
  // The server closes the connection on what it takes for a bad request, with or without an answer.
  EXPECT_NE(answer.error.find("TLS"), std::string::npos) << answer.error;
  EXPECT_EQ(answer.error.find("hidden"), std::string::npos) << answer.error;
  TestHttpServer talkative([](const auto&) { return TestHttpServer::reply(200); }, TestHttpServer::Greeting::reset);
  EXPECT_EQ(get("https" + talkative.url().substr(4)).end, End::not_sent);
}

// `openssl s_server` with a certificate that nobody has signed but itself.
class UntrustedTlsServer {
 public:
  UntrustedTlsServer()
      : folder_(std::filesystem::temp_directory_path() / ("tidemark-tls-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    const std::string key = (folder_ / "key").string(), certificate = (folder_ / "certificate").string();
    const auto made =
        start({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
               "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate},
              nowhere);
    ::close(nowhere);
    if (made <= 0) return;
    int status = 0;
    ::waitpid(made, &status, 0);
    if (status != 0) return;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return;
    server_ =
        start({"openssl", "s_server", "-accept", "127.0.0.1:0", "-key", key, "-cert", certificate, "-www"}, ends[1]);
    ::close(ends[1]);
    output_ = ends[0];
    // "ACCEPT 127.0.0.1:PORT" once it listens.
    std::string said;
    pollfd ready{output_, POLLIN, 0};
    while (::poll(&ready, 1, 20'000) == 1) {
      char buffer[512];
      const ssize_t count = ::read(output_, buffer, sizeof buffer);
      if (count <= 0) return;
      said.append(buffer, static_cast<std::size_t>(count));
      const std::size_t accept = said.find("ACCEPT ");
      if (accept == std::string::npos || said.find('\n', accept) == std::string::npos) continue;
      port_ = said.substr(said.rfind(':', said.find('\n', accept)) + 1);
      port_.resize(port_.find('\n'));
      return;
    }
  }
  ~UntrustedTlsServer() {
    if (server_ > 0) {
      ::kill(server_, SIGKILL);
      ::waitpid(server_, nullptr, 0);
    }
    if (output_ >= 0) ::close(output_);
    std::filesystem::remove_all(folder_);
  }
  UntrustedTlsServer(const UntrustedTlsServer&) = delete;
  UntrustedTlsServer& operator=(const UntrustedTlsServer&) = delete;

  // Empty = there is no openssl here.
  const std::string& port() const { return port_; }

 private:
  static pid_t start(const std::vector<std::string>& command, int output) {
    const auto process = process::start_process(command, process::inherited_environment(), "", output);
    return process ? *process : -1;
  }

  std::filesystem::path folder_;
  pid_t server_ = -1;
  int output_ = -1;
  std::string port_;
};

TEST_F(HttpClientTest, IsMisaddressedWhereTheCertificateIsNotToBeTrusted) {
  UntrustedTlsServer server;
  if (server.port().empty()) GTEST_SKIP() << "openssl is not installed";
  const HttpAnswer answer = get("https://127.0.0.1:" + server.port() + "/path?hidden");
  EXPECT_EQ(answer.end, End::not_sent);
  EXPECT_TRUE(answer.misaddressed);
  EXPECT_NE(answer.error.find("self-signed certificate"), std::string::npos) << answer.error;
  EXPECT_EQ(answer.error.find("hidden"), std::string::npos) << answer.error;
}

TEST_F(HttpClientTest, IsInterruptedByWhateverIsNoWholeAnswer) {
  const std::vector<std::pair<const char*, Reply>> cases{
      {"closed", raw("")},
      {"reset", raw("", Reply::Then::reset)},
      {"closed in the status line", raw("HTTP/1.1 2")},
      {"closed in the headers", raw("HTTP/1.1 200 OK\r\nContent-Le")},
      {"closed behind the headers", raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n")},
      {"closed behind an interim answer", raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")},
      {"closed in the body", raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhidden")},
      {"reset in the body", raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhidden", Reply::Then::reset)},
      {"closed in a chunk", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nhidden")},
      {"no chunk", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhidden\r\n")},
      {"another protocol", raw("220 hidden ESMTP\r\n")},
      {"HTTP/0.9", raw("<html>hidden</html>")},
      {"a bad length", raw("HTTP/1.1 200 OK\r\nContent-Length: hidden\r\n\r\n")},
      {"only an interim answer", raw("HTTP/1.1 100 Continue\r\n\r\n")},
      {"a change of protocol",
       raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: hidden\r\nConnection: upgrade\r\n\r\n")},
  };
  for (const auto& [name, reply] : cases) {
    TestHttpServer server([&reply = reply](const auto&) { return reply; });
    HttpRequest request;
    request.method = "POST";
    request.url = server.url("/path?token=hidden");
    request.headers = {{"Authorization", "hidden"}};
    request.body = "hidden";
    const HttpAnswer answer = exchange(std::move(request));
    EXPECT_EQ(answer.end, End::interrupted) << name;
    EXPECT_FALSE(answer.misaddressed) << name;
    EXPECT_EQ(answer.status, 0) << name;
    EXPECT_EQ(answer.body, "") << name;
    EXPECT_NE(answer.error.find("127.0.0.1:" + std::to_string(server.port())), std::string::npos) << answer.error;
    EXPECT_EQ(answer.error.find("hidden"), std::string::npos) << name << ": " << answer.error;
    EXPECT_EQ(server.requests().size(), 1U) << name << ": sent once";
  }
}

TEST_F(HttpClientTest, IsNotAnsweredByAConnectionResetAtOnce) {
  TestHttpServer server([](const auto&) { return TestHttpServer::reply(200); }, TestHttpServer::Greeting::reset);
  for (int round = 0; round < 20; ++round) {
    const HttpAnswer answer = get(server.url());
    // Which of the two it is, is a race: the reset may come before the connection is known to be there.
    EXPECT_NE(answer.end, End::answered);
    EXPECT_NE(answer.error, "");
  }
  EXPECT_EQ(server.connections(), 20);
}

TEST_F(HttpClientTest, GivesUpAnAnswerThatIsTooLong) {
  const std::string ten_megabytes(10'000'000, 'x');
  const std::vector<Reply> replies{
      TestHttpServer::reply(200, ten_megabytes),
      raw("HTTP/1.1 200 OK\r\n\r\n" + ten_megabytes),
      raw("HTTP/1.1 200 OK\r\nX-Long: " + ten_megabytes + "\r\n\r\n"),
      raw([] {
        std::string interim;
        for (int i = 0; i < 200'000; ++i) interim += "HTTP/1.1 100 Continue\r\n\r\n";
        return interim + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
      }()),
  };
  for (const Reply& reply : replies) {
    TestHttpServer server([&](const auto&) { return reply; });
    const HttpAnswer answer = get(server.url());
    EXPECT_EQ(answer.end, End::interrupted);
    EXPECT_EQ(answer.body, "");
    EXPECT_NE(answer.error, "");
  }
  TestHttpServer server(
      [](const auto&) { return TestHttpServer::reply(200, std::string(HttpClient::answer_bytes_max, 'x')); });
  EXPECT_EQ(get(server.url()).body.size(), HttpClient::answer_bytes_max);
}

TEST_F(HttpClientTest, WaitsForAnAnswerUntilItsTimeIsOver) {
  TestHttpServer server([](const auto& request) {
    Reply reply = TestHttpServer::reply(200);
    reply.delay = milliseconds(request.target() == "/slow" ? 300 : 60'000);
    return reply;
  });
  EXPECT_EQ(get(server.url("/slow"), milliseconds(30'000)).end, End::answered);
  const auto begun = Steady::now();
  const HttpAnswer answer = get(server.url("/never"), milliseconds(200));
  EXPECT_EQ(answer.end, End::interrupted);
  EXPECT_NE(answer.error.find("200 ms"), std::string::npos) << answer.error;
  EXPECT_GE(Steady::now() - begun, milliseconds(190));
  EXPECT_LT(Steady::now() - begun, milliseconds(10'000));
}

TEST_F(HttpClientTest, IsInterruptedByAnAnswerThatStops) {
  TestHttpServer server(
      [](const auto&) { return raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Reply::Then::hold); });
  EXPECT_EQ(get(server.url(), milliseconds(200)).end, End::interrupted);
}

TEST_F(HttpClientTest, HasSentNothingWhereTlsIsNotAnsweredInTime) {
  TestHttpServer server([](const auto&) { return TestHttpServer::reply(200); }, TestHttpServer::Greeting::hold);
  const HttpAnswer answer = get("https" + server.url().substr(4), milliseconds(300));
  EXPECT_EQ(answer.end, End::not_sent);
  EXPECT_FALSE(answer.misaddressed);
  // The same server without TLS has the request in its buffer.
  EXPECT_EQ(get(server.url(), milliseconds(300)).end, End::interrupted);
}

TEST_F(HttpClientTest, FollowsNoRedirect) {
  TestHttpServer target([](const auto&) { return TestHttpServer::reply(200); });
  TestHttpServer server(
      [&](const auto&) { return TestHttpServer::reply(307, "", "Location: " + target.url() + "\r\n"); });
  EXPECT_EQ(get(server.url()).status, 307);
  EXPECT_EQ(target.connections(), 0);
}

TEST_F(HttpClientTest, ReadsBothFormsOfRetryAfter) {
  const auto http_date = [](std::time_t at) {
    std::tm parts{};
    ::gmtime_r(&at, &parts);
    char text[64];
    std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return std::string(text);
  };
  const auto retry_after = [&](const std::string& value) {
    TestHttpServer server(
        [&](const auto&) { return TestHttpServer::reply(503, "", "Retry-After: " + value + "\r\n"); });
    return get(server.url()).retry_after;
  };
  using std::chrono::seconds;
  EXPECT_EQ(retry_after("7"), seconds(7));
  EXPECT_EQ(retry_after("0"), seconds(0));
  EXPECT_EQ(retry_after("3600"), seconds(3600));
  EXPECT_EQ(retry_after("3601"), seconds(3600));
  EXPECT_EQ(retry_after("99999999999999999999999"), seconds(3600));
  EXPECT_EQ(retry_after("soon"), std::nullopt);
  EXPECT_EQ(retry_after(""), std::nullopt);
  EXPECT_EQ(retry_after("-5").value_or(seconds(0)), seconds(0));
  const std::time_t now = std::time(nullptr);
  EXPECT_EQ(retry_after(http_date(now - 100)), seconds(0));
  EXPECT_EQ(retry_after(http_date(now + 1'000'000)), seconds(3600));
  const auto soon = retry_after(http_date(now + 100));
  ASSERT_TRUE(soon);
  EXPECT_LE(*soon, seconds(100));
  EXPECT_GE(*soon, seconds(40));
}

TEST_F(HttpClientTest, GoesOnAConnectionOfItsOwnEachTime) {
  TestHttpServer server([](const auto&) {
    Reply reply = TestHttpServer::reply(200, "", "Connection: keep-alive\r\n");
    reply.then = Reply::Then::hold;  // the server would take another
    return reply;
  });
  for (int i = 0; i < 50; ++i) ASSERT_EQ(get(server.url()).end, End::answered);
  EXPECT_EQ(server.connections(), 50);
  EXPECT_EQ(server.requests().size(), 50U);
}

TEST_F(HttpClientTest, CompletesNothingOnceItIsDestroyed) {
  TestHttpServer server([](const auto& request) {
    Reply reply = TestHttpServer::reply(200);
    if (request.target() == "/never") reply.delay = std::chrono::hours(1);
    return reply;
  });
  bool called = false;
  for (int i = 0; i < 20; ++i) {
    client_->send(request_of(server.url(i % 2 == 0 ? "/never" : "/at-once")), [&](HttpAnswer) { called = true; });
  }
  // All that can be answered has been, and its completions wait in the queue of the I/O thread.
  const auto end = Steady::now() + patience;
  while (server.requests().size() < 20 && Steady::now() < end) std::this_thread::yield();
  ASSERT_EQ(server.requests().size(), 20U);
  client_.reset();
  io_.run_for(milliseconds(100));
  EXPECT_FALSE(called);
}

TEST_F(HttpClientTest, CanBeDestroyedByACompletion) {
  TestHttpServer server([](const auto&) { return TestHttpServer::reply(200); });
  int called = 0;
  for (int i = 0; i < 50; ++i) {
    client_->send(request_of(server.url()), [&](HttpAnswer) {
      ++called;
      client_.reset();
    });
  }
  run_until([&] { return called > 0; });
  io_.restart();
  io_.run_for(milliseconds(100));
  EXPECT_EQ(called, 1);
}

TEST_F(HttpClientTest, CallsCompletionsOnTheThreadOfTheContextOnly) {
  const auto here = std::this_thread::get_id();
  const UnusedPort nobody;
  std::thread::id there;
  client_->send(request_of(nobody.url()), [&](HttpAnswer) { there = std::this_thread::get_id(); });
  EXPECT_EQ(there, std::thread::id());
  run_until([&] { return there != std::thread::id(); });
  EXPECT_EQ(there, here);
}

TEST_F(HttpClientTest, KeepsUpWithManyAtATime) {
  TestHttpServer server([](const auto&) { return TestHttpServer::reply(200, "{}"); });
  constexpr int count = 2000, at_once = 32;
  int begun = 0, answered = 0;
  std::function<void()> next = [&] {
    if (begun == count) return;
    ++begun;
    HttpRequest request;
    request.method = "POST";
    request.url = server.url();
    request.body = "{}";
    client_->send(std::move(request), [&](HttpAnswer answer) {
      EXPECT_EQ(answer.end, End::answered) << answer.error;
      ++answered;
      next();
    });
  };
  const auto start = Steady::now();
  for (int i = 0; i < at_once; ++i) next();
  run_until([&] { return answered == count; });
  RecordProperty("milliseconds", std::to_string((Steady::now() - start) / milliseconds(1)));
  EXPECT_EQ(server.connections(), count);
  EXPECT_LE(server.requests_at_once_max(), at_once);
}

TEST_F(HttpClientTest, HasNoMoreUnderWayThanItMayHoldDescriptorsFor) {
  TestHttpServer server([](const auto&) {
    Reply reply = TestHttpServer::reply(200);
    reply.delay = milliseconds(200);
    return reply;
  });
  constexpr int under_way_max = HttpClient::transfers_max, count = 2 * under_way_max;
  int answered = 0;
  for (int i = 0; i < count; ++i) client_->send(request_of(server.url()), [&](HttpAnswer) { ++answered; });
  run_until([&] { return answered == count; });
  EXPECT_EQ(server.requests().size(), static_cast<std::size_t>(count));
  EXPECT_LE(server.requests_at_once_max(), under_way_max);
  EXPECT_GT(server.requests_at_once_max(), under_way_max / 4) << "the server shall be in a position to tell";
}

TEST_F(HttpClientTest, TakesTenThousandAtOnce) {
  TestHttpServer server([](const auto&) { return TestHttpServer::reply(200); });
  constexpr int count = 10'000;
  int answered = 0;
  for (int i = 0; i < count; ++i) {
    client_->send(request_of(server.url()), [&](HttpAnswer answer) {
      EXPECT_EQ(answer.end, End::answered) << answer.error;
      ++answered;
    });
  }
  run_until([&] { return answered == count; });
  EXPECT_EQ(server.connections(), count);
}

}  // namespace
}  // namespace tidemark::daemon
