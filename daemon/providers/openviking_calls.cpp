#include "daemon/providers/openviking_calls.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "daemon/providers/template.h"

namespace tidemark::daemon {

namespace {

// A value as one segment of a path, or one value of a query.
std::string encoded(std::string value) {
  ProviderRequest named;
  named.external_id = std::move(value);
  return expand("{external_id}", named, Encoding::percent);
}

std::string session_path(const std::string& external_id) {
  return "/api/v1/sessions/" + encoded(external_id);
}

}  // namespace

OpenVikingCalls::OpenVikingCalls(OpenVikingConfig config, lifecycle::Milliseconds timeout, HttpClient& http,
                                 boost::asio::io_context& io)
    : config_(std::move(config)), timeout_(timeout), http_(http), io_(io) {}

std::string OpenVikingCalls::prepare() {
  if (prepared_) return {};
  if (!config_.api_key.empty()) {
    auto secret = read_secret(config_.api_key);
    if (!secret) return secret.error().sentence;
    key_ = std::move(secret->text);
    redactor_.add(key_);  // older ones stay: a server may still repeat them
  }
  prepared_ = true;
  return {};
}

HttpRequest OpenVikingCalls::request(std::string method, const std::string& path, const std::string& id) const {
  HttpRequest request;
  request.method = std::move(method);
  request.url = config_.url + path;
  request.timeout = timeout_;
  request.headers.emplace_back("Accept", "application/json");
  if (!key_.empty()) request.headers.emplace_back("X-API-Key", key_);
  if (!config_.account.empty()) request.headers.emplace_back("X-OpenViking-Account", config_.account);
  if (!config_.user.empty()) request.headers.emplace_back("X-OpenViking-User", config_.user);
  if (!id.empty()) request.headers.emplace_back("X-Request-ID", id);
  return request;
}

void OpenVikingCalls::send(HttpRequest request, Done done) {
  http_.send(std::move(request),
             while_here([this, done = std::move(done)](HttpAnswer answer) { done(read_reply(answer, redactor_)); }));
}

void OpenVikingCalls::learn_version(Done done) {
  OpenVikingReply known;
  known.kind = OpenVikingReply::Kind::ok;
  if (version_known_) return done(std::move(known));
  http_.send(request("GET", "/health", {}), while_here([this, known, done = std::move(done)](HttpAnswer answer) {
               OpenVikingReply reply = known;
               if (answer.end == HttpAnswer::End::not_sent) {
                 reply = read_reply(answer, redactor_);
               } else {
                 version_ = read_version(answer, redactor_);
                 version_known_ = true;
               }
               done(std::move(reply));
             }));
}

void OpenVikingCalls::get_session(const std::string& external_id, const std::string& id, Done done) {
  send(request("GET", session_path(external_id) + "?auto_create=false", id), std::move(done));
}

void OpenVikingCalls::commit(const std::string& external_id, const std::string& id, Done done) {
  HttpRequest post = request("POST", session_path(external_id) + "/commit", id);
  post.headers.emplace_back("Content-Type", "application/json");
  post.body = R"({"keep_recent_count":0})";  // all that is live, whatever the session's own policy keeps
  send(std::move(post), std::move(done));
}

void OpenVikingCalls::get_task(const std::string& task, Done done) {
  send(request("GET", "/api/v1/tasks/" + encoded(task), {}), std::move(done));
}

void OpenVikingCalls::list_tasks(const std::string& external_id, Done done) {
  send(request("GET", "/api/v1/tasks?task_type=session_commit&limit=200&resource_id=" + encoded(external_id), {}),
       std::move(done));
}

void OpenVikingCalls::read_marker(const std::string& archive, std::string_view name, Done done) {
  send(request("GET", "/api/v1/content/read?uri=" + encoded(archive + "/" + std::string(name)), {}), std::move(done));
}

void OpenVikingCalls::soon(std::function<void()> run) {
  boost::asio::post(io_, while_here(std::move(run)));
}

}  // namespace tidemark::daemon
