// The ledger's memory and its commands: each apply() brings a command to the sessions by lifecycle's rules and writes
// the rows that it changed, within the transaction that the ledger has opened.
//
// In memory are the sessions that are dirty, have a turn open, or have marks in the log, and the latest clean ones; all
// others are a row, read when they are named. Whatever a batch touches is copied first, so that a batch that can't be
// written is undone here as it is on disk. Ledger thread only. Throws SQLite::Exception on a fault of the journal.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "store/agents.h"
#include "store/commands.h"
#include "store/interests.h"
#include "store/rows.h"
#include "store/turn_ids.h"

namespace tidemark::store {

class State {
 public:
  // `now` is asked once a batch and once a maintenance step.
  State(SQLite::Database& database, Policies policies, std::function<lifecycle::Now()> now);
  ~State();

  // ---- a batch: between begin and end (or roll_back) lies one transaction
  void begin_batch();
  void write_derived();  // what is written once a batch; the last call before COMMIT
  // A write that changes nothing, to see whether writing works.
  void write_anything() { rows_.write_counter("epoch", last_epoch_); }
  Effects end_batch();
  void roll_back();

  // ---- the start: reads what is live into memory; what was in flight is in doubt from now on. Within a transaction.
  std::map<uid_t, Recovered> recover();

  // ---- what time does, each within a transaction
  // The next instant at which apply_time() has something to do.
  std::optional<lifecycle::Steady> next_deadline() const;
  // Idle, too old, turns open for too long; at most `limit` sessions. False = nothing is left to do now.
  bool apply_time(int limit);
  // One step, of about `limit` rows, in moving the oldest run of the log to its places. False = the log is empty.
  bool fold(int limit);
  std::int64_t log_rows() const { return last_mark_ - folded_; }
  // One piece of a retention pass; false = the pass is over.
  bool retain(int limit);
  // Commands that a long one has left behind for later; false = none.
  bool apply_later();
  bool later_pending() const { return !later_.empty(); }
  // Entries that wait for their time. For tests.
  std::size_t queued_deadlines() const { return deadlines_.size(); }

  // ---- commands
  Outcome<lifecycle::Completed> apply(const Complete& command);
  Outcome<Nothing> apply(const BeginTurn& command);
  Outcome<Nothing> apply(const CancelTurn& command);
  Outcome<Registered> apply(const Register& command);
  Outcome<Nothing> apply(const UnregisterSession& command);
  Outcome<Nothing> apply(const UnregisterAgent& command);
  Outcome<Nothing> apply(const AgentOffline& command);
  Outcome<Nothing> apply(const AgentLost& command);
  Outcome<Nothing> apply(const AgentBack& command);
  Outcome<TakeOldest::Result> apply(const TakeOldest& command);
  Outcome<MakeDue::Result> apply(const MakeDue& command);
  Outcome<Rotate::Result> apply(const Rotate& command);
  Outcome<Release::Result> apply(const Release& command);
  Outcome<Discard::Result> apply(const Discard& command);
  Outcome<Forget::Result> apply(const Forget& command);
  Outcome<DrainPage::Result> apply(const DrainPage& command);
  Outcome<BeginAttempt::Result> apply(const BeginAttempt& command);
  Outcome<NoteAttempt::Result> apply(const NoteAttempt& command);
  Outcome<EndAttempt::Result> apply(const EndAttempt& command);
  Outcome<PausedProvider> apply(const PauseProvider& command);
  Outcome<Nothing> apply(const ResumeProvider& command);
  Outcome<EndConfirmation::Result> apply(const EndConfirmation& command);
  Outcome<Nothing> apply(const SetStalled& command);
  Outcome<GetConfirming::Result> apply(const GetConfirming& command);
  Outcome<Retry::Result> apply(const Retry& command);
  Outcome<DropThrough::Result> apply(const DropThrough& command);
  Outcome<SessionView> apply(const GetSession& command);
  Outcome<ListSessions::Result> apply(const ListSessions& command);
  Outcome<ListHistory::Result> apply(const ListHistory& command);
  Outcome<Counts> apply(const Count& command);
  Outcome<Nothing> apply(const Ping&) { return Nothing{}; }
  // Not undone with their batch: nothing durable depends on them.
  Outcome<Nothing> apply(const Watch& command);
  Outcome<Nothing> apply(const Unwatch& command);
  Outcome<Nothing> apply(const SetPolicies& command);

  // The contract's invariants over all that is in memory; aborts where one fails. For tests.
  void check_invariants() const;

 private:
  // A session in memory.
  struct Resident {
    explicit Resident(std::string session_name) : name(std::move(session_name)) {}
    const std::string name;  // by_name_ points into it
    lifecycle::Session session;
    TurnIds turns;
    lifecycle::Generation written = 0;                    // the generation in its row; those after it stand in the log
    std::int64_t last_mark = 0;                           // its newest row of the log
    std::uint64_t batch = 0;                              // the last one that touched it
    lifecycle::Facts counted;                             // what counts_ holds of it
    std::vector<lifecycle::AgentId> owners;               // what by_owner_ holds of it
    bool only_open = false;                               // counted in only_open_
    std::optional<lifecycle::Steady> deadline;            // what deadlines_ holds of it
    std::optional<std::list<Resident*>::iterator> clean;  // its place in clean_

    bool needed() const { return session.dirty() || !session.open_turns.empty(); }
  };
  struct Before {
    Resident* resident;
    std::optional<lifecycle::Session> session;  // none = it was made in this batch
    lifecycle::Generation written;
    std::int64_t last_mark;
  };
  // An id that this batch has learned (without `forgotten`) or forgotten.
  struct TurnChange {
    Resident* resident;
    TurnKey key;
    std::optional<lifecycle::KnownTurn> forgotten;
  };
  struct Online {
    lifecycle::AgentPointer agent;
    std::int64_t epoch;  // of its latest registration to serve
  };
  // What a command leaves for later, so that nobody waits long: each goes on in pieces of a bounded size. (And
  // AgentLost.)
  struct Recount {  // whether the agent's sessions count as orphaned
    lifecycle::AgentId agent;
    lifecycle::SessionId after;
  };
  struct DeleteTurns {  // rows of completed turns
    lifecycle::SessionId session;
    lifecycle::Generation before;
  };
  struct DeleteSession {
    lifecycle::SessionId session;
  };
  using Later = std::variant<AgentLost, Recount, DeleteTurns, DeleteSession>;
  struct Name {
    uid_t uid;
    std::string_view name;  // points into the resident
    bool operator==(const Name&) const = default;
  };
  struct NameHash {
    std::size_t operator()(const Name& key) const noexcept {
      return std::hash<std::string_view>()(key.name) ^ (static_cast<std::size_t>(key.uid) * 0x9e3779b97f4a7c15ULL);
    }
  };

  // Null if the session isn't known.
  Resident* find(uid_t uid, std::string_view name);
  Resident* find(lifecycle::SessionId id);
  Resident& find_or_create(uid_t uid, std::string_view name);
  Resident& create(uid_t uid, std::string_view name);  // not known yet
  Resident& load(const SessionRow& row);
  void enter(std::unique_ptr<Resident> resident);
  void leave(Resident& resident);
  void touch(Resident& resident);
  // After a change of anything but a mere growth: writes the rows, and brings all that is derived up to date.
  void changed(Resident& resident);
  void derive(Resident& resident);
  void count(Resident& resident, const lifecycle::Facts& facts);
  void count_only_open(Resident& resident, bool only_open);
  void index_owners(Resident& resident);
  void schedule(Resident& resident);
  void keep_or_drop(Resident& resident);
  void remember_turn(Resident& resident, std::string_view turn, lifecycle::Generation generation);
  void remember_cancelled(Resident& resident, std::string_view turn);
  // Whether the session (null: one that isn't known yet) would be one too many to be kept in memory.
  bool no_room_for(const Resident* resident, uid_t uid);
  void tell_if_away(const lifecycle::AgentPointer& owner);
  void trim_deadlines();
  void forget_settled_turns(Resident& resident);
  void drop(Resident& resident);
  void record_dropped(const lifecycle::Session& session, const lifecycle::Attempt& dropped, std::string_view state,
                      const std::string& reason, std::string_view error);
  void remember_effect(const lifecycle::Session& session) { changed_heads_.insert(session.id); }
  // Tells watchers, if any want to know. `owner` null = nobody.
  void tell(EventKind kind, const lifecycle::Session& session, const lifecycle::Agent* owner = nullptr,
            lifecycle::CommitId commit = 0, std::string_view error = {});
  void tell_difference(const lifecycle::Session& session, const lifecycle::Facts& before,
                       const lifecycle::Facts& after);
  void tell_end(const lifecycle::Session& session, const EndAttempt& command, const lifecycle::AgentPointer& owner);
  void tell_orphaned(const lifecycle::Agent& agent);
  Head head_of(lifecycle::Session& session) const;
  SessionView view_of(const lifecycle::Session& session, bool with_segments) const;
  Marks marks_of(const lifecycle::Session& session) const;
  Accepted accepted_of(const lifecycle::Session& session, const lifecycle::Segment& segment) const;
  bool go_on_losing(Resident& resident);
  bool lose_page(const lifecycle::AgentPointer& agent, lifecycle::SessionId& after);
  void set_lost(const lifecycle::AgentPointer& agent);
  void set_online(lifecycle::AgentId agent, std::optional<Online> online);
  // The next piece, and the rest is left for later.
  void go_on(AgentLost rest);
  void go_on(Recount rest);
  void go_on(const DeleteTurns& rest);
  void go_on(const DeleteSession& rest);
  void for_owned(lifecycle::AgentId agent, lifecycle::SessionId after, int limit,
                 const std::function<void(Resident&)>& each);
  lifecycle::CommitId next_commit() { return ++last_commit_; }

  Policies policies_;
  std::function<lifecycle::Now()> clock_;
  lifecycle::Now now_{};
  Rows rows_;
  Agents agents_;  // before all that holds agents
  std::unordered_map<lifecycle::SessionId, std::unique_ptr<Resident>> by_id_;
  std::unordered_map<Name, Resident*, NameHash> by_name_;
  std::map<lifecycle::SessionId, Resident*> dirty_;
  std::set<std::pair<lifecycle::AgentId, lifecycle::SessionId>> by_owner_;  // owns a segment or an open turn there
  std::map<uid_t, Counts> counts_;
  std::map<uid_t, std::int64_t> only_open_;  // sessions that are in memory for their open turns alone
  std::list<Resident*> clean_;               // in memory without need, the longest untouched first
  using Deadline = std::pair<lifecycle::Steady, lifecycle::SessionId>;
  std::priority_queue<Deadline, std::vector<Deadline>, std::greater<>> deadlines_;
  std::map<lifecycle::AgentId, Online> online_;  // kept in memory, and from retention
  // What this batch has changed there, and how it was before.
  std::vector<std::pair<lifecycle::AgentId, std::optional<Online>>> online_changed_;
  std::vector<Later> later_;
  std::vector<Later> later_before_;  // as it was when the batch began

  Interests interests_;

  lifecycle::SessionId last_session_;
  lifecycle::CommitId last_commit_;
  std::int64_t last_epoch_;
  std::int64_t last_mark_;
  std::int64_t folded_;  // rows of the log up to here have been moved

  // The run of the log that is being moved. It is large, and written in the order of the sessions, since the cost lies
  // in the pages touched. Every step can be repeated: a crash in between just moves the same rows again.
  struct Fold {
    enum class Stage { reading, writing, deleting } stage = Stage::reading;
    std::map<std::pair<lifecycle::SessionId, lifecycle::Generation>, std::string> rows;  // turn ids, those to be moved
    std::int64_t read_through = 0;
    std::int64_t deleted_through = 0;
  };
  Fold fold_;
  bool fold_stepped_ = false;                         // in this batch
  std::vector<decltype(Fold::rows)> fold_discarded_;  // of runs that were begun again; freed in pieces, like the rest

  // This batch.
  std::uint64_t batch_ = 0;
  std::vector<Before> before_;
  std::vector<TurnChange> turns_changed_;
  std::vector<std::unique_ptr<Resident>> dropped_;
  std::vector<std::pair<Resident*, lifecycle::Generation>> turns_to_forget_;
  std::set<uid_t> counts_to_write_;
  std::set<lifecycle::SessionId> changed_heads_;
  std::vector<Head> gone_heads_;
  std::map<lifecycle::AgentId, lifecycle::AgentPointer> changed_agents_;
  std::vector<Accepted> accepted_;
  std::vector<PausedProvider> paused_providers_;
  std::vector<Event> events_;
  std::int64_t last_mark_before_ = 0;
  std::int64_t folded_before_ = 0;

  // Where the retention pass has come to.
  lifecycle::CommitId retained_history_ = 0;
  lifecycle::AgentId retained_agents_ = 0;
  lifecycle::SessionId retained_sessions_ = 0;
  int retaining_ = 0;
};

}  // namespace tidemark::store
