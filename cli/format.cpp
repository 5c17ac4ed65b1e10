// See format.h.
#include "cli/format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <utility>

#include "ipc/bounds.h"

namespace tidemark::cli {

using ipc::Milliseconds;

namespace {

std::string quoted(std::string_view text) {
  std::string made(1, '"');
  return made.append(printable(text)).append("\"");
}

}  // namespace

boost::system::result<Duration, std::string> parse_duration(std::string_view text) {
  if (text == "off") return Duration{};
  static constexpr std::array<std::pair<std::string_view, Milliseconds>, 5> units{{
      {"ms", std::chrono::milliseconds(1)},
      {"s", std::chrono::seconds(1)},
      {"m", std::chrono::minutes(1)},
      {"h", std::chrono::hours(1)},
      {"d", std::chrono::hours(24)},
  }};
  std::int64_t count = -1;
  auto const parsed = std::from_chars(text.data(), text.data() + text.size(), count);
  std::string_view const unit(parsed.ptr, static_cast<std::size_t>(text.data() + text.size() - parsed.ptr));
  auto const* const found =
      std::find_if(units.begin(), units.end(), [&](auto const& row) { return row.first == unit; });
  if (parsed.ec != std::errc() || count < 0 || found == units.end())
    return quoted(text) + " is no duration; write it like 500ms, 10s, 2m, 1h or off";
  if (count > ipc::bounds::duration_max / found->second)
    return quoted(text) + " is too long; at most ten years can be waited for";
  return Duration{count * found->second};
}

std::string duration_text(Milliseconds duration) {
  auto const count = std::max<std::int64_t>(duration.count(), 0);
  if (count < 1'000) return std::to_string(count) + " ms";
  constexpr std::int64_t minute = 60;
  constexpr std::int64_t hour = 60 * minute;
  constexpr std::int64_t day = 24 * hour;
  auto const seconds = count / 1'000;
  if (seconds < minute) return std::to_string(seconds) + " s";
  if (seconds < hour) return std::to_string(seconds / minute) + " min";
  if (seconds < 2 * day) return std::to_string(seconds / hour) + " h";
  return std::to_string(seconds / day) + " d";
}

std::string relative_text(ipc::Utc instant, ipc::Utc now) {
  if (instant > now) return std::string("in ").append(duration_text(instant - now));
  if (now - instant < std::chrono::seconds(1)) return "now";
  return duration_text(now - instant) + " ago";
}

std::string bytes_text(std::int64_t bytes) {
  static constexpr std::array<std::string_view, 5> units{"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  std::int64_t tenths = bytes * 10 / 1024;
  std::size_t unit = 0;
  while (tenths >= 10'240 && unit + 1 < units.size()) {
    tenths /= 1024;
    ++unit;
  }
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " " + std::string(units[unit]);
}

std::string count_text(std::int64_t count, std::string_view noun) {
  std::string text = count == 0 ? "no" : std::to_string(count);
  text.append(" ").append(noun);
  if (count != 1) text += 's';
  return text;
}

std::string range_text(std::int64_t start, std::int64_t end) {
  if (start == end) return std::to_string(start);
  return std::to_string(start) + " to " + std::to_string(end);
}

std::string turns_text(std::int64_t start, std::int64_t end) {
  return (start == end ? "turn " : "turns ") + range_text(start, end);
}

std::string prose(std::string_view word) {
  std::string text(word);
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

std::string printable(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  for (std::size_t index = 0; index < text.size(); ++index) {
    auto const byte = static_cast<unsigned char>(text[index]);
    // U+0080 to U+009F, which terminals may obey too, are C2 80 to C2 9F in UTF-8.
    bool const control_pair =
        byte == 0xC2 && index + 1 < text.size() && static_cast<unsigned char>(text[index + 1]) < 0xA0;
    bool const control = byte < 0x20 || byte == 0x7F || control_pair;
    if (control_pair) ++index;
    safe += control ? ' ' : text[index];
  }
  return safe;
}

std::string shortened(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  // Never between the bytes of one character.
  while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xC0U) == 0x80U) --bytes_max;
  return std::string(text.substr(0, bytes_max)) + "…";
}

std::string shell_word(std::string_view name) {
  static constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+=,";
  if (!name.empty() && name.find_first_not_of(plain) == std::string_view::npos) return std::string(name);
  std::string quoted(1, '\'');
  for (char const character : name) {
    if (character == '\'') {
      quoted += R"('\'')";
    } else {
      quoted += character;
    }
  }
  quoted += '\'';
  return quoted;
}

}  // namespace tidemark::cli
