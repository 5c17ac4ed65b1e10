// One connection in WAL mode with an exclusive lock taken before the first access: so there is no shared memory file,
// no second reader to coordinate with, and no checkpoint race between connections.
#include "store/database.h"

#include <SQLiteCpp/Backup.h>
#include <SQLiteCpp/Statement.h>
#include <SQLiteCpp/Transaction.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "store/migrations.h"

namespace tidemark::store {
namespace {

std::string error_text(int error) {
  return std::strerror(error);
}

// A file's name is durable only once its folder is synced; SQLite does so for its log, not for the database itself.
void sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
  const int error = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (!synced) throw OpenError("can't sync the state folder " + folder.string() + ": " + error_text(error));
}

void set_pragmas(SQLite::Database& database, Synchronous synchronous) {
  sqlite3* handle = database.getHandle();
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_extended_result_codes(handle, 1);
  // The pragma answers with the mode that it got, and does not fail when that is another.
  const std::string mode = database.execAndGet("PRAGMA journal_mode = WAL").getString();
  if (mode != "wal") throw OpenError("the database can't use a write-ahead log here (journal_mode is " + mode + ")");
  database.exec(synchronous == Synchronous::full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
  database.exec("PRAGMA foreign_keys = ON");
  database.exec("PRAGMA wal_autocheckpoint = 0");         // the ledger chooses when
  database.exec("PRAGMA journal_size_limit = 67108864");  // 64 MiB: what a checkpoint leaves of the log
  database.exec("PRAGMA cache_size = -16384");            // 16 MiB
  database.exec("PRAGMA temp_store = MEMORY");
}

int pragma_value(SQLite::Database& database, const char* name) {
  return database.execAndGet(std::string("PRAGMA ") + name).getInt();
}

// Keeps a copy of the database as it was, in the state folder. Refused when there is no room for it.
void copy_before_migration(SQLite::Database& database, const std::filesystem::path& state_dir, int version) {
  std::error_code ignored;
  const std::filesystem::path file = state_dir / database_name;
  const auto needed = std::filesystem::file_size(file, ignored) + std::uintmax_t{16} * 1024 * 1024;
  const auto space = std::filesystem::space(state_dir, ignored);
  if (space.available < 2 * needed) {
    throw OpenError("no room to migrate " + file.string() + ": a copy and the migration need " +
                    std::to_string(2 * needed) + " bytes, " + std::to_string(space.available) +
                    " are free; the database was not touched");
  }
  const std::filesystem::path copy = state_dir / ("before-schema-" + std::to_string(version + 1) + ".db");
  std::filesystem::remove(copy, ignored);
  SQLite::Database target(copy.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  SQLite::Backup(target, database).executeStep(-1);
  ::chmod(copy.c_str(), 0600);
}

void migrate(SQLite::Database& database, const std::filesystem::path& state_dir) {
  const int found = pragma_value(database, "user_version");
  if (found > 0 && found < schema_version()) copy_before_migration(database, state_dir, found);
  for (const Migration& migration : migrations()) {
    if (migration.version <= found) continue;
    SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
    database.exec(std::string(migration.sql));
    database.exec("PRAGMA application_id = " + std::to_string(application_id));
    database.exec("PRAGMA user_version = " + std::to_string(migration.version));
    transaction.commit();
  }
}

void check_identity(SQLite::Database& database, const std::filesystem::path& file) {
  const int id = pragma_value(database, "application_id");
  const int version = pragma_value(database, "user_version");
  const int objects = database.execAndGet("SELECT count(*) FROM sqlite_schema").getInt();
  if (id == application_id && version > schema_version()) {
    throw OpenError("the database has schema " + std::to_string(version) + ", this tidemarkd knows " +
                    std::to_string(schema_version()) + ": it was used by a newer version; install that one again");
  }
  if (id == application_id && version > 0) return;
  if (id == 0 && version == 0 && objects == 0) return;  // new
  throw OpenError(file.string() + " is not Tidemark's database (application_id " + std::to_string(id) +
                  "): move it away, or choose another --state-dir");
}

}  // namespace

StateDirLock::StateDirLock(const std::filesystem::path& state_dir) {
  std::error_code error;
  if (state_dir.has_parent_path()) std::filesystem::create_directories(state_dir.parent_path(), error);
  if (::mkdir(state_dir.c_str(), 0700) != 0 && errno != EEXIST) {
    throw OpenError("can't make the state folder " + state_dir.string() + ": " + error_text(errno));
  }
  const int folder = ::open(state_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) throw OpenError("can't open the state folder " + state_dir.string() + ": " + error_text(errno));
  struct stat status {};
  ::fstat(folder, &status);
  if (status.st_uid != ::geteuid()) {
    ::close(folder);
    throw OpenError("the state folder " + state_dir.string() + " belongs to uid " + std::to_string(status.st_uid) +
                    ", not to this daemon's uid " + std::to_string(::geteuid()));
  }
  ::fchmod(folder, 0700);
  descriptor_ = ::openat(folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  const int open_error = errno;
  ::close(folder);
  if (descriptor_ < 0) {
    throw OpenError("can't open " + (state_dir / "lock").string() + ": " + error_text(open_error));
  }
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    ::close(descriptor_);
    throw OpenError("another tidemarkd is using the state folder " + state_dir.string());
  }
}

StateDirLock::~StateDirLock() {
  ::close(descriptor_);
}

int schema_version() {
  return migrations().back().version;
}

std::unique_ptr<SQLite::Database> open_database(const OpenOptions& options) {
  const std::filesystem::path file = options.state_dir / database_name;
  // SQLite makes its files with the mode of the database: made here, nobody else can ever look in.
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) throw OpenError("can't open " + file.string() + ": " + error_text(errno));
  ::close(descriptor);
  sync_folder(options.state_dir);
  const bool has_log = std::filesystem::exists(file.string() + "-wal");
  try {
    auto database = std::make_unique<SQLite::Database>(
        file.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_NOFOLLOW | SQLite::OPEN_NOMUTEX);
    database->exec("PRAGMA locking_mode = EXCLUSIVE");  // before the first access: then WAL needs no shared memory
    // One that is refused is left as it is: its log, too, is its own program's to write back.
    sqlite3_db_config(database->getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log ? 1 : 0, nullptr);
    check_identity(*database, file);
    sqlite3_db_config(database->getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
    set_pragmas(*database, options.synchronous);
    migrate(*database, options.state_dir);
    return database;
  } catch (const SQLite::Exception& error) {
    const int code = error.getErrorCode() & 0xff;
    if (code == SQLITE_BUSY) throw OpenError("another program is using " + file.string());
    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) {
      throw OpenError(file.string() + " is damaged (" + error.what() +
                      "): it was not touched; restore a backup in its place, or move it away to start anew");
    }
    throw OpenError("can't open " + file.string() + ": " + error.what());
  }
}

}  // namespace tidemark::store
