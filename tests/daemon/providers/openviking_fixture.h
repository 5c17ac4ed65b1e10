// A provider of kind "openviking" against the stand-in server, for one test: what the daemon would do with it, step by
// step, in this thread.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/providers/openviking_provider.h"
#include "tests/system/openviking.h"

namespace tidemark::daemon {

class OpenVikingProviderTest : public ::testing::Test {
 protected:
  // Starts the server, and a provider for it.
  void serve(std::vector<std::string> arguments = {}, OpenVikingConfig config = {});
  // A provider as a start of the daemon or a reload makes it.
  void make_provider(OpenVikingConfig config);
  // A configuration whose key is read from a file with this text.
  OpenVikingConfig with_key(const std::string& key);

  ProviderRequest request(const std::string& session = "s");
  // The same attempt after the daemon was killed, or after its outcome wasn't known: with what is journaled of it.
  ProviderRequest again(ProviderRequest request);

  // Each of these runs until there is an answer. A commit's texts are searched for secrets, and what it has journaled
  // is kept for the next one, as the ledger does.
  ProviderAnswer commit(const ProviderRequest& request);
  ProviderLook look(const ProviderAnswer& accepted);
  ProviderLook look(const std::string& evidence);
  // Looks until the task has ended.
  ProviderLook confirm(const ProviderAnswer& accepted);

  // Runs what is under way until the condition holds; fails the test if it doesn't in time.
  void run_until(const std::function<bool()>& condition);
  static boost::json::object parsed(const std::string& text);
  static std::string member(const std::string& text, const std::string& name);

  boost::asio::io_context io;
  HttpClient http{io};
  std::optional<system_test::OpenViking> server;
  std::unique_ptr<OpenVikingProvider> provider;
  lifecycle::Milliseconds timeout{5'000};
  bool journal_writable = true;
  std::vector<std::string> notes;  // what was journaled before each POST, oldest first
  std::string provider_state;      // of the session, by the last success
  std::string secret;              // must be in no text

 private:
  void search(const std::string& text) const;

  system_test::TemporaryFolder folder_;
  lifecycle::CommitId commits_ = 0;
};

}  // namespace tidemark::daemon
