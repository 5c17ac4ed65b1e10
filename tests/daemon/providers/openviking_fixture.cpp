// See openviking_fixture.h.
#include "tests/daemon/providers/openviking_fixture.h"

#include <boost/asio/post.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <fstream>

namespace tidemark::daemon {

namespace json = boost::json;

void OpenVikingProviderTest::serve(std::vector<std::string> arguments, OpenVikingConfig config) {
  server.emplace(std::move(arguments));
  config.url = server->url() + config.url;
  make_provider(std::move(config));
}

void OpenVikingProviderTest::make_provider(OpenVikingConfig config) {
  provider = std::make_unique<OpenVikingProvider>(std::move(config), timeout, http, io);
}

OpenVikingConfig OpenVikingProviderTest::with_key(const std::string& key) {
  OpenVikingConfig config;
  config.api_key.file = folder_.path() + "/key";
  std::ofstream(config.api_key.file) << key << "\n";
  return config;
}

ProviderRequest OpenVikingProviderTest::request(const std::string& session) {
  ProviderRequest request;
  request.session = request.external_id = session;
  request.commit = ++commits_;
  request.start = request.end = 1;
  request.attempt = 1;
  request.provider_state = provider_state;
  request.last_turn_at = std::chrono::time_point_cast<lifecycle::Milliseconds>(std::chrono::system_clock::now());
  return request;
}

ProviderRequest OpenVikingProviderTest::again(ProviderRequest request) {
  request.commit = ++commits_;
  request.attempt += 1;
  request.sealed = true;
  if (!notes.empty()) request.evidence = notes.back();
  request.provider_state = provider_state;
  return request;
}

ProviderAnswer OpenVikingProviderTest::commit(const ProviderRequest& request) {
  std::optional<ProviderAnswer> answer;
  provider->commit(
      request,
      [this](std::string evidence, std::function<void(bool)> then) {
        search(evidence);
        if (journal_writable) notes.push_back(std::move(evidence));
        boost::asio::post(io, [then = std::move(then), noted = journal_writable] { then(noted); });
      },
      [&](ProviderAnswer given) {
        EXPECT_FALSE(answer) << "answered twice";
        answer = std::move(given);
      });
  EXPECT_FALSE(answer) << "answered from inside the call";
  run_until([&] { return answer.has_value(); });
  if (!answer) return {};
  for (const std::string* text : {&answer->error, &answer->evidence, &answer->provider_state}) search(*text);
  const bool success =
      answer->kind == ProviderAnswer::Kind::committed || answer->kind == ProviderAnswer::Kind::accepted;
  EXPECT_EQ(answer->error.empty(), success) << answer->error;
  EXPECT_EQ(answer->provider_state.empty(), !success);
  if (success) provider_state = answer->provider_state;
  return *answer;
}

ProviderLook OpenVikingProviderTest::look(const ProviderAnswer& accepted) {
  return look(accepted.evidence);
}

ProviderLook OpenVikingProviderTest::look(const std::string& evidence) {
  Confirming confirming;
  confirming.session = confirming.external_id = "s";
  confirming.evidence = evidence;
  std::optional<ProviderLook> look;
  provider->look(confirming, [&](ProviderLook given) {
    EXPECT_FALSE(look) << "answered twice";
    look = std::move(given);
  });
  EXPECT_FALSE(look) << "answered from inside the call";
  run_until([&] { return look.has_value(); });
  if (!look) return {};
  search(look->error);
  search(look->evidence);
  return *look;
}

ProviderLook OpenVikingProviderTest::confirm(const ProviderAnswer& accepted) {
  ProviderLook last = look(accepted);
  system_test::wait_until([&] {
    if (last.kind == ProviderLook::Kind::unfinished) last = look(accepted);
    return last.kind != ProviderLook::Kind::unfinished;
  });
  return last;
}

void OpenVikingProviderTest::run_until(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + system_test::patience;
  io.restart();
  while (!condition() && std::chrono::steady_clock::now() < deadline) {
    io.restart();
    io.run_one_for(std::chrono::milliseconds(5));
  }
  EXPECT_TRUE(condition()) << "it takes too long";
}

json::object OpenVikingProviderTest::parsed(const std::string& text) {
  boost::system::error_code error;
  const json::value value = json::parse(text, error);
  EXPECT_TRUE(!error && value.is_object()) << text;
  return value.is_object() ? value.get_object() : json::object();
}

std::string OpenVikingProviderTest::member(const std::string& text, const std::string& name) {
  const json::object object = parsed(text);
  const json::value* value = object.if_contains(name);
  if (value == nullptr) return {};
  return value->is_string() ? std::string(value->get_string()) : json::serialize(*value);
}

void OpenVikingProviderTest::search(const std::string& text) const {
  if (!secret.empty()) {
    EXPECT_EQ(text.find(secret), std::string::npos) << text;
  }
}

}  // namespace tidemark::daemon
