// What the program says of itself, for tests of what is written by hand about it.
#pragma once

#include <regex>
#include <set>
#include <string>

#include "tests/cli/command_test.h"

namespace tidemark::cli {

using Words = std::set<std::string>;

/// What the first group of `pattern` matches, everywhere in `text`.
inline Words matches(std::string const& text, std::string const& pattern) {
  Words words;
  std::regex const regex(pattern);
  for (std::sregex_iterator found(text.begin(), text.end(), regex), end; found != end; ++found)
    words.insert((*found)[1]);
  return words;
}

/// The options in a help text, and those of them that take a value.
struct HelpOptions {
  Words all;
  Words with_value;
};

/// Reads the text that a program prints for --help.
inline HelpOptions options_in(std::string const& help) {
  HelpOptions options;
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) {
    auto const at = line.find("--");
    if (!line.starts_with("  -") || at > 5) continue;
    auto const end = line.find_first_of(" :", at);
    auto const name = line.substr(at, end - at);
    options.all.insert(name);
    if (end != std::string::npos && line.size() > end + 1 && line[end + 1] != ' ') options.with_value.insert(name);
  }
  return options;
}

/// Those of a command; of `tidemark` itself with an empty name.
inline HelpOptions options_of(std::string_view command) {
  std::vector<std::string> line{"--help"};
  if (!command.empty()) line.insert(line.begin(), std::string(command));
  return options_in(run_line(line).out);
}

}  // namespace tidemark::cli
