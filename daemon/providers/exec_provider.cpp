// See exec_provider.h. A command's end is heard by a descriptor of its process, and it is reaped last of all: until
// then nobody else can have its number, so that a signal to the group reaches no stranger.
#include "daemon/providers/exec_provider.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <system_error>
#include <utility>

#include "daemon/providers/excerpt.h"
#include "daemon/providers/key_text.h"
#include "ipc/json_text.h"
#include "process/child.h"

namespace tidemark::daemon {
namespace {

using boost::system::error_code;
using lifecycle::Milliseconds;
using Clock = std::chrono::steady_clock;
using Kind = ProviderAnswer::Kind;

// Between asking a group to end and ending it; no longer than the timeout itself.
constexpr Milliseconds kill_after{5'000};
// How long a process that was killed may stay (the kernel can hold it in a hung file system) before nobody waits for
// it.
constexpr Milliseconds give_up_after{2'000};
constexpr std::size_t read_bytes = 65'536;  // all that a pipe holds
constexpr std::size_t last_line_bytes_max = 512;

// Names, or their beginnings, of what the service manager or the operator says to the daemon alone.
constexpr std::array<std::string_view, 8> private_variables{
    "TIDEMARK_",       "NOTIFY_SOCKET=",         "LISTEN_",          "WATCHDOG_", "INVOCATION_ID=",
    "JOURNAL_STREAM=", "CREDENTIALS_DIRECTORY=", "SYSTEMD_EXEC_PID="};

bool is_private(std::string_view variable) {
  return std::any_of(private_variables.begin(), private_variables.end(),
                     [&](std::string_view beginning) { return variable.starts_with(beginning); });
}

// A lack that passes by itself, rather than a wrong configuration.
bool passes(int error) {
  return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE || error == ETXTBSY;
}

std::string words_of(int error) {
  return std::generic_category().message(error);
}

// The members are those that an agent is asked with.
std::string input_of(const ProviderRequest& request, Milliseconds timeout) {
  boost::json::object object;
  object["commit"] = std::to_string(request.commit);
  object["key"] = key_text(request.key);
  object["uid"] = request.uid;
  object["session"] = request.session;
  object["external_id"] = request.external_id;
  object["agent"] = request.owner;
  object["start"] = request.start;
  object["end"] = request.end;
  object["attempt"] = request.attempt;
  object["reason"] = request.reason;
  object["timeout_ms"] = timeout.count();
  return boost::json::serialize(object) + "\n";
}

void append_variables(std::vector<std::string>& variables, const ProviderRequest& request) {
  variables.push_back("TIDEMARK_UID=" + std::to_string(request.uid));
  variables.push_back("TIDEMARK_SESSION=" + request.session);
  variables.push_back("TIDEMARK_EXTERNAL_ID=" + request.external_id);
  variables.push_back("TIDEMARK_AGENT=" + request.owner);
  variables.push_back("TIDEMARK_START=" + std::to_string(request.start));
  variables.push_back("TIDEMARK_END=" + std::to_string(request.end));
  variables.push_back("TIDEMARK_KEY=" + key_text(request.key));
  variables.push_back("TIDEMARK_ATTEMPT=" + std::to_string(request.attempt));
  variables.push_back("TIDEMARK_REASON=" + request.reason);
}

// The last `bytes_max` bytes of UTF-8, or a few less: no character is cut.
std::string_view end_of(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  text.remove_prefix(text.size() - bytes_max);
  const auto continues = [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; };
  for (int count = 0; count < 3 && !text.empty() && continues(text.front()); ++count) text.remove_prefix(1);
  return text;
}

// What a person reads first: the last line that says something.
std::string last_line(std::string_view output) {
  const auto last = output.find_last_not_of(" \t\r\n");
  if (last == output.npos) return {};
  output = output.substr(0, last + 1);
  output.remove_prefix(output.rfind('\n') + 1);  // npos + 1 = 0
  return excerpt(output, last_line_bytes_max);
}

// By its number, as the C library's own declaration of it is not for C++ (glibc 2.36).
int pidfd_open(pid_t process) {
  return static_cast<int>(::syscall(SYS_pidfd_open, process, 0));
}

// Waits until a process has ended, without reaping it.
bool ended(int process_descriptor, Milliseconds wait_max) {
  pollfd waited{process_descriptor, POLLIN, 0};
  return ::poll(&waited, 1, static_cast<int>(wait_max.count())) == 1;
}

int reap(pid_t process) {
  int status = 0;
  while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

// One attempt's process. The provider's set owns it, a handler only while it runs.
class ExecProvider::Command : public std::enable_shared_from_this<Command> {
 public:
  Command(ExecProvider& provider, Answered answered)
      : provider_(provider),
        answered_(std::move(answered)),
        output_end_(provider.io_),
        process_end_(provider.io_),
        timer_(provider.io_) {}

  void start(const ProviderRequest& request) {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0)
      return answer_later(Kind::failed, "cannot make a pipe: " + words_of(errno));
    const auto [read_end, write_end] = pipe;
    auto variables = provider_.environment_;
    append_variables(variables, request);
    const auto started =
        process::start_process(provider_.config_.command, variables, input_of(request, provider_.timeout_), write_end);
    ::close(write_end);
    if (!started) {
      ::close(read_end);
      return answer_later(passes(started.error().code) ? Kind::failed : Kind::faulty, started.error().text);
    }
    process_ = *started;
    error_code error;
    output_end_.assign(read_end, error);
    if (error) ::close(read_end);
    if (!error) output_end_.non_blocking(true, error);
    const int descriptor = error ? -1 : pidfd_open(process_);
    if (!error && descriptor < 0) error.assign(errno, boost::system::generic_category());
    if (!error) process_end_.assign(descriptor, error);
    if (error) {
      if (descriptor >= 0) ::close(descriptor);
      ::kill(-process_, SIGKILL);
      reap(std::exchange(process_, 0));
      return answer_later(Kind::in_doubt, "the command was ended, as it can't be watched: " + error.message());
    }
    wait_output();
    wait_end();
    wait_deadline(provider_.timeout_);
  }

  void kill_group() {
    if (process_ != 0) ::kill(-process_, SIGKILL);
  }

  // For the provider's end, after kill_group().
  void reap_until(Clock::time_point give_up_at) {
    if (process_ == 0) return;
    const auto left = std::chrono::ceil<Milliseconds>(give_up_at - Clock::now());
    if (ended(process_end_.native_handle(), std::max(left, Milliseconds(0)))) reap(process_);
  }

 private:
  enum class Stage { running, asked_to_end, killed };

  // Without a process, or without one any more.
  void answer_later(Kind kind, std::string error) {
    boost::asio::post(provider_.io_, [weak = weak_from_this(), kind, text = std::move(error)]() mutable {
      const auto self = weak.lock();
      if (!self) return;
      ProviderAnswer answer;
      answer.kind = kind;
      answer.error = ipc::valid_utf8(text);
      self->finish(std::move(answer));
    });
  }

  // The provider may be gone when this returns.
  void finish(ProviderAnswer answer) {
    provider_.commands_.erase(shared_from_this());
    if (answered_) std::exchange(answered_, nullptr)(std::move(answer));
  }

  void wait_output() {
    output_end_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                           [weak = weak_from_this()](error_code error) {
                             const auto self = weak.lock();
                             if (self && !error && self->read_output()) self->wait_output();
                           });
  }

  // One read, so that a command that writes without end holds up nobody. False when there is no more to come.
  bool read_output() {
    auto& buffer = provider_.buffer_;
    const ssize_t count = ::read(output_end_.native_handle(), buffer.data(), buffer.size());
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    if (count == 0) return false;
    output_.append(buffer.data(), static_cast<std::size_t>(count));
    // Now and then, rather than at every read: a byte moves once for each byte that comes.
    const std::size_t kept = output_bytes_max();
    if (output_.size() > 2 * kept + read_bytes) output_.erase(0, output_.size() - kept);
    return true;
  }

  std::size_t output_bytes_max() const { return static_cast<std::size_t>(provider_.config_.output_bytes_max); }

  void wait_end() {
    process_end_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                            [weak = weak_from_this()](error_code error) {
                              const auto self = weak.lock();
                              if (self && !error) self->on_end();
                            });
  }

  void on_end() {
    kill_group();
    // What it has written by now, and no wait for more: a process that left the group may hold the pipe open.
    read_output();
    const int status = reap(std::exchange(process_, 0));
    // The end and not the beginning: errors stand there.
    const std::string valid = ipc::valid_utf8(end_of(output_, output_bytes_max()));
    const std::string_view output = end_of(valid, output_bytes_max());
    ProviderAnswer answer;
    if (stage_ != Stage::running) {
      // Whatever its status: many a program ends with 0 when it is asked to.
      answer.kind = Kind::in_doubt;
      answer.error = overdue_text();
    } else if (const auto failure = process::failure_of(status)) {
      answer.kind = WIFSIGNALED(status) ? Kind::in_doubt : Kind::failed;
      answer.error = *failure;
    } else {
      answer.kind = Kind::committed;
    }
    if (const auto line = last_line(output); !answer.error.empty() && !line.empty()) answer.error += ": " + line;
    answer.evidence = WIFSIGNALED(status) ? R"({"signal":)" : R"({"exit":)";
    answer.evidence += std::to_string(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    answer.evidence += R"(,"output":)";
    ipc::append_string(answer.evidence, output);
    answer.evidence += "}";
    finish(std::move(answer));
  }

  std::string overdue_text() const {
    return "the command had not ended after " + std::to_string(provider_.timeout_.count()) + " ms, and was ended";
  }

  void wait_deadline(Milliseconds wait) {
    timer_.expires_after(wait);
    timer_.async_wait([weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (self && !error) self->on_deadline();
    });
  }

  void on_deadline() {
    if (process_ == 0 || ended(process_end_.native_handle(), Milliseconds(0))) return;  // on_end() is on its way
    switch (stage_) {
      case Stage::running:
        stage_ = Stage::asked_to_end;
        ::kill(-process_, SIGTERM);
        return wait_deadline(std::min(kill_after, provider_.timeout_));
      case Stage::asked_to_end:
        stage_ = Stage::killed;
        kill_group();
        return wait_deadline(give_up_after);
      case Stage::killed: {
        // It is still reaped when it does end.
        ProviderAnswer answer;
        answer.error = overdue_text() + ", but is still there";
        std::exchange(answered_, nullptr)(std::move(answer));
        return;
      }
    }
  }

  ExecProvider& provider_;
  Answered answered_;  // none when nobody waits for it any more
  boost::asio::posix::stream_descriptor output_end_;
  boost::asio::posix::stream_descriptor process_end_;
  boost::asio::steady_timer timer_;
  pid_t process_ = 0;  // also its group; 0 = there is none, or it is reaped
  Stage stage_ = Stage::running;
  std::string output_;  // the end of it, and at times some more
};

ExecProvider::ExecProvider(ExecConfig config, Milliseconds timeout, boost::asio::io_context& io)
    : config_(std::move(config)),
      timeout_(timeout),
      io_(io),
      environment_(process::inherited_environment()),
      buffer_(read_bytes) {
  environment_.erase(std::remove_if(environment_.begin(), environment_.end(), is_private), environment_.end());
}

ExecProvider::~ExecProvider() {
  constexpr std::chrono::seconds reap_max{1};
  for (const auto& command : commands_) command->kill_group();
  const auto give_up_at = Clock::now() + reap_max;
  for (const auto& command : commands_) command->reap_until(give_up_at);
}

void ExecProvider::commit(ProviderRequest request, Note, Answered answered) {
  const auto command = std::make_shared<Command>(*this, std::move(answered));
  commands_.insert(command);
  command->start(request);
}

void ExecProvider::look(Confirming, Looked) {
  assert(!"a command never leaves its commit to be confirmed");
}

}  // namespace tidemark::daemon
