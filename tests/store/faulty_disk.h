// A disk that fails when told to: a SQLite file system over the real one, registered as the default of this process. It
// can refuse the writes and the syncs of write-ahead logs, at once or after so many of them, and counts both; and the
// writes of unfinished copies. One for the process; any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace tidemark::store {

class FaultyDisk {
 public:
  // The process's one; registered with SQLite at the first call, so call it before a database is opened.
  static FaultyDisk& instance();

  // Everything works again; the counts start anew.
  void heal();
  // From the write (or sync) after the next `after` ones on, every one ends with this SQLite code.
  void fail_writes(int code, std::int64_t after = 0);
  void fail_syncs(int code, std::int64_t after = 0);
  // The same of writes to files that are named `….partial`.
  void fail_copies(int code, std::int64_t after);

  std::int64_t writes() const { return writes_; }  // tried
  std::int64_t syncs() const { return syncs_; }
  bool refused() const { return refused_; }  // since heal()

  // For the file system's methods: SQLITE_OK, or the code to end with.
  int on_write();
  int on_sync();
  int on_copy();

 private:
  FaultyDisk() = default;

  std::atomic<std::int64_t> writes_{0}, syncs_{0};
  std::atomic<std::int64_t> writes_left_{0}, syncs_left_{0}, copies_left_{0};
  std::atomic<int> write_code_{0}, sync_code_{0}, copy_code_{0};
  std::atomic<bool> refused_{false};
};

}  // namespace tidemark::store
