// The provider of kind "http": one request tells whoever listens that turns are to be committed, and the status of its
// answer says what became of them. It knows nothing of the receiver but that, so an answer that may come after it has
// acted is in doubt, and every request carries its commit key: a receiver that knows the key again acts once.
//
// I/O thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/providers/http_client.h"
#include "daemon/providers/provider.h"
#include "daemon/providers/provider_config.h"
#include "daemon/providers/secret.h"
#include "daemon/providers/template.h"

namespace tidemark::daemon {

// What is wrong with the configuration, as one sentence without a full stop; empty = nothing. It reads no files.
std::string problem_of_http(const HttpConfig& config);

class HttpProvider final : public Provider {
 public:
  // `config` has no problem. `timeout` is for one whole exchange. `client` and `io` outlive it. Reads the secrets; one
  // that can't be read makes the first attempts `faulty`, not this throw.
  HttpProvider(HttpConfig config, lifecycle::Milliseconds timeout, HttpClient& client, boost::asio::io_context& io);

  // Notes nothing: the attempt is journaled already, and the key is all that the receiver needs. Secrets are read
  // again after an answer that was `faulty`, so that a repaired file is taken up.
  void commit(ProviderRequest request, Note note, Answered answered) override;
  // Never asked: this kind doesn't answer `accepted`.
  void look(Confirming confirming, Looked looked) override;

 private:
  void read_secrets();
  HttpRequest http_request(const ProviderRequest& request) const;
  ProviderAnswer provider_answer(HttpAnswer answer) const;
  ProviderAnswer status_answer(const HttpAnswer& answer) const;

  const HttpConfig config_;
  const lifecycle::Milliseconds timeout_;
  const BodyEncoding body_encoding_;
  HttpClient& client_;
  boost::asio::io_context& io_;
  std::vector<std::pair<std::string, std::string>> secret_headers_;
  Redactor redactor_;
  std::string secret_problem_;  // why a secret can't be read; empty = all have been
  bool was_faulty_ = false;
  // Expires with this object; held weakly by what is under way.
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace tidemark::daemon
