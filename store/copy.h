// One copy of the journal, made by SQLite's backup from the ledger's own connection, a little at a time between its
// batches. What is written through that connection meanwhile goes into the copy as well: so it is the journal as of the
// copy's last step, and holds all that was durable when it began.
//
// The ledger thread makes the steps; another thread owns the copy, brings what was copied to the disk, waits for the
// end, and may call it off. The copy itself is not durable at its end: that is the owner's part.
#pragma once

#include <SQLiteCpp/Backup.h>
#include <SQLiteCpp/Database.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace tidemark::store {

class Copy {
 public:
  // `target`: an empty file, and nobody else's until the end. Throws SQLite::Exception if it can't be opened.
  explicit Copy(const std::filesystem::path& target);

  // ---- on the ledger thread, outside a transaction

  // Copies for 1 ms, or for less where `hurry` says that commands wait. False = the copy has ended.
  bool step(SQLite::Database& journal, const std::function<bool()>& hurry);
  // Ends it, unfinished.
  void end(const std::string& why);

  // ---- on its owner's

  // Calls it off: it ends at its next step.
  void cancel() { cancelled_ = true; }
  // Waits for its end, for so long at most; true = it has ended.
  bool wait(std::chrono::milliseconds most);
  // Why it ended unfinished; empty = it is whole. Once it has ended.
  const std::string& failure() const { return failure_; }
  // The file's first so many bytes have been written to the system. It goes no further than 2 MiB beyond what the owner
  // has called durable: so the disk is never left with a long queue, in which the journal's own syncs would have to
  // wait.
  std::int64_t written_bytes() const { return written_bytes_; }
  void set_durable(std::int64_t bytes) { durable_bytes_ = bytes; }

 private:
  void finish(std::string failure);

  std::unique_ptr<SQLite::Database> target_;
  // Ledger thread only.
  std::optional<SQLite::Backup> backup_;
  std::int64_t page_bytes_ = 0;

  std::atomic<bool> cancelled_{false};
  std::atomic<std::int64_t> written_bytes_{0};
  std::atomic<std::int64_t> durable_bytes_{0};
  std::mutex mutex_;
  std::condition_variable ended_changed_;
  bool ended_ = false;
  std::string failure_;  // written before `ended_`
};

}  // namespace tidemark::store
