// Opening the ledger's database: one connection, exclusively ours, checked to be what it claims, and brought to the
// current schema. Used by the ledger thread only (the handle itself isn't shared).
#pragma once

#include <SQLiteCpp/Database.h>

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

namespace tidemark::store {

// The database can't be used: another daemon has it, it is newer, foreign or damaged, or the folder refuses. The text
// says which, and what can be done; the file is left untouched.
class OpenError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// How much a COMMIT promises.
enum class Synchronous {
  full,    // survives loss of power
  normal,  // survives a crash of the daemon only
};

struct OpenOptions {
  std::filesystem::path state_dir;  // made with mode 0700 if missing
  Synchronous synchronous = Synchronous::full;
};

// An advisory lock on the state folder, held as long as the object lives: one daemon a folder.
class StateDirLock {
 public:
  // Makes the folder if need be. Throws OpenError if it is somebody else's, or locked by another daemon.
  explicit StateDirLock(const std::filesystem::path& state_dir);
  ~StateDirLock();
  StateDirLock(const StateDirLock&) = delete;
  StateDirLock& operator=(const StateDirLock&) = delete;

 private:
  int descriptor_ = -1;
};

inline constexpr const char* database_name = "tidemark.db";
// "TDMK": says in the file's header whose database it is.
inline constexpr int application_id = 0x54444d4b;

// Opens, checks and migrates. The caller holds the folder's lock. Throws OpenError.
std::unique_ptr<SQLite::Database> open_database(const OpenOptions& options);

// The newest schema that this program knows: the number of the last migration.
int schema_version();

}  // namespace tidemark::store
