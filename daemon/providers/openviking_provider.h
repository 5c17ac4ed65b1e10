// The provider of kind "openviking": commits sessions of an OpenViking server, over its HTTP interface. An attempt
// reads the session's state, journals it, and only then asks for the commit; so whatever becomes of the answer, reading
// the state again tells whether it landed. Extraction goes on at the server, and look() asks how far it is.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>

#include "daemon/providers/http_client.h"
#include "daemon/providers/provider.h"
#include "daemon/providers/provider_config.h"

namespace tidemark::daemon {

class OpenVikingCalls;

class OpenVikingProvider final : public Provider {
 public:
  // `timeout` is for each call of the server. `http` and `io` outlive the provider.
  OpenVikingProvider(OpenVikingConfig config, lifecycle::Milliseconds timeout, HttpClient& http,
                     boost::asio::io_context& io);
  // What is under way is given up; its completions aren't called.
  ~OpenVikingProvider() override;

  void commit(ProviderRequest request, Note note, Answered answered) override;
  void look(Confirming confirming, Looked looked) override;

 private:
  std::shared_ptr<OpenVikingCalls> calls_;  // nobody else holds it for longer than one of its answers is delivered
};

}  // namespace tidemark::daemon
