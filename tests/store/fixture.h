// What the tests of the ledger share: a temporary folder; the State over a real database with a clock by hand, which
// can be closed, or left as a SIGKILL leaves it, and opened again; and the Ledger itself with a call that waits.
#pragma once

#include <SQLiteCpp/Statement.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "faulty_disk.h"
#include "store/database.h"
#include "store/ledger.h"
#include "store/state.h"

namespace tidemark::store {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    // In memory where that is possible: a sync takes no time there, and no test of these loses power.
    const std::filesystem::path memory = "/dev/shm";
    const bool in_memory = ::access(memory.c_str(), W_OK) == 0;
    std::string pattern =
        ((in_memory ? memory : std::filesystem::temp_directory_path()) / "tidemark-store-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The result of a command that must not be refused.
template <class Result>
Result expected(Outcome<Result> outcome) {
  if (const Refused* refused = std::get_if<Refused>(&outcome)) {
    throw std::runtime_error("refused: " + refused->text);
  }
  return std::get<Result>(std::move(outcome));
}

template <class Result>
const Refused* refusal(const Outcome<Result>& outcome) {
  return std::get_if<Refused>(&outcome);
}

inline lifecycle::Key key_of(std::int64_t number) {
  lifecycle::Key key{};
  key[0] = 1;
  for (std::size_t at = 0; at < 8; ++at) key[15 - at] = static_cast<std::uint8_t>(number >> (8 * at));
  return key;
}

inline constexpr uid_t alice = 1000, bob = 1001;

// ---- commands, short

inline Complete complete(std::string session, std::string agent = {}, std::string turn = {}) {
  Complete command;
  command.uid = alice;
  command.session = std::move(session);
  command.agent = std::move(agent);
  command.turn = std::move(turn);
  return command;
}
inline BeginTurn begin_turn(std::string session, std::string turn, std::string agent = {}) {
  BeginTurn command;
  command.uid = alice;
  command.session = std::move(session);
  command.turn = std::move(turn);
  command.agent = std::move(agent);
  return command;
}
inline CancelTurn cancel_turn(std::string session, std::string turn) {
  CancelTurn command;
  command.uid = alice;
  command.session = std::move(session);
  command.turn = std::move(turn);
  return command;
}
inline Register register_agent(std::string agent, std::string session = {}) {
  Register command;
  command.uid = alice;
  command.agent = std::move(agent);
  command.session = std::move(session);
  return command;
}
inline TakeOldest take(std::string session, std::string agent = {}) {
  TakeOldest command;
  command.uid = alice;
  command.session = std::move(session);
  command.agent = std::move(agent);
  command.reason = "asked";
  return command;
}
inline MakeDue make_due(std::string session) {
  MakeDue command;
  command.uid = alice;
  command.session = std::move(session);
  command.reason = "flush";
  return command;
}
inline GetSession get(std::string session, uid_t uid = alice) {
  GetSession command;
  command.uid = uid;
  command.session = std::move(session);
  return command;
}
inline Discard discard(std::string session) {
  Discard command;
  command.uid = alice;
  command.session = std::move(session);
  return command;
}
inline Forget forget(std::string session) {
  Forget command;
  command.uid = alice;
  command.session = std::move(session);
  command.reason = "asked to";
  return command;
}
inline DropThrough drop_through(std::string session, lifecycle::Generation through, bool settle) {
  DropThrough command;
  command.uid = alice;
  command.session = std::move(session);
  command.reason = "by hand";
  command.through = through;
  command.settle = settle;
  return command;
}
inline BeginAttempt begin_attempt(std::string session, lifecycle::AgentId owner, std::int64_t key) {
  BeginAttempt command;
  command.uid = alice;
  command.session = std::move(session);
  command.owner = owner;
  command.asked = "who was asked";
  command.new_key = key_of(key);
  return command;
}
inline EndAttempt end_attempt(std::string session, const lifecycle::Attempt& attempt, AttemptEnd end) {
  EndAttempt command;
  command.uid = alice;
  command.session = std::move(session);
  command.commit = attempt.commit;
  command.key = attempt.key;
  command.end = end;
  switch (end) {
    case AttemptEnd::committed:
    case AttemptEnd::skipped:
      break;
    case AttemptEnd::accepted:
      command.provider = "memory";
      command.evidence = R"({"task":"t"})";
      command.provider_state = R"({"settled":1})";
      break;
    case AttemptEnd::failed:
    case AttemptEnd::failed_for_good:
    case AttemptEnd::in_doubt:
    case AttemptEnd::withdrawn:
    case AttemptEnd::withdrawn_in_doubt:
      command.error = "what went wrong";
  }
  return command;
}
inline EndConfirmation end_confirmation(std::string session, const lifecycle::Key& key, bool confirmed) {
  EndConfirmation command;
  command.uid = alice;
  command.session = std::move(session);
  command.key = key;
  command.confirmed = confirmed;
  command.evidence = R"({"task":"t","memories":2})";
  if (!confirmed) command.error = "extraction failed";
  return command;
}
inline SetStalled set_stalled(std::string session, const lifecycle::Key& key, bool stalled) {
  SetStalled command;
  command.uid = alice;
  command.session = std::move(session);
  command.key = key;
  command.stalled = stalled;
  return command;
}
inline NoteAttempt note_attempt(std::string session, lifecycle::CommitId commit, std::string evidence) {
  NoteAttempt command;
  command.uid = alice;
  command.session = std::move(session);
  command.commit = commit;
  command.evidence = std::move(evidence);
  return command;
}
inline UnregisterAgent unregister_agent(std::string agent) {
  UnregisterAgent command;
  command.uid = alice;
  command.agent = std::move(agent);
  return command;
}
inline AgentOffline agent_offline(std::string agent, std::int64_t epoch) {
  AgentOffline command;
  command.uid = alice;
  command.agent = std::move(agent);
  command.epoch = epoch;
  return command;
}
inline AgentBack agent_back(std::string agent, std::int64_t epoch) {
  AgentBack command;
  command.uid = alice;
  command.agent = std::move(agent);
  command.epoch = epoch;
  return command;
}
inline AgentLost agent_lost(std::string agent, std::int64_t epoch) {
  AgentLost command;
  command.uid = alice;
  command.agent = std::move(agent);
  command.epoch = epoch;
  return command;
}

// ---- what a session looks like, as text: so that a difference shows itself

inline std::string text_of(const SegmentView& segment) {
  constexpr const char* states[] = {"in_flight", "confirming", "stuck", "orphaned", "in_doubt", "waiting", "open"};
  std::string text = " [" + std::to_string(segment.start) + ".." + std::to_string(segment.end) + " " + segment.owner +
                     " " + states[static_cast<std::size_t>(segment.state)];
  if (segment.due) text += " due:" + segment.reason;
  if (segment.sealed) text += " sealed";
  if (segment.orphaned) text += " orphaned";
  if (segment.attempts != 0) text += " attempts=" + std::to_string(segment.attempts);
  if (segment.next_attempt_at != lifecycle::Utc{}) {
    text += " next=" + std::to_string(segment.next_attempt_at.time_since_epoch().count());
  }
  if (segment.key != lifecycle::no_key) {
    text += " key=";
    for (const std::uint8_t byte : segment.key) text += std::to_string(byte) + ".";
  }
  if (segment.commit != 0) text += " commit=" + std::to_string(segment.commit);
  if (!segment.last_error.empty()) text += " error:" + segment.last_error;
  if (!segment.provider.empty()) text += " provider:" + segment.provider;
  if (!segment.evidence.empty()) text += " evidence:" + segment.evidence;
  if (segment.stalled) text += " stalled";
  return text + "]";
}

inline std::string text_of(const SessionView& view) {
  std::string text = std::to_string(view.uid) + "/" + view.session + " " + std::to_string(view.watermark) +
                     "<=" + std::to_string(view.accepted) + "<=" + std::to_string(view.generation) +
                     " agent:" + view.agent + " open:" + std::to_string(view.turns_open) +
                     " last:" + std::to_string(view.last_turn_at.time_since_epoch().count());
  for (const SegmentView& segment : view.segments) text += text_of(segment);
  return text;
}

inline std::string text_of(const Counts& counts) {
  return "sessions=" + std::to_string(counts.sessions) + " dirty=" + std::to_string(counts.dirty) +
         " due=" + std::to_string(counts.due) + " in_flight=" + std::to_string(counts.in_flight) +
         " confirming=" + std::to_string(counts.confirming) + " stalled=" + std::to_string(counts.stalled) +
         " in_doubt=" + std::to_string(counts.in_doubt) + " orphaned=" + std::to_string(counts.orphaned) +
         " stuck=" + std::to_string(counts.stuck);
}

// Counted again from what is shown of every session.
inline Counts recount(const std::vector<SessionView>& views) {
  Counts counts;
  for (const SessionView& view : views) {
    bool due = false, confirming = false, stalled = false, in_doubt = false, orphaned = false, stuck = false;
    for (const SegmentView& segment : view.segments) {
      due |= segment.due;
      confirming |= segment.state == lifecycle::SegmentState::confirming;
      in_doubt |= segment.sealed && segment.state != lifecycle::SegmentState::in_flight &&
                  segment.state != lifecycle::SegmentState::confirming;
      stalled |= segment.stalled;
      orphaned |= segment.orphaned;
      stuck |= segment.state == lifecycle::SegmentState::stuck;
    }
    ++counts.sessions;
    counts.dirty += view.watermark < view.generation;
    counts.due += due;
    counts.in_flight += view.in_flight;
    counts.confirming += confirming;
    counts.stalled += stalled;
    counts.in_doubt += in_doubt;
    counts.orphaned += orphaned;
    counts.stuck += stuck;
  }
  return counts;
}

// ---- the State, without a thread

class Store {
 public:
  explicit Store(Policies policies = {}) : policies_(std::move(policies)) {
    FaultyDisk::instance().heal();
    open();
  }
  ~Store() { FaultyDisk::instance().heal(); }

  State& state() { return *state_; }
  SQLite::Database& database() { return *database_; }
  const std::map<uid_t, Recovered>& recovered() const { return recovered_; }  // at the latest opening
  const Effects& effects() const { return effects_; }                         // of the latest batch
  lifecycle::Now now() const { return now_; }
  void advance(lifecycle::Milliseconds by) {
    now_.utc += by;
    now_.steady += by;
  }
  Policies& policies() { return policies_; }  // for the next opening

  // One batch with these steps in it; throws what SQLite throws, with everything rolled back as the ledger does it.
  void batch(const std::function<void(State&)>& steps) {
    begin();
    try {
      steps(*state_);
      commit();
    } catch (const SQLite::Exception&) {
      roll_back();
      throw;
    }
  }
  // The same, and then undone.
  void undone(const std::function<void(State&)>& steps) {
    begin();
    steps(*state_);
    roll_back();
  }
  void begin() {
    state_->begin_batch();
    database_->exec("BEGIN IMMEDIATE");
  }
  void commit() {
    state_->write_derived();
    database_->exec("COMMIT");
    effects_ = state_->end_batch();
    state_->check_invariants();
  }
  void roll_back() {
    if (sqlite3_get_autocommit(database_->getHandle()) == 0) database_->exec("ROLLBACK");
    state_->roll_back();
    state_->check_invariants();
  }

  template <class Command>
  Outcome<typename Command::Result> apply(const Command& command) {
    std::optional<Outcome<typename Command::Result>> outcome;
    batch([&](State& state) { outcome.emplace(state.apply(command)); });
    return std::move(*outcome);
  }
  template <class Command>
  typename Command::Result call(const Command& command) {
    return expected<typename Command::Result>(apply(command));
  }

  // An agent's number.
  lifecycle::AgentId serve(const std::string& agent, const std::string& session = {}) {
    return call(register_agent(agent, session)).agent_id;
  }
  // The oldest segment of the session goes out to its owner.
  lifecycle::Attempt attempt(const std::string& session, std::int64_t key) {
    const TakeOldest::Result taken = call(take(session));
    const BeginAttempt::Result begun = call(begin_attempt(session, taken.head.owner, key));
    if (!begun.attempt) throw std::runtime_error("nothing to attempt in " + session);
    return *begun.attempt;
  }
  void commit_oldest(const std::string& session, std::int64_t key) {
    const lifecycle::Attempt out = attempt(session, key);
    call(end_attempt(session, out, AttemptEnd::committed));
  }

  // All of the log is moved to its places.
  void fold(int limit = 4'096) {
    for (bool more = true; more;) batch([&](State& state) { more = state.fold(limit); });
  }
  // Some steps of it only. False = it was over before.
  bool fold_steps(int steps, int limit) {
    bool more = true;
    for (int step = 0; step < steps && more; ++step) batch([&](State& state) { more = state.fold(limit); });
    return more;
  }
  void retain(int limit = 512) {
    for (bool more = true; more;) batch([&](State& state) { more = state.retain(limit); });
  }
  void later() {
    while (state_->later_pending()) batch([](State& state) { state.apply_later(); });
  }
  // What time has done by now.
  void apply_time(int limit = 256) {
    for (bool more = true; more;) batch([&](State& state) { more = state.apply_time(limit); });
  }

  // Every session as it is shown, of all users.
  std::vector<SessionView> views() {
    std::vector<SessionView> all;
    ListSessions list;
    list.limit = 7;
    do {
      const ListSessions::Result page = call(list);
      for (const SessionView& view : page.sessions) all.push_back(call(get(view.session, view.uid)));
      list.cursor = page.cursor;
    } while (!list.cursor.empty());
    return all;
  }
  std::string shown() {
    std::string text;
    for (const SessionView& view : views()) text += text_of(view) + "\n";
    return text;
  }
  void check_counts() {
    const std::string counted = text_of(call(Count{}));
    const std::vector<SessionView> shown = views();
    // What is confirmed, and only waits for what is before it, is shown as its provider's business and counts as
    // nothing.
    for (const SessionView& view : shown) {
      bool before = false;
      for (const SegmentView& segment : view.segments) {
        if (segment.state == lifecycle::SegmentState::confirming && before) return;
        before = true;
      }
    }
    EXPECT_EQ(counted, text_of(recount(shown)));
  }
  std::vector<AttemptRow> history(const std::string& session = {}) {
    ListHistory list;
    list.uid = alice;
    list.session = session;
    list.limit = 1'000;
    std::vector<AttemptRow> rows = call(list).attempts;
    std::reverse(rows.begin(), rows.end());  // oldest first
    return rows;
  }
  // The states of the history's rows, oldest first, with a blank after each.
  std::string history_states(const std::string& session = {}) {
    std::string states;
    for (const AttemptRow& row : history(session)) states += row.state + " ";
    return states;
  }
  std::int64_t rows_of(const std::string& table) {
    return database_->execAndGet("SELECT count(*) FROM " + table).getInt64();
  }

  void reopen() {
    close();
    open();
  }
  // Nothing is closed: the files as they lie are all that the next one finds.
  void crash() {
    const auto left = std::make_unique<TemporaryFolder>();
    for (const auto& entry : std::filesystem::directory_iterator(folder_->path())) {
      std::filesystem::copy_file(entry.path(), left->path() / entry.path().filename());
    }
    close();
    for (const auto& entry : std::filesystem::directory_iterator(folder_->path())) {
      std::filesystem::remove(entry.path());
    }
    for (const auto& entry : std::filesystem::directory_iterator(left->path())) {
      std::filesystem::copy_file(entry.path(), folder_->path() / entry.path().filename());
    }
    open();
  }
  void close() {
    state_.reset();
    database_.reset();
  }
  void open() {
    OpenOptions options;
    options.state_dir = folder_->path();
    database_ = open_database(options);
    state_ = std::make_unique<State>(*database_, policies_, [this] { return now_; });
    begin();
    recovered_ = state_->recover();
    commit();
  }
  const std::filesystem::path& path() const { return folder_->path(); }

 private:
  Policies policies_;
  lifecycle::Now now_{lifecycle::Utc(lifecycle::Milliseconds(1'700'000'000'000)),
                      lifecycle::Steady(lifecycle::Milliseconds(1'000'000'000))};
  std::unique_ptr<TemporaryFolder> folder_ = std::make_unique<TemporaryFolder>();
  std::unique_ptr<SQLite::Database> database_;
  std::unique_ptr<State> state_;
  std::map<uid_t, Recovered> recovered_;
  Effects effects_;
};

// ---- the Ledger, with its thread and the real clock

inline lifecycle::Now real_now() {
  return {std::chrono::time_point_cast<lifecycle::Milliseconds>(std::chrono::system_clock::now()),
          std::chrono::time_point_cast<lifecycle::Milliseconds>(std::chrono::steady_clock::now())};
}

inline constexpr std::chrono::seconds patience{20};

class LedgerInFolder {
 public:
  // `gathers`: commands come from one thread, as the daemon's do; without, from any.
  explicit LedgerInFolder(std::filesystem::path folder, Policies policies = {},
                          Synchronous synchronous = Synchronous::full, bool gathers = true)
      : folder_(std::move(folder)) {
    OpenOptions options;
    options.state_dir = folder_;
    options.synchronous = synchronous;
    Ledger::Callbacks callbacks;
    callbacks.deliver = [this](Delivery delivery) {
      {
        const std::lock_guard lock(mutex_);
        for (const Head& head : delivery.effects.heads) heads_.push_back(head);
      }
      for (auto& task : delivery.answered) task->finish();
    };
    callbacks.on_failure = [this](const std::string& why) {
      const std::lock_guard lock(mutex_);
      failures_.push_back(why);
    };
    if (gathers) callbacks.flush_wanted = [] {};
    gathers_ = gathers;
    ledger_ = std::make_unique<Ledger>(options, std::move(policies), real_now, std::move(callbacks));
  }

  Ledger& ledger() { return *ledger_; }

  template <class Command>
  std::future<Outcome<typename Command::Result>> submit(Command command) {
    using Answer = Outcome<typename Command::Result>;
    auto promise = std::make_shared<std::promise<Answer>>();
    std::future<Answer> future = promise->get_future();
    ledger_->submit(std::move(command), [promise](Answer answer) { promise->set_value(std::move(answer)); });
    if (!together_ && gathers_) ledger_->flush();
    return future;
  }
  // What `submits` submits is one batch.
  void together(const std::function<void()>& submits) {
    together_ = true;
    submits();
    together_ = false;
    ledger_->flush();
  }
  template <class Answer>
  static Answer wait(std::future<Answer> future) {
    if (future.wait_for(patience) != std::future_status::ready) throw std::runtime_error("no answer");
    return future.get();
  }
  template <class Command>
  Outcome<typename Command::Result> apply(Command command) {
    return wait(submit(std::move(command)));
  }
  template <class Command>
  typename Command::Result call(Command command) {
    return expected<typename Command::Result>(apply(std::move(command)));
  }
  std::vector<std::string> failures() {
    const std::lock_guard lock(mutex_);
    return failures_;
  }
  std::vector<Head> heads() {
    const std::lock_guard lock(mutex_);
    return heads_;
  }

 private:
  std::filesystem::path folder_;
  bool gathers_ = true;
  bool together_ = false;
  std::mutex mutex_;
  std::vector<std::string> failures_;
  std::vector<Head> heads_;
  std::unique_ptr<Ledger> ledger_;
};

}  // namespace tidemark::store
