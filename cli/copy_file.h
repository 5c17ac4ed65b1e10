// A file taken over as a whole or not at all.
#pragma once

#include <cstdint>
#include <string>

namespace tidemark::cli {

/// Copies the file `from` to `to`, for its owner alone (mode 0600): into a temporary file beside it, which takes the
/// name once all of it, `bytes` long, is on disk. A file that has the name already stays, with an error, unless it is
/// to be replaced. Empty, or a sentence that says what went wrong; then nothing is left behind.
std::string copy_file(std::string const& from, std::int64_t bytes, std::string const& to, bool replace);

}  // namespace tidemark::cli
