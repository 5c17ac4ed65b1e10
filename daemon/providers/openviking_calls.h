// The calls of an OpenViking server, with the provider's identity, and what the provider knows of the server. Attempts
// and looks use it; it lives exactly as long as its provider, and a call's answer finds it there or isn't delivered.
//
// I/O thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/providers/http_client.h"
#include "daemon/providers/openviking_answers.h"
#include "daemon/providers/provider_config.h"
#include "daemon/providers/secret.h"

namespace tidemark::daemon {

class OpenVikingCalls : public std::enable_shared_from_this<OpenVikingCalls> {
 public:
  using Done = std::function<void(OpenVikingReply)>;

  OpenVikingCalls(OpenVikingConfig config, lifecycle::Milliseconds timeout, HttpClient& http,
                  boost::asio::io_context& io);

  // Reads the key if that is to be done. Why it can't be read; empty = all is well.
  std::string prepare();
  // The server as a whole was at fault: its key and version are read again next time.
  void distrust() { prepared_ = version_known_ = false; }

  // Asks for the server's version unless it is known. `done` gets nothing but whether anybody was there.
  void learn_version(Done done);
  const std::string& version() const { return version_; }  // empty = unknown
  std::string redact(std::string_view text) const { return redactor_.redact(text); }

  // `id` goes along as X-Request-ID unless it is empty; the server writes it into its log.
  void get_session(const std::string& external_id, const std::string& id, Done done);
  void commit(const std::string& external_id, const std::string& id, Done done);
  void get_task(const std::string& task, Done done);
  void list_tasks(const std::string& external_id, Done done);
  // A marker of an archive: ".done" or ".failed.json".
  void read_marker(const std::string& archive, std::string_view name, Done done);

  // Runs it soon, from the I/O thread's loop, if this is still there.
  void soon(std::function<void()> run);
  // `run` wrapped so that it does nothing once this is gone.
  template <typename Run>
  auto while_here(Run run) {
    return [here = weak_from_this(), run = std::move(run)](auto... arguments) {
      if (const auto held = here.lock()) run(std::move(arguments)...);
    };
  }

 private:
  HttpRequest request(std::string method, const std::string& path, const std::string& id) const;
  void send(HttpRequest request, Done done);

  const OpenVikingConfig config_;
  const lifecycle::Milliseconds timeout_;
  HttpClient& http_;
  boost::asio::io_context& io_;
  bool prepared_ = false, version_known_ = false;
  std::string key_, version_;
  Redactor redactor_;
};

}  // namespace tidemark::daemon
