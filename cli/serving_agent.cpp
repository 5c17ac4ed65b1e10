// See serving_agent.h. What a command said counts whenever it can still be told: work whose connection ended goes on,
// and is joined by whoever asks for its key again.
#include "cli/serving_agent.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <system_error>

#include "cli/format.h"
#include "ipc/bounds.h"
#include "ipc/messages_commit.h"
#include "process/child.h"

namespace tidemark::cli {

using boost::system::error_code;

namespace {

constexpr std::chrono::milliseconds connect_pause_least{50};
constexpr std::chrono::milliseconds connect_pause_most{2'000};
// Between asking commands to end and ending them.
constexpr std::chrono::seconds kill_after{5};
// How long what was killed, and answers that nobody takes, can still hold up the end.
constexpr std::chrono::seconds give_up_after{2};
constexpr std::chrono::milliseconds end_look_every{20};
// Progress is told no more often, however short a timeout is.
constexpr std::chrono::milliseconds progress_pause_least{10};
// Keys kept that were committed while nobody could be told.
constexpr std::size_t unheard_max = 1024;

// A connected socket that blocks nobody, or why there is none. Asio's own would be inherited by children.
boost::system::result<int, std::string> connected_socket(std::string const& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return "the path is too long for a socket";
  std::memcpy(address.sun_path, path.data(), path.size());
  int const descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return std::generic_category().message(errno);
  if (::connect(descriptor, reinterpret_cast<sockaddr const*>(&address), sizeof address) == 0) return descriptor;
  int const error = errno;
  ::close(descriptor);
  return std::generic_category().message(error);
}

// Whether a registration that was refused so would be refused again.
bool is_final(ipc::Error const& error) {
  using ipc::ErrorReason;
  return error.is(ErrorReason::invalid_params) || error.is(ErrorReason::forbidden) ||
         error.is(ErrorReason::not_found) || error.is(ErrorReason::method_not_found);
}

}  // namespace

ServingAgent::ServingAgent(AgentOptions options, Terminal terminal)
    : options_(std::move(options)),
      terminal_(terminal),
      commands_max_(
          static_cast<std::size_t>(options_.registration.max_in_flight.value_or(ipc::bounds::in_flight).value)),
      signals_(context_, SIGTERM, SIGINT),
      children_(context_, SIGCHLD),
      connect_timer_(context_),
      end_timer_(context_),
      connect_pause_(connect_pause_least) {}

Exit ServingAgent::run() {
  // A process that has lost its parent becomes our child, so that a group whose last process has ended is gone at once.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  wait_signals();
  wait_children();
  connect();
  context_.run();
  return ending_.value_or(Exit::refused);
}

void ServingAgent::tell(std::string const& line) {
  terminal_.err << printable(line) + "\n" << std::flush;
}

// --- Connecting and registering ---

void ServingAgent::connect() {
  auto const descriptor = connected_socket(options_.socket);
  if (!descriptor) return connect_later("no daemon answers at " + options_.socket + ": " + descriptor.error());
  ipc::Connection::Socket socket(context_);
  error_code error;
  socket.assign(boost::asio::local::stream_protocol(), *descriptor, error);
  auto const peer = ipc::peer_of(*descriptor);
  if (error || !peer) return connect_later("the daemon at " + options_.socket + " can't be talked to");
  connection_ = ipc::Connection::make(std::move(socket), *peer, *this, workspace_);
  connection_->start();
  register_all();
}

void ServingAgent::connect_later(std::string const& why) {
  if (!std::exchange(told_unconnected_, true)) tell(why + "; trying again until one does");
  connect_timer_.expires_after(connect_pause_);
  connect_pause_ = std::min(connect_pause_ * 2, connect_pause_most);
  connect_timer_.async_wait([this](error_code error) {
    if (!error && !ending_) connect();
  });
}

void ServingAgent::register_all() {
  epoch_ = 0;
  fenced_epoch_ = 0;
  registrations_missing_ = std::max<std::size_t>(options_.sessions.size(), 1);
  auto params = options_.registration;
  for (std::size_t index = 0; index < registrations_missing_; ++index) {
    if (index < options_.sessions.size()) params.session = options_.sessions[index];
    connection_->request(params, std::function<void(ipc::Answer<ipc::AgentRegisterResult>)>(
                                     [this](auto const& answer) { on_registered(answer); }));
  }
}

void ServingAgent::on_registered(ipc::Answer<ipc::AgentRegisterResult> const& answer) {
  if (ending_ || connection_ == nullptr || std::holds_alternative<ipc::Ended>(answer)) return;
  if (auto const* error = std::get_if<ipc::Error>(&answer)) {
    if (is_final(*error)) return end(Exit::refused, "the daemon refuses to register: " + error->message);
    if (!std::exchange(told_unconnected_, true)) tell("the daemon can't register now: " + error->message);
    return connection_->close();
  }
  auto const& result = std::get<ipc::AgentRegisterResult>(answer);
  if (options_.json) {
    std::string text;
    ipc::encode(text, result);
    terminal_.out << text + "\n" << std::flush;
  }
  epoch_ = result.epoch;
  if (--registrations_missing_ > 0) return;
  connect_pause_ = connect_pause_least;
  told_unconnected_ = false;
  tell("agent " + result.agent + " registered (epoch " + std::to_string(epoch_) + "), serving commits");
  end_if_fenced();
}

// Until every session is registered, a later registration of ours may still take the name back.
void ServingAgent::end_if_fenced() {
  if (!ending_ && registrations_missing_ == 0 && fenced_epoch_ >= epoch_)
    end(Exit::refused, "agent " + options_.registration.agent.value +
                           " is fenced: another process has registered this name, so this one ends");
}

void ServingAgent::on_closed(ipc::Connection&, ipc::CloseReason) {
  connection_ = nullptr;
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    job->askings.clear();
    job = job->running() ? std::next(job) : jobs_.erase(job);
  }
  if (ending_) return;
  connect_later("the daemon at " + options_.socket + " has ended the connection");
}

// --- Requests ---

void ServingAgent::on_call(ipc::Connection&, ipc::Call call, std::string_view method,
                           boost::json::object const& params) {
  if (method == ipc::AgentCommitParams::method) return on_commit(std::move(call), params);
  if (method == ipc::AgentFencedParams::method) {
    auto const fenced = ipc::decode<ipc::AgentFencedParams>(params, ipc::Strictness::lenient);
    if (fenced && fenced->agent == options_.registration.agent) fenced_epoch_ = std::max(fenced_epoch_, fenced->epoch);
    call.reply(ipc::Empty{});
    return end_if_fenced();
  }
  call.fail(ipc::Error::make(ipc::ErrorReason::method_not_found, "this agent serves commits only"));
}

void ServingAgent::on_commit(ipc::Call call, boost::json::object const& params) {
  auto request = ipc::decode<ipc::AgentCommitParams>(params, ipc::Strictness::lenient);
  if (!request) return call.fail(ipc::Error::make(ipc::ErrorReason::invalid_params, request.error().text));
  if (auto const heard = std::find(unheard_.begin(), unheard_.end(), request->key); heard != unheard_.end()) {
    call.reply(ipc::AgentCommitResult{ipc::CommitStatus::committed});
    unheard_.erase(heard);
    return;
  }
  auto job = find_job(request->key);
  if (job != jobs_.end()) {
    tell(job->text() + ": asked for again, joined");
    job->request.timeout_ms = request->timeout_ms;
    job->askings.push_back({std::move(request->commit), std::move(call)});
    wait_progress(*job);
    return;
  }
  if (ending_) return call.fail(ipc::Error::make(ipc::ErrorReason::internal, "this agent is ending"));
  auto commit = request->commit;
  job = jobs_.emplace(jobs_.end(), context_, std::move(*request), params);
  job->askings.push_back({std::move(commit), std::move(call)});
  wait_progress(*job);
  start_waiting();
}

std::list<Job>::iterator ServingAgent::find_job(std::string_view key) {
  return std::find_if(jobs_.begin(), jobs_.end(), [&](Job const& job) { return job.request.key == key; });
}

void ServingAgent::start_waiting() {
  auto running =
      static_cast<std::size_t>(std::count_if(jobs_.begin(), jobs_.end(), [](auto& job) { return job.running(); }));
  for (auto job = jobs_.begin(); job != jobs_.end() && running < commands_max_ && !ending_;) {
    if (job->running()) {
      ++job;
    } else if (start(*job)) {
      ++running;
      ++job;
    } else {
      job = jobs_.erase(job);
    }
  }
}

bool ServingAgent::start(Job& job) {
  auto const started = process::start_process(options_.command, job.environment(), job.input);
  if (!started) {
    tell(job.text() + ": " + started.error().text);
    job.answer_failed(started.error().text);
    return false;
  }
  job.process = *started;
  job.started_at = Clock::now();
  tell(job.text() + ": begun (attempt " + std::to_string(job.request.attempt) + ", process " +
       std::to_string(job.process) + ")");
  return true;
}

// A third of the timeout: two tellings may be late before the daemon gives the attempt up.
void ServingAgent::wait_progress(Job& job) {
  if (job.request.timeout_ms.count() == 0) return;
  job.progress_timer.expires_after(std::max(job.request.timeout_ms / 3, progress_pause_least));
  // The job may be gone by then even if the wait was not cancelled in time.
  job.progress_timer.async_wait([this, key = job.request.key](error_code error) {
    auto const current = find_job(key);
    if (error || current == jobs_.end()) return;
    for (auto const& asking : current->askings) {
      ipc::CommitProgressParams params;
      params.commit = asking.commit;
      if (connection_ != nullptr) connection_->request(params, [](ipc::Answer<ipc::Empty> const&) {});
    }
    wait_progress(*current);
  });
}

// --- Commands that end ---

void ServingAgent::wait_children() {
  children_.async_wait([this](error_code error, int) {
    if (error) return;
    // One signal may stand for many; and what commands have left behind is ours to reap as well.
    int status = 0;
    for (pid_t process; (process = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      auto const job =
          std::find_if(jobs_.begin(), jobs_.end(), [&](Job const& each) { return each.process == process; });
      if (job != jobs_.end()) on_child(job, status);
    }
    start_waiting();
    wait_children();
  });
}

void ServingAgent::on_child(std::list<Job>::iterator job, int wait_status) {
  auto const took = duration_text(std::chrono::floor<std::chrono::milliseconds>(Clock::now() - job->started_at));
  auto const failure = process::failure_of(wait_status);
  if (!failure) {
    tell(job->text() + ": committed after " + took);
    if (job->askings.empty()) {
      unheard_.push_back(job->request.key);
      if (unheard_.size() > unheard_max) unheard_.pop_front();
    }
    job->answer_committed();
  } else if (ending_ && WIFSIGNALED(wait_status)) {
    // Ended by us, perhaps just after it did its work. Nobody can know: so no answer, and the daemon calls it in doubt.
    tell(job->text() + ": given up after " + took);
  } else {
    tell(job->text() + ": failed after " + took + ", " + *failure);
    job->answer_failed(*failure);
  }
  jobs_.erase(job);
}

// --- The end ---

void ServingAgent::wait_signals() {
  signals_.async_wait([this](error_code error, int number) {
    if (error) return;
    if (ending_) {
      kill_groups(SIGKILL);
    } else {
      end(Exit::done, "ending, as told by signal " + std::to_string(number));
    }
    wait_signals();
  });
}

void ServingAgent::end(Exit exit, std::string const& why) {
  tell(why);
  ending_ = exit;
  connect_timer_.cancel();
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    if (job->running()) {
      groups_.push_back(job->process);
      ++job;
    } else {
      job->answer_failed("this agent is ending");
      job = jobs_.erase(job);
    }
  }
  kill_groups(SIGTERM);
  kill_at_ = Clock::now() + kill_after;
  end_when_idle();
}

void ServingAgent::kill_groups(int signal) {
  for (pid_t const group : groups_) ::kill(-group, signal);
  killed_ = killed_ || signal == SIGKILL;
}

// Looks again and again whether the groups are gone, and the answers taken.
void ServingAgent::end_when_idle() {
  auto const gone = [](pid_t group) { return ::kill(-group, 0) != 0 && errno == ESRCH; };
  groups_.erase(std::remove_if(groups_.begin(), groups_.end(), gone), groups_.end());
  bool const told = connection_ == nullptr || connection_->output_bytes() == 0;
  auto const now = Clock::now();
  if ((groups_.empty() && jobs_.empty() && told) || now >= kill_at_ + give_up_after) {
    context_.stop();
    return;
  }
  if (now >= kill_at_ && !killed_) kill_groups(SIGKILL);
  end_timer_.expires_after(end_look_every);
  end_timer_.async_wait([this](error_code error) {
    if (!error) end_when_idle();
  });
}

}  // namespace tidemark::cli
