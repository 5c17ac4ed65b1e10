// The keys and the kinds of value. A kind is a function that makes a row's `set`: it checks type, form and range, and
// writes through a pointer to the row's place in Config.
#include "daemon/config_keys.h"

#include <array>
#include <boost/asio/ip/address.hpp>
#include <charconv>
#include <optional>
#include <sstream>
#include <utility>

#include "daemon/config_accounts.h"
#include "ipc/bounds.h"

namespace tidemark::daemon {
namespace {

using namespace std::chrono_literals;
using Set = decltype(ConfigKey::set);
template <class T>
using Place = T& (*)(Config&);
template <class T>
using Words = std::vector<std::pair<std::string_view, T>>;

constexpr std::size_t socket_path_bytes_max = 107;   // what a Unix socket's address holds
constexpr std::size_t state_path_bytes_max = 4'000;  // leaves room in PATH_MAX for the names of the files in it
constexpr Milliseconds day = 24h;
constexpr Milliseconds year = 365 * day;
constexpr Milliseconds moment = 10ms;  // no wait is set shorter: it would be a busy loop
constexpr Milliseconds ages = 10 * year;
constexpr std::int64_t million = 1'000'000;
constexpr std::int64_t billion = 1000 * million;
constexpr std::int64_t frame_bytes_least = ipc::bounds::frame_bytes_least;
constexpr std::int64_t frame_bytes_most = ipc::bounds::output_bytes_max;  // the longest that a client reads

static_assert(ages <= ipc::bounds::duration_max);

constexpr std::array<std::pair<std::string_view, Milliseconds>, 5> units{
    {{"d", day}, {"h", 1h}, {"m", 1min}, {"s", 1s}, {"ms", 1ms}}};

std::string mismatch(const toml::node& node, std::string_view expected) {
  return "found " + found(node) + ", expected " + std::string(expected);
}

// A whole number and its unit. A number too large for the clock is the longest duration, out of every range.
std::optional<Milliseconds> parse_duration(std::string_view text) {
  std::int64_t count = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error == std::errc::invalid_argument) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  for (const auto& [unit, length] : units) {
    if (text != unit) continue;
    if (error != std::errc() || count > Milliseconds::max() / length) return Milliseconds::max();
    return count < 0 ? Milliseconds(-1) : count * length;
  }
  return std::nullopt;
}

enum class Off { refused, allowed };

Set duration(Place<Milliseconds> place, Milliseconds least, Milliseconds most, Off off = Off::refused) {
  return [=](const toml::node& node, Config& config) -> std::string {
    const std::string or_off = off == Off::allowed ? R"(, or "off")" : "";
    const auto text = node.value_exact<std::string_view>();
    if (text == "off" && off == Off::allowed) {
      place(config) = Milliseconds(0);
      return {};
    }
    const auto value = text ? parse_duration(*text) : std::nullopt;
    if (!value) return mismatch(node, R"(a duration such as "500ms", "30s", "5m", "6h" or "90d")" + or_off);
    if (*value < least || *value > most) {
      return mismatch(node, toml_text(least) + " to " + toml_text(most) + or_off);
    }
    place(config) = *value;
    return {};
  };
}

Set count(Place<std::int64_t> place, std::int64_t least, std::int64_t most) {
  return [=](const toml::node& node, Config& config) -> std::string {
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < least || *value > most) {
      return mismatch(node, "an integer, " + std::to_string(least) + " to " + std::to_string(most));
    }
    place(config) = *value;
    return {};
  };
}

Set share(Place<double> place) {
  return [=](const toml::node& node, Config& config) -> std::string {
    const auto value = node.is_number() ? node.value<double>() : std::nullopt;
    if (!value || !(*value >= 0.0 && *value <= 1.0)) return mismatch(node, "a number, 0 to 1");
    place(config) = *value;
    return {};
  };
}

template <class T>
Set choice(Place<T> place, Words<T> words) {
  return [=](const toml::node& node, Config& config) -> std::string {
    const auto text = node.value_exact<std::string_view>();
    std::string expected;
    for (const auto& [word, value] : words) {
      if (text == word) {
        place(config) = value;
        return {};
      }
      expected += (expected.empty() ? "one of " : ", ") + in_quotes(word);
    }
    return mismatch(node, expected);
  };
}

Set path(Place<std::string> place, std::size_t bytes_max) {
  return [=](const toml::node& node, Config& config) -> std::string {
    const auto text = node.value_exact<std::string_view>();
    if (!text || !text->starts_with('/') || text->find('\0') != text->npos || text->size() > bytes_max) {
      return mismatch(node, "an absolute path of at most " + std::to_string(bytes_max) + " bytes");
    }
    place(config) = *text;
    return {};
  };
}

Set permissions(Place<mode_t> place) {
  return [=](const toml::node& node, Config& config) -> std::string {
    const auto text = node.value_exact<std::string_view>().value_or("");
    mode_t mode = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
    if (text.size() < 3 || text.size() > 4 || error != std::errc() || rest != text.data() + text.size() ||
        mode > 0777) {
      return mismatch(node, R"(permission bits as three or four octal digits in quotes, such as "0600")");
    }
    place(config) = mode;
    return {};
  };
}

Set group(Place<std::string> place) {
  return [=](const toml::node& node, Config& config) -> std::string {
    const auto text = node.value_exact<std::string>();
    if (!text || text->find('\0') != text->npos) return mismatch(node, "the name of a group");
    if (!text->empty()) {
      const auto found_group = find_group(*text);
      if (!found_group) return unknown_name("group", *text, found_group.error());
    }
    place(config) = *text;
    return {};
  };
}

Set listen_address(Place<std::optional<ListenAddress>> place) {
  return [=](const toml::node& node, Config& config) -> std::string {
    const auto text = node.value_exact<std::string_view>().value_or("");
    const auto colon = text.rfind(':');
    std::string_view address = text.substr(0, std::min(colon, text.size()));
    const bool bracketed = address.starts_with('[') && address.ends_with(']');
    if (bracketed) address = address.substr(1, address.size() - 2);
    boost::system::error_code error;
    const auto parsed = boost::asio::ip::make_address(std::string(address), error);
    const std::string_view port = colon == text.npos ? std::string_view() : text.substr(colon + 1);
    std::uint16_t number = 0;
    const auto [rest, code] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error || parsed.is_v6() != bracketed || port.empty() || code != std::errc() ||
        rest != port.data() + port.size() || number == 0) {
      return mismatch(node, R"(an IP address and a port, such as "127.0.0.1:9464" or "[::1]:9464")");
    }
    place(config) = ListenAddress{std::string(address), number};
    return {};
  };
}

constexpr bool each = true;  // each user may have his own
constexpr bool all = false;  // the daemon has one
constexpr Off off = Off::allowed;

// The row's place, as a member of Config.
#define PLACE(member) ([](Config & config) -> auto& { return config.member; })

std::vector<ConfigKey> rows() {
  using store::Synchronous;
  const Words<std::string> levels{
      {"trace", "trace"}, {"debug", "debug"}, {"info", "info"}, {"warn", "warn"}, {"error", "error"}};
  const Words<Synchronous> synchronous{{"full", Synchronous::full}, {"normal", Synchronous::normal}};
  // clang-format off
  return {
      {"daemon", "socket", all, path(PLACE(socket), socket_path_bytes_max)},
      {"daemon", "socket_mode", all, permissions(PLACE(socket_mode))},
      {"daemon", "state_dir", all, path(PLACE(state_dir), state_path_bytes_max)},
      {"daemon", "log_level", all, choice<std::string>(PLACE(log_level), levels)},
      {"daemon", "drain_deadline", all, duration(PLACE(drain_deadline), 0ms, day)},
      {"daemon", "admin_group", all, group(PLACE(admin_group))},

      {"journal", "synchronous", all, choice<Synchronous>(PLACE(synchronous), synchronous)},

      {"commit", "timeout", each, duration(PLACE(commit_timeout), 1s, day)},
      {"commit", "orphan_grace", each, duration(PLACE(orphan_grace), 0ms, day)},
      {"commit", "turn_timeout", each, duration(PLACE(policies.everybody.commit.turn_timeout), moment, year, off)},
      {"commit", "idle", each, duration(PLACE(policies.everybody.commit.idle), moment, year, off)},
      {"commit", "max_uncommitted_turns", each, count(PLACE(policies.everybody.commit.uncommitted_turns_max), 0, billion)},
      {"commit", "max_uncommitted_age", each, duration(PLACE(policies.everybody.commit.uncommitted_age_max), moment, year, off)},

      {"retry", "initial", all, duration(PLACE(policies.retry.initial), moment, day)},
      {"retry", "max", all, duration(PLACE(policies.retry.max), moment, day)},
      {"retry", "jitter", all, share(PLACE(policies.retry.jitter))},
      {"retry", "attempts", all, count(PLACE(policies.retry.attempts), 0, million)},

      {"retention", "history", all, duration(PLACE(policies.retention.history), 1s, ages, off)},
      {"retention", "history_rows", all, count(PLACE(policies.retention.history_rows), 1, billion)},
      {"retention", "sessions", all, duration(PLACE(policies.retention.sessions), 1s, ages, off)},
      {"retention", "turn_ids", all, count(PLACE(policies.retention.turn_ids), 0, million)},
      {"retention", "agents", all, duration(PLACE(policies.retention.agents), 1s, ages, off)},

      {"limits", "max_frame_bytes", each, count(PLACE(limits.frame_bytes_max), frame_bytes_least, frame_bytes_most)},
      {"limits", "connections", all, count(PLACE(limits.connections), 1, million)},
      {"limits", "connections_per_user", each, count(PLACE(limits.connections_per_user), 1, million)},
      {"limits", "waiting_calls", each, count(PLACE(limits.waiting_calls), 1, million)},
      {"limits", "dirty_sessions_per_user", each, count(PLACE(policies.everybody.dirty_sessions_max), 1, billion)},
      {"limits", "segments_per_session", each, count(PLACE(policies.everybody.segments_max), 1, billion)},
      {"limits", "watch_queue", each, count(PLACE(limits.watch_queue), 1, million)},

      {"metrics", "listen", all, listen_address(PLACE(metrics_listen))},
  };
  // clang-format on
}

#undef PLACE

}  // namespace

const std::vector<ConfigKey>& config_keys() {
  static const std::vector<ConfigKey> keys = rows();
  return keys;
}

std::string in_quotes(std::string_view text) {
  return '"' + std::string(text) + '"';
}

std::string found(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::none:
      return "nothing";
    case toml::node_type::table:
      return "a section";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "the text " + in_quotes(**node.as_string());
    case toml::node_type::integer:
      return "the integer " + std::to_string(**node.as_integer());
    case toml::node_type::floating_point: {
      std::ostringstream text;
      text << **node.as_floating_point();
      return "the number " + text.str();
    }
    case toml::node_type::boolean:
      return **node.as_boolean() ? "true" : "false";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
  }
  return "nothing";
}

std::string toml_text(Milliseconds value) {
  for (const auto& [unit, length] : units) {
    if (value >= length && value % length == 0ms) return std::to_string(value / length) + std::string(unit);
  }
  return std::to_string(value / 1s) + "s";  // nothing
}

std::string unknown_name(std::string_view kind, const std::string& name, const boost::system::error_code& error) {
  if (error == boost::system::errc::no_such_file_or_directory) {
    return "this machine has no " + std::string(kind) + " " + in_quotes(name);
  }
  return "the " + std::string(kind) + " " + in_quotes(name) + " can't be looked up: " + error.message();
}

}  // namespace tidemark::daemon
