// The wire as cheaply as a load generator can have it: requests are appended to a flat buffer, answers are looked at
// by position, never parsed. Good for the daemon's own answers, in which no member name holds an escape.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace tidemark::bench {

/// Connects to a listening Unix stream socket. Throws std::system_error.
int connect_to(const std::string& socket_path);

/// Requests on their way out. A request needs at most request_bytes_max; room is asked for once a request.
class RequestBuffer {
 public:
  static constexpr std::size_t request_bytes_max = 512;

  bool has_room() const { return size() + request_bytes_max <= capacity; }
  void put(std::string_view text) {
    std::memcpy(end_, text.data(), text.size());
    end_ += text.size();
  }
  void put(std::uint64_t number) { end_ = std::to_chars(end_, end_ + 20, number).ptr; }
  /// Where the next byte goes, for a writer of its own; advance() says how many it wrote.
  char* end() { return end_; }
  void advance(std::size_t bytes) { end_ += bytes; }

  std::string_view view() const { return {bytes_.get(), size()}; }
  bool empty() const { return size() == 0; }
  void clear() { end_ = bytes_.get(); }

 private:
  static constexpr std::size_t capacity = 65536;
  std::size_t size() const { return static_cast<std::size_t>(end_ - bytes_.get()); }

  std::unique_ptr<char[]> bytes_ = std::make_unique<char[]>(capacity);
  char* end_ = bytes_.get();
};

/// Where a text stands in a line, or nothing.
inline std::optional<std::size_t> position_of(std::string_view line, std::string_view text) {
  const void* const found = memmem(line.data(), line.size(), text.data(), text.size());
  if (found == nullptr) return std::nullopt;
  return static_cast<std::size_t>(static_cast<const char*>(found) - line.data());
}

/// The line from a member's value on, or nothing. `quoted_name` is `"name":`.
inline std::optional<std::string_view> value_of(std::string_view line, std::string_view quoted_name) {
  const auto position = position_of(line, quoted_name);
  if (!position) return std::nullopt;
  std::string_view rest = line.substr(*position + quoted_name.size());
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  return rest;
}

/// The unsigned number with which a text starts, or nothing.
inline std::optional<std::uint64_t> number_at(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

struct Answer {
  std::uint64_t id;
  bool is_error;
};

/// Reads id and kind of a response. It tries first where the last id stood, for a server writes them all alike.
class AnswerReader {
 public:
  /// Nothing if the line has no numeric id. Tells `error` apart only where it is a member of the response itself, or
  /// where the result has no member of that name.
  std::optional<Answer> read(std::string_view line) {
    if (line.size() < id_at_ + id_name.size() ||
        std::memcmp(line.data() + id_at_, id_name.data(), id_name.size()) != 0) {
      const auto position = position_of(line, id_name);
      if (!position) return std::nullopt;
      id_at_ = *position;
    }
    const char* at = line.data() + id_at_ + id_name.size();
    const char* const end = line.data() + line.size();
    while (at != end && *at == ' ') ++at;
    std::uint64_t id = 0;
    const char* const digits = at;
    for (; at != end && *at >= '0' && *at <= '9'; ++at) id = id * 10 + static_cast<std::uint64_t>(*at - '0');
    if (at == digits) return std::nullopt;
    const std::string_view rest(at, static_cast<std::size_t>(end - at));
    if (rest.starts_with(",\"result\"")) return Answer{id, false};
    return Answer{id, value_of(line, "\"error\":").has_value()};
  }

 private:
  static constexpr std::string_view id_name = "\"id\":";
  std::size_t id_at_ = 0;
};

}  // namespace tidemark::bench
