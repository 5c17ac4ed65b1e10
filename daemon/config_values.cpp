// See config_values.h.
#include "daemon/config_values.h"

#include <array>
#include <charconv>
#include <optional>
#include <sstream>

#include "daemon/config_accounts.h"

namespace tidemark::daemon {
namespace {

using namespace std::chrono_literals;

constexpr uid_t no_uid = static_cast<uid_t>(-1);  // the kernel's word for "none"

constexpr std::array<std::pair<std::string_view, Milliseconds>, 5> units{
    {{"d", 24h}, {"h", 1h}, {"m", 1min}, {"s", 1s}, {"ms", 1ms}}};

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

}  // namespace

std::string mismatch(const toml::node& node, std::string_view expected) {
  return "found " + found(node) + ", expected " + std::string(expected);
}

ValueKind<Milliseconds> duration(Milliseconds least, Milliseconds most, Off off) {
  return [=](const toml::node& node, Milliseconds& place) -> std::string {
    const std::string or_off = off == Off::allowed ? R"(, or "off")" : "";
    const auto text = node.value_exact<std::string_view>();
    if (text == "off" && off == Off::allowed) {
      place = Milliseconds(0);
      return {};
    }
    const auto value = text ? parse_duration(*text) : std::nullopt;
    if (!value) return mismatch(node, R"(a duration such as "500ms", "30s", "5m", "6h" or "90d")" + or_off);
    if (*value < least || *value > most) {
      return mismatch(node, toml_text(least) + " to " + toml_text(most) + or_off);
    }
    place = *value;
    return {};
  };
}

ValueKind<std::int64_t> count(std::int64_t least, std::int64_t most) {
  return [=](const toml::node& node, std::int64_t& place) -> std::string {
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < least || *value > most) {
      return mismatch(node, "an integer, " + std::to_string(least) + " to " + std::to_string(most));
    }
    place = *value;
    return {};
  };
}

ValueKind<double> number(double least, double most) {
  return [=](const toml::node& node, double& place) -> std::string {
    const auto value = node.is_number() ? node.value<double>() : std::nullopt;
    if (!value || !(*value >= least && *value <= most)) {
      std::ostringstream range;
      range << "a number, " << least << " to " << most;
      return mismatch(node, range.str());
    }
    place = *value;
    return {};
  };
}

ValueKind<std::string> path(std::size_t bytes_max) {
  return [=](const toml::node& node, std::string& place) -> std::string {
    const auto text = node.value_exact<std::string_view>();
    if (!text || !text->starts_with('/') || text->find('\0') != text->npos || text->size() > bytes_max) {
      return mismatch(node, "an absolute path of at most " + std::to_string(bytes_max) + " bytes");
    }
    place = *text;
    return {};
  };
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

boost::system::result<uid_t, std::string> user_named(const std::string& name) {
  if (!name.empty() && name.find_first_not_of("0123456789") == name.npos) {
    uid_t uid = 0;
    const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), uid);
    if (error == std::errc() && uid != no_uid) return uid;
    return "found the uid " + name + ", expected 0 to " + std::to_string(no_uid - 1);
  }
  if (name.find('\0') != name.npos) return std::string("no user has such a name");
  const auto uid = find_user(name);
  if (!uid) return unknown_name("user", name, uid.error());
  return *uid;
}

}  // namespace tidemark::daemon
