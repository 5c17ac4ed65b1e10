// See config_problems.h.
#include "daemon/config_problems.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>

#include "daemon/config_values.h"

namespace tidemark::daemon {
namespace {

// The steps from one word to the other: a letter more, a letter less, another letter.
std::size_t distance(std::string_view one, std::string_view other) {
  std::vector<std::size_t> row(other.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < one.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < other.size(); ++j) {
      const std::size_t replaced = diagonal + (one[i] == other[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({diagonal + 1, row[j] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::string hint(std::string_view word, const std::vector<std::string_view>& known) {
  constexpr std::size_t word_bytes_max = 64;  // nothing longer is near to any
  const std::size_t near_max = std::max<std::size_t>(1, std::min<std::size_t>(word.size(), 9) / 3);
  std::size_t nearest_steps = near_max + 1;
  std::string_view nearest;
  std::string listed;
  for (const std::string_view candidate : known) {
    const std::size_t steps = word.size() <= word_bytes_max ? distance(word, candidate) : nearest_steps;
    if (steps < nearest_steps) {
      nearest_steps = steps;
      nearest = candidate;
    }
    listed += (listed.empty() ? "" : ", ") + std::string(candidate);
  }
  return nearest.empty() ? "; known are " + listed : "; did you mean " + std::string(nearest) + "?";
}

const toml::table* section(const toml::node& node, const std::string& name, Line line, std::vector<Problem>& problems) {
  if (!node.is_table()) problems.push_back({line, name + ": found " + found(node) + ", expected a section"});
  return node.as_table();
}

}  // namespace tidemark::daemon
