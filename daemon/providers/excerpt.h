// The beginning of what somebody else has written, as much of it as fits into a sentence or into evidence.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tidemark::daemon {

// At most `bytes_max` bytes of whole characters, on one line: control characters and runs of blanks are one blank each.
// What is not UTF-8 in it becomes U+FFFD.
std::string excerpt(std::string_view text, std::size_t bytes_max);

// At most the first `bytes_max` bytes, without a last character that the cut would part.
std::string_view whole_characters(std::string_view text, std::size_t bytes_max);

}  // namespace tidemark::daemon
