// The providers of the configuration, each with the line of those who want something of it. A line stays while anybody
// is in it, though its provider may be gone from the configuration. I/O thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "daemon/provider_queue.h"
#include "daemon/providers/http_client.h"
#include "daemon/providers/provider.h"
#include "daemon/providers/provider_config.h"
#include "store/effects.h"

namespace tidemark::daemon {

struct ProviderLine {
  ProviderLine(boost::asio::io_context& io, std::string line_name, const ProviderQueue::Bounds& bounds)
      : name(std::move(line_name)), queue(bounds), timer(io) {}

  const std::string name;
  ProviderConfig config;
  std::shared_ptr<Provider> provider;  // null: it is not configured (any more). An attempt that is out holds its own.
  ProviderQueue queue;
  // Attempts that their agent has prepared, and that go on here: before anybody in the queue.
  std::deque<lifecycle::CommitId> synced;
  lifecycle::Utc since{};           // of its state
  boost::asio::steady_timer timer;  // until the queue may go on by time
  std::optional<Steady> armed;      // for when
};

class ProviderLines {
 public:
  explicit ProviderLines(boost::asio::io_context& io) : io_(io) {}

  // Takes the configuration over.
  void configure(const std::map<std::string, ProviderConfig>& providers);
  // By hand, of one that may be configured later only.
  void pause(const store::PausedProvider& paused);
  // Null if no such provider is configured.
  ProviderLine* find(const std::string& name);
  // As above, and null if that user may not use it.
  ProviderLine* find_for(uid_t uid, const std::string& name);
  std::map<std::string, ProviderLine>& all() { return lines_; }
  const std::map<std::string, ProviderLine>& all() const { return lines_; }

 private:
  std::shared_ptr<Provider> make(const ProviderConfig& config);

  boost::asio::io_context& io_;
  std::unique_ptr<HttpClient> http_;  // once somebody needs it; outlives the providers
  std::map<std::string, ProviderLine> lines_;
};

// The word of the configuration.
const char* kind_of(const ProviderConfig& config);

}  // namespace tidemark::daemon
