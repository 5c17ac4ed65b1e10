// The dispatcher: decides which attempt begins when, asks agents and providers, and brings what they say back to the
// ledger. It holds no truth of its own: what is due comes from the ledger's effects, who is there from the connections;
// every attempt is journaled by a command before anybody hears of it, and every outcome goes back as a command.
//
// One attempt in flight a session (by name: one that runs on unheeded after a forget counts), `max_in_flight` an agent,
// `concurrency` a provider.
// I/O thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "daemon/config.h"
#include "daemon/counters.h"
#include "daemon/presence.h"
#include "daemon/provider_lines.h"
#include "daemon/watchers.h"
#include "ipc/messages.h"
#include "store/ledger.h"

namespace tidemark::daemon {

class Dispatcher {
 public:
  // All of these outlive it; `set_ledger` follows before anything else.
  Dispatcher(boost::asio::io_context& context, const Config& config, Clients& clients, ProviderLines& lines,
             Watchers& watchers, Counters& counters);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;
  void set_ledger(store::Ledger& ledger) { ledger_ = &ledger; }

  // What the ledger has told; before the answers of the same batch.
  void on_effects(const store::Effects& effects);
  // The same batch's answers have been given: agents that nobody turned out to need are let go.
  void after_answers(const store::Effects& effects);

  // ---- agents (dispatcher_agents.cpp)
  struct Registration {
    ClientId client = 0;
    std::string session;  // empty = none
    bool serves = true;
    bool serves_orphans = false;
    std::int64_t max_in_flight = 4;
  };
  // The ledger has journaled a registration.
  void on_registered(const Registration& registration, const store::Registered& registered);
  void on_unregistered(uid_t uid, const std::string& agent);
  void on_client_closed(ClientId client);
  // Something came in from this client.
  void on_heard(const Client& client);
  // The attempt is alive: its timeout starts again. Nothing happens for one that isn't out, or another user's.
  void on_progress(uid_t uid, lifecycle::CommitId commit);
  std::int64_t agents_online(std::optional<uid_t> uid) const;
  bool connected(ClientId client) const { return clients_.find_client(client) != nullptr; }
  // Names of the agents that this client serves.
  std::vector<std::string> served_by(ClientId client) const;
  std::size_t served_count(ClientId client) const;

  // ---- providers (dispatcher_providers.cpp)
  // The configuration has changed.
  void on_providers_configured();
  // By hand, and durable already.
  void pause(ProviderLine& line, const store::PausedProvider& paused);
  void resume(ProviderLine& line);
  // A look at what it has accepted has shown a fault of the provider as a whole, or that there is none.
  void on_fault(ProviderLine& line, const std::string& error);
  void on_sound(ProviderLine& line);

  // ---- callers that wait for a boundary (dispatcher_waits.cpp)
  // Whether an attempt is out in that session, or about to be.
  bool busy(uid_t uid, std::string_view session) const;
  // Queues the caller; `timeout` empty = no limit. wait->done is called exactly once, never from inside this call.
  void enqueue(std::shared_ptr<Wait> wait, std::optional<lifecycle::Milliseconds> timeout);
  // Ends a wait before its time; whatever is out goes on.
  void finish(const std::shared_ptr<Wait>& wait, ipc::Outcome outcome);

  // All that is due, and idle, now: what the daemon still tries when it stops.
  std::vector<std::pair<uid_t, std::string>> due_sessions() const;
  // From now on nothing is begun by itself and nobody is taken for lost: the daemon stops.
  void stop_by_itself() { stopping_ = true; }

 private:
  struct NameKey {
    uid_t uid;
    std::string name;
    auto operator<=>(const NameKey&) const = default;
  };
  struct NameHash {
    std::size_t operator()(const NameKey& key) const noexcept {
      return std::hash<std::string>()(key.name) ^ (static_cast<std::size_t>(key.uid) * 0x9e3779b97f4a7c15ULL);
    }
  };
  // An attempt that is out.
  struct Out {
    enum class Stage {
      agent,     // an agent has been asked
      synced,    // it has prepared everything for its provider, which has no slot yet
      provider,  // a provider has been asked
    };
    Stage stage = Stage::agent;
    uid_t uid = 0;
    std::string session;
    store::BeginAttempt::Result begun;
    lifecycle::CommitId commit = 0;
    lifecycle::Key key{};
    lifecycle::Generation start = 0, end = 0;
    bool to_provider = false;            // the agent was told that its provider goes on from there
    ProviderLine* line = nullptr;        // whose slot it takes
    std::shared_ptr<Provider> provider;  // that was asked
    lifecycle::AgentId asked = 0;
    std::int64_t presence = 0;                         // whose slot it takes
    std::chrono::steady_clock::time_point asked_at{};  // unset: nobody was asked
    std::unique_ptr<boost::asio::steady_timer> timeout;
  };

  // dispatcher.cpp
  // How an attempt ended, and what is left of it.
  struct Ending {
    store::AttemptEnd how = store::AttemptEnd::in_doubt;
    std::string error, evidence, provider_state;
  };

  SessionRecord* find(uid_t uid, const std::string& name);
  SessionRecord& record_of(uid_t uid, const std::string& name);
  void drop_if_unneeded(SessionRecord& record);
  void drop_if_unneeded(Owner& owner);
  void set_owner(SessionRecord& record, lifecycle::AgentId id);
  void on_head(const store::Head& head);
  // Puts the session where its head says it belongs: ready, backing off, or nowhere; and begins what can be begun.
  void place(SessionRecord& record);
  void unplace(SessionRecord& record);
  void pump(Owner& owner);
  // Who is to be asked for the owner's work in that session now; null = nobody can be.
  Owner* target_of(Owner& owner, const SessionRecord& record);
  enum class Reach { nobody, paused, somebody };
  // Whether anybody is there to commit the owner's work in that session, now or when a slot is free.
  Reach reach(Owner& owner, const SessionRecord& record);
  // With an agent or with a provider, exactly one.
  void begin(SessionRecord& record, Owner* target, ProviderLine* line);
  void on_begun(uid_t uid, const std::string& session, lifecycle::AgentId asked, std::int64_t presence,
                ProviderLine* line, store::Outcome<store::BeginAttempt::Result> outcome);
  void ask(Out& out, Owner& target);
  void on_answer(lifecycle::CommitId commit, uid_t uid, const std::string& session, const lifecycle::Key& key,
                 const ipc::Answer<ipc::AgentCommitResult>& answer);
  void on_timeout(lifecycle::CommitId commit);
  void end(lifecycle::CommitId commit, Ending ending);
  void count_end(store::AttemptEnd how);
  void on_ended(const Out& out, store::AttemptEnd how, const std::string& error,
                store::Outcome<store::EndAttempt::Result> outcome);
  void release_slot(lifecycle::AgentId asked, std::int64_t presence);
  // The owner if that very connection still serves it; null otherwise.
  Owner* present(lifecycle::AgentId agent, std::int64_t presence);
  void arm_timeout(Out& out);
  void arm_backoff();
  double chance();
  lifecycle::Key new_key();

  // dispatcher_agents.cpp
  void set_facts(const lifecycle::Agent& facts);
  void go_offline(Owner& owner, const std::string& why);
  void start_grace(Owner& owner);
  void kick(Owner& owner);
  void serve_group(Owner& member);
  void suspect(Owner& owner);
  void let_go(Owner& owner);
  void end_attempts_of(lifecycle::AgentId agent, const Presence& presence, const std::string& why);
  void leave_group(Owner& owner);
  // Callers that wait for an attempt of this owner's work look again whether there can be one.
  void look_again(Owner& owner);
  void look_again_in_group(const Owner& member);

  // dispatcher_providers.cpp
  // The provider that commits for that owner as things are: alone, or after the owner itself if that is online. Null if
  // none does, or none that is configured for its user.
  ProviderLine* line_of(const Owner& owner);
  // An agent that is there has nothing to prepare: what it has registered with is not in the configuration.
  bool lacks_provider(const Owner& owner);
  static std::string unconfigured_text(const Owner& owner);
  void pump(ProviderLine& line);
  void arm(ProviderLine& line, lifecycle::Steady instant);
  // The agent has prepared everything. False: it has no provider to go on with.
  bool on_synced(Out& out);
  // Takes a slot and goes on with the provider.
  void hand_over(Out& out, ProviderLine& line);
  void ask(Out& out);
  void on_answer(lifecycle::CommitId commit, ProviderAnswer answer);
  void on_paused(ProviderLine& line);
  void on_resumed(ProviderLine& line);
  // All whose work could go there are placed anew.
  void place_all(const std::string& provider);

  // dispatcher_waits.cpp
  void advance(SessionRecord& record);
  void start(SessionRecord& record, const std::shared_ptr<Wait>& wait);
  void make_due(const std::shared_ptr<Wait>& wait);
  void step(SessionRecord& record, const std::shared_ptr<Wait>& wait);
  // Ends the caller if nothing can be attempted for it (any more). The record may be gone then.
  bool ended(SessionRecord& record, const std::shared_ptr<Wait>& wait);
  void refuse(const std::shared_ptr<Wait>& wait, const store::Refused& refused);
  void on_attempt_ended(SessionRecord& record, const Out& out, store::AttemptEnd how, const std::string& error,
                        const store::Marks& marks);
  void release(const std::shared_ptr<Wait>& wait);
  void finish(const std::shared_ptr<Wait>& wait, WaitResult result);

  boost::asio::io_context& context_;
  const Config& config_;
  Clients& clients_;
  ProviderLines& lines_;
  Watchers& watchers_;
  Counters& counters_;
  store::Ledger* ledger_ = nullptr;
  std::unordered_map<NameKey, std::unique_ptr<SessionRecord>, NameHash> sessions_;
  std::unordered_map<lifecycle::AgentId, std::unique_ptr<Owner>> owners_;
  std::unordered_map<NameKey, lifecycle::AgentId, NameHash> owner_by_name_;
  std::map<NameKey, std::set<Owner*>> groups_;   // online members, by (uid, group)
  std::map<NameKey, std::set<Owner*>> orphans_;  // lost owners with work that is ready, by (uid, group)
  std::unordered_map<ClientId, std::set<Owner*>> served_;
  std::unordered_map<ClientId, std::set<std::shared_ptr<Wait>>> waits_by_client_;
  std::unordered_map<lifecycle::CommitId, Out> outs_;
  std::set<std::pair<lifecycle::Steady, SessionRecord*>> backoffs_;
  boost::asio::steady_timer backoff_timer_;
  std::optional<lifecycle::Steady> backoff_armed_;
  std::int64_t last_presence_ = 0;
  bool delivering_ = false;  // between on_effects and after_answers: owners are kept, the answers may be about them
  std::vector<lifecycle::AgentId> maybe_unneeded_;
  bool stopping_ = false;
};

}  // namespace tidemark::daemon
