// What is said of a faulty configuration file.
#pragma once

#include <toml++/toml.h>

#include <string>
#include <string_view>
#include <vector>

namespace tidemark::daemon {

using Line = toml::source_index;  // 0 = no line is to blame

struct Problem {
  Line line = 0;
  std::string text;
};

/// What is said behind an unknown word: the nearest known one if it is near, or else all of them.
std::string hint(std::string_view word, const std::vector<std::string_view>& known);

/// The node as a section, or none and a problem.
const toml::table* section(const toml::node& node, const std::string& name, Line line, std::vector<Problem>& problems);

}  // namespace tidemark::daemon
