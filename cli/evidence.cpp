// See evidence.h.
#include "cli/evidence.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "cli/format.h"

namespace tidemark::cli {

namespace {

constexpr std::size_t value_bytes_max = 300;

std::string text_of(boost::json::value const& value) {
  auto const* const text = value.if_string();
  return shortened(text != nullptr ? std::string_view(text->data(), text->size()) : boost::json::serialize(value),
                   value_bytes_max);
}

}  // namespace

Table table_of(ipc::RawJson const& evidence) {
  Table table({{""}, {""}});
  boost::system::error_code error;
  auto const value = boost::json::parse(evidence.text, error);
  if (auto const* const object = value.if_object(); !error && object != nullptr) {
    for (auto const& [name, member] : *object) table.add({"  " + std::string(name), text_of(member)});
  } else {
    table.add({"  evidence", shortened(evidence.text, value_bytes_max)});
  }
  return table;
}

}  // namespace tidemark::cli
