// A provider's secrets are nowhere but in its requests: planted in a key file and in a header's file, and repeated by
// the server in whatever it answers, they are searched for in everything that the daemon writes and says.
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <filesystem>
#include <fstream>

#include "tests/system/provider_fixture.h"

namespace tidemark::system_test {
namespace {

namespace json = boost::json;

// What every form of the secret begins with (raw, in JSON, percent-encoded), also one that was cut short.
constexpr char api_key_begins[] = "Sk7Pla";
constexpr char header_begins[] = "Hd7Pla";
constexpr char api_key[] = R"(Sk7Planted"q\b/+p%20e&lt;Zz)";
constexpr char header[] = R"(Bearer Hd7Planted"q\b/+p%20e&lt;Zz)";

class ProviderSecret : public ProviderTest {
 protected:
  void serve_with_secrets(const std::string& keys = {}) {
    std::ofstream(folder_.path() + "/key") << api_key << "\n";
    std::ofstream(folder_.path() + "/header") << header << "\n";
    serve("api_key_file = \"" + folder_.path() + "/key\"\n" + keys, {},
          {"--api-key", api_key, "--api-key", std::string(header).substr(7)});
    std::string text =
        config("api_key_file = \"" + folder_.path() + "/key\"\n" + keys,
               "[providers.web]\nkind = \"http\"\nprobe = \"30ms\"\nurl = \"" + viking->url() +
                   "/commits/{session}\"\nheader_files = {Authorization = \"" + folder_.path() + "/header\"}\n");
    text.replace(text.find("\"debug\""), 7, "\"trace\"");
    daemon.write_config(text);
    daemon.kill_and_start();
    peer = std::make_unique<Peer>(daemon);
    peer->call(hook("hooked", "web"));
    peer->client.on_notification(
        [this](std::string_view, const json::object& params) { events_ += json::serialize(params) + "\n"; });
    peer->call(ipc::WatchParams{});
    viking->script(R"({"echo_keys": true})");
  }

  // Everything that the daemon has written and says, by where.
  std::map<std::string, std::string> everything() {
    std::map<std::string, std::string> all;
    ipc::DaemonBackupParams backup;
    all["backup"] = content_of(peer->call(backup).path);
    for (const auto& file : std::filesystem::directory_iterator(daemon.state_dir())) {
      if (file.is_regular_file()) all["journal"] += content_of(file.path());
    }
    for (const char* method : {"commit.history", "daemon.status", "daemon.metrics", "session.list"}) {
      const auto answer = peer->client.call_json(method, "{}", patience);
      all[method] = answer ? *answer : answer.error().message();
    }
    for (const ipc::SessionSummary& session : peer->call(ipc::SessionListParams{}).sessions) {
      const auto answer = peer->client.call_json("session.status",
                                                 json::serialize(json::object{{"session", session.session}}), patience);
      all["session.status"] += answer ? *answer : answer.error().message();
    }
    all["log"] = daemon.log();
    all["events"] = events_;
    return all;
  }

  // `told` is what was said beside the secret: where that isn't, there was nothing to search.
  void expect_no_secret(const std::string& told) {
    const auto all = everything();
    for (const auto& [place, text] : all) {
      for (const char* secret : {api_key_begins, header_begins}) {
        const std::size_t found = text.find(secret);
        EXPECT_EQ(found, std::string::npos)
            << place << " after \"" << told << "\": " << text.substr(found > 80 ? found - 80 : 0, 200);
      }
    }
    if (told.empty()) return;
    for (const char* place : {"journal", "backup", "commit.history", "log"}) {
      EXPECT_NE(all.at(place).find(told), std::string::npos) << place << " doesn't hold \"" << told << "\"";
    }
  }

  // A turn of a new session is tried while that rule is in force, and committed when it isn't any more.
  void fail(const std::string& session, const std::string& rule) {
    viking->script("{\"rules\": [{\"path\": \"" + session + "\", " + rule + "}]}");
    if (session.starts_with("web")) {
      peer->complete(session, "hooked");
    } else {
      turn(session);
    }
    peer->detach(session);
    EXPECT_TRUE(peer->serve_until([&] { return peer->watermark(session) > 0 || !last_error(session).empty(); }))
        << session;
    expect_no_secret({});
    viking->script(R"({"clear": true, "rules": [{"path": "^/commits/", "do": "reply", "body": "fine"}]})");
    if (peer->segments(session) == "1-1 stuck") peer->call(about<ipc::CommitRetryParams>(session));
    ASSERT_TRUE(peer->serve_until([&] { return peer->watermark(session) > 0; })) << session << last_error(session);
  }
  std::string events_;

 private:
  TemporaryFolder folder_;
};

TEST_F(ProviderSecret, NowhereAfterSuccesses) {
  serve_with_secrets();
  viking->script(R"({"rules": [{"path": "^/commits/", "do": "error", "status": 200, "message": "well done"}]})");
  turn("s");
  peer->detach("s");
  ASSERT_TRUE(wait_settled("s"));
  peer->complete("web", "hooked");
  EXPECT_EQ(peer->commit("web").outcome, Outcome::committed);
  EXPECT_NE(peer->history("web").at(0).evidence.value_or(ipc::RawJson{}).text.find("***"), std::string::npos)
      << "the server has repeated it, and the answer is kept";
  const auto all = everything();
  EXPECT_NE(all.at("commit.history").find("well done"), std::string::npos);
  expect_no_secret({});
}

TEST_F(ProviderSecret, NowhereAfterFailuresOfEachClass) {
  serve_with_secrets("timeout = \"2s\"");
  int number = 0;
  for (const char* rule : {
           R"("do": "error", "code": "INTERNAL", "message": "out of order")",
           R"("do": "error", "code": "UNAUTHENTICATED", "message": "who are you")",
           R"("do": "error", "code": "PERMISSION_DENIED", "message": "not for you")",
           R"("do": "error", "code": "INVALID_ARGUMENT", "message": "not so")",
           R"("do": "error", "code": "NOT_FOUND", "message": "not here")",
           R"("do": "error", "code": "CONFLICT", "message": "not now")",
           R"("do": "error", "code": "FAILED_PRECONDITION", "message": "blocked", "details": {"archive_id": "a1"})",
           R"("do": "error", "code": "RESOURCE_EXHAUSTED", "message": "too many", "nth": 1)",
           R"("do": "truncate")",
           R"("do": "lose")",
           R"("do": "html", "status": 502)",
           R"("do": "redirect", "location": "http://127.0.0.1:1/?key=Sk7Planted%22q%5Cb/+p%20e&lt;Zz")",
           R"("do": "reply", "status": 500, "body": "Sk7Planted\"q\\b/+p%20e&lt;Zz Hd7Planted\"q\\b/+p%20e&lt;Zz")",
           R"("do": "reply", "status": 400, "body": {"a": "Sk7Planted\"q\\b/+p%20e&lt;Zz", "b": "Hd7Planted\"q\\b/"})",
       }) {
    for (const char* prefix : {"s", "web"}) fail(prefix + std::to_string(++number) + "_", rule);
    if (HasFailure()) return;
  }
}

// A text that is cut where the secret stands leaves no piece of it.
TEST_F(ProviderSecret, NoPieceOfItWhereATextIsCut) {
  serve_with_secrets();
  for (const int length : {150, 170, 180, 188, 192, 195, 198, 470, 485, 490, 493, 496, 499, 990, 1010, 1018}) {
    const std::string rule = "\"do\": \"error\", \"code\": \"INTERNAL\", \"message\": \"" +
                             std::string(static_cast<std::size_t>(length), 'x') + "\"";
    for (const char* prefix : {"s", "web"}) fail(prefix + std::to_string(length) + "_", rule);
    if (HasFailure()) return;
  }
}

TEST_F(ProviderSecret, NowhereAfterAFailedTask) {
  serve_with_secrets();
  viking->script(R"({"tasks": {"outcome": "failed", "error": "no model answers"}})");
  turn("s");
  peer->detach("s");
  ASSERT_TRUE(wait_segments("s", "1-1 stuck"));
  expect_no_secret("no model answers");
}

TEST_F(ProviderSecret, NowhereWhileAFaultPausesAndOverAKill) {
  serve_with_secrets();
  viking->script(R"({"auth": "broken"})");
  turn("s");
  peer->detach("s");
  ASSERT_TRUE(wait_provider(ipc::ProviderState::paused));
  const std::string said = provider().error.value_or("");
  EXPECT_NE(said.find("Invalid API key: ***"), std::string::npos) << said;
  ASSERT_TRUE(peer->serve_until([&] { return events_.find("provider.paused") != std::string::npos; }));
  expect_no_secret("Invalid API key: ***");
  kill_and_start();
  viking->script(R"({"auth": "ok"})");
  ASSERT_TRUE(wait_settled("s"));
  expect_no_secret("Invalid API key: ***");
}

}  // namespace
}  // namespace tidemark::system_test
