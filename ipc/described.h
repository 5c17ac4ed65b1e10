// JSON to described structs (BOOST_DESCRIBE_STRUCT) and back, by their members' names and types. Reading goes over
// parsed values; writing appends text, without values in between. No message is known here, only the types of
// wire_types.h.
#pragma once

#include <array>
#include <boost/describe/enum_to_string.hpp>
#include <boost/describe/enumerators.hpp>
#include <boost/describe/members.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/list.hpp>
#include <boost/system/result.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "ipc/bounds.h"
#include "ipc/json_rpc.h"
#include "ipc/wire_types.h"

namespace tidemark::ipc {

/// Parameters are strict: unknown members are refused and bounds hold. Results are lenient: unknown members are passed
/// over and bounds aren't looked at, as the sender knows them best.
enum class Strictness { strict, lenient };

/// Why a value can't be decoded: a sentence that names the member.
struct DecodeError {
  std::string text;
};

/// Taking the value of a failed decoding is a fault.
[[noreturn]] inline void throw_exception_from_error(DecodeError const& error, boost::source_location const&) {
  throw std::logic_error("no value was decoded: " + error.text);
}

template <class T>
using Decoded = boost::system::result<T, DecodeError>;

template <class T>
concept DescribedStruct = boost::describe::has_describe_members<T>::value && !std::is_union_v<T>;

/// The words of an enum on the wire: its enumerators' names, or, for a name that C++ keeps for itself, without its
/// trailing underscore. Specialised for words that can't be names.
template <class E>
struct EnumWords;

template <class E>
requires boost::describe::has_describe_enumerators<E>::value struct EnumWords<E> {
  static constexpr auto rows = [] {
    using Enumerators = boost::describe::describe_enumerators<E>;
    std::array<std::pair<E, std::string_view>, boost::mp11::mp_size<Enumerators>::value> made{};
    std::size_t index = 0;
    boost::mp11::mp_for_each<Enumerators>([&](auto enumerator) {
      std::string_view word = enumerator.name;
      if (word.ends_with('_')) word.remove_suffix(1);
      made[index++] = {enumerator.value, word};
    });
    return made;
  }();
};

template <class E>
concept WireEnum = std::is_enum_v<E> && requires {
  EnumWords<E>::rows;
};

/// The word for `value`, which is one of the enum's own.
template <WireEnum E>
constexpr std::string_view word_of(E value) {
  for (auto const& [candidate, word] : EnumWords<E>::rows)
    if (candidate == value) return word;
  return {};
}

/// The value for `word`, if there is one.
template <WireEnum E>
constexpr std::optional<E> from_word(std::string_view word) {
  for (auto const& [value, candidate] : EnumWords<E>::rows)
    if (candidate == word) return value;
  return std::nullopt;
}

namespace detail {

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_nullable = false;
template <class T>
inline constexpr bool is_nullable<Nullable<T>> = true;
template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T>
inline constexpr bool is_flag = false;
template <bool value_if_absent>
inline constexpr bool is_flag<Flag<value_if_absent>> = true;
template <class T>
inline constexpr bool is_integer = false;
template <std::int64_t least, std::int64_t most>
inline constexpr bool is_integer<Integer<least, most>> = true;
template <class T>
inline constexpr bool may_be_absent = is_optional<T> || is_nullable<T> || is_flag<T>;

template <class T>
using Members = boost::describe::describe_members<T, boost::describe::mod_public | boost::describe::mod_inherited>;

// One decoding: how strict, which member is being read, and what is wrong, once something is.
struct Reading {
  Strictness strictness;
  std::string_view member;
  std::string error;

  bool strict() const { return strictness == Strictness::strict; }
  // Records what `member` must be; false, to be returned.
  bool refuse(std::string_view rule);
  bool refuse_unknown(std::string_view name, std::span<std::string_view const> known);
  bool refuse_missing(std::string_view name);
};

bool read_int64(std::int64_t& out, boost::json::value const& value, std::int64_t least, std::int64_t most, Reading&);
bool read_uint64(std::uint64_t& out, boost::json::value const& value, std::uint64_t most, Reading&);
bool read_utc(Utc& out, boost::json::value const& value, Reading&);
bool read_uid_selector(UidSelector& out, boost::json::value const& value, Reading&);
void read_raw(RawJson& out, boost::json::value const& value);
bool refuse_word(Reading& reading, std::span<std::string_view const> words);
void append_utc(std::string& out, Utc instant);
void append_raw(std::string& out, std::string_view text);

template <DescribedStruct T>
bool read_members(T& out, boost::json::object const& object, Reading& reading);

template <class T>
bool read_value(T& out, boost::json::value const& value, Reading& reading) {
  if constexpr (std::is_same_v<T, bool>) {
    if (!value.is_bool()) return reading.refuse("true or false");
    out = value.get_bool();
    return true;
  } else if constexpr (is_flag<T>) {
    return value.is_null() || read_value(out.value, value, reading);
  } else if constexpr (is_optional<T> || is_nullable<T>) {
    if (value.is_null()) return true;
    return read_value(out.emplace(), value, reading);
  } else if constexpr (std::is_same_v<T, std::string>) {
    auto const* string = value.if_string();
    if (string == nullptr) return reading.refuse("a string");
    out.assign(string->data(), string->size());
    return true;
  } else if constexpr (std::derived_from<T, RuledString>) {
    auto const* string = value.if_string();
    if (string == nullptr || (reading.strict() && !T::allows(*string))) return reading.refuse(T::rule);
    out.value.assign(string->data(), string->size());
    return true;
  } else if constexpr (is_integer<T>) {
    using Limits = std::numeric_limits<std::int64_t>;
    constexpr auto bounds_of = []<std::int64_t least, std::int64_t most>(Integer<least, most>) {
      return std::pair(least, most);
    };
    auto const [least, most] = reading.strict() ? bounds_of(T()) : std::pair(Limits::min(), Limits::max());
    return read_int64(out.value, value, least, most, reading);
  } else if constexpr (std::signed_integral<T>) {
    std::int64_t number = 0;
    if (!read_int64(number, value, std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), reading)) return false;
    out = static_cast<T>(number);
    return true;
  } else if constexpr (std::unsigned_integral<T>) {
    std::uint64_t number = 0;
    if (!read_uint64(number, value, std::numeric_limits<T>::max(), reading)) return false;
    out = static_cast<T>(number);
    return true;
  } else if constexpr (std::is_same_v<T, Milliseconds>) {
    std::int64_t count = 0;
    if (!read_int64(count, value, 0, bounds::duration_max.count(), reading)) return false;
    out = Milliseconds(count);
    return true;
  } else if constexpr (std::is_same_v<T, Utc>) {
    return read_utc(out, value, reading);
  } else if constexpr (std::is_same_v<T, UidSelector>) {
    return read_uid_selector(out, value, reading);
  } else if constexpr (std::is_same_v<T, RawJson>) {
    read_raw(out, value);
    return true;
  } else if constexpr (is_vector<T>) {
    auto const* array = value.if_array();
    if (array == nullptr) return reading.refuse("an array");
    if (reading.strict() && array->size() > bounds::list_elements_max)
      return reading.refuse("an array of at most " + std::to_string(bounds::list_elements_max) + " elements");
    out.reserve(array->size());
    for (auto const& element : *array)
      if (!read_value(out.emplace_back(), element, reading)) return false;
    return true;
  } else if constexpr (WireEnum<T>) {
    auto const* string = value.if_string();
    auto const found = string != nullptr ? from_word<T>(*string) : std::nullopt;
    if (found) {
      out = *found;
      return true;
    }
    std::array<std::string_view, EnumWords<T>::rows.size()> words;
    for (std::size_t index = 0; index < words.size(); ++index) words[index] = EnumWords<T>::rows[index].second;
    return refuse_word(reading, words);
  } else {
    static_assert(DescribedStruct<T>, "a type that the codec doesn't know");
    auto const* object = value.if_object();
    if (object == nullptr) return reading.refuse("an object");
    return read_members(out, *object, reading);
  }
}

template <DescribedStruct T>
bool read_members(T& out, boost::json::object const& object, Reading& reading) {
  static_assert(boost::mp11::mp_size<Members<T>>::value <= 64);
  std::uint64_t seen = 0;
  for (auto const& entry : object) {
    boost::json::string_view const key = entry.key();
    bool known = false;
    bool good = true;
    std::size_t index = 0;
    boost::mp11::mp_for_each<Members<T>>([&](auto member) {
      constexpr std::string_view name = decltype(member)::name;
      if (!known && key == name) {
        known = true;
        seen |= std::uint64_t{1} << index;
        reading.member = name;
        good = read_value(out.*decltype(member)::pointer, entry.value(), reading);
      }
      ++index;
    });
    if (!good) return false;
    if (!known && reading.strict()) {
      std::array<std::string_view, boost::mp11::mp_size<Members<T>>::value> names;
      std::size_t count = 0;
      boost::mp11::mp_for_each<Members<T>>([&](auto member) { names[count++] = decltype(member)::name; });
      return reading.refuse_unknown(key, names);
    }
  }
  bool good = true;
  std::size_t index = 0;
  boost::mp11::mp_for_each<Members<T>>([&](auto member) {
    using Type = std::remove_cvref_t<decltype(out.*decltype(member)::pointer)>;
    if constexpr (!may_be_absent<Type>)
      if (good && (seen >> index & 1) == 0) good = reading.refuse_missing(decltype(member)::name);
    ++index;
  });
  return good;
}

template <class T>
void append_members(std::string& out, T const& value);

template <class T>
void append_value(std::string& out, T const& value) {
  if constexpr (std::is_same_v<T, bool>) {
    out += value ? "true" : "false";
  } else if constexpr (is_flag<T>) {
    append_value(out, value.value);
  } else if constexpr (is_optional<T> || is_nullable<T>) {
    if (value) {
      append_value(out, *value);
    } else {
      out += "null";
    }
  } else if constexpr (std::is_same_v<T, std::string>) {
    append_string(out, value);
  } else if constexpr (std::derived_from<T, RuledString>) {
    append_string(out, value.value);
  } else if constexpr (is_integer<T>) {
    append_integer(out, value.value);
  } else if constexpr (std::signed_integral<T>) {
    append_integer(out, static_cast<std::int64_t>(value));
  } else if constexpr (std::unsigned_integral<T>) {
    append_integer(out, static_cast<std::uint64_t>(value));
  } else if constexpr (std::is_same_v<T, Milliseconds>) {
    append_integer(out, static_cast<std::int64_t>(value.count()));
  } else if constexpr (std::is_same_v<T, Utc>) {
    append_utc(out, value);
  } else if constexpr (std::is_same_v<T, UidSelector>) {
    if (value.uid) {
      append_value(out, *value.uid);
    } else {
      out += R"("all")";
    }
  } else if constexpr (std::is_same_v<T, RawJson>) {
    append_raw(out, value.text);
  } else if constexpr (is_vector<T>) {
    out += '[';
    bool first = true;
    for (auto const& element : value) {
      if (!std::exchange(first, false)) out += ',';
      append_value(out, element);
    }
    out += ']';
  } else if constexpr (WireEnum<T>) {
    append_string(out, word_of(value));
  } else {
    static_assert(DescribedStruct<T>, "a type that the codec doesn't know");
    append_members(out, value);
  }
}

// `,"name":` of a described member, made when compiling.
template <class Member>
inline constexpr auto key_text = [] {
  constexpr std::string_view name = Member::name;
  std::array<char, name.size() + 4> text{};
  text[0] = ',';
  text[1] = '"';
  for (std::size_t index = 0; index < name.size(); ++index) text[index + 2] = name[index];
  text[name.size() + 2] = '"';
  text[name.size() + 3] = ':';
  return text;
}();

template <class T>
void append_members(std::string& out, T const& value) {
  out += '{';
  bool first = true;
  boost::mp11::mp_for_each<Members<T>>([&](auto member) {
    auto const& field = value.*decltype(member)::pointer;
    using Type = std::remove_cvref_t<decltype(field)>;
    if constexpr (is_optional<Type>)
      if (!field) return;
    if constexpr (is_flag<Type>)
      if (field.value == Type().value) return;
    constexpr auto const& key = key_text<decltype(member)>;
    std::size_t const skipped = std::exchange(first, false) ? 1 : 0;
    out.append(key.data() + skipped, key.size() - skipped);
    append_value(out, field);
  });
  out += '}';
}

}  // namespace detail

/// Makes a T of `object`. Members that may be absent (std::optional, Nullable, Flag) may also be null.
template <DescribedStruct T>
Decoded<T> decode(boost::json::object const& object, Strictness strictness) {
  detail::Reading reading{strictness, {}, {}};
  Decoded<T> decoded{T{}};
  if (detail::read_members(*decoded, object, reading)) return decoded;
  return DecodeError{std::move(reading.error)};
}

/// The same for a value, which must be an object.
template <DescribedStruct T>
Decoded<T> decode(boost::json::value const& value, Strictness strictness) {
  if (auto const* object = value.if_object()) return decode<T>(*object, strictness);
  return DecodeError{"a JSON object is expected"};
}

/// Appends `value` as one JSON object. Empty optionals and flags at their default aren't written; Nullable is, as null.
template <DescribedStruct T>
void encode(std::string& out, T const& value) {
  detail::append_members(out, value);
}

}  // namespace tidemark::ipc
