#include "daemon/providers/http_provider.h"

#include <strings.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/assert.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <string_view>

#include "daemon/providers/excerpt.h"
#include "ipc/json_text.h"

namespace tidemark::daemon {

using lifecycle::Milliseconds;

namespace {

constexpr std::size_t evidence_bytes_max = 1024;  // of the answer's body
constexpr std::size_t error_bytes_max = 200;      // the same
constexpr Milliseconds throttle{1'000};           // where the receiver doesn't say

bool same_header(std::string_view left, std::string_view right) {
  return left.size() == right.size() && ::strncasecmp(left.data(), right.data(), left.size()) == 0;
}

template <typename Names>
bool names_header(const Names& names, std::string_view name) {
  return std::any_of(std::begin(names), std::end(names),
                     [name](std::string_view candidate) { return same_header(candidate, name); });
}

bool configures_header(const HttpConfig& config, std::string_view name) {
  const auto is_it = [name](const auto& entry) { return same_header(entry.first, name); };
  return std::any_of(config.headers.begin(), config.headers.end(), is_it) ||
         std::any_of(config.header_files.begin(), config.header_files.end(), is_it);
}

bool any_contains(const std::vector<StatusRange>& ranges, long status) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [status](const StatusRange& range) { return range.contains(status); });
}

// Whether more than a refusal can be behind the status. 302 and 303 are also what follows what was done with a request,
// and say where to look at it.
bool may_have_acted(long status) {
  return status < 300 || status == 302 || status == 303 || status == 408 || status >= 500;
}

std::string problem_of_template(const std::string& what, std::string_view text) {
  const std::string unknown = unknown_placeholder(text);
  if (unknown.empty()) return {};
  return what + " has " + unknown +
         ", but the placeholders are {session}, {external_id}, {start}, {end}, {key} and {attempt}";
}

std::string problem_of_url_template(const std::string& url) {
  if (std::string problem = problem_of_template("the url", url); !problem.empty()) return problem;
  const std::size_t host = url.find("://");
  if (host != std::string::npos && url.substr(0, url.find_first_of("/?#", host + 3)).find('{') != std::string::npos) {
    return "the url has a placeholder before its path: where a request goes is the configuration's word alone";
  }
  ProviderRequest sample;
  sample.session = sample.external_id = "sample";
  const std::string expanded = expand(url, sample, Encoding::percent);
  if (expanded.find_first_of("{}") != std::string::npos) return "the url has braces that are no placeholder's";
  return problem_of_url(expanded);
}

std::string problem_of_header_name(const std::string& name) {
  // What would make the request another one than libcurl means it to be.
  static constexpr std::array<std::string_view, 8> ours{"Connection", "Content-Length", "Expect",  "Keep-Alive",
                                                        "TE",         "Trailer",        "Upgrade", "Transfer-Encoding"};
  static constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  const bool is_token = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char character) {
    return (character < 0x80 && std::isalnum(character) != 0) ||
           others.find(static_cast<char>(character)) != std::string_view::npos;
  });
  if (!is_token) return "\"" + excerpt(name, error_bytes_max) + "\" is no header's name";
  if (names_header(ours, name)) return "the header " + name + " can't be set";
  return {};
}

std::string problem_of_headers(const HttpConfig& config) {
  static constexpr std::array<std::string_view, 4> secrets{"Authorization", "Proxy-Authorization", "Cookie",
                                                           "X-API-Key"};
  std::vector<std::string> seen;
  const auto note_name = [&seen](const std::string& name) -> std::string {
    if (std::string problem = problem_of_header_name(name); !problem.empty()) return problem;
    if (names_header(seen, name)) return "the header " + name + " is set twice";
    seen.push_back(name);
    return {};
  };
  for (const auto& [name, value] : config.headers) {
    if (std::string problem = note_name(name); !problem.empty()) return problem;
    if (names_header(secrets, name)) {
      return "the header " + name + " is a secret: put its value into a file and name that in header_files";
    }
    if (std::any_of(value.begin(), value.end(), [](unsigned char byte) { return byte < 0x20 || byte == 0x7f; })) {
      return "the value of the header " + name + " holds a control character";
    }
    if (std::string problem = problem_of_template("the header " + name, value); !problem.empty()) return problem;
  }
  for (const auto& [name, source] : config.header_files) {
    if (std::string problem = note_name(name); !problem.empty()) return problem;
    if (source.empty()) return "header_files names no file for " + name;
  }
  return {};
}

}  // namespace

std::string problem_of_http(const HttpConfig& config) {
  const std::string& method = config.method;
  if (method.empty() || !std::all_of(method.begin(), method.end(), [](char character) {
        return (character >= 'A' && character <= 'Z') || character == '-';
      })) {
    return "\"" + excerpt(method, error_bytes_max) + "\" is no method: it is made of capital letters";
  }
  if (method == "CONNECT" || method == "TRACE") return "the method " + method + " commits nothing";
  if (!config.body.empty() && (method == "GET" || method == "HEAD")) return "a " + method + " has no body";
  if (std::string problem = problem_of_url_template(config.url); !problem.empty()) return problem;
  if (std::string problem = problem_of_headers(config); !problem.empty()) return problem;
  if (std::string problem = problem_of_template("the body", config.body); !problem.empty()) return problem;
  if (std::string problem = body_encoding(config).problem; !problem.empty()) return problem;
  if (config.done.empty()) return "no status means done";
  for (const StatusRange& range : config.done) {
    for (int status = range.first; status <= range.last; ++status) {
      if (any_contains(config.retry, status))
        return "the status " + std::to_string(status) + " is in done and in retry";
    }
  }
  return {};
}

HttpProvider::HttpProvider(HttpConfig config, Milliseconds timeout, HttpClient& client, boost::asio::io_context& io)
    : config_(std::move(config)), timeout_(timeout), body_encoding_(body_encoding(config_)), client_(client), io_(io) {
  read_secrets();
}

void HttpProvider::read_secrets() {
  secret_headers_.clear();
  secret_problem_.clear();
  for (const auto& [name, source] : config_.header_files) {
    auto secret = read_secret(source);
    if (!secret) {
      secret_problem_ = secret.error().sentence;
      return;
    }
    // Older ones stay known: a request that carries one may still be answered.
    redactor_.add(secret->text);
    secret_headers_.emplace_back(name, std::move(secret->text));
  }
}

void HttpProvider::commit(ProviderRequest request, Note /*note*/, Answered answered) {
  if (was_faulty_) read_secrets();
  if (!secret_problem_.empty()) {
    was_faulty_ = true;
    ProviderAnswer answer;
    answer.kind = ProviderAnswer::Kind::faulty;
    answer.error = secret_problem_;
    boost::asio::post(io_, [answer = std::move(answer), answered = std::move(answered),
                            alive = std::weak_ptr<const bool>(alive_)]() mutable {
      if (!alive.expired()) answered(std::move(answer));
    });
    return;
  }
  client_.send(http_request(request), [this, answered = std::move(answered),
                                       alive = std::weak_ptr<const bool>(alive_)](HttpAnswer http_answer) {
    if (alive.expired()) return;
    ProviderAnswer answer = provider_answer(std::move(http_answer));
    was_faulty_ = answer.kind == ProviderAnswer::Kind::faulty;
    answered(std::move(answer));
  });
}

void HttpProvider::look(Confirming /*confirming*/, Looked looked) {
  BOOST_ASSERT_MSG(false, "nothing was accepted");
  looked({});
}

HttpRequest HttpProvider::http_request(const ProviderRequest& request) const {
  HttpRequest http;
  http.method = config_.method;
  http.url = expand(config_.url, request, Encoding::percent);
  http.body = expand(config_.body, request, body_encoding_.encoding);
  http.timeout = timeout_;
  for (const auto& [name, value] : config_.headers) {
    http.headers.emplace_back(name, expand(value, request, Encoding::header));
  }
  if (!body_encoding_.content_type.empty()) http.headers.emplace_back("Content-Type", body_encoding_.content_type);
  if (!configures_header(config_, "Idempotency-Key")) {
    http.headers.emplace_back("Idempotency-Key", expand("{key}", request, Encoding::header));
  }
  http.headers.insert(http.headers.end(), secret_headers_.begin(), secret_headers_.end());
  return http;
}

ProviderAnswer HttpProvider::provider_answer(HttpAnswer answer) const {
  using Kind = ProviderAnswer::Kind;
  ProviderAnswer result;
  switch (answer.end) {
    case HttpAnswer::End::answered:
      return status_answer(answer);
    case HttpAnswer::End::not_sent:
      result.kind = answer.misaddressed ? Kind::faulty : Kind::unreachable;
      break;
    case HttpAnswer::End::interrupted:
      result.kind = Kind::in_doubt;
      break;
  }
  result.error = redactor_.redact(answer.error);
  return result;
}

ProviderAnswer HttpProvider::status_answer(const HttpAnswer& answer) const {
  using Kind = ProviderAnswer::Kind;
  const long status = answer.status;
  const std::string body = redactor_.redact_start(answer.body, evidence_bytes_max);
  ProviderAnswer result;
  if (any_contains(config_.done, status)) {
    result.kind = Kind::committed;
    boost::json::object evidence{{"status", status}};
    const std::string text(whole_characters(body, evidence_bytes_max));
    if (!text.empty() && ipc::valid_utf8(text) == text) evidence.emplace("body", text);
    result.evidence = boost::json::serialize(evidence);
    return result;
  }
  const auto known = boost::beast::http::int_to_status(static_cast<unsigned>(status));
  result.error = "the provider answered " + std::to_string(status);
  if (known != boost::beast::http::status::unknown) {
    const auto reason = boost::beast::http::obsolete_reason(known);
    result.error.append(" ").append(reason.data(), reason.size());
  }
  if (const std::string words = excerpt(body, error_bytes_max); !words.empty()) result.error += ": " + words;
  if (any_contains(config_.retry, status)) {
    if (status == 429) {
      result.kind = Kind::throttled;
      result.retry_after = answer.retry_after.value_or(throttle);
      return result;
    }
    result.kind = may_have_acted(status) ? Kind::in_doubt : Kind::failed;
    result.retry_after = answer.retry_after.value_or(Milliseconds(0));
  } else if (status == 401 || status == 403 || status == 407) {
    result.kind = Kind::faulty;
  } else if (status >= 300 && status < 400) {
    result.kind = Kind::faulty;
    result.may_have_landed = may_have_acted(status);
  } else {
    result.kind = Kind::failed_for_good;
  }
  return result;
}

}  // namespace tidemark::daemon
