#include "daemon/provider_lines.h"

#include <utility>

#include "daemon/clock.h"
#include "daemon/providers/exec_provider.h"
#include "daemon/providers/http_provider.h"
#include "daemon/providers/openviking_provider.h"

namespace tidemark::daemon {

const char* kind_of(const ProviderConfig& config) {
  if (std::holds_alternative<OpenVikingConfig>(config.kind)) return "openviking";
  return std::holds_alternative<HttpConfig>(config.kind) ? "http" : "exec";
}

void ProviderLines::configure(const std::map<std::string, ProviderConfig>& providers) {
  for (auto& [name, line] : lines_) {
    if (!providers.contains(name)) line.provider.reset();
  }
  for (const auto& [name, config] : providers) {
    const ProviderQueue::Bounds bounds{config.concurrency, config.rate, config.probe};
    ProviderLine& line = lines_.try_emplace(name, io_, name, bounds).first->second;
    line.config = config;
    line.queue.set_bounds(bounds);
    if (!line.provider && !line.queue.paused()) line.since = now().utc;
    // Made anew though nothing may have changed: the secrets may have.
    line.provider = make(config);
  }
}

void ProviderLines::pause(const store::PausedProvider& paused) {
  ProviderLine& line = lines_.try_emplace(paused.provider, io_, paused.provider, ProviderQueue::Bounds{}).first->second;
  line.queue.pause_by_hand(paused.reason);
  line.since = paused.at;
}

ProviderLine* ProviderLines::find(const std::string& name) {
  const auto found = lines_.find(name);
  return found == lines_.end() || !found->second.provider ? nullptr : &found->second;
}

ProviderLine* ProviderLines::find_for(uid_t uid, const std::string& name) {
  ProviderLine* line = find(name);
  return line && line->config.users.contains(uid) ? line : nullptr;
}

std::shared_ptr<Provider> ProviderLines::make(const ProviderConfig& config) {
  if (const auto* exec = std::get_if<ExecConfig>(&config.kind)) {
    return std::make_shared<ExecProvider>(*exec, config.timeout, io_);
  }
  if (!http_) http_ = std::make_unique<HttpClient>(io_);
  if (const auto* http = std::get_if<HttpConfig>(&config.kind)) {
    return std::make_shared<HttpProvider>(*http, config.timeout, *http_, io_);
  }
  return std::make_shared<OpenVikingProvider>(std::get<OpenVikingConfig>(config.kind), config.timeout, *http_, io_);
}

}  // namespace tidemark::daemon
