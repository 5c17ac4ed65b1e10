#include "store/ledger.h"

#include <SQLiteCpp/Exception.h>
#include <SQLiteCpp/Statement.h>
#include <pthread.h>
#include <sqlite3.h>

#include <algorithm>

#include "store/ledger_detail.h"
#include "store/statement.h"

namespace tidemark::store {
namespace {

using lifecycle::Milliseconds;

// Rows of the log that wait for a quiet moment to be moved; above it the move rides along with the batches.
constexpr std::int64_t log_rows_wanted_max = 262'144;
constexpr int timed_sessions = 256;  // a step of boundaries by time
constexpr Milliseconds quiet{200};   // without commands, before the log is moved

}  // namespace

Ledger::Ledger(const OpenOptions& options, Policies policies, std::function<lifecycle::Now()> now, Callbacks callbacks)
    : options_(options), now_(std::move(now)), callbacks_(std::move(callbacks)) {
  database_ = open_database(options_);
  begin_ = std::make_unique<SQLite::Statement>(*database_, "BEGIN IMMEDIATE");
  commit_ = std::make_unique<SQLite::Statement>(*database_, "COMMIT");
  sqlite3_wal_hook(
      database_->getHandle(),
      [](void* pages, sqlite3*, const char*, int count) {
        *static_cast<int*>(pages) = count;
        return SQLITE_OK;
      },
      &wal_pages_);
  try {
    state_ = std::make_unique<State>(*database_, std::move(policies), now_);
    state_->begin_batch();
    Bound(*begin_).run();
    recovered_ = state_->recover();
    state_->write_derived();
    Bound(*commit_).run();
  } catch (const SQLite::Exception& error) {
    throw OpenError("can't read the journal in " + options_.state_dir.string() + ": " + with_code(error));
  }
  Delivery delivery;
  delivery.effects = state_->end_batch();
  callbacks_.deliver(std::move(delivery));
  retain_at_ = now_().steady + Milliseconds(60'000);
  maintenance_wanted_ = state_->log_rows() > 0;
  maintain_at_ = now_().steady;
  health_.bytes = file_bytes(options_.state_dir / database_name);
  thread_ = std::thread([this] { run(); });
  ::pthread_setname_np(thread_.native_handle(), "ledger");
}

Ledger::~Ledger() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Ledger::enqueue(std::unique_ptr<Task> task) {
  if (callbacks_.flush_wanted) {
    gathered_.push_back(std::move(task));
    if (gathered_.size() == 1) callbacks_.flush_wanted();
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(task));
    if (queue_.size() > 1) return;  // the thread is awake, or about to be
  }
  wake_.notify_one();
}

void Ledger::flush() {
  if (gathered_.empty()) return;
  bool was_empty = false;
  {
    const std::lock_guard lock(mutex_);
    was_empty = queue_.empty();
    if (was_empty) {
      queue_.swap(gathered_);
    } else {
      std::move(gathered_.begin(), gathered_.end(), std::back_inserter(queue_));
    }
  }
  gathered_.clear();
  if (was_empty) wake_.notify_one();
}

void Ledger::copy(std::shared_ptr<Copy> copy) {
  {
    const std::lock_guard lock(mutex_);
    copy_wanted_ = std::move(copy);
  }
  wake_.notify_one();
}

Recovered Ledger::recovered(std::optional<uid_t> uid) const {
  Recovered sum;
  for (const auto& [user, found] : recovered_) {
    if (uid && user != *uid) continue;
    sum.sessions += found.sessions;
    sum.generations += found.generations;
    sum.in_doubt += found.in_doubt;
  }
  return sum;
}

JournalHealth Ledger::health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

void Ledger::run() {
  for (;;) {
    Tasks tasks = gather();
    if (tasks.empty()) {
      const std::lock_guard lock(mutex_);
      if (stop_ && queue_.empty()) break;
    }
    process(std::move(tasks));
    go_on_copying();
    maintain();
  }
  if (copy_) copy_->end("the daemon is ending");
}

Ledger::Tasks Ledger::gather() {
  std::optional<lifecycle::Steady> until;
  const auto earlier = [&](lifecycle::Steady at) { until = until ? std::min(*until, at) : at; };
  if (!failed_) {
    // After a refusal nothing is tried by itself before its time.
    const auto when = [&](lifecycle::Steady at) { earlier(std::max(at, ill_until_)); };
    if (const auto deadline = state_->next_deadline()) when(*deadline);
    if (!facts_kept_.empty() || state_->later_pending() || !healthy()) when(lifecycle::Steady{});
    if (maintenance_wanted_) when(maintain_at_);
    when(retaining_ ? lifecycle::Steady{} : retain_at_);
  }
  if (copy_) earlier(copy_at_);
  Tasks tasks;
  std::unique_lock lock(mutex_);
  const auto ready = [this] { return stop_ || !queue_.empty() || copy_wanted_; };
  if (until) {
    wake_.wait_until(lock, *until, ready);
  } else {
    wake_.wait(lock, ready);
  }
  tasks.swap(queue_);
  if (copy_wanted_) {
    copy_ = std::exchange(copy_wanted_, nullptr);
    copy_at_ = {};
  }
  return tasks;
}

void Ledger::write(const Tasks& tasks) {
  Bound(*begin_).run();
  // Boundaries by time come first: they are older than whatever has just been asked.
  const auto deadline = state_->next_deadline();
  if (deadline && *deadline <= now_().steady) state_->apply_time(timed_sessions);
  state_->apply_later();
  for (const auto& task : facts_kept_) task->apply(*state_);
  for (const auto& task : tasks) task->apply(*state_);
  if (state_->log_rows() > log_rows_wanted_max) state_->fold(fold_step_rows);
  state_->write_derived();
  commit();
}

// Durable from here on. Without room SQLite has undone the transaction before any sync; any other failure leaves it
// open what is on disk.
void Ledger::commit() {
  try {
    Bound(*commit_).run();
  } catch (const SQLite::Exception& error) {
    if ((error.getErrorCode() & 0xff) == SQLITE_FULL) throw;
    throw CommitUnknown(with_code(error));
  }
}

void Ledger::process(Tasks tasks) {
  if (failed_) {
    answer_after_refusal(std::move(tasks),
                         {Refusal::journal_unavailable, "the journal has failed; the daemon is ending", {}});
    return;
  }
  const lifecycle::Steady now = now_().steady;
  const auto deadline = state_->next_deadline();
  const bool timed = (deadline && *deadline <= now) || !facts_kept_.empty() || state_->later_pending();
  if (tasks.empty() && (!timed || now < ill_until_)) return;
  const sqlite3_int64 changes_before = sqlite3_total_changes64(database_->getHandle());
  const auto began = std::chrono::steady_clock::now();
  state_->begin_batch();
  try {
    write(tasks);
  } catch (const CommitUnknown& error) {
    const std::string why = std::string("a sync of the journal failed: ") + error.what();
    roll_back();
    fail(why);
    answer_after_refusal(std::move(tasks), {Refusal::outcome_unknown, why + "; ask again after the restart", {}});
    return;
  } catch (const SQLite::Exception& error) {
    roll_back();
    if (failed_) {
      answer_after_refusal(std::move(tasks), {Refusal::outcome_unknown, health().error, {}});
    } else if (damaged(error)) {
      fail("the journal is damaged: " + with_code(error));
      answer_after_refusal(std::move(tasks), {Refusal::journal_unavailable, health().error, {}});
    } else if (refuses_writes(error)) {
      ill_until_ = now_().steady + ill_interval;
      set_health(false, with_code(error));
      answer_after_refusal(std::move(tasks),
                           {Refusal::journal_unavailable, "the journal can't be written: " + with_code(error), {}});
    } else {
      process_one_by_one(std::move(tasks),
                         {Refusal::internal, "the ledger has made a mistake: " + with_code(error), {}});
    }
    return;
  }
  Delivery delivery;
  delivery.effects = state_->end_batch();
  delivery.took = std::chrono::steady_clock::now() - began;
  delivery.answered = std::move(facts_kept_);
  facts_kept_.clear();
  std::move(tasks.begin(), tasks.end(), std::back_inserter(delivery.answered));
  // A batch of reads says nothing about writing.
  if (!healthy() && sqlite3_total_changes64(database_->getHandle()) != changes_before) set_health(true, {});
  maintenance_wanted_ = state_->log_rows() > 0;
  maintain_at_ = now_().steady + quiet;
  callbacks_.deliver(std::move(delivery));
}

// Undoes the batch, on disk and in memory. A batch that can't even be undone leaves nothing to build on.
void Ledger::roll_back() {
  try {
    // On some faults SQLite has rolled back by itself.
    if (sqlite3_get_autocommit(database_->getHandle()) == 0) database_->exec("ROLLBACK");
  } catch (const SQLite::Exception& error) {
    fail("a batch could not be rolled back: " + with_code(error));
  }
  state_->roll_back();
}

void Ledger::answer_after_refusal(Tasks tasks, const Refused& why) {
  Delivery delivery;
  for (auto& task : tasks) {
    if (task->must_happen() && !failed_) {
      facts_kept_.push_back(std::move(task));
      continue;
    }
    if (task->reads() && !failed_) {
      try {
        task->apply(*state_);
      } catch (const SQLite::Exception&) {
        task->refuse(why);
      }
    } else {
      task->refuse(why);
    }
    delivery.answered.push_back(std::move(task));
  }
  callbacks_.deliver(std::move(delivery));
}

// A statement failed for a reason that is neither the disk's nor the file's: one of the commands has met a mistake of
// ours. Each gets a transaction of its own, so that the others don't pay for it.
void Ledger::process_one_by_one(Tasks tasks, const Refused& why) {
  Tasks all = std::move(facts_kept_);
  facts_kept_.clear();
  std::move(tasks.begin(), tasks.end(), std::back_inserter(all));
  if (all.size() > 1) {
    for (auto& task : all) {
      Tasks one;
      one.push_back(std::move(task));
      process(std::move(one));
    }
    return;
  }
  // It is this one's, or of what time or an earlier command wanted done: that isn't tried again at once.
  if (all.empty()) {
    ill_until_ = now_().steady + ill_interval;
    set_health(false, why.text);
  }
  Delivery delivery;
  for (auto& task : all) {
    task->refuse(why);
    delivery.answered.push_back(std::move(task));
  }
  callbacks_.deliver(std::move(delivery));
}

void Ledger::set_health(bool healthy, std::string error) {
  healthy_.store(healthy, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  health_.healthy = healthy;
  health_.error = std::move(error);
}

void Ledger::fail(const std::string& why) {
  if (failed_) return;
  failed_ = true;
  // Not even at the end: a checkpoint would sync what has failed to sync.
  sqlite3_db_config(database_->getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  set_health(false, why);
  callbacks_.on_failure(why);
}

}  // namespace tidemark::store
