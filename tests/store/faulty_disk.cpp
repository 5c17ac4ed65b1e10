// Each file is the real system's, with the method table exchanged: its own table, with writes and syncs asking first.
// Shared memory is not passed on: the ledger's exclusive mode needs none, and a test would notice if it did.
#include "faulty_disk.h"

#include <sqlite3.h>

#include <string_view>

namespace tidemark::store {
namespace {

sqlite3_vfs* real() {
  static sqlite3_vfs* const found = sqlite3_vfs_find("unix");
  return found;
}

struct File {
  sqlite3_file base;
  bool log, copy;
  // The real system's file follows.
};

sqlite3_file* real_file(sqlite3_file* file) {
  return reinterpret_cast<sqlite3_file*>(reinterpret_cast<File*>(file) + 1);
}

template <class... Expected, class... Given>
int forward(int (*sqlite3_io_methods::*method)(sqlite3_file*, Expected...), sqlite3_file* file, Given... arguments) {
  return (real_file(file)->pMethods->*method)(real_file(file), arguments...);
}

const sqlite3_io_methods methods = {
    1,
    [](sqlite3_file* file) { return forward(&sqlite3_io_methods::xClose, file); },
    [](sqlite3_file* file, void* to, int bytes, sqlite3_int64 offset) {
      return forward(&sqlite3_io_methods::xRead, file, to, bytes, offset);
    },
    [](sqlite3_file* file, const void* from, int bytes, sqlite3_int64 offset) {
      if (reinterpret_cast<File*>(file)->log) {
        if (const int code = FaultyDisk::instance().on_write(); code != SQLITE_OK) return code;
      }
      if (reinterpret_cast<File*>(file)->copy) {
        if (const int code = FaultyDisk::instance().on_copy(); code != SQLITE_OK) return code;
      }
      return forward(&sqlite3_io_methods::xWrite, file, from, bytes, offset);
    },
    [](sqlite3_file* file, sqlite3_int64 bytes) { return forward(&sqlite3_io_methods::xTruncate, file, bytes); },
    [](sqlite3_file* file, int flags) {
      if (reinterpret_cast<File*>(file)->log) {
        if (const int code = FaultyDisk::instance().on_sync(); code != SQLITE_OK) return code;
      }
      return forward(&sqlite3_io_methods::xSync, file, flags);
    },
    [](sqlite3_file* file, sqlite3_int64* bytes) { return forward(&sqlite3_io_methods::xFileSize, file, bytes); },
    [](sqlite3_file* file, int level) { return forward(&sqlite3_io_methods::xLock, file, level); },
    [](sqlite3_file* file, int level) { return forward(&sqlite3_io_methods::xUnlock, file, level); },
    [](sqlite3_file* file, int* locked) { return forward(&sqlite3_io_methods::xCheckReservedLock, file, locked); },
    [](sqlite3_file* file, int operation, void* argument) {
      return forward(&sqlite3_io_methods::xFileControl, file, operation, argument);
    },
    [](sqlite3_file* file) { return forward(&sqlite3_io_methods::xSectorSize, file); },
    [](sqlite3_file* file) { return forward(&sqlite3_io_methods::xDeviceCharacteristics, file); },
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
};

int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* flags_got) {
  file->pMethods = nullptr;
  reinterpret_cast<File*>(file)->log = (flags & SQLITE_OPEN_WAL) != 0;
  reinterpret_cast<File*>(file)->copy = name && std::string_view(name).ends_with(".partial");
  const int code = real()->xOpen(real(), name, real_file(file), flags, flags_got);
  if (real_file(file)->pMethods) file->pMethods = &methods;
  return code;
}

}  // namespace

FaultyDisk& FaultyDisk::instance() {
  static FaultyDisk disk;
  static const bool registered = [] {
    static sqlite3_vfs system;
    system = *real();
    system.pNext = nullptr;
    system.zName = "faulty";
    system.szOsFile = static_cast<int>(sizeof(File)) + real()->szOsFile;
    system.xOpen = open;
    return sqlite3_vfs_register(&system, 1) == SQLITE_OK;
  }();
  static_cast<void>(registered);
  return disk;
}

void FaultyDisk::heal() {
  write_code_ = sync_code_ = copy_code_ = SQLITE_OK;
  writes_ = syncs_ = 0;
  refused_ = false;
}

void FaultyDisk::fail_writes(int code, std::int64_t after) {
  writes_left_ = after;
  write_code_ = code;
}

void FaultyDisk::fail_syncs(int code, std::int64_t after) {
  syncs_left_ = after;
  sync_code_ = code;
}

void FaultyDisk::fail_copies(int code, std::int64_t after) {
  copies_left_ = after;
  copy_code_ = code;
}

int FaultyDisk::on_copy() {
  return copy_code_ == SQLITE_OK || copies_left_-- > 0 ? SQLITE_OK : copy_code_.load();
}

int FaultyDisk::on_write() {
  ++writes_;
  if (write_code_ == SQLITE_OK || writes_left_-- > 0) return SQLITE_OK;
  refused_ = true;
  return write_code_;
}

int FaultyDisk::on_sync() {
  ++syncs_;
  if (sync_code_ == SQLITE_OK || syncs_left_-- > 0) return SQLITE_OK;
  refused_ = true;
  return sync_code_;
}

}  // namespace tidemark::store
