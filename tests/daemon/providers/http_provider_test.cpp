#include "daemon/providers/http_provider.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "tests/daemon/providers/test_http_server.h"

namespace tidemark::daemon {
namespace {

namespace asio = boost::asio;
using Kind = ProviderAnswer::Kind;
using Reply = TestHttpServer::Reply;
using std::chrono::milliseconds;

class HttpProviderTest : public testing::Test {
 protected:
  ~HttpProviderTest() override { std::filesystem::remove(secret_file_); }

  HttpProvider& provider(HttpConfig config, milliseconds timeout = milliseconds(20'000)) {
    EXPECT_EQ(problem_of_http(config), "");
    return provider_.emplace(std::move(config), timeout, client_, io_);
  }

  static ProviderRequest request() {
    ProviderRequest request;
    request.session = "a/b \"c\"";
    request.external_id = "outside";
    request.start = 3;
    request.end = 7;
    request.attempt = 2;
    request.key.fill(0xab);
    return request;
  }

  ProviderAnswer commit(HttpProvider& provider, ProviderRequest what = request()) {
    std::optional<ProviderAnswer> answer;
    provider.commit(
        std::move(what), [](const std::string&, const auto&) { ADD_FAILURE() << "nothing is to be noted"; },
        [&](ProviderAnswer got) {
          EXPECT_FALSE(answer) << "answered once";
          answer.emplace(std::move(got));
        });
    EXPECT_FALSE(answer) << "never from inside the call";
    io_.restart();
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!answer && std::chrono::steady_clock::now() < end) io_.run_one_for(milliseconds(100));
    EXPECT_TRUE(answer) << "this takes too long";
    return answer.value_or(ProviderAnswer{});
  }

  ProviderAnswer commit_answered(Reply reply, HttpConfig config = {}, milliseconds timeout = milliseconds(20'000)) {
    TestHttpServer server([&](const auto&) { return reply; });
    if (config.url.empty()) config.url = server.url("/commit?token=hidden");
    return commit(provider(std::move(config), timeout));
  }

  void plant(const std::string& secret) { std::ofstream(secret_file_) << secret << "\n"; }

  const std::filesystem::path secret_file_ =
      std::filesystem::temp_directory_path() / ("tidemark-http-secret-" + std::to_string(::getpid()));
  asio::io_context io_;
  HttpClient client_{io_};
  std::optional<HttpProvider> provider_;
};

TEST_F(HttpProviderTest, SendsWhatIsConfigured) {
  TestHttpServer server([](const auto&) { return TestHttpServer::reply(200); });
  plant("Bearer token");
  HttpConfig config;
  config.method = "PUT";
  config.url = server.url("/v1/{session}/commits/{key}?id={external_id}&n={attempt}");
  config.body = R"({"session":"{session}","range":[{start},{end}]})";
  config.headers = {{"X-Session", "s={session}"}};
  config.header_files = {{"Authorization", {secret_file_.string(), ""}}};
  const ProviderAnswer answer = commit(provider(config));
  EXPECT_EQ(answer.kind, Kind::committed) << answer.error;
  const auto sent = server.requests().at(0);
  EXPECT_EQ(sent.method_string(), "PUT");
  EXPECT_EQ(sent.target(), "/v1/a%2Fb%20%22c%22/commits/abababab-abab-abab-abab-abababababab?id=outside&n=2");
  EXPECT_EQ(sent["X-Session"], "s=a/b%20%22c%22");
  EXPECT_EQ(sent["Authorization"], "Bearer token");
  EXPECT_EQ(sent["Content-Type"], "application/json");
  EXPECT_EQ(sent["Idempotency-Key"], "abababab-abab-abab-abab-abababababab");
  EXPECT_EQ(sent.body(), R"({"session":"a/b \"c\"","range":[3,7]})");
}

TEST_F(HttpProviderTest, SendsTheConfiguredIdempotencyKeyInsteadOfItsOwn) {
  TestHttpServer server([](const auto&) { return TestHttpServer::reply(200); });
  HttpConfig config;
  config.url = server.url();
  config.headers = {{"idempotency-key", "\"{key}\""}};
  commit(provider(config));
  EXPECT_EQ(server.requests().at(0).count("Idempotency-Key"), 1U);
  EXPECT_EQ(server.requests().at(0)["Idempotency-Key"], "\"abababab-abab-abab-abab-abababababab\"");
}

TEST_F(HttpProviderTest, LetsNoSessionLeaveItsPathSegmentOrAddHeaders) {
  TestHttpServer server([](const auto&) { return TestHttpServer::reply(200); });
  HttpConfig config;
  config.url = server.url("/sessions/{session}/commit");
  config.headers = {{"X-Session", "{session}"}};
  HttpProvider& provider = this->provider(config);
  for (const auto& [session, target] : std::vector<std::pair<std::string, std::string>>{
           {"..", "/sessions/%2E%2E/commit"},
           {".", "/sessions/%2E/commit"},
           {"../../admin?x#y", "/sessions/..%2F..%2Fadmin%3Fx%23y/commit"},
           {"x HTTP/1.1\r\nX-Planted: 1\r\n\r\n",
            "/sessions/x%20HTTP%2F1.1%0D%0AX-Planted%3A%201%0D%0A%0D%0A/commit"}}) {
    ProviderRequest what = request();
    what.session = session;
    EXPECT_EQ(commit(provider, what).kind, Kind::committed);
    EXPECT_EQ(server.requests().back().target(), target);
    EXPECT_EQ(server.requests().back().count("X-Planted"), 0U);
  }
}

TEST_F(HttpProviderTest, KeepsTheAnswerAsEvidence) {
  const auto evidence = [&](std::string body) {
    const ProviderAnswer answer = commit_answered(TestHttpServer::reply(201, body));
    EXPECT_EQ(answer.kind, Kind::committed);
    EXPECT_EQ(answer.error, "");
    EXPECT_EQ(answer.provider_state, "");
    return answer.evidence;
  };
  EXPECT_EQ(evidence("done\n"), R"({"status":201,"body":"done\n"})");
  EXPECT_EQ(evidence(""), R"({"status":201})");
  EXPECT_EQ(evidence("\xff\xfe"), R"({"status":201})");
  EXPECT_EQ(boost::json::parse(evidence(std::string(5000, 'x'))).at("body").as_string().size(), 1024U);
  EXPECT_EQ(boost::json::parse(evidence(std::string(1023, 'x') + "\xc3\xa9")).at("body").as_string().size(), 1023U);
}

struct StatusCase {
  int status;
  Kind kind;
  bool may_have_landed = false;
};

TEST_F(HttpProviderTest, JudgesEachStatusAsConfigured) {
  for (const auto& [status, kind, may_have_landed] : std::vector<StatusCase>{
           {200, Kind::committed},       {204, Kind::committed},       {301, Kind::faulty},
           {302, Kind::faulty, true},    {303, Kind::faulty, true},    {304, Kind::faulty},
           {307, Kind::faulty},          {308, Kind::faulty},          {400, Kind::failed_for_good},
           {401, Kind::faulty},          {403, Kind::faulty},          {404, Kind::failed_for_good},
           {405, Kind::failed_for_good}, {407, Kind::faulty},          {408, Kind::in_doubt},
           {409, Kind::failed_for_good}, {422, Kind::failed_for_good}, {429, Kind::throttled},
           {500, Kind::in_doubt},        {503, Kind::in_doubt},        {599, Kind::in_doubt},
           {600, Kind::failed_for_good},
       }) {
    const ProviderAnswer answer = commit_answered(TestHttpServer::reply(status));
    EXPECT_EQ(answer.kind, kind) << status;
    EXPECT_EQ(answer.may_have_landed, may_have_landed) << status;
    EXPECT_EQ(answer.error.empty(), kind == Kind::committed) << status;
    EXPECT_EQ(answer.evidence.empty(), kind != Kind::committed) << status;
  }
}

TEST_F(HttpProviderTest, PutsTheConfiguredListsFirst) {
  HttpConfig config;
  config.done = {{200, 200}, {409, 409}, {401, 401}};
  config.retry = {{403, 404}, {202, 202}, {302, 302}, {307, 307}};
  for (const auto& [status, kind, may_have_landed] : std::vector<StatusCase>{
           {200, Kind::committed},
           {401, Kind::committed},
           {409, Kind::committed},
           {403, Kind::failed},
           {404, Kind::failed},
           {202, Kind::in_doubt},
           {302, Kind::in_doubt},
           {307, Kind::failed},
           {201, Kind::failed_for_good},
           {429, Kind::failed_for_good},
           {500, Kind::failed_for_good},
       }) {
    EXPECT_EQ(commit_answered(TestHttpServer::reply(status), config).kind, kind) << status;
  }
}

TEST_F(HttpProviderTest, CarriesRetryAfter) {
  EXPECT_EQ(commit_answered(TestHttpServer::reply(429, "", "Retry-After: 7\r\n")).retry_after, milliseconds(7000));
  EXPECT_EQ(commit_answered(TestHttpServer::reply(429)).retry_after, milliseconds(1000)) << "by itself";
  EXPECT_EQ(commit_answered(TestHttpServer::reply(503, "", "Retry-After: 9\r\n")).retry_after, milliseconds(9000));
  EXPECT_EQ(commit_answered(TestHttpServer::reply(503)).retry_after, milliseconds(0));
}

TEST_F(HttpProviderTest, SaysInOneSentenceWhatWasAnswered) {
  EXPECT_EQ(commit_answered(TestHttpServer::reply(503, "<html>\n  <b>Over\x01loaded</b>")).error,
            "the provider answered 503 Service Unavailable: <html> <b>Over loaded</b>");
  EXPECT_EQ(commit_answered(TestHttpServer::reply(404)).error, "the provider answered 404 Not Found");
  EXPECT_EQ(commit_answered(TestHttpServer::reply(555, "x")).error, "the provider answered 555: x");
  EXPECT_LT(commit_answered(TestHttpServer::reply(500, std::string(5000, 'x'))).error.size(), 300U);
}

TEST_F(HttpProviderTest, TellsWhatMayHaveLandedFromWhatCannotHave) {
  EXPECT_EQ(commit_answered({"", Reply::Then::close, {}}).kind, Kind::in_doubt);
  EXPECT_EQ(commit_answered({"", Reply::Then::reset, {}}).kind, Kind::in_doubt);
  EXPECT_EQ(commit_answered({"", Reply::Then::hold, {}}, {}, milliseconds(100)).kind, Kind::in_doubt);
  EXPECT_EQ(commit_answered(TestHttpServer::reply(200, std::string(10'000'000, 'x'))).kind, Kind::in_doubt);
  HttpConfig config;
  {
    TestHttpServer gone([](const auto&) { return TestHttpServer::reply(200); });
    config.url = gone.url("/commit?token=hidden");
  }
  const ProviderAnswer unreachable = commit(provider(config));
  EXPECT_EQ(unreachable.kind, Kind::unreachable);
  EXPECT_EQ(unreachable.error.find("hidden"), std::string::npos) << unreachable.error;
  config.url = "http://nowhere.invalid/";
  const ProviderAnswer faulty = commit(provider(config));
  EXPECT_EQ(faulty.kind, Kind::faulty);
  EXPECT_FALSE(faulty.may_have_landed);
  EXPECT_NE(faulty.error.find("nowhere.invalid"), std::string::npos) << faulty.error;
}

TEST_F(HttpProviderTest, LetsNoSecretOut) {
  const std::string secret = "pl&nt\"ed/se\\cret";
  plant("Bearer " + secret);
  const std::string json = boost::json::serialize(boost::json::string_view(secret));
  const std::vector<std::string> echoes{secret,
                                        "Bearer " + secret,
                                        json,
                                        "pl%26nt%22ed%2Fse%5Ccret",
                                        "pl&amp;nt&quot;ed/se\\cret",
                                        std::string(1016, '.') + secret,
                                        std::string(190, '.') + secret};
  for (const std::string& echo : echoes) {
    for (const int status : {200, 302, 401, 404, 429, 503}) {
      TestHttpServer server([&](const auto& request) {
        EXPECT_EQ(request["Authorization"], "Bearer " + secret);
        Reply reply = TestHttpServer::reply(status, echo, "X-Echo: " + secret + "\r\nLocation: /" + secret + "\r\n");
        reply.bytes.replace(0, reply.bytes.find('\r'), "HTTP/1.1 " + std::to_string(status) + " " + secret);
        return reply;
      });
      HttpConfig config;
      config.url = server.url("/");
      config.header_files = {{"Authorization", {secret_file_.string(), ""}}};
      const ProviderAnswer answer = commit(provider(config));
      const std::string all = answer.error + answer.evidence + answer.provider_state;
      // Its letters, of which each encoding leaves a run; a cut may leave fewer.
      EXPECT_EQ(all.find("pl&"), std::string::npos) << all;
      EXPECT_EQ(all.find("pl%"), std::string::npos) << all;
      EXPECT_EQ(all.find("cret"), std::string::npos) << all;
      EXPECT_TRUE(echo.size() > 100 || all.find("***") != std::string::npos) << all;
    }
  }
}

TEST_F(HttpProviderTest, IsFaultyWithoutItsSecretUntilTheFileIsRepaired) {
  std::vector<std::string> tokens;
  TestHttpServer server(
      [&](const auto& request) { return TestHttpServer::reply(request["X-Token"] == "good" ? 200 : 401); });
  HttpConfig config;
  config.url = server.url();
  config.header_files = {{"X-Token", {secret_file_.string(), ""}}};
  HttpProvider& provider = this->provider(config);
  const ProviderAnswer missing = commit(provider);
  EXPECT_EQ(missing.kind, Kind::faulty);
  EXPECT_FALSE(missing.may_have_landed);
  EXPECT_NE(missing.error.find(secret_file_.string()), std::string::npos) << missing.error;
  EXPECT_EQ(server.connections(), 0);
  plant("bad");
  EXPECT_EQ(commit(provider).kind, Kind::faulty);
  plant("good");
  EXPECT_EQ(commit(provider).kind, Kind::committed);
  plant("bad again");
  EXPECT_EQ(commit(provider).kind, Kind::committed) << "what works isn't read again";
}

TEST_F(HttpProviderTest, AnswersNothingOnceItIsDestroyed) {
  TestHttpServer server([](const auto&) { return TestHttpServer::reply(200); });
  HttpConfig config;
  config.url = server.url();
  bool called = false;
  provider(config).commit(request(), {}, [&](ProviderAnswer) { called = true; });
  provider_.reset();
  config.header_files = {{"X-Token", {"/nonexistent/secret", ""}}};
  provider(config).commit(request(), {}, [&](ProviderAnswer) { called = true; });
  provider_.reset();
  io_.run();  // until the client has had its answer
  EXPECT_EQ(server.connections(), 1);
  EXPECT_FALSE(called);
}

HttpConfig config_with(const std::function<void(HttpConfig&)>& change) {
  HttpConfig config;
  config.url = "https://example.org/commit";
  change(config);
  return config;
}

TEST(ProblemOfHttp, IsNoneOfAWorkingConfiguration) {
  for (const char* url : {"https://example.org", "http://127.0.0.1:8080/a/{session}?k={key}", "http://[::1]/",
                          "http+unix://%2Frun%2Fx.sock/v1/{external_id}", "HTTP://example.org/a@b"}) {
    EXPECT_EQ(problem_of_http(config_with([&](auto& config) { config.url = url; })), "") << url;
  }
  EXPECT_EQ(problem_of_http(config_with([&](auto& config) {
              config.method = "PATCH";
              config.body = R"({"s":"{session}"})";
              config.headers = {{"X-One", "{key}"}, {"Host", "other"}};
              config.header_files = {{"Authorization", {"/etc/token", ""}}, {"X-Two", {"", "token"}}};
              config.done = {{200, 299}, {409, 409}};
            })),
            "");
}

TEST(ProblemOfHttp, SaysWhatIsWrong) {
  using Change = std::function<void(HttpConfig&)>;
  const std::vector<std::pair<std::string, Change>> cases{
      {"the url is none of", [](auto& config) { config.url = ""; }},
      {"the url is none of", [](auto& config) { config.url = "ftp://example.org/"; }},
      {"the url is none of", [](auto& config) { config.url = "example.org/x"; }},
      {"the url is none of", [](auto& config) { config.url = "http:///x"; }},
      {"the url is none of", [](auto& config) { config.url = "http+unix://run/x"; }},
      {"header's file", [](auto& config) { config.url = "https://user:secret@example.org/"; }},
      {"header's file", [](auto& config) { config.url = "https://user@example.org"; }},
      {"fragment", [](auto& config) { config.url = "https://example.org/#x"; }},
      {"percent-encoded", [](auto& config) { config.url = "https://example.org/a b"; }},
      {"percent-encoded", [](auto& config) { config.url = "https://example.org/\xc3\xa9"; }},
      {"the url has {sesion}", [](auto& config) { config.url = "https://example.org/{sesion}"; }},
      {"before its path", [](auto& config) { config.url = "https://{session}/x"; }},
      {"before its path", [](auto& config) { config.url = "https://example.org:{start}"; }},
      {"braces", [](auto& config) { config.url = "https://example.org/{Session}"; }},
      {"no method", [](auto& config) { config.method = "post"; }},
      {"no method", [](auto& config) { config.method = ""; }},
      {"no method", [](auto& config) { config.method = "GET / HTTP/1.1\r\n"; }},
      {"commits nothing", [](auto& config) { config.method = "CONNECT"; }},
      {"has no body", [](auto& config) { config.method = "GET", config.body = "{}"; }},
      {"no header's name",
       [](auto& config) {
         config.headers = {{"X One", ""}};
       }},
      {"no header's name",
       [](auto& config) {
         config.headers = {{"", ""}};
       }},
      {"no header's name",
       [](auto& config) {
         config.header_files = {{"X:", {"/f", ""}}};
       }},
      {"can't be set",
       [](auto& config) {
         config.headers = {{"content-length", "1"}};
       }},
      {"set twice",
       [](auto& config) {
         config.headers = {{"X-One", "1"}, {"x-one", "2"}};
       }},
      {"set twice",
       [](auto& config) {
         config.headers = {{"X-One", "1"}};
         config.header_files = {{"X-ONE", {"/f", ""}}};
       }},
      {"control character",
       [](auto& config) {
         config.headers = {{"X-One", "1\r\nX-Two: 2"}};
       }},
      {"X-One has {nothing}",
       [](auto& config) {
         config.headers = {{"X-One", "{nothing}"}};
       }},
      {"header_files",
       [](auto& config) {
         config.headers = {{"authorization", "Bearer x"}};
       }},
      {"names no file for X-One",
       [](auto& config) {
         config.header_files = {{"X-One", {}}};
       }},
      {"the body has {nothing}", [](auto& config) { config.body = R"({"a":"{nothing}"})"; }},
      {"isn't JSON", [](auto& config) { config.body = R"({"a":{session}})"; }},
      {"no status means done", [](auto& config) { config.done = {}; }},
      {"the status 299 is in done and in retry",
       [](auto& config) {
         config.retry = {{299, 300}};
       }},
  };
  for (const auto& [words, change] : cases) {
    const std::string problem = problem_of_http(config_with(change));
    EXPECT_NE(problem.find(words), std::string::npos) << words << ": " << problem;
    EXPECT_EQ(problem.find("secret@"), std::string::npos) << problem;
  }
}

}  // namespace
}  // namespace tidemark::daemon
