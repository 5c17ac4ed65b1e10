// The types that members of messages are made of, beyond bool, integers, std::string, std::optional and std::vector.
// They say what a value on the wire may be; described.h reads and writes them.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "ipc/bounds.h"

namespace tidemark::ipc {

/// A duration: on the wire an integer, in members named `…_ms`.
using Milliseconds = std::chrono::milliseconds;
/// An instant: on the wire RFC 3339 with milliseconds, `2026-01-31T08:15:00.250Z`.
using Utc = std::chrono::sys_time<Milliseconds>;
/// A Unix user.
using Uid = std::uint32_t;

/// A string with a rule. The rule holds for what was decoded as a parameter; a value built by hand isn't checked, as it
/// will be by the peer that receives it.
struct RuledString {
  std::string value;

  RuledString() = default;
  RuledString(std::string text) : value(std::move(text)) {}  // NOLINT: converts like the string that it is
  RuledString(std::string_view text) : value(text) {}        // NOLINT
  RuledString(char const* text) : value(text) {}             // NOLINT
  operator std::string const&() const { return value; }      // NOLINT
  auto operator<=>(RuledString const&) const = default;
};

/// A session, agent, group, turn, provider or external id.
struct Name : RuledString {
  using RuledString::RuledString;
  static constexpr std::string_view rule = "a string of 1 to 256 bytes without control characters";
  /// Whether `text`, which is UTF-8, obeys the rule. Control characters are U+0000 to U+001F and U+007F to U+009F.
  static bool allows(std::string_view text);
};

/// A text for people: a reason, a program's version. Also a cursor.
struct Text : RuledString {
  using RuledString::RuledString;
  static constexpr std::string_view rule = "a string of at most 4096 bytes without NUL";
  static bool allows(std::string_view text);
};

/// An attempt's id, as the daemon chose it.
struct CommitId : RuledString {
  using RuledString::RuledString;
  static constexpr std::string_view rule = "a string of 1 to 64 bytes";
  static bool allows(std::string_view text);
};

/// An integer between `least` and `most`, both included. Results aren't held to the bounds when read.
template <std::int64_t least, std::int64_t most>
struct Integer {
  std::int64_t value = least;

  Integer() = default;
  Integer(std::int64_t number) : value(number) {}  // NOLINT: converts like the number that it is
  operator std::int64_t() const { return value; }  // NOLINT
};

/// A generation that a caller names: from 1.
using GenerationNumber = Integer<1, std::numeric_limits<std::int64_t>::max()>;
/// How many entries a page of a list may have.
using PageEntries = Integer<1, bounds::page_entries_max>;

/// A bool that may be absent and then has this value; it is not written when it has it.
template <bool value_if_absent>
struct Flag {
  bool value = value_if_absent;

  Flag() = default;
  Flag(bool flag) : value(flag) {}         // NOLINT: converts like the bool that it is
  operator bool() const { return value; }  // NOLINT
};

/// A member that is always there: null when empty.
template <class T>
struct Nullable : std::optional<T> {
  using std::optional<T>::optional;
};

/// JSON text that passes through as it is: the evidence of a commit. Must be one valid JSON value when written (empty:
/// null); line breaks in it are written as spaces, which they are to JSON, so that the frame stays one line.
struct RawJson {
  std::string text;
  bool operator==(RawJson const&) const = default;
};

/// Whose: one user's, or everybody's (`"all"`).
struct UidSelector {
  std::optional<Uid> uid;  ///< empty: all

  static UidSelector all() { return {}; }
  bool is_all() const { return !uid; }
  bool operator==(UidSelector const&) const = default;
};

}  // namespace tidemark::ipc
