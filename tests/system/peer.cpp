// See peer.h.
#include "tests/system/peer.h"

#include <stdexcept>
#include <utility>

namespace tidemark::system_test {

namespace {

std::optional<ipc::Name> name_of(const std::string& text) {
  if (text.empty()) return std::nullopt;
  return ipc::Name(text);
}

// How long to serve before a condition is looked at again.
constexpr Milliseconds moment{3};

}  // namespace

ipc::TurnCompleteResult Peer::complete(const std::string& session, const std::string& agent, const std::string& turn) {
  auto params = about<ipc::TurnCompleteParams>(session);
  params.agent = name_of(agent);
  params.turn = name_of(turn);
  return call(params);
}

void Peer::complete_turns(const std::string& session, int turns, const std::string& agent) {
  for (int turn = 0; turn < turns; ++turn) complete(session, agent);
}

void Peer::begin(const std::string& session, const std::string& turn, const std::string& agent) {
  call(ipc::TurnBeginParams{session, turn, name_of(agent)});
}

ipc::SessionCommitResult Peer::commit(const std::string& session, const std::string& agent) {
  auto params = about<ipc::SessionCommitParams>(session);
  params.agent = name_of(agent);
  return call(params);
}

Outcome Peer::detach(const std::string& session, const std::string& agent) {
  auto params = about<ipc::SessionCommitParams>(session);
  params.agent = name_of(agent);
  params.detach = true;
  return call(params).outcome;
}

ipc::SessionStatusResult Peer::status(const std::string& session) {
  auto params = about<ipc::SessionStatusParams>(session);
  return call(params);
}

std::string Peer::segments(const std::string& session) {
  std::string text;
  for (const ipc::SegmentStatus& segment : status(session).segments) {
    text += (text.empty() ? "" : ", ") + std::to_string(segment.start) + "-" + std::to_string(segment.end) + " " +
            std::string(ipc::word_of(segment.state));
  }
  return text;
}

std::vector<ipc::CommitRecord> Peer::history(const std::string& session) {
  auto params = about<ipc::CommitHistoryParams>(session);
  return call(params).commits;
}

void Peer::serve(Milliseconds time) {
  client.run_until([] { return false; }, time);
}

bool Peer::serve_until(const std::function<bool()>& condition) {
  return system_test::serve_until({this}, condition);
}

bool serve_until(std::initializer_list<Peer*> peers, const std::function<bool()>& condition) {
  return wait_until([&] {
    for (Peer* peer : peers) peer->serve(moment);
    return condition();
  });
}

Answer committed() {
  return ipc::as_answer(ipc::AgentCommitResult{});
}

Answer skipped() {
  return ipc::as_answer(ipc::AgentCommitResult{ipc::CommitStatus::skipped});
}

Answer failed(const std::string& message) {
  ipc::Error error;
  error.code = -1;
  error.message = message;
  return error;
}

Answer failed_for_good(const std::string& message) {
  ipc::Error error = std::get<ipc::Error>(*failed(message));
  error.permanent = true;
  return error;
}

Answer held() {
  return std::nullopt;
}

Agent::Agent(const Daemon& daemon, ipc::AgentRegisterParams registration)
    : Agent(daemon.connect(), std::move(registration)) {}

Agent::Agent(ipc::Client connected, ipc::AgentRegisterParams registration) : Peer(std::move(connected)) {
  client.on_request([this](const ipc::IncomingRequest& request) { return on_request(request); });
  client.on_notification(
      [this](std::string_view method, const boost::json::object&) { notified.emplace_back(method); });
  registered = call(registration);
}

Agent::Agent(const Daemon& daemon, const std::string& name, const std::string& session)
    : Agent(daemon, registration(name, session)) {}

Answer Agent::on_request(const ipc::IncomingRequest& request) {
  auto params = ipc::decode<ipc::AgentCommitParams>(request.params, ipc::Strictness::strict);
  if (request.method != ipc::AgentCommitParams::method || !params) throw std::runtime_error("not a commit request");
  asked.push_back(std::move(*params));
  Answer answer = rest_;
  if (!first_.empty()) {
    answer = std::move(first_.front());
    first_.pop_front();
  }
  if (!answer) held_.push_back(request.id);
  return answer;
}

void Agent::answers(std::vector<Answer> first, Answer rest) {
  first_.assign(first.begin(), first.end());
  rest_ = std::move(rest);
}

bool Agent::wait_asked(std::size_t times) {
  return client.run_until([&] { return asked.size() >= times; }, patience);
}

void Agent::release(const Answer& answer) {
  if (held_.empty()) throw std::logic_error("nothing is held");
  client.answer(held_.front(), *answer);
  held_.pop_front();
}

ipc::AgentRegisterParams registration(const std::string& agent, const std::string& session, const std::string& group) {
  ipc::AgentRegisterParams params;
  params.agent = agent;
  params.session = name_of(session);
  params.group = name_of(group);
  return params;
}

}  // namespace tidemark::system_test
