#include "daemon/providers/excerpt.h"

#include "ipc/json_text.h"

namespace tidemark::daemon {

std::string_view whole_characters(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

std::string excerpt(std::string_view text, std::size_t bytes_max) {
  std::string line;
  for (const char character : ipc::valid_utf8(whole_characters(text, bytes_max))) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte > ' ' && byte != 0x7f) {
      line += character;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  if (!line.empty() && line.back() == ' ') line.pop_back();
  return std::string(whole_characters(line, bytes_max));
}

}  // namespace tidemark::daemon
