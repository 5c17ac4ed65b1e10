#include "store/copy.h"

#include <SQLiteCpp/Exception.h>
#include <sqlite3.h>

#include <algorithm>

namespace tidemark::store {
namespace {

constexpr int pages_at_once = 16;  // about 0.1 ms
constexpr std::chrono::microseconds step_time{1'000};
constexpr std::chrono::microseconds hurried_step_time{300};
constexpr std::int64_t ahead_bytes_max = std::int64_t{2} * 1024 * 1024;
// SQLite keeps a page in the target's cache, which is 256 KiB, until it needs the place. With some to spare, this is
// what the file may lag behind the copied pages.
constexpr std::int64_t lag_bytes = std::int64_t{1024} * 1024;

}  // namespace

Copy::Copy(const std::filesystem::path& target)
    : target_(std::make_unique<SQLite::Database>(
          target.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_NOFOLLOW | SQLite::OPEN_NOMUTEX)) {
  target_->exec("PRAGMA locking_mode = EXCLUSIVE");
  target_->exec("PRAGMA journal_mode = OFF");  // a copy that fails is thrown away
  target_->exec("PRAGMA synchronous = OFF");   // its owner waits for the disk, not the ledger thread
  target_->exec("PRAGMA cache_size = -256");
}

bool Copy::step(SQLite::Database& journal, const std::function<bool()>& hurry) {
  const auto begun = std::chrono::steady_clock::now();
  try {
    if (!backup_) {
      page_bytes_ = journal.execAndGet("PRAGMA page_size").getInt64();
      backup_.emplace(*target_, journal);
    }
    for (;;) {
      if (cancelled_) {
        end("it was called off");
        return false;
      }
      if (written_bytes_ - durable_bytes_ > ahead_bytes_max) return true;
      const int code = backup_->executeStep(pages_at_once);
      const std::int64_t pages = backup_->getTotalPageCount() - backup_->getRemainingPageCount();
      written_bytes_ = std::max<std::int64_t>(0, pages * page_bytes_ - lag_bytes);
      if (code == SQLITE_DONE) {
        finish({});
        return false;
      }
      if (code != SQLITE_OK) {
        end(sqlite3_errstr(code));
        return false;
      }
      const auto spent = std::chrono::steady_clock::now() - begun;
      if (spent > step_time || (spent > hurried_step_time && hurry())) return true;
    }
  } catch (const SQLite::Exception& error) {
    end(error.what());
    return false;
  }
}

void Copy::end(const std::string& why) {
  finish(why);
}

void Copy::finish(std::string failure) {
  backup_.reset();  // lets go of the journal's connection
  target_.reset();
  {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(failure);
    ended_ = true;
  }
  ended_changed_.notify_all();
}

bool Copy::wait(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  return ended_changed_.wait_for(lock, most, [this] { return ended_; });
}

}  // namespace tidemark::store
