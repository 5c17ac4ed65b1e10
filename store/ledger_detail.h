// What the files of Ledger share. Private to store/ledger*.cpp.
#pragma once

#include <SQLiteCpp/Exception.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "lifecycle/time.h"

namespace tidemark::store {

inline constexpr int fold_step_rows = 4'096;                   // about 5 ms
inline constexpr lifecycle::Milliseconds ill_interval{1'000};  // between tries, while the journal can't be written

// The journal as a whole can't take anything now, though it may again.
inline bool refuses_writes(const SQLite::Exception& error) {
  switch (error.getErrorCode() & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_NOMEM:
    case SQLITE_BUSY:
      return true;
    default:
      return false;
  }
}

inline bool damaged(const SQLite::Exception& error) {
  const int code = error.getErrorCode() & 0xff;
  return code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

// A COMMIT failed, and what became of it can't be known. (Without room, SQLite has undone it before any sync.)
class CommitUnknown : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline std::string with_code(const SQLite::Exception& error) {
  return std::string(error.what()) + " (SQLite code " + std::to_string(error.getExtendedErrorCode()) + ")";
}

inline std::int64_t file_bytes(const std::filesystem::path& file) {
  struct stat status {};
  return ::stat(file.c_str(), &status) == 0 ? status.st_size : 0;
}

}  // namespace tidemark::store
