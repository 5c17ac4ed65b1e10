// One pass over the parsed file, by the table of keys: what is known is taken, and all that is wrong is written down
// with its line. A user's section is read over a copy of everybody's values.
#include "daemon/config.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "daemon/config_keys.h"
#include "daemon/config_problems.h"
#include "daemon/config_providers.h"
#include "daemon/config_values.h"

namespace tidemark::daemon {
namespace {

constexpr std::size_t file_bytes_max = 1'048'576;

bool is_control(char character) {
  return static_cast<unsigned char>(character) < 0x20 || character == 0x7f;
}

class Reader {
 public:
  void read(const toml::table& root) {
    for (const auto& [key, node] : root) read_top(key.str(), key.source().begin.line, node);
    // Last, so that a user's values start from everybody's wherever the sections stand.
    if (const toml::node* users = root.get("users")) {
      if (const toml::table* table = section(*users, "users", users->source().begin.line, problems_)) {
        for (const auto& [key, node] : *table) read_user(std::string(key.str()), key.source().begin.line, node);
      }
    }
  }

  Config& config() { return config_; }
  std::vector<Problem>& problems() { return problems_; }

 private:
  void add(Line line, std::string text) { problems_.push_back({line, std::move(text)}); }

  void read_top(std::string_view name, Line line, const toml::node& node) {
    if (name == "users") return;
    if (name == "providers") return read_providers(node, line, config_.providers, problems_);
    std::vector<std::string_view> sections;
    for (const ConfigKey& row : config_keys()) {
      if (sections.empty() || sections.back() != row.section) sections.push_back(row.section);
    }
    if (std::find(sections.begin(), sections.end(), name) != sections.end()) {
      const std::string text(name);
      if (const toml::table* table = section(node, text, line, problems_)) {
        const std::size_t problems_before = problems_.size();
        read_keys(*table, text, [name](const ConfigKey& row) { return row.section == name; });
        if (name == "retry" && problems_.size() == problems_before) check_retry(*table);
      }
      return;
    }
    if (!node.is_table()) {
      for (const ConfigKey& row : config_keys()) {
        if (row.name == name) return add(line, misplaced(row, "outside of a section"));
      }
    }
    sections.insert(sections.end(), {"providers", "users"});
    add(line, "unknown " + std::string(node.is_table() ? "section " : "key ") + in_quotes(name) + hint(name, sections));
  }

  static std::string misplaced(const ConfigKey& row, const std::string& where) {
    return "unknown key " + in_quotes(row.name) + " " + where + "; it belongs in [" + std::string(row.section) + "]";
  }

  // The keys of one section: those rows that `belongs` is true of.
  template <class Belongs>
  void read_keys(const toml::table& table, const std::string& name, Belongs belongs) {
    for (const auto& [key, node] : table) {
      std::vector<std::string_view> known;
      const ConfigKey* elsewhere = nullptr;
      const ConfigKey* row = nullptr;
      for (const ConfigKey& candidate : config_keys()) {
        const bool here = belongs(candidate);
        if (here) known.push_back(candidate.name);
        if (candidate.name == key.str()) (here ? row : elsewhere) = &candidate;
      }
      const Line line = key.source().begin.line;
      if (row) {
        const std::string problem = row->set(node, config_);
        if (!problem.empty()) add(line, name + "." + std::string(row->name) + ": " + problem);
      } else if (elsewhere) {
        add(line, misplaced(*elsewhere, "in [" + name + "]"));
      } else {
        add(line, "unknown key " + in_quotes(key.str()) + " in [" + name + "]" + hint(key.str(), known));
      }
    }
  }

  // What one value says of another, when all of them were taken.
  void check_retry(const toml::table& table) {
    const lifecycle::RetryPolicy& retry = config_.policies.retry;
    if (retry.max >= retry.initial) return;
    const toml::node* blamed = table.get("max") ? table.get("max") : table.get("initial");
    add(blamed->source().begin.line,
        "retry.max (" + toml_text(retry.max) + ") is shorter than retry.initial (" + toml_text(retry.initial) + ")");
  }

  void read_user(const std::string& name, Line line, const toml::node& node) {
    const toml::table* table = section(node, "users." + name, line, problems_);
    if (!table) return;
    Config everybody = config_;
    read_keys(*table, "users." + name, [](const ConfigKey& row) { return row.per_user; });
    Config own = std::exchange(config_, std::move(everybody));
    const auto uid = user_named(name);
    if (!uid) return add(line, "[users." + name + "]: " + uid.error());
    config_.policies.users[*uid] = own.policies.everybody;
    config_.user_times[*uid] = {own.commit_timeout, own.orphan_grace};
    config_.user_limits[*uid] = own.limits;
    if (!users_.insert(*uid).second) {
      add(line, "[users." + name + "]: another section is the same user's (uid " + std::to_string(*uid) + ")");
    }
  }

  Config config_ = default_config();
  std::vector<Problem> problems_;
  std::set<uid_t> users_;
};

// The file's bytes, or why there are none.
std::variant<std::string, Problem> read_file(const std::string& path) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "re"), close);
  const auto unreadable = [] {
    return Problem{0,
                   "can't be read: " + boost::system::error_code(errno, boost::system::generic_category()).message()};
  };
  if (!file) return unreadable();
  std::string text(file_bytes_max + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get())) return unreadable();
  if (text.size() > file_bytes_max) return Problem{0, "is longer than " + std::to_string(file_bytes_max) + " bytes"};
  return text;
}

}  // namespace

UserTimes Config::times_of(uid_t uid) const {
  const auto own = user_times.find(uid);
  return own == user_times.end() ? UserTimes{commit_timeout, orphan_grace} : own->second;
}

const Limits& Config::limits_of(uid_t uid) const {
  const auto own = user_limits.find(uid);
  return own == user_limits.end() ? limits : own->second;
}

std::variant<Config, std::vector<std::string>> load_config(const std::string& path) {
  Reader reader;
  std::vector<Problem>& problems = reader.problems();
  auto file = read_file(path);
  if (auto* problem = std::get_if<Problem>(&file)) {
    problems.push_back(std::move(*problem));
  } else {
    try {
      reader.read(toml::parse(std::get<std::string>(file)));
    } catch (const toml::parse_error& error) {
      problems.push_back({error.source().begin.line, std::string(error.description())});
    }
  }
  if (problems.empty()) return std::move(reader.config());
  std::stable_sort(problems.begin(), problems.end(),
                   [](const Problem& one, const Problem& other) { return one.line < other.line; });
  std::vector<std::string> texts;
  texts.reserve(problems.size());
  for (const Problem& problem : problems) {
    std::string text = path + ":" + (problem.line == 0 ? "" : std::to_string(problem.line) + ":") + " " + problem.text;
    // One line each, whatever the file's texts and names hold.
    std::replace_if(text.begin(), text.end(), is_control, '?');
    texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace tidemark::daemon
