// The ledger: the one thread that owns the one connection. Commands queue up while a batch syncs; the next batch takes
// all of them into one transaction. That is the whole group commit.
//
// Durability: a command's answer and a batch's effects leave only after COMMIT with the configured `synchronous`.
// Faults: a batch that the disk has no room for is undone whole, in memory too, and its writers are refused; reads are
// answered, and facts are kept and tried again. After a COMMIT that failed in any other way nobody can know what is on
// disk: its callers get `outcome_unknown`, nothing is written any more, and `on_failure` says why.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "store/copy.h"
#include "store/database.h"
#include "store/state.h"

namespace tidemark::store {

// A command on its way: applied on the ledger thread, finished wherever the owner of the ledger wants it. Each is
// finished exactly once, unless the ledger is destroyed before.
class Task {
 public:
  virtual ~Task() = default;
  virtual void apply(State& state) = 0;
  virtual void refuse(Refused refused) = 0;
  // Calls the submitter's completion; on the thread that the answers were delivered to.
  virtual void finish() = 0;
  virtual bool reads() const = 0;
  virtual bool must_happen() const = 0;
};

// What leaves the ledger after a batch.
struct Delivery {
  Effects effects;
  std::vector<std::unique_ptr<Task>> answered;  // in the order of their submission
  std::chrono::nanoseconds took{};              // until they were durable, from when the batch began; 0 = not written
};

struct JournalHealth {
  bool healthy = true;
  std::int64_t bytes = 0;  // database and log
  std::string error;       // why it isn't healthy
};

class Ledger {
 public:
  struct Callbacks {
    // On the ledger thread, after each batch; must not block.
    std::function<void(Delivery)> deliver;
    // On the ledger thread, once: nothing will be written any more.
    std::function<void(std::string)> on_failure;
    // Set: commands all come from one thread and are only gathered there; this is called, on that thread, with the
    // first of them, and flush() has to follow soon. Unset: each command is handed over at once, from any thread.
    std::function<void()> flush_wanted = {};
  };

  // Opens the database, recovers and starts the thread. Throws OpenError. The first delivery holds the effects of
  // recovery.
  Ledger(const OpenOptions& options, Policies policies, std::function<lifecycle::Now()> now, Callbacks callbacks);
  // Ends the thread after what is queued has been written, and closes the database.
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // Never blocks for long. `done` takes an Outcome<Command::Result>.
  template <class Command, class Done>
  void submit(Command command, Done done) {
    enqueue(std::make_unique<TaskOf<Command, Done>>(std::move(command), std::move(done)));
  }
  // Hands over what was gathered: one wake-up for many commands. See Callbacks::flush_wanted.
  void flush();

  // Has the journal copied, a step at a time between batches; the copy itself tells how it ends. One at a time: an
  // earlier one must have ended. Any thread.
  void copy(std::shared_ptr<Copy> copy);

  // What the start found, of one user or (none) of everybody.
  Recovered recovered(std::optional<uid_t> uid = {}) const;
  JournalHealth health() const;
  // The first word of that, cheap.
  bool healthy() const { return healthy_.load(std::memory_order_relaxed); }

 private:
  template <class Command, class Done>
  class TaskOf final : public Task {
   public:
    TaskOf(Command command, Done done) : command_(std::move(command)), done_(std::move(done)) {}
    void apply(State& state) override { outcome_.emplace(state.apply(command_)); }
    void refuse(Refused refused) override { outcome_.emplace(std::move(refused)); }
    void finish() override { done_(std::move(*outcome_)); }
    bool reads() const override { return Command::reads; }
    bool must_happen() const override { return Command::must_happen; }

   private:
    Command command_;
    Done done_;
    std::optional<Outcome<typename Command::Result>> outcome_;
  };
  using Tasks = std::vector<std::unique_ptr<Task>>;

  void enqueue(std::unique_ptr<Task> task);
  void run();
  // Waits for commands, or until something falls due by itself.
  Tasks gather();
  void process(Tasks tasks);
  // One transaction: the commands, and whatever maintenance rides along.
  void write(const Tasks& tasks);
  void commit();
  void maintain();
  bool commit_maintenance(const std::function<void()>& step);
  void go_on_copying();
  void answer_after_refusal(Tasks tasks, const Refused& why);
  void process_one_by_one(Tasks tasks, const Refused& why);
  void fail(const std::string& why);
  void roll_back();
  void checkpoint(int pages_min);

  OpenOptions options_;
  std::function<lifecycle::Now()> now_;
  Callbacks callbacks_;
  std::unique_ptr<SQLite::Database> database_;
  std::unique_ptr<SQLite::Statement> begin_;
  std::unique_ptr<SQLite::Statement> commit_;
  std::unique_ptr<State> state_;  // its statements end before their database
  std::map<uid_t, Recovered> recovered_;

  // Ledger thread only.
  Tasks facts_kept_;               // must happen, and could not be written yet
  lifecycle::Steady ill_until_{};  // nothing is tried by itself before: the journal has just refused
  int wal_pages_ = 0;              // in SQLite's log after the latest commit
  lifecycle::Steady maintain_at_{};
  lifecycle::Steady retain_at_{};
  bool retaining_ = false;
  bool maintenance_wanted_ = false;
  std::shared_ptr<Copy> copy_;
  lifecycle::Steady copy_at_{};  // its next step

  Tasks gathered_;  // submitting thread only

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  Tasks queue_;
  std::shared_ptr<Copy> copy_wanted_;
  bool stop_ = false;
  bool failed_ = false;
  JournalHealth health_;
  std::atomic<bool> healthy_{true};
  void set_health(bool healthy, std::string error);

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace tidemark::store
