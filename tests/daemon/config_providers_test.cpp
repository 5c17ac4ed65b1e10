// The configuration file's providers: every key of every kind, and every complaint with its line.
#include <sys/types.h>
#include <unistd.h>

#include <regex>

#include "tests/daemon/config_fixture.h"

namespace tidemark::daemon {
namespace {

using namespace std::chrono_literals;

class ConfigProvidersTest : public ConfigTest {
 protected:
  ProviderConfig provider_of(const std::string& text) const {
    const auto providers = config_of("[providers.memory]\n" + text).providers;
    EXPECT_EQ(providers.size(), 1U) << text;
    return providers.contains("memory") ? providers.at("memory") : ProviderConfig();
  }
  template <class Own>
  Own own_of(const std::string& text) const {
    const auto provider = provider_of(text);
    const Own* own = std::get_if<Own>(&provider.kind);
    EXPECT_TRUE(own) << text;
    return own ? *own : Own();
  }
};

const std::string viking = "kind = 'openviking'\nurl = 'http://127.0.0.1:1933'\n";
const std::string http = "kind = 'http'\nurl = 'http://127.0.0.1:8000/commit'\n";
const std::string exec = "kind = 'exec'\ncommand = ['true']\n";

// --- What is taken ---------------------------------------------------------------------------------------------------

TEST_F(ConfigProvidersTest, NoneIsConfiguredByDefault) {
  EXPECT_TRUE(config_of("").providers.empty());
}

TEST_F(ConfigProvidersTest, WhatIsNotSaidIsTheDocumentedDefault) {
  for (const auto& text : {viking, http, exec}) {
    const auto provider = provider_of(text);
    EXPECT_EQ(provider.users, std::set<uid_t>{::geteuid()});
    EXPECT_EQ(provider.timeout, 60s);
    EXPECT_EQ(provider.concurrency, 4);
    EXPECT_EQ(provider.rate, 0);
    EXPECT_EQ(provider.probe, 60s);
  }
  OpenVikingConfig openviking;
  openviking.url = "http://127.0.0.1:1933";
  openviking.poll_initial = 2s;
  openviking.poll_max = 60s;
  openviking.stalled_after = 6h;
  EXPECT_EQ(own_of<OpenVikingConfig>(viking), openviking);
  HttpConfig request;
  request.url = "http://127.0.0.1:8000/commit";
  request.method = "POST";
  request.done = {{200, 299}};
  request.retry = {{408, 408}, {429, 429}, {500, 599}};
  EXPECT_EQ(own_of<HttpConfig>(http), request);
  EXPECT_EQ(own_of<ExecConfig>(exec), (ExecConfig{{"true"}, 16'384}));
}

TEST_F(ConfigProvidersTest, KeysOfEveryKindGoToTheirPlace) {
  const auto provider =
      provider_of(exec + "users = ['root', '12', 4711]\ntimeout = '7s'\nconcurrency = 8\nrate = 2.5\nprobe = '50ms'");
  EXPECT_EQ(provider.users, (std::set<uid_t>{0, 12, 4711}));
  EXPECT_EQ(provider.timeout, 7s);
  EXPECT_EQ(provider.concurrency, 8);
  EXPECT_EQ(provider.rate, 2.5);
  EXPECT_EQ(provider.probe, 50ms);
}

TEST_F(ConfigProvidersTest, KeysOfOpenVikingGoToTheirPlace) {
  const auto own = own_of<OpenVikingConfig>(R"(
kind = "openviking"
url = "https://memory.example:8443/base//"
api_key_file = "/etc/tidemark/key"
account = "acme"
user = "jo"
poll_initial = "10ms"
poll_max = "20ms"
stalled_after = "30ms"
)");
  EXPECT_EQ(own.url, "https://memory.example:8443/base") << "no slash at its end";
  EXPECT_EQ(own.api_key.file, "/etc/tidemark/key");
  EXPECT_EQ(own.api_key.credential, "");
  EXPECT_EQ(own.account, "acme");
  EXPECT_EQ(own.user, "jo");
  EXPECT_EQ(own.poll_initial, 10ms);
  EXPECT_EQ(own.poll_max, 20ms);
  EXPECT_EQ(own.stalled_after, 30ms);
  EXPECT_EQ(own_of<OpenVikingConfig>(viking + "api_key_credential = 'viking'").api_key, (SecretSource{"", "viking"}));
  EXPECT_EQ(own_of<OpenVikingConfig>("kind = 'openviking'\nurl = 'http+unix://%2Frun%2Fviking.sock/'").url,
            "http+unix://%2Frun%2Fviking.sock");
}

TEST_F(ConfigProvidersTest, KeysOfHttpGoToTheirPlace) {
  const auto own = own_of<HttpConfig>(R"(
kind = "http"
url = "https://memory.example/{session}"
method = "PUT"
body = '{"through": {end}}'
done = ["2xx", "409"]
retry = ["503"]
[providers.memory.headers]
X-Turns = "{start}-{end}"
[providers.memory.header_files]
Authorization = "/etc/tidemark/token"
[providers.memory.header_credentials]
X-Signature = "signature"
)");
  EXPECT_EQ(own.url, "https://memory.example/{session}");
  EXPECT_EQ(own.method, "PUT");
  EXPECT_EQ(own.body, R"({"through": {end}})");
  EXPECT_EQ(own.headers, (std::map<std::string, std::string>{{"X-Turns", "{start}-{end}"}}));
  EXPECT_EQ(own.header_files, (std::map<std::string, SecretSource>{{"Authorization", {"/etc/tidemark/token", ""}},
                                                                   {"X-Signature", {"", "signature"}}}));
  EXPECT_EQ(own.done, (std::vector<StatusRange>{{200, 299}, {409, 409}}));
  EXPECT_EQ(own.retry, (std::vector<StatusRange>{{503, 503}}));
  EXPECT_TRUE(own_of<HttpConfig>(http + "retry = []").retry.empty());
}

TEST_F(ConfigProvidersTest, KeysOfExecGoToTheirPlace) {
  const auto own = own_of<ExecConfig>(
      "kind = 'exec'\ncommand = ['/usr/bin/commit', '', '--all {session}']\n"
      "output_bytes_max = 0");
  EXPECT_EQ(own, (ExecConfig{{"/usr/bin/commit", "", "--all {session}"}, 0}));
}

TEST_F(ConfigProvidersTest, ThereMayBeManyOfAnyName) {
  const auto providers = config_of("[providers.a]\n" + viking + "[providers.\"das Gedächtnis\"]\n" + exec +
                                   "[providers." + std::string(256, 'x') + "]\n" + exec)
                             .providers;
  EXPECT_EQ(providers.size(), 3U);
  EXPECT_TRUE(providers.contains("das Gedächtnis"));
}

TEST_F(ConfigProvidersTest, RangesIncludeTheirEnds) {
  struct Edges {
    std::string kind;
    std::string key;
    std::string least;
    std::string most;
    Texts refused;
  };
  const std::vector<Edges> rows = {
      {exec, "timeout", "'1s'", "'1d'", {"'999ms'", "'25h'", "'off'", "60"}},
      {exec, "concurrency", "1", "1024", {"0", "1025", "1.5"}},
      {exec, "rate", "0", "100000", {"-0.1", "100000.5", "nan", "'off'"}},
      {exec, "probe", "'10ms'", "'1d'", {"'9ms'", "'25h'", "'off'"}},
      {exec, "output_bytes_max", "0", "1048576", {"-1", "1048577"}},
      {viking, "poll_initial", "'10ms'", "'60s'", {"'9ms'", "'25h'", "'off'"}},
      {viking, "poll_max", "'2s'", "'1d'", {"'9ms'", "'25h'", "'off'"}},
      {viking, "stalled_after", "'10ms'", "'365d'", {"'9ms'", "'366d'", "'off'"}},
  };
  for (const Edges& row : rows) {
    const std::string line = row.kind + row.key + " = ";
    provider_of(line + row.least);
    provider_of(line + row.most);
    for (const std::string& value : row.refused) {
      const Texts problems = problems_of("[providers.memory]\n" + line + value);
      ASSERT_EQ(problems.size(), 1U) << line << value;
      EXPECT_EQ(problems[0].find("4: providers.memory." + row.key + ": found "), 0U) << problems[0];
    }
  }
}

// --- What is refused -------------------------------------------------------------------------------------------------

TEST_F(ConfigProvidersTest, ComplaintsNameTheKeyAndSayWhatIsExpected) {
  const std::string kinds = R"(expected one of "openviking", "http", "exec")";
  const std::string common = "known are kind, users, timeout, concurrency, rate, probe, ";
  const std::string users = "expected a list of login names and uids, of at least one";
  const std::string command = "expected a list: the program, and its arguments";
  const std::string secret = "expected the absolute path of a file that holds the secret";
  const std::string hidden = "found a text that isn't shown here, ";
  const std::string status = R"(expected a status such as "408", or a hundred of them such as "5xx")";
  // The provider's section is line 1, the first line of the text line 2.
  const std::vector<std::pair<std::string, std::string>> rows = {
      // The kind.
      {"", "1: [providers.memory]: kind is missing, " + kinds},
      {"kind = 'redis'", R"(2: providers.memory.kind: found the text "redis", )" + kinds},
      {"kind = 3", "2: providers.memory.kind: found the integer 3, " + kinds},
      {"url = 'x'", "1: [providers.memory]: kind is missing, " + kinds},
      {"kind = 'openviking'", "1: [providers.memory]: url is missing"},
      {"kind = 'http'", "1: [providers.memory]: url is missing"},
      {"kind = 'exec'", "1: [providers.memory]: command is missing"},
      // Names.
      {exec + "timout = '3s'", R"(4: unknown key "timout" in [providers.memory]; did you mean timeout?)"},
      {exec + "comand = []", R"(4: unknown key "comand" in [providers.memory]; did you mean command?)"},
      {exec + "unheard_of = 1",
       R"(4: unknown key "unheard_of" in [providers.memory]; )" + common + "command, output_bytes_max"},
      {viking + "unheard_of = 1", R"(4: unknown key "unheard_of" in [providers.memory]; )" + common +
                                      "url, api_key_file, api_key_credential, account, user, poll_initial, poll_max, "
                                      "stalled_after"},
      {http + "unheard_of = 1", R"(4: unknown key "unheard_of" in [providers.memory]; )" + common +
                                    "url, method, body, headers, header_files, header_credentials, done, retry"},
      {exec + "url = 'x'",
       R"(4: unknown key "url" in [providers.memory] of kind "exec"; it belongs to kind "openviking" or "http")"},
      {viking + "command = ['x']",
       R"(4: unknown key "command" in [providers.memory] of kind "openviking"; it belongs to kind "exec")"},
      {viking + "api_key = 'sk-1'", R"(4: unknown key "api_key" in [providers.memory]; known are )" +
                                        common.substr(10) +
                                        "url, api_key_file, api_key_credential, account, user, poll_initial, "
                                        "poll_max, stalled_after"},
      // Users.
      {exec + "users = 'root'", R"(4: providers.memory.users: found the text "root", )" + users},
      {exec + "users = []", "4: providers.memory.users: found a list, " + users},
      {exec + "users = [true]", "4: providers.memory.users: found true, expected a login name or a uid"},
      {exec + "users = ['no-such-user']", R"(4: providers.memory.users: this machine has no user "no-such-user")"},
      {exec + "users = [4294967295]", "4: providers.memory.users: found the uid 4294967295, expected 0 to 4294967294"},
      {exec + "users = [-1]", "4: providers.memory.users: found the integer -1, expected a login name or a uid"},
      // openviking.
      {"kind = 'openviking'\nurl = 3", "3: providers.memory.url: found the integer 3, expected a URL"},
      {"kind = 'openviking'\nurl = 'ftp://x'",
       "3: providers.memory.url: the url is none of http://, https:// and http+unix://SOCKET/path"},
      {"kind = 'openviking'\nurl = 'http://x/?a=b'",
       "3: providers.memory.url: the url has a query: it is to end with the base path"},
      {"kind = 'openviking'\nurl = 'http://x/#a'",
       "3: providers.memory.url: the url has a fragment, which is never sent"},
      {viking + "api_key_file = 'sk-secret'", "4: providers.memory.api_key_file: " + hidden + secret},
      {viking + "api_key_file = 3", "4: providers.memory.api_key_file: found the integer 3, " + secret},
      {viking + "api_key_credential = 'a/b'",
       "4: providers.memory.api_key_credential: " + hidden + "expected the name of a credential of this service"},
      {viking + "api_key_credential = '..'",
       "4: providers.memory.api_key_credential: " + hidden + "expected the name of a credential of this service"},
      {viking + "api_key_file = '/a'\napi_key_credential = 'b'",
       "5: [providers.memory]: api_key_file and api_key_credential are both set, expected one of them at most"},
      {viking + "account = \"a\\nb\"",
       R"(4: providers.memory.account: found the text "a?b", expected a text without control characters)"},
      {viking + "poll_max = '1s'", "4: [providers.memory]: poll_max (1s) is shorter than poll_initial (2s)"},
      {viking + "poll_initial = '2m'", "4: [providers.memory]: poll_max (1m) is shorter than poll_initial (2m)"},
      // http.
      {http + "headers = ['x']", "4: providers.memory.headers: found a list, expected headers as {NAME = VALUE}"},
      {http + "headers = {X-A = 3}", "4: providers.memory.headers: X-A: found the integer 3, expected a text"},
      {http + "header_files = {X-A = 'secret'}", "4: providers.memory.header_files: X-A: " + hidden + secret},
      {http + "header_files = 'x'",
       R"(4: providers.memory.header_files: found the text "x", expected headers as {NAME = FILE})"},
      {http + "header_credentials = {X-A = ''}",
       "4: providers.memory.header_credentials: X-A: " + hidden + "expected the name of a credential of this service"},
      {http + "header_files = {X-A = '/a'}\nheader_credentials = {X-A = 'a'}",
       "5: [providers.memory]: the header X-A is in header_files and in header_credentials"},
      {http + "done = '2xx'",
       R"(4: providers.memory.done: found the text "2xx", expected a list of statuses, such as ["408", "5xx"])"},
      {http + "done = ['2xx', '2x']", R"(4: providers.memory.done: found the text "2x", )" + status},
      {http + "retry = ['600']", R"(4: providers.memory.retry: found the text "600", )" + status},
      {http + "retry = ['20x']", R"(4: providers.memory.retry: found the text "20x", )" + status},
      {http + "retry = [503]", "4: providers.memory.retry: found the integer 503, " + status},
      // What the kind itself says of its values.
      {http + "done = []", "1: [providers.memory]: no status means done"},
      {http + "method = 'get it'", R"(1: [providers.memory]: "get it" is no method: it is made of capital letters)"},
      // exec.
      {"kind = 'exec'\ncommand = 'true'", R"(3: providers.memory.command: found the text "true", )" + command},
      {"kind = 'exec'\ncommand = []",
       "3: providers.memory.command: the list is empty, expected the program, and its arguments"},
      {"kind = 'exec'\ncommand = ['true', 3]",
       "3: providers.memory.command: found the integer 3, expected a text without NUL"},
      {"kind = 'exec'\ncommand = [\"a\\u0000b\"]",
       R"(3: providers.memory.command: found the text "a?b", expected a text without NUL)"},
      {"kind = 'exec'\ncommand = ['./commit']",
       R"(3: providers.memory.command: found the program "./commit", expected an absolute path, or a name that is looked up in PATH)"},
      {"kind = 'exec'\ncommand = ['']",
       R"(3: providers.memory.command: found the program "", expected an absolute path, or a name that is looked up in PATH)"},
  };
  for (const auto& [text, problem] : rows)
    EXPECT_EQ(problems_of("[providers.memory]\n" + text), Texts{problem}) << text;
}

TEST_F(ConfigProvidersTest, TheSectionsThemselvesAreChecked) {
  const std::string name = "expected as its name a string of 1 to 256 bytes without control characters";
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"[providers]", "1: [providers] names no provider, expected [providers.NAME]"},
      {"providers = 3", "1: providers: found the integer 3, expected a section"},
      {"[[providers]]", "1: providers: found a list, expected a section"},
      {"[providers]\nkind = 'exec'", R"(2: providers.kind: found the text "exec", expected a section)"},
      {"[providers.\"\"]\n" + exec, "1: [providers.]: " + name},
      {"[providers.\"a\\tb\"]\n" + exec, "1: [providers.a?b]: " + name},
      {"[providers." + std::string(257, 'x') + "]\n" + exec, "1: [providers." + std::string(257, 'x') + "]: " + name},
  };
  for (const auto& [text, problem] : rows) EXPECT_EQ(problems_of(text), Texts{problem}) << text;
}

TEST_F(ConfigProvidersTest, NoSecretStandsInAComplaint) {
  for (const auto& text :
       {viking + "api_key_file = 'planted'", viking + "api_key_credential = 'planted/'", viking + "api_key = 'planted'",
        http + "header_files = {Authorization = 'planted'}", http + "header_credentials = {Authorization = '/planted'}",
        http + "headers = {Authorization = 'planted'}", std::string("kind = 'http'\nurl = 'http://jo:planted@x/'"),
        std::string("kind = 'openviking'\nurl = 'http://planted@x/'")}) {
    const Texts problems = problems_of("[providers.memory]\n" + text);
    ASSERT_EQ(problems.size(), 1U) << text;
    EXPECT_EQ(problems[0].find("planted"), problems[0].npos) << problems[0];
  }
}

TEST_F(ConfigProvidersTest, AllProblemsAreFoundInTheFilesOrder) {
  EXPECT_EQ(
      problems_of("[providers.a]\nkind = 'exec'\nrate = -1\nprobe = 3\n[commit]\nidle = 1\n[providers.b]"),
      (Texts{
          "1: [providers.a]: command is missing",
          "3: providers.a.rate: found the integer -1, expected a number, 0 to 100000",
          R"(4: providers.a.probe: found the integer 3, expected a duration such as "500ms", "30s", "5m", "6h" or "90d")",
          R"(6: commit.idle: found the integer 1, expected a duration such as "500ms", "30s", "5m", "6h" or "90d", or "off")",
          R"(7: [providers.b]: kind is missing, expected one of "openviking", "http", "exec")"}));
}

}  // namespace
}  // namespace tidemark::daemon
