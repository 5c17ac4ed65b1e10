// See fake_daemon.h.
#include "tests/cli/fake_daemon.h"

#include <stdlib.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>
#include <future>
#include <stdexcept>

namespace tidemark::cli {

namespace {
constexpr std::chrono::seconds patience{20};
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = std::filesystem::temp_directory_path() / "tidemark-cli-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

FakeDaemon::FakeDaemon(std::string socket) {
  auto opened = ipc::Listener::open(context_, socket, 0600);
  if (!opened) throw std::runtime_error(opened.error().text);
  listener_ = *opened;
  listener_->start([this](ipc::Listener::Socket accepted, boost::system::result<ipc::Peer, ipc::PeerError> peer) {
    auto made = ipc::Connection::make(std::move(accepted), *peer, *this, workspace_);
    connections_.emplace(made.get(), made);
    made->start();
  });
  thread_ = std::thread([this] {
    auto const guard = boost::asio::make_work_guard(context_);
    context_.run();
  });
}

FakeDaemon::~FakeDaemon() {
  boost::asio::post(context_, [this] {
    listener_->close();
    for (auto const& [key, connection] : connections_) connection->close();
    boost::asio::post(context_, [this] { context_.stop(); });
  });
  thread_.join();
}

void FakeDaemon::answers(std::string const& method, std::vector<Answer> answers) {
  std::lock_guard const lock(mutex_);
  answers_[method] = std::move(answers);
}

void FakeDaemon::ends_at(std::string const& method) {
  std::lock_guard const lock(mutex_);
  ends_at_[method] = true;
}

void FakeDaemon::holds(std::string const& method) {
  std::lock_guard const lock(mutex_);
  holds_[method] = true;
}

void FakeDaemon::release(std::string const& method) {
  post_and_wait([&] {
    std::lock_guard const lock(mutex_);
    holds_[method] = false;
    for (auto& call : held_[method]) answer(method, std::move(call));
    held_[method].clear();
  });
}

std::vector<FakeDaemon::Seen> FakeDaemon::seen(std::string const& method) {
  std::lock_guard const lock(mutex_);
  std::vector<Seen> found;
  for (auto const& each : seen_)
    if (each.method == method) found.push_back(each);
  return found;
}

bool FakeDaemon::wait_until(std::function<bool()> const& condition) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, condition);
}

bool FakeDaemon::wait_seen(std::string const& method, std::size_t times) {
  return wait_until([&] {
    std::size_t count = 0;
    for (auto const& each : seen_) count += each.method == method ? 1 : 0;
    return count >= times;
  });
}

void FakeDaemon::post_and_wait(std::function<void()> const& what) {
  std::promise<void> done;
  boost::asio::post(context_, [&] {
    what();
    done.set_value();
  });
  done.get_future().wait();
}

void FakeDaemon::ask(ipc::AgentCommitParams const& params) {
  post_and_wait([&] {
    auto const commit = params.commit.value;
    auto const note = [this, commit](std::string const& text) {
      std::lock_guard const lock(mutex_);
      commit_answers_[commit] = text;
      changed_.notify_all();
    };
    auto const on_answer = [note](ipc::Answer<ipc::AgentCommitResult> answer) {
      if (auto const* result = std::get_if<ipc::AgentCommitResult>(&answer)) {
        note(std::string(ipc::word_of(result->status.value_or(ipc::CommitStatus::committed))));
      } else if (auto const* error = std::get_if<ipc::Error>(&answer)) {
        note((error->permanent ? "permanent error: " : "error: ") + error->message);
      } else {
        note("ended");
      }
    };
    if (!connection_->request(params, std::function<void(ipc::Answer<ipc::AgentCommitResult>)>(on_answer)))
      note("not sent");
  });
}

std::string FakeDaemon::answer_to(std::string const& commit) {
  wait_until([&] { return commit_answers_.contains(commit); });
  std::lock_guard const lock(mutex_);
  return commit_answers_[commit];
}

void FakeDaemon::end_connection() {
  post_and_wait([this] { connection_->close(); });
}

void FakeDaemon::on_call(ipc::Connection& connection, ipc::Call call, std::string_view method,
                         boost::json::object const& params) {
  connection_ = connection.shared_from_this();
  std::lock_guard const lock(mutex_);
  std::string const name(method);
  seen_.push_back({name, boost::json::serialize(params)});
  changed_.notify_all();
  if (ends_at_[name]) return connection.close();
  if (holds_[name]) {
    held_[name].push_back(std::move(call));
    return;
  }
  answer(name, std::move(call));
}

// With the mutex held.
void FakeDaemon::answer(std::string const& method, ipc::Call call) {
  auto& planned = answers_[method];
  if (planned.empty())
    return call.fail(ipc::Error::make(ipc::ErrorReason::method_not_found, "nothing planned for " + method));
  auto const answer = planned.front();
  if (planned.size() > 1) planned.erase(planned.begin());
  if (auto const* error = std::get_if<ipc::Error>(&answer)) {
    call.fail(*error);
  } else {
    call.reply_json(std::get<std::string>(answer));
  }
}

void FakeDaemon::on_closed(ipc::Connection& connection, ipc::CloseReason) {
  connections_.erase(&connection);
}

}  // namespace tidemark::cli
