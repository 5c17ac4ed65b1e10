#pragma once

#include <cstdint>

namespace tidemark::daemon {

inline constexpr const char* version = TIDEMARK_VERSION;  // the project's, from CMakeLists.txt
inline constexpr std::int64_t protocol_version = 1;

}  // namespace tidemark::daemon
