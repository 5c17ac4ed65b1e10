// What the ledger does besides its commands: moves the log, forgets what is past its time, copies, checkpoints. All in
// steps of a few milliseconds, between batches.
#include <SQLiteCpp/Exception.h>
#include <sqlite3.h>

#include "store/ledger.h"
#include "store/ledger_detail.h"
#include "store/statement.h"

namespace tidemark::store {
namespace {

using lifecycle::Milliseconds;

constexpr int retained_rows = 512;  // a step of retention
constexpr Milliseconds retention_interval{3'600'000};
constexpr Milliseconds copy_pause{1};  // between the steps of a copy
// Pages of 4 KiB in SQLite's log. A checkpoint of 4 MiB takes about 7 ms, which is what a mark may have to wait for it.
constexpr int checkpoint_pages = 1'024;
constexpr int idle_checkpoint_pages = 64;

}  // namespace

bool Ledger::commit_maintenance(const std::function<void()>& step) {
  const sqlite3_int64 changes_before = sqlite3_total_changes64(database_->getHandle());
  state_->begin_batch();
  try {
    Bound(*begin_).run();
    step();
    state_->write_derived();
    commit();
  } catch (const CommitUnknown& error) {
    roll_back();
    fail(std::string("a sync of the journal failed: ") + error.what());
    return false;
  } catch (const SQLite::Exception& error) {
    roll_back();
    if (damaged(error)) fail("the journal is damaged: " + with_code(error));
    if (!failed_) set_health(false, with_code(error));
    return false;
  }
  Delivery delivery;
  delivery.effects = state_->end_batch();
  const bool recovered = !healthy() && sqlite3_total_changes64(database_->getHandle()) != changes_before;
  if (recovered) set_health(true, {});
  // Whoever is told of the journal's health hears of it with a delivery.
  if (recovered || !delivery.effects.empty()) callbacks_.deliver(std::move(delivery));
  return true;
}

// What nobody waits for, in steps of a few milliseconds, as long as no command does.
void Ledger::maintain() {
  if (failed_ || now_().steady < ill_until_) return;
  checkpoint(checkpoint_pages);
  {
    const std::lock_guard lock(mutex_);
    if (!queue_.empty()) return;
  }
  // Nobody may be writing who would notice that there is room again.
  if (!healthy() && !commit_maintenance([this] { state_->write_anything(); })) {
    ill_until_ = now_().steady + ill_interval;
    return;
  }
  const lifecycle::Steady now = now_().steady;
  if (maintenance_wanted_ && maintain_at_ <= now) {
    bool more = false;
    if (!commit_maintenance([&] { more = state_->fold(fold_step_rows); })) {
      ill_until_ = now_().steady + ill_interval;
      return;
    }
    maintenance_wanted_ = more;
    if (!more) checkpoint(idle_checkpoint_pages);
    return;
  }
  if (retain_at_ <= now) retaining_ = true;
  if (retaining_) {
    bool more = false;
    const bool written = commit_maintenance([&] { more = state_->retain(retained_rows); });
    retaining_ = written && more;
    if (!retaining_) retain_at_ = now_().steady + retention_interval;
  }
}

void Ledger::go_on_copying() {
  if (!copy_ || now_().steady < copy_at_) return;
  bool more = false;
  if (failed_) {
    copy_->end(health().error);
  } else {
    more = copy_->step(*database_, [this] {
      const std::lock_guard lock(mutex_);
      return !queue_.empty();
    });
  }
  if (!more) copy_.reset();
  copy_at_ = now_().steady + copy_pause;
}

void Ledger::checkpoint(int pages_min) {
  if (wal_pages_ < pages_min) return;
  const int code =
      sqlite3_wal_checkpoint_v2(database_->getHandle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code == SQLITE_OK) wal_pages_ = 0;
  if (code == SQLITE_IOERR_FSYNC) {
    fail("a sync of the journal failed in a checkpoint");
    return;
  }
  const std::filesystem::path file = options_.state_dir / database_name;
  const std::int64_t bytes = file_bytes(file) + file_bytes(file.string() + "-wal");
  const std::lock_guard lock(mutex_);
  health_.bytes = bytes;
  // What is in the log is as durable there: a checkpoint is only tried again.
  if (health_.healthy) health_.error.clear();
  if (code != SQLITE_OK) health_.error = std::string("a checkpoint failed: ") + sqlite3_errstr(code);
}

}  // namespace tidemark::store
