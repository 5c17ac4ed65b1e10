// JSON text appended to a string, without values in between. What comes out is always valid UTF-8 on one line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tidemark::ipc {

/// Appends `text` as a JSON string, quotes included. What is not UTF-8 in it is replaced by U+FFFD.
void append_string(std::string& out, std::string_view text);

/// `text` with what is not UTF-8 in it replaced by U+FFFD.
std::string valid_utf8(std::string_view text);

/// Appends a number.
void append_integer(std::string& out, std::int64_t number);
void append_integer(std::string& out, std::uint64_t number);

}  // namespace tidemark::ipc
