// See described.h: what doesn't depend on the struct, and the rules of wire_types.h.
#include "ipc/described.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <numeric>

namespace tidemark::ipc {

namespace {

// Letters to add, drop or change to make one word the other.
std::size_t spelling_distance(std::string_view one, std::string_view other) {
  std::vector<std::size_t> row(other.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < one.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < other.size(); ++j) {
      std::size_t const changed = diagonal + (one[i] == other[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

void append_padded(std::string& out, unsigned number, std::size_t width) {
  std::string const digits = std::to_string(number);
  if (digits.size() < width) out.append(width - digits.size(), '0');
  out += digits;
}

}  // namespace

bool Name::allows(std::string_view text) {
  if (text.empty() || text.size() > bounds::name_bytes_max) return false;
  for (std::size_t index = 0; index < text.size(); ++index) {
    auto const byte = static_cast<unsigned char>(text[index]);
    if (byte < 0x20 || byte == 0x7F) return false;
    // U+0080 to U+009F are C2 80 to C2 9F; C2 begins nothing else.
    if (byte == 0xC2 && index + 1 < text.size() && static_cast<unsigned char>(text[index + 1]) < 0xA0) return false;
  }
  return true;
}

bool Text::allows(std::string_view text) {
  return text.size() <= bounds::text_bytes_max && text.find('\0') == std::string_view::npos;
}

bool CommitId::allows(std::string_view text) {
  return !text.empty() && text.size() <= bounds::commit_bytes_max;
}

namespace detail {

bool Reading::refuse(std::string_view rule) {
  error.append("`").append(member).append("` must be ").append(rule);
  return false;
}

bool Reading::refuse_unknown(std::string_view name, std::span<std::string_view const> known) {
  error.append("unknown parameter `").append(name.substr(0, 64)).append("`");
  std::string_view nearest;
  std::size_t nearest_distance = 3;  // two slips of the finger are still the same word
  for (std::string_view const candidate : known) {
    if (name.size() > candidate.size() + 2) continue;
    std::size_t const distance = spelling_distance(name, candidate);
    if (distance < nearest_distance && distance < candidate.size()) {
      nearest = candidate;
      nearest_distance = distance;
    }
  }
  if (!nearest.empty()) error.append("; did you mean `").append(nearest).append("`?");
  return false;
}

bool Reading::refuse_missing(std::string_view name) {
  error.append(strict() ? "parameter `" : "`").append(name).append("` is missing");
  return false;
}

bool read_int64(std::int64_t& out, boost::json::value const& value, std::int64_t least, std::int64_t most,
                Reading& reading) {
  if (value.is_int64() && value.get_int64() >= least && value.get_int64() <= most) {
    out = value.get_int64();
    return true;
  }
  return reading.refuse("an integer from " + std::to_string(least) + " to " + std::to_string(most));
}

bool read_uint64(std::uint64_t& out, boost::json::value const& value, std::uint64_t most, Reading& reading) {
  bool const whole = value.is_uint64() || (value.is_int64() && value.get_int64() >= 0);
  std::uint64_t const number = !whole              ? 0
                               : value.is_uint64() ? value.get_uint64()
                                                   : static_cast<std::uint64_t>(value.get_int64());
  if (!whole || number > most) return reading.refuse("an integer from 0 to " + std::to_string(most));
  out = number;
  return true;
}

bool read_uid_selector(UidSelector& out, boost::json::value const& value, Reading& reading) {
  if (auto const* string = value.if_string(); string != nullptr && *string == "all") {
    out = UidSelector::all();
    return true;
  }
  std::uint64_t number = 0;
  if (value.is_string() || !read_uint64(number, value, std::numeric_limits<Uid>::max(), reading)) {
    reading.error.clear();
    return reading.refuse(R"(a user's number or "all")");
  }
  out.uid = static_cast<Uid>(number);
  return true;
}

bool read_utc(Utc& out, boost::json::value const& value, Reading& reading) {
  // 2026-01-31T08:15:00.250Z; the fraction may have any length or be absent.
  auto const* string = value.if_string();
  std::string_view text = string != nullptr ? std::string_view(*string) : std::string_view();
  auto const number = [&](std::size_t begin, std::size_t width) -> int {
    int parsed = -1;
    if (begin + width > text.size()) return -1;
    auto const [end, error] = std::from_chars(text.data() + begin, text.data() + begin + width, parsed);
    return error == std::errc() && end == text.data() + begin + width ? parsed : -1;
  };
  auto const stands = [&](std::size_t index, char character) {
    return index < text.size() && text[index] == character;
  };
  std::chrono::year_month_day const day{std::chrono::year(number(0, 4)),
                                        std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                        std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  int const hour = number(11, 2);
  int const minute = number(14, 2);
  int const second = number(17, 2);
  int thousandths = 0;
  std::size_t end = 19;
  bool fraction = true;
  if (stands(end, '.')) {
    std::size_t const begin = ++end;
    for (int worth = 100; end < text.size() && text[end] >= '0' && text[end] <= '9'; ++end, worth /= 10)
      thousandths += worth * (text[end] - '0');
    fraction = end > begin;
  }
  bool const good = number(0, 4) >= 0 && stands(4, '-') && stands(7, '-') && stands(10, 'T') && stands(13, ':') &&
                    stands(16, ':') && day.ok() && hour >= 0 && hour < 24 && minute >= 0 && minute < 60 &&
                    second >= 0 && second < 61 && fraction && stands(end, 'Z') && end + 1 == text.size();
  if (!good) return reading.refuse("a UTC time as in RFC 3339");
  out = std::chrono::sys_days(day) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
        std::chrono::seconds(second) + Milliseconds(thousandths);
  return true;
}

void read_raw(RawJson& out, boost::json::value const& value) {
  out.text = boost::json::serialize(value);
}

bool refuse_word(Reading& reading, std::span<std::string_view const> words) {
  std::string rule = "one of";
  for (std::string_view const word : words) rule.append(" `").append(word).append("`");
  return reading.refuse(rule);
}

void append_utc(std::string& out, Utc instant) {
  auto const days = std::chrono::floor<std::chrono::days>(instant);
  std::chrono::year_month_day const day(days);
  std::chrono::hh_mm_ss const time(instant - days);
  out += '"';
  append_padded(out, static_cast<unsigned>(static_cast<int>(day.year())), 4);
  out += '-';
  append_padded(out, static_cast<unsigned>(day.month()), 2);
  out += '-';
  append_padded(out, static_cast<unsigned>(day.day()), 2);
  out += 'T';
  append_padded(out, static_cast<unsigned>(time.hours().count()), 2);
  out += ':';
  append_padded(out, static_cast<unsigned>(time.minutes().count()), 2);
  out += ':';
  append_padded(out, static_cast<unsigned>(time.seconds().count()), 2);
  out += '.';
  append_padded(out, static_cast<unsigned>(time.subseconds().count()), 3);
  out += R"(Z")";
}

void append_raw(std::string& out, std::string_view text) {
  if (text.empty()) text = "null";
  std::size_t const begin = out.size();
  out += text;
  for (std::size_t index = begin; index < out.size(); ++index)
    if (out[index] == '\n' || out[index] == '\r') out[index] = ' ';
}

}  // namespace detail
}  // namespace tidemark::ipc
