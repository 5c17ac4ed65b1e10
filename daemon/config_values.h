// The kinds of value that the configuration file holds. A kind is a function: it checks type, form and range, and
// writes the value to its place. Used where keys are read.
#pragma once

#include <toml++/toml.h>

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/config.h"

namespace tidemark::daemon {

/// Takes a value to its place. Answers what is wrong with it, leaving the place as it was, or an empty text.
template <class T>
using ValueKind = std::function<std::string(const toml::node&, T&)>;

constexpr Milliseconds day = std::chrono::hours(24);
constexpr Milliseconds moment{10};  // no wait is set shorter: it would be a busy loop

enum class Off { refused, allowed };

std::string in_quotes(std::string_view text);

/// What was found, in words: `the integer 30`, `the text "on"`, `a list`.
std::string found(const toml::node& node);

/// `found …, expected …`.
std::string mismatch(const toml::node& node, std::string_view expected);

/// The duration as the file would say it, in the largest unit that is exact: `90d`.
std::string toml_text(Milliseconds duration);

/// Why a user or group that the file names can't be taken.
std::string unknown_name(std::string_view kind, const std::string& name, const boost::system::error_code& error);

/// Who is meant by a login name, or by a uid written as a text; or why nobody is.
boost::system::result<uid_t, std::string> user_named(const std::string& name);

ValueKind<Milliseconds> duration(Milliseconds least, Milliseconds most, Off off = Off::refused);
ValueKind<std::int64_t> count(std::int64_t least, std::int64_t most);
ValueKind<double> number(double least, double most);
ValueKind<std::string> path(std::size_t bytes_max);

/// One of `words`, for what stands beside it.
template <class T>
ValueKind<T> choice(std::vector<std::pair<std::string_view, T>> words) {
  return [words = std::move(words)](const toml::node& node, T& place) -> std::string {
    const auto text = node.value_exact<std::string_view>();
    std::string expected;
    for (const auto& [word, value] : words) {
      if (text == word) {
        place = value;
        return {};
      }
      expected += (expected.empty() ? "one of " : ", ") + in_quotes(word);
    }
    return mismatch(node, expected);
  };
}

}  // namespace tidemark::daemon
