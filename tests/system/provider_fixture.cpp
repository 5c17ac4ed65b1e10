// See provider_fixture.h.
#include "tests/system/provider_fixture.h"

#include <algorithm>

namespace tidemark::system_test {

namespace json = boost::json;

namespace {

constexpr char beginning[] = R"([daemon]
log_level = "debug"
socket_mode = "0666"
drain_deadline = "2s"
[commit]
orphan_grace = "1s"
idle = "off"
[retry]
initial = "20ms"
max = "100ms"
[providers.viking]
kind = "openviking"
)";

constexpr std::pair<const char*, const char*> usual_keys[] = {
    {"timeout", "10s"}, {"probe", "100ms"}, {"poll_initial", "20ms"}, {"poll_max", "100ms"}};

}  // namespace

void ProviderTest::TearDown() {
  if (peer && !daemon.process().ended()) {
    EXPECT_EQ(peer->call(ipc::DaemonVerifyParams{}).problems, std::vector<std::string>{});
  }
}

void ProviderTest::serve(const std::string& keys, const std::string& sections, std::vector<std::string> arguments) {
  viking.emplace(std::move(arguments));
  daemon.write_config(config(keys, sections));
  daemon.start();
  peer = std::make_unique<Peer>(daemon);
  peer->call(hook("hook", "viking"));
}

std::string ProviderTest::config(const std::string& keys, const std::string& sections) const {
  std::string text = beginning;
  text += "url = \"" + viking->url() + "\"\n" + keys + "\n";
  for (const auto& [name, value] : usual_keys) {
    if (("\n" + keys).find("\n" + std::string(name) + " =") != std::string::npos) continue;
    text += std::string(name) + " = \"" + value + "\"\n";
  }
  return text + sections;
}

void ProviderTest::reload(const std::string& text) {
  daemon.write_config(text);
  peer->call(ipc::DaemonReloadParams{});
}

void ProviderTest::kill_and_start() {
  daemon.kill_and_start();
  peer = std::make_unique<Peer>(daemon);
}

void ProviderTest::turn(const std::string& session, const std::string& agent) {
  turn(*peer, session, agent);
}

void ProviderTest::turn(Peer& by, const std::string& session, const std::string& agent,
                        const std::string& external_id) {
  const std::string there = external_id.empty() ? session : external_id;
  const std::string text = session + "-" + std::to_string(++turns_[session]);
  viking->add(there, {text});
  messages_[there].push_back(text);
  by.complete(session, agent);
}

bool ProviderTest::wait_settled(const std::string& session) {
  return peer->serve_until([&] { return peer->watermark(session) == turns_.at(session); });
}

void ProviderTest::expect_once(const std::string& session) {
  std::map<std::string, int> extracted;
  for (const std::string& archive : viking->extracted(session)) {
    for (std::size_t begin = 0; begin < archive.size();) {
      const std::size_t end = std::min(archive.find(' ', begin), archive.size());
      ++extracted[archive.substr(begin, end - begin)];
      begin = end + 1;
    }
  }
  for (const std::string& text : messages_.at(session)) EXPECT_EQ(extracted[text], 1) << text;
  EXPECT_EQ(extracted.size(), messages_.at(session).size());
}

void ProviderTest::expect_all_once() {
  const json::object effects = viking->effects();
  std::map<std::string, std::int64_t> extracted;
  for (const auto& [name, session] : effects.at("sessions").as_object()) {
    for (const json::value& archive : session.at("archives").as_array()) {
      for (const json::value& text : archive.at("messages").as_array()) {
        extracted[std::string(text.as_string())] += archive.at("extractions").as_int64();
      }
    }
  }
  std::size_t turns = 0;
  std::string wrong;
  for (const auto& [session, messages] : messages_) {
    turns += messages.size();
    for (const std::string& text : messages) {
      if (extracted[text] != 1) wrong += text + ": " + std::to_string(extracted[text]) + " times\n";
    }
  }
  EXPECT_EQ(wrong, "");
  EXPECT_EQ(extracted.size(), turns);
}

std::string ProviderTest::story(const std::string& session) {
  const auto records = peer->history(session);
  std::string text;
  for (auto record = records.rbegin(); record != records.rend(); ++record) {
    text += (text.empty() ? "" : ", ") + std::string(ipc::word_of(record->state));
  }
  return text;
}

std::string ProviderTest::told(const std::string& session) {
  const auto records = peer->history(session);
  std::string text;
  for (auto record = records.rbegin(); record != records.rend(); ++record) {
    if (record->state == ipc::AttemptState::void_) continue;
    text += (text.empty() ? "" : ", ") + std::string(ipc::word_of(record->state));
  }
  return text;
}

std::set<std::string> ProviderTest::keys(const std::string& session) {
  std::set<std::string> all;
  for (const ipc::CommitRecord& record : peer->history(session)) {
    all.insert(record.key.has_value() ? *record.key : std::string("none"));
  }
  return all;
}

std::string ProviderTest::key(const std::string& session) {
  const auto& segments = peer->status(session).segments;
  return segments.empty() || !segments[0].key.has_value() ? std::string() : *segments[0].key;
}

std::string ProviderTest::last_error(const std::string& session) {
  const auto& segments = peer->status(session).segments;
  return segments.empty() || !segments[0].last_error.has_value() ? std::string() : *segments[0].last_error;
}

std::size_t ProviderTest::listed(ipc::ListFilter filter) {
  ipc::SessionListParams params;
  params.filter = filter;
  return peer->call(params).sessions.size();
}

bool ProviderTest::wait_segments(const std::string& session, const std::string& segments) {
  const bool seen = peer->serve_until([&] { return peer->segments(session) == segments; });
  EXPECT_TRUE(seen) << session << ": " << peer->segments(session) << ", and not " << segments;
  return seen;
}

ipc::ProviderStatus ProviderTest::provider(const std::string& name) {
  for (const ipc::ProviderStatus& status : peer->daemon().providers) {
    if (status.name == name) return status;
  }
  ADD_FAILURE() << "daemon.status shows no provider " << name;
  return {};
}

bool ProviderTest::wait_provider(ipc::ProviderState state, const std::string& name) {
  return peer->serve_until([&] { return provider(name).state == state; });
}

ipc::AgentRegisterParams hook(const std::string& agent, const std::string& provider, const std::string& session) {
  ipc::AgentRegisterParams params = with_provider(agent, provider, session);
  params.serves = false;
  return params;
}

ipc::AgentRegisterParams with_fallback(const std::string& agent, const std::string& fallback,
                                       const std::string& session, const std::string& group) {
  ipc::AgentRegisterParams params = registration(agent, session, group);
  params.fallback = fallback;
  return params;
}

ipc::AgentRegisterParams with_provider(const std::string& agent, const std::string& provider,
                                       const std::string& session, const std::string& group) {
  ipc::AgentRegisterParams params = registration(agent, session, group);
  params.provider = provider;
  return params;
}

Answer synced() {
  return ipc::as_answer(ipc::AgentCommitResult{ipc::CommitStatus::synced});
}

}  // namespace tidemark::system_test
