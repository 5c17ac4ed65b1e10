// The numbered SQL files of migrations/, embedded at build time (see CMakeLists.txt).
#pragma once

#include <span>
#include <string_view>

namespace tidemark::store {

struct Migration {
  int version;            // 1, 2, …: user_version once it has run
  std::string_view name;  // the file's name
  std::string_view sql;
};

// All of them, in order, without gaps.
std::span<const Migration> migrations();

}  // namespace tidemark::store
