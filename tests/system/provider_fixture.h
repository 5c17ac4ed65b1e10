// A real daemon whose provider "viking" is the stand-in for an OpenViking server, for one test. Every turn that a test
// completes has a text of its own, which reaches the server before it is marked: so the server's effects tell whether
// each was extracted exactly once.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/system/openviking.h"
#include "tests/system/peer.h"

namespace tidemark::system_test {

class ProviderTest : public ::testing::Test {
 protected:
  /// The contract's invariants hold for every row that the test has left.
  void TearDown() override;

  /// Starts the server, and the daemon with it: `keys` are lines of [providers.viking], before the usual ones; sections
  /// follow. "hook" is an agent there that never serves and commits through the server.
  void serve(const std::string& keys = {}, const std::string& sections = {}, std::vector<std::string> arguments = {});
  /// What serve() has written, with other keys or sections.
  std::string config(const std::string& keys = {}, const std::string& sections = {}) const;
  /// Writes another configuration and has it taken over.
  void reload(const std::string& text);
  /// SIGKILL, and another start.
  void kill_and_start();

  /// A turn of "hook", or of another.
  void turn(const std::string& session, const std::string& agent = "hook");
  /// The same for a connection of another user; and for a session that the server knows by another name.
  void turn(Peer& by, const std::string& session, const std::string& agent, const std::string& external_id = {});
  /// Its text reaches the server, and nobody marks it.
  void unmarked(const std::string& session, const std::string& text) { viking->add(session, {text}); }
  /// Waits until everything that was marked there is settled.
  bool wait_settled(const std::string& session);
  /// Fails the test unless each turn of the session is in one archive, and was extracted once.
  void expect_once(const std::string& session);
  /// The same for all sessions.
  void expect_all_once();

  /// The states of the session's attempts, oldest first: "in_doubt, committed".
  std::string story(const std::string& session);
  /// The states that aren't there because nobody was asked, or the provider is at fault, left out.
  std::string told(const std::string& session);
  std::set<std::string> keys(const std::string& session);
  /// Of its oldest segment.
  std::string key(const std::string& session);
  std::string last_error(const std::string& session);
  std::size_t listed(ipc::ListFilter filter);
  bool wait_segments(const std::string& session, const std::string& segments);
  ipc::ProviderStatus provider(const std::string& name = "viking");
  bool wait_provider(ipc::ProviderState state, const std::string& name = "viking");
  /// How many commits the server was asked for.
  int posts() const { return viking->count("POST", "/commit"); }

  std::optional<OpenViking> viking;
  Daemon daemon;
  std::unique_ptr<Peer> peer;

 private:
  std::map<std::string, std::int64_t> turns_;                 // by session
  std::map<std::string, std::vector<std::string>> messages_;  // by the server's name for the session
};

/// A registration that never serves, and commits through a provider.
ipc::AgentRegisterParams hook(const std::string& agent, const std::string& provider, const std::string& session = {});
/// A registration that serves, with the provider for when it is lost.
ipc::AgentRegisterParams with_fallback(const std::string& agent, const std::string& fallback,
                                       const std::string& session = {}, const std::string& group = {});
/// A registration that serves, and hands its turns over to the provider.
ipc::AgentRegisterParams with_provider(const std::string& agent, const std::string& provider,
                                       const std::string& session = {}, const std::string& group = {});
/// The turns have reached the provider.
Answer synced();

}  // namespace tidemark::system_test
