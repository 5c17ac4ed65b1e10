// See json_text.h.
#include "ipc/json_text.h"

#include <array>
#include <charconv>
#include <cstddef>

namespace tidemark::ipc {

namespace {

// Bytes of the UTF-8 sequence that `text` begins with: 1 to 4, or 0 if it is not one (overlong forms, surrogates and
// what lies beyond U+10FFFF aren't).
std::size_t utf8_sequence_bytes(std::string_view text) {
  auto const byte = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  auto const continues = [&](std::size_t index, unsigned least = 0x80, unsigned most = 0xBF) {
    return index < text.size() && byte(index) >= least && byte(index) <= most;
  };
  unsigned const lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF)
    return continues(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF) && continues(2) ? 3 : 0;
  if (lead >= 0xF0 && lead <= 0xF4)
    return continues(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF) && continues(2) && continues(3) ? 4 : 0;
  return 0;
}

constexpr bool stands_for_itself(unsigned char byte) {
  return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD

template <class Number>
void append_number(std::string& out, Number number) {
  std::array<char, 24> digits;
  auto const [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

}  // namespace

void append_integer(std::string& out, std::int64_t number) {
  append_number(out, number);
}
void append_integer(std::string& out, std::uint64_t number) {
  append_number(out, number);
}

void append_string(std::string& out, std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  out += '"';
  while (!text.empty()) {
    std::size_t plain = 0;
    while (plain < text.size() && stands_for_itself(static_cast<unsigned char>(text[plain]))) ++plain;
    out.append(text.data(), plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    auto const byte = static_cast<unsigned char>(text.front());
    std::size_t used = 1;
    switch (byte) {
      case '"':
        out += R"(\")";
        break;
      case '\\':
        out += R"(\\)";
        break;
      case '\n':
        out += R"(\n)";
        break;
      case '\r':
        out += R"(\r)";
        break;
      case '\t':
        out += R"(\t)";
        break;
      default:
        if (byte < 0x20) {
          out += R"(\u00)";
          out += hex[byte >> 4];
          out += hex[byte & 15];
        } else if (std::size_t const bytes = utf8_sequence_bytes(text); bytes > 0) {
          out.append(text.data(), bytes);
          used = bytes;
        } else {
          out += replacement;
        }
    }
    text.remove_prefix(used);
  }
  out += '"';
}

std::string valid_utf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    std::size_t const bytes = utf8_sequence_bytes(text);
    valid += bytes > 0 ? text.substr(0, bytes) : replacement;
    text.remove_prefix(bytes > 0 ? bytes : 1);
  }
  return valid;
}

}  // namespace tidemark::ipc
