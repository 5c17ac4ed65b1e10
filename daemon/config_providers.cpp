// A table of keys for each kind of provider, and one for all of them. Texts that may hold a secret, by mistake or not,
// are never repeated in a problem.
#include "daemon/config_providers.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string_view>
#include <utility>
#include <variant>

#include "daemon/config_values.h"
#include "daemon/providers/http_client.h"
#include "daemon/providers/http_provider.h"
#include "ipc/wire_types.h"

namespace tidemark::daemon {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t secret_path_bytes_max = 4'000;
constexpr std::size_t credential_bytes_max = 255;  // it is a file's name
constexpr std::int64_t concurrency_most = 1'024;
constexpr double rate_most = 100'000;
constexpr std::int64_t output_bytes_most = 1'048'576;

// --- The kinds of value ---

// A text; with `rule` only one that it is true of.
ValueKind<std::string> text(std::string_view expected, bool (*rule)(std::string_view) = nullptr) {
  return [=](const toml::node& node, std::string& place) -> std::string {
    const auto value = node.value_exact<std::string_view>();
    if (!value || (rule && !rule(*value))) return mismatch(node, expected);
    place = *value;
    return {};
  };
}

bool has_no_control(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char byte) { return byte < 0x20 || byte == 0x7f; });
}

// As `kind`, but a text that isn't taken is not repeated: it may be the secret itself, in the wrong place.
template <class T>
ValueKind<T> unrepeated(ValueKind<T> kind, std::string expected) {
  return [kind = std::move(kind), expected = std::move(expected)](const toml::node& node, T& place) -> std::string {
    if (kind(node, place).empty()) return {};
    return "found " + (node.is_string() ? "a text that isn't shown here" : found(node)) + ", expected " + expected;
  };
}

ValueKind<std::string> secret_file() {
  return unrepeated(path(secret_path_bytes_max), "the absolute path of a file that holds the secret");
}

ValueKind<std::string> credential() {
  const auto rule = [](std::string_view name) {
    return !name.empty() && name.size() <= credential_bytes_max && name != "." && name != ".." &&
           name.find('/') == name.npos && has_no_control(name);
  };
  return unrepeated(text({}, rule), "the name of a credential of this service");
}

ValueKind<std::string> base_url() {
  return [](const toml::node& node, std::string& place) -> std::string {
    const auto value = node.value_exact<std::string>();
    if (!value) return mismatch(node, "a URL");
    if (std::string problem = problem_of_url(*value); !problem.empty()) return problem;
    if (value->find('?') != value->npos) return "the url has a query: it is to end with the base path";
    place = value->substr(0, value->find_last_not_of('/') + 1);
    return {};
  };
}

// A list, each of whose elements is of one kind.
template <class T>
ValueKind<std::vector<T>> list(ValueKind<T> kind, std::string_view expected) {
  return [kind = std::move(kind), expected](const toml::node& node, std::vector<T>& place) -> std::string {
    const toml::array* elements = node.as_array();
    if (!elements) return mismatch(node, expected);
    std::vector<T> values;
    for (const toml::node& element : *elements) {
      if (std::string problem = kind(element, values.emplace_back()); !problem.empty()) return problem;
    }
    place = std::move(values);
    return {};
  };
}

std::string take_status(const toml::node& node, StatusRange& place) {
  const auto word = node.value_exact<std::string_view>().value_or("");
  const auto is_digit = [](char character) { return '0' <= character && character <= '9'; };
  if (word.size() != 3 || word[0] < '1' || word[0] > '5' ||
      !((is_digit(word[1]) && is_digit(word[2])) || word.substr(1) == "xx")) {
    return mismatch(node, R"(a status such as "408", or a hundred of them such as "5xx")");
  }
  const int hundred = (word[0] - '0') * 100;
  const int rest = word[1] == 'x' ? 0 : (word[1] - '0') * 10 + (word[2] - '0');
  place = {hundred + rest, word[1] == 'x' ? hundred + 99 : hundred + rest};
  return {};
}

std::string take_users(const toml::node& node, std::set<uid_t>& place) {
  constexpr std::string_view expected = "a list of login names and uids, of at least one";
  const toml::array* elements = node.as_array();
  if (!elements || elements->empty()) return mismatch(node, expected);
  std::set<uid_t> users;
  for (const toml::node& element : *elements) {
    const bool is_uid = element.is_integer() && **element.as_integer() >= 0;
    if (!is_uid && !element.is_string()) return mismatch(element, "a login name or a uid");
    const auto user = user_named(is_uid ? std::to_string(**element.as_integer()) : **element.as_string());
    if (!user) return user.error();
    users.insert(*user);
  }
  place = std::move(users);
  return {};
}

std::string take_command(const toml::node& node, std::vector<std::string>& place) {
  const auto word = text("a text without NUL", [](std::string_view value) { return value.find('\0') == value.npos; });
  std::vector<std::string> command;
  if (std::string problem = list(word, "a list: the program, and its arguments")(node, command); !problem.empty()) {
    return problem;
  }
  if (command.empty()) return "the list is empty, expected the program, and its arguments";
  const std::string& program = command.front();
  if (program.empty() || (program.find('/') != program.npos && !program.starts_with('/'))) {
    return "found the program " + in_quotes(program) +
           ", expected an absolute path, or a name that is looked up in PATH";
  }
  place = std::move(command);
  return {};
}

// A table of headers; `take` reads each value.
template <class T>
std::string take_headers(const toml::node& node, std::map<std::string, T>& headers, std::string_view expected,
                         const ValueKind<T>& take) {
  const toml::table* table = node.as_table();
  if (!table) return mismatch(node, expected);
  for (const auto& [key, value] : *table) {
    const std::string name(key.str());
    if (const std::string problem = take(value, headers[name]); !problem.empty()) return name + ": " + problem;
  }
  return {};
}

std::string take_header_values(const toml::node& node, std::map<std::string, std::string>& place) {
  return take_headers(node, place, "headers as {NAME = VALUE}", text("a text"));
}

// Files and credentials go to the same place, a header each.
ValueKind<std::map<std::string, SecretSource>> header_secrets(std::string SecretSource::*member,
                                                              const ValueKind<std::string>& kind,
                                                              std::string_view expected) {
  const ValueKind<SecretSource> take = [=](const toml::node& node, SecretSource& source) {
    return kind(node, source.*member);
  };
  return [=](const toml::node& node, std::map<std::string, SecretSource>& place) {
    return take_headers(node, place, expected, take);
  };
}

// --- The keys ---

struct ProviderKey {
  std::string_view name;
  bool required;
  std::function<std::string(const toml::node&, ProviderConfig&)> set;
};

struct ProviderKind {
  std::string_view word;
  decltype(ProviderConfig::kind) defaults;
  std::vector<ProviderKey> keys;
};

constexpr bool required = true;
constexpr bool optional = false;

// A row's value: of that kind, into that member, of every provider or of one of that type.
#define INTO(member, kind) \
  [take = (kind)](const toml::node& node, ProviderConfig& config) { return take(node, config.member); }
#define INTO_KIND(type, member, kind_of_value)                               \
  [take = (kind_of_value)](const toml::node& node, ProviderConfig& config) { \
    return take(node, std::get<type>(config.kind).member);                   \
  }

std::vector<ProviderKey> make_common_keys() {
  // clang-format off
  return {
      {"users", optional, INTO(users, take_users)},
      {"timeout", optional, INTO(timeout, duration(1s, day))},
      {"concurrency", optional, INTO(concurrency, count(1, concurrency_most))},
      {"rate", optional, INTO(rate, number(0, rate_most))},
      {"probe", optional, INTO(probe, duration(moment, day))},
  };
  // clang-format on
}

std::vector<ProviderKind> make_kinds() {
  const auto name = text("a text without control characters", has_no_control);
  const auto statuses = list<StatusRange>(take_status, R"(a list of statuses, such as ["408", "5xx"])");
  // clang-format off
  return {
      {"openviking", OpenVikingConfig(), {
          {"url", required, INTO_KIND(OpenVikingConfig, url, base_url())},
          {"api_key_file", optional, INTO_KIND(OpenVikingConfig, api_key.file, secret_file())},
          {"api_key_credential", optional, INTO_KIND(OpenVikingConfig, api_key.credential, credential())},
          {"account", optional, INTO_KIND(OpenVikingConfig, account, name)},
          {"user", optional, INTO_KIND(OpenVikingConfig, user, name)},
          {"poll_initial", optional, INTO_KIND(OpenVikingConfig, poll_initial, duration(moment, day))},
          {"poll_max", optional, INTO_KIND(OpenVikingConfig, poll_max, duration(moment, day))},
          {"stalled_after", optional, INTO_KIND(OpenVikingConfig, stalled_after, duration(moment, 365 * day))},
      }},
      {"http", HttpConfig(), {
          {"url", required, INTO_KIND(HttpConfig, url, unrepeated(text({}), "a URL"))},
          {"method", optional, INTO_KIND(HttpConfig, method, text("a method, such as \"POST\""))},
          {"body", optional, INTO_KIND(HttpConfig, body, text("a text"))},
          {"headers", optional, INTO_KIND(HttpConfig, headers, take_header_values)},
          {"header_files", optional, INTO_KIND(HttpConfig, header_files, header_secrets(&SecretSource::file, secret_file(), "headers as {NAME = FILE}"))},
          {"header_credentials", optional, INTO_KIND(HttpConfig, header_files, header_secrets(&SecretSource::credential, credential(), "headers as {NAME = CREDENTIAL}"))},
          {"done", optional, INTO_KIND(HttpConfig, done, statuses)},
          {"retry", optional, INTO_KIND(HttpConfig, retry, statuses)},
      }},
      {"exec", ExecConfig(), {
          {"command", required, INTO_KIND(ExecConfig, command, take_command)},
          {"output_bytes_max", optional, INTO_KIND(ExecConfig, output_bytes_max, count(0, output_bytes_most))},
      }},
  };
  // clang-format on
}

#undef INTO
#undef INTO_KIND

const std::vector<ProviderKey>& common_keys() {
  static const std::vector<ProviderKey> keys = make_common_keys();
  return keys;
}

const std::vector<ProviderKind>& kinds() {
  static const std::vector<ProviderKind> all = make_kinds();
  return all;
}

const ProviderKey* find_key(const std::vector<ProviderKey>& keys, std::string_view name) {
  const auto found = std::find_if(keys.begin(), keys.end(), [=](const ProviderKey& key) { return key.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

// --- One provider ---

class ProviderReader {
 public:
  ProviderReader(const std::string& name, const toml::table& table, Line line, std::vector<Problem>& problems)
      : label_("providers." + name), table_(table), line_(line), problems_(problems) {}

  ProviderConfig read() {
    ProviderConfig config;
    config.users = {::geteuid()};
    const std::size_t problems_before = problems_.size();
    find_kind();
    if (kind_) config.kind = kind_->defaults;
    for (const auto& [key, node] : table_) read_key(key.str(), key.source().begin.line, node, config);
    if (kind_) {
      for (const ProviderKey& key : kind_->keys) {
        if (key.required && !table_.contains(key.name)) add(line_, std::string(key.name) + " is missing");
      }
    }
    // What values say of each other, when all of them were taken.
    if (problems_.size() == problems_before) std::visit([this](const auto& own) { check(own); }, config.kind);
    return config;
  }

 private:
  // Of the provider as a whole.
  void add(Line line, const std::string& text) { problems_.push_back({line, "[" + label_ + "]: " + text}); }

  void find_kind() {
    std::vector<std::pair<std::string_view, const ProviderKind*>> words;
    std::string listed;
    for (const ProviderKind& kind : kinds()) {
      words.emplace_back(kind.word, &kind);
      listed += (listed.empty() ? "" : ", ") + in_quotes(kind.word);
    }
    const toml::node* node = table_.get("kind");
    if (!node) return add(line_, "kind is missing, expected one of " + listed);
    const std::string problem = choice(std::move(words))(*node, kind_);
    if (!problem.empty()) problems_.push_back({node->source().begin.line, label_ + ".kind: " + problem});
  }

  void read_key(std::string_view name, Line line, const toml::node& node, ProviderConfig& config) {
    if (name == "kind") return;
    const ProviderKey* row = find_key(common_keys(), name);
    if (!row && kind_) row = find_key(kind_->keys, name);
    if (row) {
      const std::string problem = row->set(node, config);
      if (!problem.empty()) problems_.push_back({line, label_ + "." + std::string(name) + ": " + problem});
      return;
    }
    std::vector<std::string_view> known{"kind"};
    for (const ProviderKey& key : common_keys()) known.push_back(key.name);
    std::string others;  // kinds that have the key
    for (const ProviderKind& kind : kinds()) {
      if (find_key(kind.keys, name)) others += (others.empty() ? "" : " or ") + in_quotes(kind.word);
      if (kind_ && kind_ != &kind) continue;
      for (const ProviderKey& key : kind.keys) {
        if (std::find(known.begin(), known.end(), key.name) == known.end()) known.push_back(key.name);
      }
    }
    const std::string unknown = "unknown key " + in_quotes(name) + " in [" + label_ + "]";
    if (others.empty()) {
      problems_.push_back({line, unknown + hint(name, known)});
    } else if (kind_) {
      problems_.push_back({line, unknown + " of kind " + in_quotes(kind_->word) + "; it belongs to kind " + others});
    }  // or else: it depends on the kind, whose lack is a problem already
  }

  Line line_of(std::string_view key) const {
    const toml::node* node = table_.get(key);
    return node ? node->source().begin.line : line_;
  }

  void check(const OpenVikingConfig& config) {
    if (!config.api_key.file.empty() && !config.api_key.credential.empty()) {
      add(std::max(line_of("api_key_file"), line_of("api_key_credential")),
          "api_key_file and api_key_credential are both set, expected one of them at most");
    }
    if (config.poll_max < config.poll_initial) {
      add(line_of(table_.contains("poll_max") ? "poll_max" : "poll_initial"),
          "poll_max (" + toml_text(config.poll_max) + ") is shorter than poll_initial (" +
              toml_text(config.poll_initial) + ")");
    }
  }

  void check(const HttpConfig& config) {
    for (const auto& [header, source] : config.header_files) {
      if (!source.file.empty() && !source.credential.empty()) {
        add(std::max(line_of("header_files"), line_of("header_credentials")),
            "the header " + header + " is in header_files and in header_credentials");
      }
    }
    if (const std::string problem = problem_of_http(config); !problem.empty()) add(line_, problem);
  }

  void check(const ExecConfig&) {}

  const std::string label_;
  const toml::table& table_;
  const Line line_;
  std::vector<Problem>& problems_;
  const ProviderKind* kind_ = nullptr;  // none: missing or unknown
};

}  // namespace

void read_providers(const toml::node& node, Line line, std::map<std::string, ProviderConfig>& providers,
                    std::vector<Problem>& problems) {
  const toml::table* table = section(node, "providers", line, problems);
  if (!table) return;
  if (table->empty()) problems.push_back({line, "[providers] names no provider, expected [providers.NAME]"});
  for (const auto& [key, provider] : *table) {
    const std::string name(key.str());
    const Line provider_line = key.source().begin.line;
    const toml::table* keys = section(provider, "providers." + name, provider_line, problems);
    if (!keys) continue;
    if (!ipc::Name::allows(name)) {
      problems.push_back(
          {provider_line, "[providers." + name + "]: expected as its name " + std::string(ipc::Name::rule)});
      continue;
    }
    providers[name] = ProviderReader(name, *keys, provider_line, problems).read();
  }
}

}  // namespace tidemark::daemon
