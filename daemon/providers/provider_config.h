// What the configuration says of a provider: [providers.NAME].
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "lifecycle/time.h"

namespace tidemark::daemon {

// Where a secret is to be read; its text is in no configuration. At most one of the two is set.
struct SecretSource {
  std::string file;        // an absolute path
  std::string credential;  // a name in the folder that the service manager made for this service's credentials
  bool empty() const { return file.empty() && credential.empty(); }
  bool operator==(const SecretSource&) const = default;
};

struct OpenVikingConfig {
  std::string url;  // as far as the base path, without a slash at its end
  SecretSource api_key;
  std::string account, user;  // empty = not sent
  lifecycle::Milliseconds poll_initial{2'000};
  lifecycle::Milliseconds poll_max{60'000};
  lifecycle::Milliseconds stalled_after{6 * 3600 * 1000};
  bool operator==(const OpenVikingConfig&) const = default;
};

// HTTP statuses that mean the same: one, or a hundred of them ("4xx").
struct StatusRange {
  int first = 200, last = 299;
  bool contains(long status) const { return first <= status && status <= last; }
  bool operator==(const StatusRange&) const = default;
};

struct HttpConfig {
  std::string url;  // with placeholders, like `body` and the headers' values
  std::string method = "POST";
  std::string body;
  std::map<std::string, std::string> headers;
  std::map<std::string, SecretSource> header_files;  // headers whose value is a secret
  std::vector<StatusRange> done{{200, 299}};
  std::vector<StatusRange> retry{{408, 408}, {429, 429}, {500, 599}};
  bool operator==(const HttpConfig&) const = default;
};

struct ExecConfig {
  std::vector<std::string> command;  // the program and its arguments
  std::int64_t output_bytes_max = 16'384;
  bool operator==(const ExecConfig&) const = default;
};

struct ProviderConfig {
  std::set<uid_t> users;  // who may use it
  lifecycle::Milliseconds timeout{60'000};
  std::int64_t concurrency = 4;
  double rate = 0;                        // attempts begun a second; 0 = as many as may be
  lifecycle::Milliseconds probe{60'000};  // between looks whether a fault is over
  std::variant<OpenVikingConfig, HttpConfig, ExecConfig> kind;
  bool operator==(const ProviderConfig&) const = default;
};

}  // namespace tidemark::daemon
