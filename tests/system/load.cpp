// See load.h.
#include "tests/system/load.h"

#include <algorithm>
#include <optional>

namespace tidemark::system_test {

namespace {

std::string range_text(std::int64_t start, std::int64_t end) {
  return std::to_string(start) + ".." + std::to_string(end);
}

constexpr Milliseconds pause{3};
constexpr std::int64_t behind_max = 1'000;

}  // namespace

void Faults::add(const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (texts_.size() < 20) texts_.insert(text);
}

std::string Faults::text() const {
  const std::lock_guard lock(mutex_);
  std::string all;
  for (const std::string& text : texts_) all += text + "\n";
  return all;
}

// ---- the records

void Memory::extract(const ipc::AgentCommitParams& params) {
  const std::lock_guard lock(mutex_);
  const std::string what = params.session.value + " " + range_text(params.start, params.end);
  const auto [known, fresh] = keys_.try_emplace(params.key, what);
  if (known->second != what) faults_.add("key " + params.key + " was for " + known->second + ", now for " + what);
  if (!fresh) return;
  Session& session = sessions_[params.session.value];
  auto& ranges = session.ranges;
  const auto check = [&](const Range& other) {
    if (other.start <= params.end && params.start <= other.end) {
      faults_.add(what + " was extracted twice: under key " + params.key + ", and as " +
                  range_text(other.start, other.end) + " under " + other.key);
    }
  };
  const auto after = ranges.lower_bound(params.start);
  if (after != ranges.end()) check(after->second);
  if (after != ranges.begin()) check(std::prev(after)->second);
  ranges[params.start] = {params.start, params.end, params.key};
  for (auto next = ranges.find(session.reach + 1); next != ranges.end(); next = ranges.find(session.reach + 1)) {
    session.reach = next->second.end;
  }
}

std::int64_t Memory::reach(const std::string& session) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? 0 : found->second.reach;
}

std::size_t Memory::extracted() const {
  const std::lock_guard lock(mutex_);
  return keys_.size();
}

void Turns::acknowledge(const std::string& session, const std::string& turn, std::int64_t generation) {
  const std::lock_guard lock(mutex_);
  Session& known = sessions_[session];
  const auto [by_turn, new_turn] = known.generations.try_emplace(turn, generation);
  if (by_turn->second != generation) {
    faults_.add(session + ": turn " + turn + " was generation " + std::to_string(by_turn->second) + ", now it is " +
                std::to_string(generation));
  }
  const auto [by_generation, new_generation] = known.turns.try_emplace(generation, turn);
  if (by_generation->second != turn) {
    faults_.add(session + ": generation " + std::to_string(generation) + " is both turn " + by_generation->second +
                " and turn " + turn);
  }
}

std::int64_t Turns::count(const std::string& session) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? 0 : static_cast<std::int64_t>(found->second.generations.size());
}

std::int64_t Turns::highest(const std::string& session) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? 0 : found->second.turns.rbegin()->first;
}

std::int64_t Load::behind() const {
  std::int64_t behind = 0;
  for (const std::string& session : sessions) behind += turns.highest(session) - memory.reach(session);
  return behind;
}

// ---- markers

Marker::Marker(Load& load, const std::string& name, std::uint64_t seed)
    : load_(load), name_(name), random_(seed), thread_([this] { run(); }) {}

void Marker::run() {
  while (working()) {
    auto client = ipc::Client::connect(load_.daemon.socket());
    if (!client) {
      std::this_thread::sleep_for(pause);
      continue;
    }
    Peer peer(std::move(*client));
    while (peer.client.connected() && working()) work(peer);
  }
}

// One round: what has no acknowledgement yet is sent again, in its order, then something new; then all answers.
void Marker::work(Peer& peer) {
  if (load_.marking && load_.behind() < behind_max) {
    for (std::uint64_t more = random_() % 12; more > 0; --more) {
      unacknowledged_.push_back({any(load_.sessions), name_ + std::to_string(++last_)});
    }
  }
  std::deque<Turn> sending = std::exchange(unacknowledged_, {});
  if (!acknowledged_.empty() && one_in(4)) sending.push_front(acknowledged_[random_() % acknowledged_.size()]);
  std::map<ipc::Client::CallNumber, Turn> sent;
  const std::string& agent = any(load_.agents);
  for (const Turn& turn : sending) {
    auto params = about<ipc::TurnCompleteParams>(turn.session);
    params.turn = turn.turn;
    if (one_in(3)) params.agent = agent;
    if (one_in(5)) peer.client.send(ipc::TurnBeginParams{turn.session, turn.turn, {}});
    sent.emplace(peer.client.send(params), turn);
    if (one_in(40)) peer.client.send(ipc::TurnCancelParams{turn.session, "never-" + turn.turn, {}});
  }
  if (load_.marking && one_in(2)) call_a_boundary(peer);
  if (sent.empty()) peer.serve(pause);
  while (!sent.empty()) {
    const auto received = peer.client.receive_any(patience);
    if (!received) break;
    const auto turn = sent.find(received->first);
    if (turn == sent.end()) continue;
    if (const auto* error = std::get_if<ipc::Error>(&received->second)) {
      load_.faults.add("a mark was refused: " + error->message);
    } else {
      const auto result = boost::json::parse(std::get<std::string>(received->second));
      load_.turns.acknowledge(turn->second.session, turn->second.turn, result.at("generation").as_int64());
      acknowledged_.push_back(turn->second);
      if (acknowledged_.size() > 50) acknowledged_.pop_front();
    }
    sent.erase(turn);
  }
  for (const auto& [number, turn] : sent) unacknowledged_.push_back(turn);
  if (!sent.empty() && peer.client.connected()) load_.faults.add("an answer is missing");
}

void Marker::call_a_boundary(Peer& peer) {
  const Milliseconds time(random_() % 200);
  const std::string& session = any(load_.sessions);
  switch (random_() % 6) {
    case 0: {
      auto commit = about<ipc::SessionCommitParams>(session);
      commit.wait = one_in(2);
      commit.timeout_ms = time;
      peer.client.send(commit);
      break;
    }
    case 1: {
      auto commit = about<ipc::SessionCommitParams>(session);
      commit.detach = true;
      peer.client.send(commit);
      break;
    }
    case 2:
      peer.client.send(ipc::SessionRotateParams{session, any(load_.sessions), any(load_.agents), {}});
      break;
    case 3:
      peer.client.send(ipc::SessionFlushParams{session, time, {}});
      break;
    case 4:
      peer.client.send(ipc::SessionEvictParams{session, time, {}});
      break;
    case 5: {
      ipc::DrainParams drain;
      drain.deadline_ms = time;
      peer.client.send(drain);
      break;
    }
  }
}

// ---- agents

ErringAgent::ErringAgent(Load& load, const std::string& name, std::uint64_t seed)
    : load_(load), name_(name), random_(seed), thread_([this] { run(); }) {}

void ErringAgent::run() {
  while (!load_.over) {
    auto client = ipc::Client::connect(load_.daemon.socket());
    if (!client) {
      std::this_thread::sleep_for(pause);
      continue;
    }
    serve(std::move(*client));
    // What an agent has begun, it may well finish after the daemon has gone.
    for (const Held& held : held_) {
      if (random_() % 2 == 0) load_.memory.extract(held.params);
    }
    held_.clear();
    if (load_.erring && random_() % 4 == 0) std::this_thread::sleep_for(Milliseconds(random_() % 400));
  }
}

void ErringAgent::serve(ipc::Client client) {
  hang_up_ = false;
  client.on_request([this](const ipc::IncomingRequest& request) { return on_request(request); });
  auto params = registration(name_, random_() % 2 == 0 ? load_.sessions[random_() % load_.sessions.size()] : "", "all");
  params.serves_orphans = true;
  if (!client.call(params, patience)) return;
  while (client.connected() && !hang_up_ && !load_.over) {
    client.run_until([this] { return hang_up_; }, pause);
    release_held(client);
  }
}

Answer ErringAgent::on_request(const ipc::IncomingRequest& request) {
  auto params = *ipc::decode<ipc::AgentCommitParams>(request.params, ipc::Strictness::strict);
  switch (load_.erring ? random_() % 12 : 0) {
    case 1:
      return failed();
    case 2:  // gone, before or after the work was done
      hang_up_ = true;
      return held();
    case 3:
      load_.memory.extract(params);
      hang_up_ = true;
      return held();
    case 4:  // late, and sometimes too late
      held_.push_back(
          {request.id, std::move(params),
           std::chrono::steady_clock::now() + Milliseconds(random_() % (random_() % 8 == 0 ? 1'500 : 100))});
      return held();
    case 5:  // done, and told a little later
      load_.memory.extract(params);
      held_.push_back({request.id, std::move(params), std::chrono::steady_clock::now() + Milliseconds(random_() % 50)});
      return held();
    case 6:
      load_.memory.extract(params);
      return skipped();
    default:
      load_.memory.extract(params);
      return committed();
  }
}

void ErringAgent::release_held(ipc::Client& client) {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(held_, [&](const Held& held) {
    if (held.until > now && load_.erring) return false;
    load_.memory.extract(held.params);
    client.answer(held.id, *committed());
    return true;
  });
}

}  // namespace tidemark::system_test
