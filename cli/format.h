// Numbers, times and names as a person reads them, and durations as a person writes them. Pure: the present is an
// argument.
#pragma once

#include <boost/system/result.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ipc/wire_types.h"

namespace tidemark::cli {

/// A duration on the command line; empty: off.
struct Duration {
  std::optional<ipc::Milliseconds> value;
};

/// Reads `10s`, `500ms`, `2m`, `1h`, `3d` or `off`. The error is a sentence that names the text.
boost::system::result<Duration, std::string> parse_duration(std::string_view text);

/// In its largest fitting unit, rounded down: `500 ms`, `8 s`, `2 min`, `3 h`, `4 d`. Negative counts as zero.
std::string duration_text(ipc::Milliseconds duration);

/// From `now`: `2 min ago`, `in 8 s`, `now`.
std::string relative_text(ipc::Utc instant, ipc::Utc now);

/// `512 B`, `4.1 KiB`, `3.2 GiB`.
std::string bytes_text(std::int64_t bytes);

/// `1 turn`, `2 turns`, `no turns`.
std::string count_text(std::int64_t count, std::string_view noun);

/// A run of generations, both ends included: `7`, or `7 to 9`.
std::string range_text(std::int64_t start, std::int64_t end);

/// The same in a sentence: `turn 7`, or `turns 7 to 9`.
std::string turns_text(std::int64_t start, std::int64_t end);

/// A word of the protocol as prose: `in_flight` is `in flight`.
std::string prose(std::string_view word);

/// What came from elsewhere, safe for a terminal and on one line: control characters become spaces.
std::string printable(std::string_view text);

/// The first `bytes_max` bytes of it, in whole characters and with an ellipsis; all of it if it isn't longer.
std::string shortened(std::string_view text, std::size_t bytes_max);

/// A name as an argument in a shell, quoted only if it needs to be.
std::string shell_word(std::string_view name);

}  // namespace tidemark::cli
