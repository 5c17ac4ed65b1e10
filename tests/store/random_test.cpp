// Random commands with random roll-backs, full disks, closings and crashes, against a plain model: the rules' own
// Session objects in a map, which know nothing of rows, logs, batches or memory. What the ledger shows must always be
// what the model shows, and what was undone must never have been.
#include <cstdlib>
#include <random>

#include "copied.h"
#include "fixture.h"

namespace tidemark::store {
namespace {

using lifecycle::AgentPointer;
using lifecycle::KnownTurn;
using lifecycle::Session;

std::uint64_t seed() {
  if (const char* given = std::getenv("TIDEMARK_TEST_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device{}();
}

constexpr std::int64_t turn_ids_kept = 3;

// Everything by value but the agents, which are copied with it by hand: so a copy is what a roll-back goes back to.
class Model {
 public:
  struct Known {
    Session session;
    std::map<std::string, KnownTurn> turns;
    std::vector<std::string> cancelled;  // of turns, the oldest first
    lifecycle::Generation forget_before = 0;
  };

  Model() = default;
  Model(const Model& other) : policies(other.policies), sessions(other.sessions), names(other.names) {
    std::map<const lifecycle::Agent*, AgentPointer> copies;
    const auto move = [&](AgentPointer& agent) {
      if (!agent) return;
      AgentPointer& copy = copies[agent.get()];
      if (!copy) copy = std::make_shared<lifecycle::Agent>(*agent);
      agent = copy;
    };
    for (auto& [name, agent] : names) move(agent);
    for (auto& [name, known] : sessions) {
      move(known.session.agent);
      for (auto& segment : known.session.segments) move(segment.owner);
      for (auto& open : known.session.open_turns) move(open.agent);
    }
  }
  Model& operator=(Model other) {
    std::swap(sessions, other.sessions);
    std::swap(names, other.names);
    return *this;
  }

  Known& session(const std::string& name, const lifecycle::Now& now) {
    const auto [found, made] = sessions.try_emplace(name);
    if (made) {
      found->second.session.name = name;
      found->second.session.uid = alice;
      found->second.session.last_turn = now.steady;
    }
    return found->second;
  }
  AgentPointer agent(const std::string& name) {
    if (name.empty()) return nullptr;
    AgentPointer& found = names[name];
    if (!found) {
      found = std::make_shared<lifecycle::Agent>();
      found->name = name;
    }
    return found;
  }
  void forget_settled(Known& known) {
    known.forget_before = std::max(known.forget_before, known.session.watermark - turn_ids_kept + 1);
  }
  // Ids are forgotten once the batch that settled their turns is durable.
  void end_batch() {
    for (auto& [name, known] : sessions) {
      const lifecycle::Generation before = known.forget_before;
      if (before <= 1) continue;
      std::erase_if(known.turns,
                    [&](const auto& turn) { return !turn.second.cancelled && turn.second.generation < before; });
    }
  }
  std::string shown(const lifecycle::Now& now) const {
    std::string text;
    for (const auto& [name, known] : sessions) {
      const Session& session = known.session;
      SessionView view;
      view.session = name;
      view.uid = alice;
      view.generation = session.generation;
      view.watermark = session.watermark;
      view.accepted = session.accepted;
      if (session.agent) view.agent = session.agent->name;
      view.turns_open = static_cast<std::int64_t>(session.open_turns.size());
      view.last_turn_at = session.last_turn_at;
      for (const auto& segment : session.segments) {
        SegmentView one;
        one.start = segment.start;
        one.end = segment.end;
        if (segment.owner) {
          one.owner = segment.owner->name;
          one.provider = segment.owner->provider;
        }
        one.state = segment.state();
        one.due = segment.due;
        one.sealed = segment.sealed;
        one.orphaned = segment.orphaned();
        one.stalled = segment.stalled;
        if (!segment.provider.empty()) one.provider = segment.provider;
        one.evidence = segment.evidence;
        one.attempts = segment.attempts;
        if (segment.phase == lifecycle::Phase::pending && segment.next_attempt > now.steady) {
          one.next_attempt_at = segment.next_attempt_at;
        }
        one.reason = segment.reason;
        one.last_error = segment.last_error;
        one.commit = segment.commit;
        one.key = segment.key;
        view.segments.push_back(std::move(one));
      }
      text += text_of(view) + "\n";
    }
    return text;
  }

  Policies policies;
  std::map<std::string, Known> sessions;
  std::map<std::string, AgentPointer> names;
};

class RandomRun {
 public:
  explicit RandomRun(std::uint64_t from) : random_(from), store_(policies()) { model_.policies = policies(); }

  void run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      const int choice = pick(100);
      if (choice < 60) {
        batch();
      } else if (choice < 70) {
        batch_on_full_disk();
      } else if (choice < 78) {
        if (pick(4) == 0) {
          store_.undone([&](State& state) { state.fold(1 + pick(6)); });
        } else {
          store_.batch([&](State& state) { state.fold(1 + pick(6)); });
        }
      } else if (choice < 84) {
        store_.advance(lifecycle::Milliseconds(pick(20 * 60'000)));
        time();
      } else if (choice < 88) {
        store_.reopen();
        recovered();
      } else if (choice < 92) {
        store_.crash();
        recovered();
      } else {
        probe_turns();
      }
      ASSERT_EQ(store_.shown(), model_.shown(store_.now())) << "step " << step;
      if (step % 20 == 0) store_.check_counts();
      if (step % 5 == 0) {
        ASSERT_EQ(problems_of(store_), "") << "step " << step;
      }
    }
    store_.fold(5);
    store_.crash();
    recovered();
    ASSERT_EQ(store_.shown(), model_.shown(store_.now()));
    for (const auto& [name, known] : model_.sessions) {
      for (const auto& [turn, remembered] : known.turns) expect_known(name, turn, remembered);
    }
    store_.check_counts();
    EXPECT_EQ(problems_of(store_), "");
  }

 private:
  static Policies policies() {
    Policies policies;
    policies.retention.turn_ids = turn_ids_kept;
    policies.everybody.commit.uncommitted_turns_max = 12;
    policies.retry.attempts = 4;
    return policies;
  }
  int pick(int below) { return static_cast<int>(random_() % static_cast<std::uint64_t>(below)); }
  std::string a_session() { return "s" + std::to_string(pick(6)); }
  std::string an_agent() { return pick(3) == 0 ? "" : std::string(1, static_cast<char>('a' + pick(4))); }
  std::string a_turn() { return pick(3) == 0 ? "" : "t" + std::to_string(pick(60)); }

  // A change of both, kept if the batch is.
  void batch() {
    const Model before = model_;
    const int commands = 1 + pick(6);
    const bool undo = pick(5) == 0;
    const auto steps = [&](State& state) {
      for (int command = 0; command < commands; ++command) apply(state);
    };
    if (undo) {
      store_.undone(steps);
      model_ = before;
    } else {
      store_.batch(steps);
      model_.end_batch();
    }
  }
  void batch_on_full_disk() {
    const Model before = model_;
    const int commands = 1 + pick(6);
    FaultyDisk::instance().fail_writes(SQLITE_FULL, pick(8));
    try {
      store_.batch([&](State& state) {
        for (int command = 0; command < commands; ++command) apply(state);
      });
      model_.end_batch();
    } catch (const SQLite::Exception& error) {
      ASSERT_EQ(error.getErrorCode() & 0xff, SQLITE_FULL) << error.what();
      model_ = before;
    }
    FaultyDisk::instance().heal();
  }

  void apply(State& state) {
    const lifecycle::Now now = store_.now();
    const std::string name = a_session();
    const auto found = model_.sessions.find(name);
    switch (pick(18)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: {
        const Complete command = complete(name, an_agent(), a_turn());
        Model::Known& known = model_.session(name, now);
        const auto remembered = known.turns.find(command.turn);
        const bool duplicate = remembered != known.turns.end();
        if (!duplicate && !command.turn.empty()) known.session.end_turn(command.turn);
        const lifecycle::Completed expected_here =
            known.session.complete(duplicate ? nullptr : model_.agent(command.agent),
                                   duplicate ? &remembered->second : nullptr, model_.policies.everybody.commit, now);
        if (!duplicate && !command.turn.empty()) known.turns[command.turn] = {expected_here.generation, false};
        const lifecycle::Completed completed = expected(state.apply(command));
        EXPECT_EQ(completed.generation, expected_here.counted ? expected_here.generation : known.session.generation)
            << name << " " << command.turn;
        EXPECT_EQ(completed.duplicate, expected_here.duplicate);
        EXPECT_EQ(completed.counted, expected_here.counted);
        break;
      }
      case 5: {
        const BeginTurn command = begin_turn(name, "t" + std::to_string(pick(60)), an_agent());
        Model::Known& known = model_.session(name, now);
        if (!known.turns.contains(command.turn))
          known.session.begin_turn(command.turn, model_.agent(command.agent), now);
        expected(state.apply(command));
        break;
      }
      case 6: {
        const CancelTurn command = cancel_turn(name, "t" + std::to_string(pick(60)));
        Model::Known& known = model_.session(name, now);
        if (!known.turns.contains(command.turn)) {
          known.session.end_turn(command.turn);
          known.turns[command.turn] = {0, true};
          known.cancelled.push_back(command.turn);
          if (known.cancelled.size() > turn_ids_kept) {
            known.turns.erase(known.cancelled.front());
            known.cancelled.erase(known.cancelled.begin());
          }
        }
        expected(state.apply(command));
        break;
      }
      case 7: {
        Register command = register_agent(std::string(1, static_cast<char>('a' + pick(4))), pick(2) == 0 ? name : "");
        command.serves = pick(3) != 0;
        if (pick(2) == 0) command.provider = "p" + std::to_string(pick(2));
        if (!command.session.empty() && pick(3) == 0) command.external_id = "x" + std::to_string(pick(2));
        const AgentPointer agent = model_.agent(command.agent);
        agent->provider = command.provider;
        agent->served |= command.serves;
        if (command.serves || !agent->served) agent->lost = false;
        if (!command.session.empty()) {
          Session& session = model_.session(name, now).session;
          session.agent = agent;
          if (!command.external_id.empty()) session.external_id = command.external_id;
        }
        agent->epoch = expected(state.apply(command)).epoch;
        break;
      }
      case 8: {
        const std::string lost(1, static_cast<char>('a' + pick(4)));
        if (!model_.names.contains(lost)) break;
        const AgentPointer agent = model_.agent(lost);
        std::vector<std::string> ended;
        for (auto& [each, known] : model_.sessions) known.session.orphan(*agent, ended);
        agent->lost = true;
        if (pick(2) == 0) {
          expected(state.apply(unregister_agent(lost)));
        } else {
          expected(state.apply(agent_lost(lost, agent->epoch)));
        }
        break;
      }
      case 9: {
        expected(state.apply(make_due(name)));
        if (found != model_.sessions.end()) found->second.session.make_due("flush");
        break;
      }
      case 10:
      case 11: {
        const std::string named = an_agent();
        const TakeOldest::Result taken = expected(state.apply(take(name, named)));
        if (found == model_.sessions.end()) break;
        Session& session = found->second.session;
        EXPECT_EQ(taken.taken, session.take(model_.agent(named), "asked"));
        const std::int64_t key = ++last_key_;
        const BeginAttempt::Result begun = expected(state.apply(begin_attempt(name, taken.head.owner, key)));
        const auto expected_here = taken.head.owner == 0
                                       ? std::nullopt
                                       : session.begin_attempt(begun.attempt ? begun.attempt->commit : 1, key_of(key));
        EXPECT_EQ(begun.attempt.has_value(), expected_here.has_value());
        if (!begun.attempt || !expected_here) break;
        EXPECT_EQ(begun.attempt->key, expected_here->key);
        EXPECT_EQ(begun.attempt->start, expected_here->start);
        EXPECT_EQ(begun.attempt->end, expected_here->end);
        EXPECT_EQ(begun.attempt->external_id, expected_here->external_id);
        EXPECT_EQ(begun.owner, expected_here->owner->name);
        out_.push_back({name, *begun.attempt});
        keys_[begun.attempt->commit] = begun.attempt->key;
        break;
      }
      case 12:
      case 13: {
        if (out_.empty()) break;
        // Any attempt ever begun, also one that was undone: whose key must mean nothing.
        const auto& [session_name, attempt] = out_[static_cast<std::size_t>(pick(static_cast<int>(out_.size())))];
        // But for one whose number was given again: nobody has ever heard of the attempt that was undone.
        if (keys_.at(attempt.commit) != attempt.key) break;
        const auto end = static_cast<AttemptEnd>(pick(8));
        const EndAttempt command = end_attempt(session_name, attempt, end);
        const EndAttempt::Result ended = expected(state.apply(command));
        const auto known = model_.sessions.find(session_name);
        if (known == model_.sessions.end()) {
          EXPECT_FALSE(ended.applied);
          break;
        }
        Session& session = known->second.session;
        bool applied = false;
        switch (end) {
          case AttemptEnd::committed:
          case AttemptEnd::skipped:
            applied = session.succeed(attempt.key);
            if (applied) model_.forget_settled(known->second);
            break;
          case AttemptEnd::failed:
          case AttemptEnd::failed_for_good:
            applied = session.fail(attempt.commit, command.error, end == AttemptEnd::failed_for_good,
                                   model_.policies.retry, command.chance, now);
            break;
          case AttemptEnd::withdrawn:
            applied = session.withdraw(attempt.commit, command.error);
            break;
          case AttemptEnd::accepted: {
            const lifecycle::Segment* next = session.next();
            applied = next && next->phase == lifecycle::Phase::in_flight && next->commit == attempt.commit &&
                      session.accept(attempt.key, command.provider, command.evidence);
            if (applied) session.provider_state = command.provider_state;
            break;
          }
          case AttemptEnd::withdrawn_in_doubt:
            applied = session.withdraw_in_doubt(attempt.commit, command.error);
            break;
          case AttemptEnd::in_doubt:
            applied = session.doubt(attempt.commit, command.error, model_.policies.retry, command.chance, now);
            break;
        }
        EXPECT_EQ(ended.applied, applied);
        break;
      }
      case 14: {
        if (pick(3) == 0) {
          const Discard::Result discarded = expected(state.apply(discard(name)));
          const bool clean = found == model_.sessions.end() || !found->second.session.dirty();
          EXPECT_EQ(discarded.discarded, clean);
          if (clean) model_.sessions.erase(name);
        } else if (pick(3) == 0) {
          const Forget::Result forgotten = expected(state.apply(forget(name)));
          EXPECT_EQ(forgotten.forgotten, found != model_.sessions.end());
          model_.sessions.erase(name);
        } else {
          Retry retry;
          retry.uid = alice;
          retry.session = name;
          const auto outcome = state.apply(retry);
          EXPECT_EQ(refusal(outcome) == nullptr, found != model_.sessions.end());
          if (found != model_.sessions.end()) found->second.session.retry(now);
        }
        break;
      }
      case 15: {
        const lifecycle::Generation through = 1 + pick(8);
        const auto outcome = state.apply(drop_through(name, through, pick(2) == 0));
        if (found == model_.sessions.end()) {
          EXPECT_TRUE(refusal(outcome));
          break;
        }
        const lifecycle::Dropped dropped = found->second.session.drop_through(through);
        EXPECT_EQ(refusal(outcome) == nullptr, dropped.refused.empty());
        if (!dropped.segments.empty()) model_.forget_settled(found->second);
        break;
      }
      case 16: {
        if (out_.empty()) break;
        const auto& [session_name, attempt] = out_[static_cast<std::size_t>(pick(static_cast<int>(out_.size())))];
        if (keys_.at(attempt.commit) != attempt.key) break;
        const auto known = model_.sessions.find(session_name);
        Session* session = known == model_.sessions.end() ? nullptr : &known->second.session;
        const bool noted = expected(state.apply(note_attempt(session_name, attempt.commit, "{}"))).noted;
        EXPECT_EQ(noted, session && session->note(attempt.commit, "{}"));
        break;
      }
      case 17: {
        if (out_.empty()) break;
        const auto& [session_name, attempt] = out_[static_cast<std::size_t>(pick(static_cast<int>(out_.size())))];
        if (keys_.at(attempt.commit) != attempt.key) break;
        const auto known = model_.sessions.find(session_name);
        Session* session = known == model_.sessions.end() ? nullptr : &known->second.session;
        if (const bool stalled = pick(2) == 0; pick(2) == 0) {
          expected(state.apply(set_stalled(session_name, attempt.key, stalled)));
          if (session) session->set_stalled(attempt.key, stalled);
          break;
        }
        const EndConfirmation command = end_confirmation(session_name, attempt.key, pick(2) == 0);
        const bool applied = expected(state.apply(command)).applied;
        const auto confirming = [&key = attempt.key](const lifecycle::Segment& segment) {
          return segment.key == key && segment.phase == lifecycle::Phase::confirming;
        };
        const bool meant = session && std::any_of(session->segments.begin(), session->segments.end(), confirming);
        EXPECT_EQ(applied, meant);
        if (!meant) break;
        if (command.confirmed) {
          session->succeed(attempt.key);
          model_.forget_settled(known->second);
        } else {
          session->fail_confirmation(attempt.key, command.error, command.evidence);
        }
        break;
      }
    }
  }

  void time() {
    store_.apply_time();
    std::vector<std::string> ended;
    for (auto& [name, known] : model_.sessions) {
      known.session.apply_time(model_.policies.everybody.commit, store_.now(), ended);
    }
  }
  void recovered() {
    for (auto& [name, known] : model_.sessions) known.session.recover(store_.now());
    // No loss here is so long that a crash could cut it short.
    EXPECT_FALSE(store_.state().later_pending());
  }
  void expect_known(const std::string& session, const std::string& turn, const KnownTurn& remembered) {
    store_.undone([&](State& state) {
      const lifecycle::Completed again = expected(state.apply(complete(session, "z", turn)));
      EXPECT_TRUE(again.duplicate) << session << " " << turn;
      EXPECT_EQ(again.generation,
                remembered.cancelled ? model_.sessions.at(session).session.generation : remembered.generation)
          << session << " " << turn;
      EXPECT_EQ(again.counted, !remembered.cancelled) << session << " " << turn;
    });
  }
  void probe_turns() {
    if (model_.sessions.empty()) return;
    auto at = model_.sessions.begin();
    std::advance(at, pick(static_cast<int>(model_.sessions.size())));
    for (const auto& [turn, remembered] : at->second.turns) expect_known(at->first, turn, remembered);
  }

  std::mt19937_64 random_;
  Store store_;
  Model model_;
  std::int64_t last_key_ = 0;
  std::vector<std::pair<std::string, lifecycle::Attempt>> out_;
  std::map<lifecycle::CommitId, lifecycle::Key> keys_;  // of the latest attempt that was begun with the number
};

TEST(Random, CommandsLeaveWhatTheModelSays) {
  const std::uint64_t first = seed();
  std::cout << "TIDEMARK_TEST_SEED=" << first << " and those after it\n";
  const int runs = std::getenv("TIDEMARK_TEST_SEED") ? 1 : 12;
  for (int run = 0; run < runs && !HasFailure(); ++run) {
    const std::uint64_t this_run = first + static_cast<std::uint64_t>(run);
    SCOPED_TRACE("TIDEMARK_TEST_SEED=" + std::to_string(this_run));
    RecordProperty("seed", std::to_string(this_run));
    RandomRun(this_run).run(300);
    if (HasFailure()) std::cerr << "again with TIDEMARK_TEST_SEED=" << this_run << "\n";
  }
}

}  // namespace
}  // namespace tidemark::store
