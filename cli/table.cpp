// See table.h.
#include "cli/table.h"

#include <algorithm>
#include <cstddef>
#include <ostream>

#include "cli/format.h"

namespace tidemark::cli {

namespace {

constexpr std::size_t gap = 2;

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }));
}

}  // namespace

std::string paint(std::string_view text, Colour colour, bool coloured) {
  std::string_view code;
  switch (colour) {
    case Colour::plain:
      break;
    case Colour::dim:
      code = "2";
      break;
    case Colour::red:
      code = "31";
      break;
    case Colour::yellow:
      code = "33";
      break;
    case Colour::green:
      code = "32";
      break;
  }
  if (!coloured || code.empty()) return std::string(text);
  std::string painted = "\x1b[";
  painted.append(code).append("m").append(text).append("\x1b[0m");
  return painted;
}

void Table::print(std::ostream& out, bool coloured) const {
  auto lines = rows_;
  if (std::any_of(columns_.begin(), columns_.end(), [](auto const& column) { return !column.heading.empty(); })) {
    std::vector<Cell> headings;
    for (auto const& column : columns_) headings.emplace_back(std::string(column.heading), Colour::dim);
    lines.insert(lines.begin(), std::move(headings));
  }
  std::vector<std::size_t> widths(columns_.size());
  for (auto& line : lines) {
    for (std::size_t index = 0; index < columns_.size(); ++index) {
      line[index].text = printable(line[index].text);
      widths[index] = std::max(widths[index], width_of(line[index].text));
    }
  }
  for (auto const& line : lines) {
    std::string text;
    std::size_t missing = 0;  // spaces owed, so that no line ends in some
    for (std::size_t index = 0; index < columns_.size(); ++index) {
      auto const& cell = line[index];
      std::size_t const padding = widths[index] - width_of(cell.text);
      bool const right = columns_[index].align == Align::right;
      if (!cell.text.empty()) {
        text.append(missing + (right ? padding : 0), ' ');
        text += paint(cell.text, cell.colour, coloured);
        missing = 0;
      }
      missing += gap + (cell.text.empty() || !right ? padding : 0);
    }
    out << text << '\n';
  }
}

}  // namespace tidemark::cli
