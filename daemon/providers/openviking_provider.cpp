#include "daemon/providers/openviking_provider.h"

#include <utility>

#include "daemon/providers/openviking_attempt.h"
#include "daemon/providers/openviking_calls.h"
#include "daemon/providers/openviking_look.h"

namespace tidemark::daemon {

OpenVikingProvider::OpenVikingProvider(OpenVikingConfig config, lifecycle::Milliseconds timeout, HttpClient& http,
                                       boost::asio::io_context& io)
    : calls_(std::make_shared<OpenVikingCalls>(std::move(config), timeout, http, io)) {}

OpenVikingProvider::~OpenVikingProvider() = default;

void OpenVikingProvider::commit(ProviderRequest request, Note note, Answered answered) {
  auto attempt = std::make_shared<OpenVikingAttempt>(*calls_, std::move(request), std::move(note), std::move(answered));
  const std::string problem = calls_->prepare();
  if (!problem.empty()) return calls_->soon([attempt, problem] { attempt->give_up(problem); });
  attempt->start();
}

void OpenVikingProvider::look(Confirming confirming, Looked looked) {
  auto look = std::make_shared<OpenVikingLook>(*calls_, std::move(looked), confirming);
  const std::string problem = calls_->prepare();
  if (!problem.empty()) return calls_->soon([look, problem] { look->give_up(problem); });
  look->start();
}

}  // namespace tidemark::daemon
