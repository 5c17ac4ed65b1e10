// The worker's side: files, the disk, and the order of things. The copying itself is copy.cpp's.
#include "store/backup.h"

#include <SQLiteCpp/Exception.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string_view>

#include "store/verify.h"

namespace tidemark::store {
namespace {

constexpr const char* folder_name = "backup";
constexpr std::string_view unfinished = ".partial";
// Left free on the disk: the journal's own log goes on growing meanwhile.
constexpr std::int64_t room_left_bytes = std::int64_t{16} * 1024 * 1024;
// Given to the disk at once, and waited for, with a rest after it that is as long again: so the journal's syncs wait
// for no more than one of these, and have half of the disk's time.
constexpr std::int64_t piece_bytes = std::int64_t{256} * 1024;
constexpr std::chrono::microseconds rest_min{1'000};
constexpr std::chrono::milliseconds moment{2};
// A file system takes its time, in which it syncs nothing else, to free a large file: it is freed in pieces.
constexpr std::int64_t freed_bytes = std::int64_t{8} * 1024 * 1024;
constexpr std::chrono::milliseconds freed_rest{5};
constexpr int names_tried_max = 1'000;

// Ends the work; caught in one place, where it becomes the answer.
class GivenUp : public std::runtime_error {
 public:
  GivenUp(Refusal why, const std::string& text) : std::runtime_error(text), refusal(why) {}
  Refusal refusal;
};

[[noreturn]] void give_up(const std::string& text) {
  throw GivenUp(Refusal::journal_unavailable, text);
}

[[noreturn]] void give_up_on_errno(const std::string& doing) {
  give_up("can't " + doing + ": " + std::strerror(errno));
}

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator int() const { return descriptor_; }

 private:
  int descriptor_;
};

int open_folder(const std::filesystem::path& folder) {
  return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

// The folder of backups, made if need be and nobody else's to look into.
int make_folder(const std::filesystem::path& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) give_up_on_errno("make the folder " + folder.string());
  const int descriptor = open_folder(folder);
  if (descriptor < 0) give_up_on_errno("open the folder " + folder.string() + " (a symbolic link is not followed)");
  ::fchmod(descriptor, 0700);
  return descriptor;
}

bool exists(int folder, const std::string& name) {
  struct stat status {};
  return ::fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

std::string name_of_now(int folder) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof(text), "tidemark-%Y%m%dT%H%M%SZ", &utc);
  std::string name = std::string(text) + ".db";
  for (int number = 2; exists(folder, name) && number < names_tried_max; ++number) {
    name = std::string(text) + "-" + std::to_string(number) + ".db";
  }
  return name;
}

// What is wrong with a name that was asked for; empty = nothing.
std::string wrong_with(const std::string& name) {
  if (name.find('/') != std::string::npos) return "a backup's name is a file name, without a folder";
  if (name.starts_with('.')) return "a backup's name doesn't begin with a dot";
  if (name.ends_with(unfinished)) return "a backup's name doesn't end with " + std::string(unfinished);
  if (name.size() + unfinished.size() > NAME_MAX) {
    return "a backup's name is at most " + std::to_string(NAME_MAX - unfinished.size()) + " bytes long";
  }
  return {};
}

std::int64_t size_of(int file) {
  struct stat status {};
  return ::fstat(file, &status) == 0 ? status.st_size : 0;
}

// A file that is gone with its object, unless it has been given its name.
class Unfinished {
 public:
  Unfinished(const std::filesystem::path& folder, int folder_descriptor, const std::string& name,
             const std::atomic<bool>& hurry)
      : folder_(folder_descriptor),
        hurry_(hurry),
        name_(name + std::string(unfinished)),
        path_(folder / name_),
        file_(::openat(folder_, name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) {
    if (file_ < 0) give_up_on_errno("make the file " + path_.string());
    ::fchmod(file_, 0600);  // whatever the umask takes away
  }
  ~Unfinished() {
    if (name_.empty()) return;
    ::unlinkat(folder_, name_.c_str(), 0);
    for (std::int64_t left = size_of(file_) - freed_bytes; left > 0 && !hurry_; left -= freed_bytes) {
      if (::ftruncate(file_, left) != 0) return;
      std::this_thread::sleep_for(freed_rest);
    }
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;

  const std::filesystem::path& path() const { return path_; }
  int file() const { return file_; }

  // Durable, and under that name from now on, which nobody has yet.
  void keep_as(const std::string& name) {
    if (::renameat2(folder_, name_.c_str(), folder_, name.c_str(), RENAME_NOREPLACE) != 0) {
      give_up_on_errno("give the backup its name " + name);
    }
    name_ = name;
    if (::fsync(folder_) != 0) give_up_on_errno("sync the folder of backups");
    name_.clear();
  }

 private:
  int folder_;
  const std::atomic<bool>& hurry_;
  std::string name_;  // empty = it is to stay
  std::filesystem::path path_;
  Descriptor file_;
};

void check_room(int folder, std::int64_t wanted_bytes) {
  struct statvfs disk {};
  if (::fstatvfs(folder, &disk) != 0) give_up_on_errno("ask for the room on the disk");
  const auto free_bytes = static_cast<std::int64_t>(disk.f_bavail * disk.f_frsize);
  if (free_bytes >= wanted_bytes + room_left_bytes) return;
  give_up("no room for a copy of the journal: it needs " + std::to_string(wanted_bytes) + " bytes, and " +
          std::to_string(room_left_bytes) + " must stay free; " + std::to_string(free_bytes) + " are");
}

// Copies the journal into the file, and returns when all of it is durable.
void copy_journal(Ledger& ledger, int folder, const Unfinished& file, const std::atomic<bool>& stop) {
  const std::int64_t wanted_bytes = ledger.health().bytes;
  check_room(folder, wanted_bytes);
  // Blocks of its own from the start: then the journal's syncs don't have to wait for this file's data. It is only a
  // help, which not every file system offers.
  ::fallocate(file.file(), FALLOC_FL_KEEP_SIZE, 0, wanted_bytes);
  const auto copy = std::make_shared<Copy>(file.path());
  ledger.copy(copy);
  std::int64_t durable = 0;
  std::string trouble;
  while (!copy->wait(moment)) {
    if (stop) copy->cancel();
    while (trouble.empty() && !stop && copy->written_bytes() - durable >= piece_bytes) {
      const auto begun = std::chrono::steady_clock::now();
      if (::sync_file_range(file.file(), durable, piece_bytes,
                            SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) != 0) {
        trouble = std::string("can't write the copy to the disk: ") + std::strerror(errno);
        copy->cancel();
      }
      durable += piece_bytes;
      const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begun;
      std::this_thread::sleep_for(std::max<std::chrono::nanoseconds>(rest_min, took));
      copy->set_durable(durable);
    }
  }
  if (!trouble.empty()) give_up(trouble);
  if (stop) give_up("the daemon is ending: the copy was given up");
  if (!copy->failure().empty()) give_up("the journal can't be copied: " + copy->failure());
  // What was set aside and not needed goes back.
  if (::ftruncate(file.file(), size_of(file.file())) != 0 || ::fsync(file.file()) != 0) {
    give_up_on_errno("write the copy to the disk");
  }
}

// Nobody is to feel it: this thread goes behind the daemon's others. Where a sandbox forbids that, it just doesn't.
void be_modest() {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19);
}

}  // namespace

Backups::Backups(Ledger& ledger, const std::filesystem::path& state_dir)
    : ledger_(ledger), folder_(std::filesystem::absolute(state_dir) / folder_name) {
  const Descriptor folder(open_folder(folder_));
  if (folder < 0) return;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(unfinished)) ::unlinkat(folder, name.c_str(), 0);
  }
}

Backups::~Backups() {
  stop();
  if (thread_.joinable()) thread_.join();
}

template <class Result, class Work>
void Backups::start(std::function<void(Outcome<Result>)> done, Work work) {
  if (stop_) return done(Refused{Refusal::journal_unavailable, "the daemon is ending", {}});
  if (busy_.exchange(true)) {
    return done(
        Refused{Refusal::limit, "a backup or a verification is under way; ask again when it has ended", "backups"});
  }
  if (thread_.joinable()) thread_.join();  // it has given its answer
  thread_ = std::thread([this, done = std::move(done), work = std::move(work)] {
    be_modest();
    const Outcome<Result> outcome = [&]() -> Outcome<Result> {
      try {
        return work();
      } catch (const GivenUp& reason) {
        return Refused{reason.refusal, reason.what(), {}};
      } catch (const SQLite::Exception& error) {
        return Refused{Refusal::journal_unavailable, std::string("the copy can't be used: ") + error.what(), {}};
      }
    }();
    busy_ = false;
    done(outcome);
  });
  ::pthread_setname_np(thread_.native_handle(), "backup");
}

void Backups::back_up(const std::string& name, std::function<void(Outcome<BackupMade>)> done) {
  if (const std::string wrong = wrong_with(name); !wrong.empty()) return done(Refused{Refusal::invalid, wrong, {}});
  start<BackupMade>(std::move(done), [this, name] {
    const Descriptor folder(make_folder(folder_));
    const std::string final_name = name.empty() ? name_of_now(folder) : name;
    if (exists(folder, final_name)) {
      throw GivenUp(Refusal::invalid, "there is a backup \"" + final_name + "\" already");
    }
    Unfinished file(folder_, folder, final_name, stop_);
    copy_journal(ledger_, folder, file, stop_);
    file.keep_as(final_name);
    return BackupMade{folder_ / final_name, size_of(file.file())};
  });
}

void Backups::verify(std::function<void(Outcome<Verified>)> done) {
  start<Verified>(std::move(done), [this] {
    const Descriptor folder(make_folder(folder_));
    const Unfinished file(folder_, folder, "verify", stop_);
    copy_journal(ledger_, folder, file, stop_);
    Verified verified{verify_database(file.path(), stop_)};
    if (stop_) give_up("the daemon is ending: the verification was given up");
    return verified;
  });
}

}  // namespace tidemark::store
