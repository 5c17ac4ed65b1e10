// Aligned text for a terminal: tables with headings, and colours where they are wanted. Width is counted in code
// points, so wide characters stand a little out of line.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidemark::cli {

enum class Colour { plain, dim, red, yellow, green };

/// `text` in its colour, or as it is without `coloured`. Doesn't look at what is in `text`.
std::string paint(std::string_view text, Colour colour, bool coloured);

/// One field of a table; printed safely whatever is in the text.
struct Cell {
  std::string text;
  Colour colour = Colour::plain;

  Cell(std::string content, Colour shade = Colour::plain) : text(std::move(content)), colour(shade) {}  // NOLINT
  Cell(char const* content) : text(content) {}                                                          // NOLINT
  Cell(std::int64_t number) : text(std::to_string(number)) {}                                           // NOLINT
};

class Table {
 public:
  enum class Align { left, right };
  struct Column {
    std::string_view heading;
    Align align = Align::left;
  };

  /// Without any heading no line of headings is printed.
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// A row has as many cells as there are columns.
  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  void print(std::ostream& out, bool coloured) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace tidemark::cli
