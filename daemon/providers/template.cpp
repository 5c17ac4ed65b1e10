#include "daemon/providers/template.h"

#include <strings.h>

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "daemon/providers/key_text.h"

namespace tidemark::daemon {

namespace {

struct Placeholder {
  std::string_view name;
  bool number;
  std::string (*value)(const ProviderRequest&);
};

constexpr std::array<Placeholder, 6> placeholders{{
    {"session", false, [](const ProviderRequest& request) { return request.session; }},
    {"external_id", false, [](const ProviderRequest& request) { return request.external_id; }},
    {"start", true, [](const ProviderRequest& request) { return std::to_string(request.start); }},
    {"end", true, [](const ProviderRequest& request) { return std::to_string(request.end); }},
    {"key", false, [](const ProviderRequest& request) { return key_text(request.key); }},
    {"attempt", true, [](const ProviderRequest& request) { return std::to_string(request.attempt); }},
}};

const Placeholder* find_placeholder(std::string_view word) {
  const auto* const found = std::find_if(placeholders.begin(), placeholders.end(),
                                         [word](const Placeholder& placeholder) { return placeholder.name == word; });
  return found == placeholders.end() ? nullptr : found;
}

// Calls `literal` with each stretch of plain text and `word` with each {word}'s word, in their order.
template <typename Literal, typename Word>
void walk(std::string_view text, Literal literal, Word word) {
  std::size_t done = 0;
  for (std::size_t open = text.find('{'); open != std::string_view::npos; open = text.find('{', open + 1)) {
    const std::size_t close = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", open + 1);
    if (close == std::string_view::npos || close == open + 1 || text[close] != '}') continue;
    literal(text.substr(done, open - done));
    word(text.substr(open + 1, close - open - 1));
    done = close + 1;
  }
  literal(text.substr(done));
}

bool is_letter_or_digit(char character) {
  return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
         (character >= '0' && character <= '9');
}

template <typename Keep>
std::string percent_encoded(std::string_view value, Keep keep) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char character : value) {
    if (keep(character)) {
      encoded += character;
    } else {
      const auto byte = static_cast<unsigned char>(character);
      encoded += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return encoded;
}

std::string encode(const std::string& value, Encoding encoding) {
  switch (encoding) {
    case Encoding::percent: {
      const bool only_dots = value.find_first_not_of('.') == std::string::npos;
      return percent_encoded(value, [only_dots](char character) {
        return is_letter_or_digit(character) || character == '-' || character == '_' || character == '~' ||
               (character == '.' && !only_dots);
      });
    }
    case Encoding::header:
      return percent_encoded(value, [](char character) {
        return character > ' ' && character < 0x7f &&
               std::string_view("%\",;\\").find(character) == std::string_view::npos;
      });
    case Encoding::json: {
      const std::string quoted = boost::json::serialize(boost::json::string_view(value));
      return quoted.substr(1, quoted.size() - 2);
    }
    case Encoding::plain:
      return value;
  }
  return value;
}

// Whether the body is JSON whatever the values are: texts within strings, numbers there or as numbers.
bool is_json(std::string_view body) {
  std::string sample;
  walk(
      body, [&sample](std::string_view literal) { sample += literal; },
      [&sample](std::string_view word) {
        const Placeholder* placeholder = find_placeholder(word);
        // As text this is a value only where quotes stand around it.
        sample += placeholder != nullptr && placeholder->number ? "1" : "x";
      });
  boost::system::error_code error;
  boost::json::parse(sample, error);
  return !error;
}

}  // namespace

std::string expand(std::string_view text, const ProviderRequest& request, Encoding encoding) {
  std::string expanded;
  walk(
      text, [&expanded](std::string_view literal) { expanded += literal; },
      [&](std::string_view word) {
        if (const Placeholder* placeholder = find_placeholder(word)) {
          expanded += encode(placeholder->value(request), encoding);
        } else {
          expanded.append("{").append(word).append("}");
        }
      });
  return expanded;
}

std::string unknown_placeholder(std::string_view text) {
  std::string unknown;
  walk(
      text, [](std::string_view) {},
      [&unknown](std::string_view word) {
        if (unknown.empty() && find_placeholder(word) == nullptr) unknown = "{" + std::string(word) + "}";
      });
  return unknown;
}

bool has_placeholder(std::string_view text) {
  bool found = false;
  walk(
      text, [](std::string_view) {}, [&found](std::string_view word) { found |= find_placeholder(word) != nullptr; });
  return found;
}

BodyEncoding body_encoding(const HttpConfig& config) {
  if (config.body.empty()) return {};
  const auto header = std::find_if(config.headers.begin(), config.headers.end(), [](const auto& entry) {
    return ::strcasecmp(entry.first.c_str(), "content-type") == 0;
  });
  if (header == config.headers.end()) {
    if (is_json(config.body)) return {Encoding::json, "application/json", {}};
    return {Encoding::plain,
            {},
            "the body isn't JSON, with {session}, {external_id} and {key} within quotes; "
            "if it isn't meant to be, a header Content-Type has to say what it is"};
  }
  std::string type = header->second.substr(0, header->second.find(';'));
  type.resize(type.find_last_not_of(" \t") + 1);
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char character) { return static_cast<char>(std::tolower(character)); });
  const bool json_suffix = type.size() > 5 && type.compare(type.size() - 5, 5, "+json") == 0;
  if (type == "application/json" || json_suffix) {
    if (is_json(config.body)) return {Encoding::json, {}, {}};
    return {Encoding::json,
            {},
            "the body isn't JSON, with {session}, {external_id} and {key} within quotes, as its "
            "Content-Type says"};
  }
  if (type == "application/x-www-form-urlencoded") return {Encoding::percent, {}, {}};
  if (type == "text/plain" || !has_placeholder(config.body)) return {Encoding::plain, {}, {}};
  return {Encoding::plain,
          {},
          "a body of type " + type + " can't have placeholders: how values are written in it isn't known"};
}

}  // namespace tidemark::daemon
