// A prepared statement while it is used: bound in order, stepped, and reset at the end of its scope whatever happens,
// so that none stays open between commands. Private to store/.
#pragma once

#include <SQLiteCpp/Statement.h>

#include <cstring>
#include <string>
#include <string_view>

#include "lifecycle/session.h"

namespace tidemark::store {

class Bound {
 public:
  explicit Bound(SQLite::Statement& statement) : statement_(statement) {}
  ~Bound() { statement_.tryReset(); }
  Bound(const Bound&) = delete;
  Bound& operator=(const Bound&) = delete;

  // The next parameter.
  Bound& integer(std::int64_t value) {
    statement_.bind(++bound_, value);
    return *this;
  }
  Bound& integer_or_null(std::int64_t value) { return value == 0 ? null() : integer(value); }
  Bound& null() {
    statement_.bind(++bound_);
    return *this;
  }
  Bound& text(std::string_view value) {
    statement_.bind(++bound_, std::string(value));
    return *this;
  }
  // Not copied: the string must outlive the step.
  Bound& lasting_text(const std::string& value) {
    statement_.bindNoCopy(++bound_, value);
    return *this;
  }
  Bound& text_or_null(std::string_view value) { return value.empty() ? null() : text(value); }
  Bound& key_or_null(const lifecycle::Key& key) {
    if (key == lifecycle::no_key) return null();
    statement_.bind(++bound_, key.data(), static_cast<int>(key.size()));
    return *this;
  }
  Bound& time(lifecycle::Utc at) { return integer(at.time_since_epoch().count()); }

  bool step() { return statement_.executeStep(); }
  void run() { statement_.exec(); }
  int run_counted() { return statement_.exec(); }

  // The columns of the row stepped to, from 0. NULL reads as 0, empty, or no key.
  std::int64_t integer_at(int column) const { return statement_.getColumn(column).getInt64(); }
  bool flag_at(int column) const { return integer_at(column) != 0; }
  std::string text_at(int column) const {
    const SQLite::Column value = statement_.getColumn(column);
    return std::string(value.getText(""), static_cast<std::size_t>(value.getBytes()));
  }
  bool null_at(int column) const { return statement_.isColumnNull(column); }
  lifecycle::Utc time_at(int column) const { return lifecycle::Utc(lifecycle::Milliseconds(integer_at(column))); }
  lifecycle::Key key_at(int column) const {
    const SQLite::Column value = statement_.getColumn(column);
    lifecycle::Key key = lifecycle::no_key;
    if (value.getBytes() == static_cast<int>(key.size())) std::memcpy(key.data(), value.getBlob(), key.size());
    return key;
  }

 private:
  SQLite::Statement& statement_;
  int bound_ = 0;
};

}  // namespace tidemark::store
