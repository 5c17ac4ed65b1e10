// The floor's ledger: the thread that owns the SQLite connection and makes a batch of marks durable while the next one
// gathers. Sessions and turn ids are known from memory only; a mark is one appended row.
#pragma once

#include <sqlite3.h>
#include <xxhash.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace tidemark::bench {

struct TextRange {
  std::uint32_t begin = 0;
  std::uint32_t size = 0;
};

struct Mark {
  std::uint32_t connection;
  std::uint64_t id;
  TextRange session;
  TextRange agent;
  TextRange turn;
  std::uint64_t generation = 0;
};

/// Marks that become durable together, with their texts in one string.
struct Batch {
  std::vector<Mark> marks;
  std::string text;

  TextRange keep(std::string_view value) {
    const TextRange range{static_cast<std::uint32_t>(text.size()), static_cast<std::uint32_t>(value.size())};
    text.append(value);
    return range;
  }
  std::string_view text_of(TextRange range) const { return {text.data() + range.begin, range.size}; }
  void clear() {
    marks.clear();
    text.clear();
  }
};

/// The database: one appended row a mark. Ledger thread only. Throws std::runtime_error on any failure.
class Database {
 public:
  explicit Database(const std::string& path) {
    check(sqlite3_open_v2(path.c_str(), &database_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                          nullptr));
    run("PRAGMA locking_mode=EXCLUSIVE");
    run("PRAGMA journal_mode=WAL");
    run("PRAGMA synchronous=FULL");
    run("PRAGMA wal_autocheckpoint=0");
    run("CREATE TABLE mark(session TEXT NOT NULL, generation INTEGER NOT NULL, owner TEXT, turn TEXT) STRICT");
    begin_ = prepare("BEGIN IMMEDIATE");
    insert_ = prepare("INSERT INTO mark(session, generation, owner, turn) VALUES(?1, ?2, ?3, ?4)");
    commit_ = prepare("COMMIT");
    sqlite3_wal_hook(
        database_,
        [](void* self, sqlite3*, const char*, int pages) {
          static_cast<Database*>(self)->wal_pages_ = pages;
          return SQLITE_OK;
        },
        this);
  }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database() {
    for (sqlite3_stmt* statement : {begin_, insert_, commit_}) sqlite3_finalize(statement);
    sqlite3_close(database_);
  }

  void begin() { step(begin_); }
  /// Durable when it returns.
  void commit() { step(commit_); }
  void append(std::string_view session, std::uint64_t generation, std::string_view owner, std::string_view turn) {
    bind(1, session);
    sqlite3_bind_int64(insert_, 2, static_cast<sqlite3_int64>(generation));
    bind(3, owner);
    bind(4, turn);
    step(insert_);
  }
  void checkpoint_if_long() {
    if (wal_pages_ < checkpoint_pages) return;
    check(sqlite3_wal_checkpoint_v2(database_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr));
    wal_pages_ = 0;
  }

 private:
  // 4 MiB.
  static constexpr int checkpoint_pages = 1024;

  void check(int result) {
    if (result != SQLITE_OK) throw std::runtime_error(sqlite3_errmsg(database_));
  }
  void run(const char* sql) { check(sqlite3_exec(database_, sql, nullptr, nullptr, nullptr)); }
  sqlite3_stmt* prepare(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    check(sqlite3_prepare_v3(database_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr));
    return statement;
  }
  void bind(int column, std::string_view text) {
    if (text.empty()) {
      sqlite3_bind_null(insert_, column);
    } else {
      sqlite3_bind_text(insert_, column, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
    }
  }
  void step(sqlite3_stmt* statement) {
    if (sqlite3_step(statement) != SQLITE_DONE) throw std::runtime_error(sqlite3_errmsg(database_));
    sqlite3_reset(statement);
  }

  sqlite3* database_ = nullptr;
  sqlite3_stmt* begin_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
  sqlite3_stmt* commit_ = nullptr;
  int wal_pages_ = 0;
};

struct TextHash {
  using is_transparent = void;
  // Tells boost that the hash is good as it is.
  using is_avalanching = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

/// The ledger thread, and the batch that gathers for it.
class Ledger {
 public:
  Ledger(const std::string& directory, boost::asio::io_context& io, std::function<void(const Batch&)> answer)
      : database_(directory + "/floor.db"), io_(io), answer_(std::move(answer)), thread_([this] { run(); }) {}
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;
  ~Ledger() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  /// `fill` adds marks to the gathering batch. I/O thread.
  template <class Fill>
  void gather(Fill fill) {
    bool wake = false;
    {
      const std::lock_guard lock(mutex_);
      fill(gathering_);
      wake = waiting_ && !gathering_.marks.empty();
    }
    if (wake) wake_.notify_one();
  }

 private:
  void run() {
    turns_.reserve(turns_expected);
    auto batch = std::make_shared<Batch>();
    while (true) {
      {
        std::unique_lock lock(mutex_);
        waiting_ = true;
        wake_.wait(lock, [this] { return stopping_ || !gathering_.marks.empty(); });
        waiting_ = false;
        if (gathering_.marks.empty()) return;
        std::swap(*batch, gathering_);
      }
      write(*batch);
      boost::asio::post(io_, [this, batch] {
        answer_(*batch);
        const std::lock_guard lock(mutex_);
        batch->clear();
        spare_.push_back(batch);
      });
      database_.checkpoint_if_long();
      const std::lock_guard lock(mutex_);
      if (spare_.empty()) {
        batch = std::make_shared<Batch>();
      } else {
        batch = std::move(spare_.back());
        spare_.pop_back();
      }
    }
  }

  void write(Batch& batch) {
    database_.begin();
    for (Mark& mark : batch.marks) {
      const std::string_view session = batch.text_of(mark.session);
      auto known = generations_.find(session);
      if (known == generations_.end()) known = generations_.emplace(std::string(session), 0).first;
      const std::string_view turn = batch.text_of(mark.turn);
      if (!turn.empty() && !turns_.insert(key_of(turn)).second) {
        mark.generation = known->second;
        continue;
      }
      mark.generation = ++known->second;
      database_.append(session, mark.generation, batch.text_of(mark.agent), turn);
    }
    database_.commit();
  }

  // An id is known by 128 bits of its hash: two cache lines fewer than its text.
  using TurnKey = std::pair<std::uint64_t, std::uint64_t>;
  struct TurnHash {
    using is_avalanching = void;
    std::size_t operator()(const TurnKey& key) const { return key.first; }
  };
  static TurnKey key_of(std::string_view turn) {
    const XXH128_hash_t hash = XXH3_128bits(turn.data(), turn.size());
    return {hash.low64, hash.high64};
  }
  // So many ids go in before the table has to move them all, which costs a batch a tenth of a second.
  static constexpr std::size_t turns_expected = 6'000'000;

  Database database_;
  boost::unordered_flat_map<std::string, std::uint64_t, TextHash, std::equal_to<>> generations_;
  boost::unordered_flat_set<TurnKey, TurnHash> turns_;
  boost::asio::io_context& io_;
  std::function<void(const Batch&)> answer_;

  std::mutex mutex_;
  std::condition_variable wake_;
  Batch gathering_;
  std::vector<std::shared_ptr<Batch>> spare_;
  bool waiting_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tidemark::bench
