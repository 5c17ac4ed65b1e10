// Backups of the journal and its verification: each makes a copy of it while the ledger goes on, in a file of the
// state folder's `backup/` that has another name until it is whole and durable. One at a time, on a thread of its own,
// which waits for the disk so that the ledger needn't.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "store/ledger.h"
#include "store/outcome.h"

namespace tidemark::store {

struct BackupMade {
  std::filesystem::path path;  // absolute
  std::int64_t bytes = 0;
};

struct Verified {
  std::vector<std::string> problems;  // see verify.h
};

// Backups and verifications that may be under way at once.
inline constexpr std::int64_t backups_max = 1;

// Used by one thread. Refusals: `limit` (one is under way), `invalid` (the name), `journal_unavailable` (the disk has
// no room or refuses, the ledger has failed, or it was called off); nothing is left behind then.
class Backups {
 public:
  // Removes what an earlier daemon has left unfinished. `ledger` outlives this.
  Backups(Ledger& ledger, const std::filesystem::path& state_dir);
  // Calls off what is under way, and waits until nothing of it is left.
  ~Backups();
  Backups(const Backups&) = delete;
  Backups& operator=(const Backups&) = delete;

  // Copies the journal to that file, made with mode 0600; an empty name stands for one made from the time. The copy
  // holds all that was durable at the call. `done` is called once, here or on another thread.
  void back_up(const std::string& name, std::function<void(Outcome<BackupMade>)> done);
  // Looks through a copy, which it removes afterwards. `done` as above.
  void verify(std::function<void(Outcome<Verified>)> done);
  // Calls off what is under way, without waiting, and takes on nothing more.
  void stop() { stop_ = true; }

 private:
  template <class Result, class Work>
  void start(std::function<void(Outcome<Result>)> done, Work work);

  Ledger& ledger_;
  std::filesystem::path folder_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> busy_{false};
  std::thread thread_;
};

}  // namespace tidemark::store
