// The keys, and the kinds of value that only they have.
#include "daemon/config_keys.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <charconv>
#include <optional>

#include "daemon/config_accounts.h"
#include "ipc/bounds.h"

namespace tidemark::daemon {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t socket_path_bytes_max = 107;   // what a Unix socket's address holds
constexpr std::size_t state_path_bytes_max = 4'000;  // leaves room in PATH_MAX for the names of the files in it
constexpr Milliseconds year = 365 * day;
constexpr Milliseconds ages = 10 * year;
constexpr std::int64_t million = 1'000'000;
constexpr std::int64_t billion = 1000 * million;
constexpr std::int64_t frame_bytes_least = ipc::bounds::frame_bytes_least;
constexpr std::int64_t frame_bytes_most = ipc::bounds::output_bytes_max;  // the longest that a client reads

static_assert(ages <= ipc::bounds::duration_max);

ValueKind<mode_t> permissions() {
  return [=](const toml::node& node, mode_t& place) -> std::string {
    const auto text = node.value_exact<std::string_view>().value_or("");
    mode_t mode = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
    if (text.size() < 3 || text.size() > 4 || error != std::errc() || rest != text.data() + text.size() ||
        mode > 0777) {
      return mismatch(node, R"(permission bits as three or four octal digits in quotes, such as "0600")");
    }
    place = mode;
    return {};
  };
}

ValueKind<std::string> group() {
  return [=](const toml::node& node, std::string& place) -> std::string {
    const auto text = node.value_exact<std::string>();
    if (!text || text->find('\0') != text->npos) return mismatch(node, "the name of a group");
    if (!text->empty()) {
      const auto found_group = find_group(*text);
      if (!found_group) return unknown_name("group", *text, found_group.error());
    }
    place = *text;
    return {};
  };
}

ValueKind<std::optional<ListenAddress>> listen_address() {
  return [=](const toml::node& node, std::optional<ListenAddress>& place) -> std::string {
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
    place = ListenAddress{std::string(address), number};
    return {};
  };
}

constexpr bool each = true;  // each user may have his own
constexpr bool all = false;  // the daemon has one
constexpr Off off = Off::allowed;

// A row's value: of that kind, into that member of Config.
#define INTO(member, kind) [take = (kind)](const toml::node& node, Config& config) { return take(node, config.member); }

std::vector<ConfigKey> rows() {
  using store::Synchronous;
  const std::vector<std::pair<std::string_view, std::string>> levels{
      {"trace", "trace"}, {"debug", "debug"}, {"info", "info"}, {"warn", "warn"}, {"error", "error"}};
  const std::vector<std::pair<std::string_view, Synchronous>> synchronous{{"full", Synchronous::full},
                                                                          {"normal", Synchronous::normal}};
  // clang-format off
  return {
      {"daemon", "socket", all, INTO(socket, path(socket_path_bytes_max))},
      {"daemon", "socket_mode", all, INTO(socket_mode, permissions())},
      {"daemon", "state_dir", all, INTO(state_dir, path(state_path_bytes_max))},
      {"daemon", "log_level", all, INTO(log_level, choice<std::string>(levels))},
      {"daemon", "drain_deadline", all, INTO(drain_deadline, duration(0ms, day))},
      {"daemon", "admin_group", all, INTO(admin_group, group())},

      {"journal", "synchronous", all, INTO(synchronous, choice<Synchronous>(synchronous))},

      {"commit", "timeout", each, INTO(commit_timeout, duration(1s, day))},
      {"commit", "orphan_grace", each, INTO(orphan_grace, duration(0ms, day))},
      {"commit", "turn_timeout", each, INTO(policies.everybody.commit.turn_timeout, duration(moment, year, off))},
      {"commit", "idle", each, INTO(policies.everybody.commit.idle, duration(moment, year, off))},
      {"commit", "max_uncommitted_turns", each, INTO(policies.everybody.commit.uncommitted_turns_max, count(0, billion))},
      {"commit", "max_uncommitted_age", each, INTO(policies.everybody.commit.uncommitted_age_max, duration(moment, year, off))},

      {"retry", "initial", all, INTO(policies.retry.initial, duration(moment, day))},
      {"retry", "max", all, INTO(policies.retry.max, duration(moment, day))},
      {"retry", "jitter", all, INTO(policies.retry.jitter, number(0, 1))},
      {"retry", "attempts", all, INTO(policies.retry.attempts, count(0, million))},

      {"retention", "history", all, INTO(policies.retention.history, duration(1s, ages, off))},
      {"retention", "history_rows", all, INTO(policies.retention.history_rows, count(1, billion))},
      {"retention", "sessions", all, INTO(policies.retention.sessions, duration(1s, ages, off))},
      {"retention", "turn_ids", all, INTO(policies.retention.turn_ids, count(0, million))},
      {"retention", "agents", all, INTO(policies.retention.agents, duration(1s, ages, off))},

      {"limits", "max_frame_bytes", each, INTO(limits.frame_bytes_max, count(frame_bytes_least, frame_bytes_most))},
      {"limits", "connections", all, INTO(limits.connections, count(1, million))},
      {"limits", "connections_per_user", each, INTO(limits.connections_per_user, count(1, million))},
      {"limits", "waiting_calls", each, INTO(limits.waiting_calls, count(1, million))},
      {"limits", "dirty_sessions_per_user", each, INTO(policies.everybody.dirty_sessions_max, count(1, billion))},
      {"limits", "segments_per_session", each, INTO(policies.everybody.segments_max, count(1, billion))},
      {"limits", "watch_queue", each, INTO(limits.watch_queue, count(1, million))},

      {"metrics", "listen", all, INTO(metrics_listen, listen_address())},
  };
  // clang-format on
}

#undef INTO

}  // namespace

const std::vector<ConfigKey>& config_keys() {
  static const std::vector<ConfigKey> keys = rows();
  return keys;
}

}  // namespace tidemark::daemon
