// See client.h. The socket doesn't block; every wait is one poll for both directions, so that neither side can hold up
// the other while much is pipelined.
#include "ipc/client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <system_error>

namespace tidemark::ipc {

namespace {

// A daemon whose backlog is full and that accepts nobody for so long is given up.
constexpr timeval connect_timeout{10, 0};

std::optional<std::uint64_t> number_of(CallId const& id) {
  std::uint64_t number = 0;
  auto const* const end = id.data() + id.size();
  auto const parsed = std::from_chars(id.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

RequestAnswer copy_of(Response const& response) {
  if (response.result == nullptr) return response.error;
  return boost::json::serialize(*response.result);
}

}  // namespace

void throw_exception_from_error(ConnectError const& error, boost::source_location const&) {
  throw std::runtime_error(error.text);
}

void throw_exception_from_error(CallError const& error, boost::source_location const&) {
  throw std::runtime_error(error.message());
}

boost::system::result<Client, ConnectError> Client::connect(std::string const& path) {
  auto const failed = [&](ConnectError::Kind kind, int error) {
    return ConnectError{kind, "cannot connect to " + path + ": " + std::generic_category().message(error)};
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return failed(ConnectError::Kind::failed, ENAMETOOLONG);
  std::memcpy(address.sun_path, path.data(), path.size());
  int const descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return failed(ConnectError::Kind::failed, errno);
  Client client(descriptor);
  ::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &connect_timeout, sizeof connect_timeout);
  while (::connect(descriptor, reinterpret_cast<sockaddr const*>(&address), sizeof address) != 0) {
    if (errno == EINTR) continue;
    if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
      return failed(ConnectError::Kind::no_daemon, errno);
    return failed(errno == EACCES || errno == EPERM ? ConnectError::Kind::refused : ConnectError::Kind::failed, errno);
  }
  return client;
}

Client::Client(int descriptor) : descriptor_(descriptor) {}

Client::~Client() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Client::Client(Client&& other) noexcept : descriptor_(-1) {
  *this = std::move(other);
}

Client& Client::operator=(Client&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(ended_, other.ended_);
  std::swap(output_broken_, other.output_broken_);
  std::swap(call_number_, other.call_number_);
  std::swap(output_, other.output_);
  std::swap(frames_, other.frames_);
  std::swap(parsers_, other.parsers_);
  std::swap(answers_, other.answers_);
  std::swap(on_request_, other.on_request_);
  std::swap(on_notification_, other.on_notification_);
  return *this;
}

Client::Deadline Client::deadline_of(Timeout timeout) {
  if (!timeout) return std::nullopt;
  return std::chrono::steady_clock::now() + *timeout;
}

CallError Client::error_of(Progress progress) {
  if (progress == Progress::timeout)
    return {CallError::Kind::timeout, Error{0, "no answer came in time", {}, {}, {}, false}};
  return {CallError::Kind::ended, Error{0, "the daemon ended the connection", {}, {}, {}, false}};
}

// --- Calls ---

std::optional<CallError> Client::wait_for(CallNumber number, Timeout timeout,
                                          std::function<void(Response const&)> const& take) {
  bool taken = false;
  Take const take_it = [&](CallNumber received, Response const& response) {
    if (received != number || taken) return false;
    taken = true;
    take(response);
    return true;
  };
  for (auto const deadline = deadline_of(timeout); !taken;) {
    if (auto const found = answers_.find(number); found != answers_.end()) {
      auto const answer = std::move(found->second);
      answers_.erase(found);
      boost::json::value result;
      Response response{std::to_string(number), nullptr, {}};
      if (auto const* error = std::get_if<Error>(&answer)) {
        response.error = *error;
      } else {
        result = boost::json::parse(std::get<std::string>(answer));
        response.result = &result;
      }
      take(response);
      return std::nullopt;
    }
    if (auto const progress = serve_frame(deadline, take_it); progress != Progress::some) return error_of(progress);
  }
  return std::nullopt;
}

Called<std::string> Client::call_json(std::string_view method, std::string_view params, Timeout timeout) {
  auto const number =
      send_request(method, [&](std::string& out) { detail::append_raw(out, params.empty() ? "{}" : params); });
  RequestAnswer answer;
  if (auto failed = wait_for(number, timeout, [&](Response const& response) { answer = copy_of(response); }))
    return std::move(*failed);
  if (auto* error = std::get_if<Error>(&answer)) return CallError{CallError::Kind::refused, std::move(*error)};
  return std::move(std::get<std::string>(answer));
}

Called<std::pair<Client::CallNumber, RequestAnswer>> Client::receive_any(Timeout timeout) {
  auto const deadline = deadline_of(timeout);
  while (answers_.empty()) {
    auto const progress = serve_frame(deadline, [](CallNumber, Response const&) { return false; });
    if (progress != Progress::some) return error_of(progress);
  }
  auto first = answers_.extract(answers_.begin());
  return std::pair(first.key(), std::move(first.mapped()));
}

// --- Serving ---

void Client::answer(CallId const& id, RequestAnswer const& answer) {
  if (auto const* error = std::get_if<Error>(&answer)) {
    append_error(output_, id, *error);
  } else {
    append_response(output_, id, [&](std::string& out) { detail::append_raw(out, std::get<std::string>(answer)); });
  }
  output_ += '\n';
  write_some();
}

bool Client::run_until(std::function<bool()> const& done, Timeout timeout) {
  auto const deadline = deadline_of(timeout);
  while (!done())
    if (serve_frame(deadline, [](CallNumber, Response const&) { return false; }) != Progress::some) return done();
  return true;
}

void Client::serve(Request const& request) {
  if (request.id.empty()) {
    if (on_notification_) on_notification_(request.method, *request.params);
    return;
  }
  if (!on_request_) {
    answer(request.id, Error::make(ErrorReason::method_not_found, "this client answers no requests"));
  } else if (auto const made = on_request_({request.id, request.method, *request.params})) {
    answer(request.id, *made);
  }
}

// Handles one frame. Answers that `take` doesn't want are kept.
Client::Progress Client::serve_frame(Deadline deadline, Take const& take) {
  std::string_view frame;
  if (auto const progress = next_frame(frame, deadline); progress != Progress::some) return progress;
  Parser parser = parsers_.empty() ? Parser() : std::move(parsers_.back());
  if (!parsers_.empty()) parsers_.pop_back();
  for (auto const& message : parser.parse(frame)) {
    if (auto const* request = std::get_if<Request>(&message)) {
      serve(*request);
    } else if (auto const* response = std::get_if<Response>(&message)) {
      auto const number = number_of(response->id);
      if (number && !take(*number, *response)) answers_.insert_or_assign(*number, copy_of(*response));
    } else if (auto const* invalid = std::get_if<Invalid>(&message); invalid != nullptr && !invalid->id.empty()) {
      answer(invalid->id, invalid->error);
    }
  }
  parsers_.push_back(std::move(parser));
  return Progress::some;
}

// --- The socket ---

void Client::send_frame(std::string_view frame) {
  output_.append(frame).append("\n");
  write_some();
}

std::optional<std::string> Client::receive_frame(Timeout timeout) {
  std::string_view frame;
  if (next_frame(frame, deadline_of(timeout)) != Progress::some) return std::nullopt;
  return std::string(frame);
}

void Client::finish_sending() {
  while (!output_.empty() && !output_broken_ && wait_io(std::nullopt, false) == Progress::some) {
  }
  ::shutdown(descriptor_, SHUT_WR);
}

Client::Progress Client::next_frame(std::string_view& frame, Deadline deadline) {
  for (;;) {
    switch (frames_.next(frame)) {
      case FrameReader::Outcome::frame:
        return Progress::some;
      case FrameReader::Outcome::overflow:
        ended_ = true;
        return Progress::ended;
      case FrameReader::Outcome::incomplete:
        break;
    }
    if (ended_) return Progress::ended;
    if (auto const progress = wait_io(deadline); progress != Progress::some) return progress;
  }
}

void Client::write_some() {
  while (!output_.empty() && !output_broken_) {
    ssize_t const count = ::send(descriptor_, output_.data(), output_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0) {
      output_.erase(0, static_cast<std::size_t>(count));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return;
    } else if (errno != EINTR) {
      output_broken_ = true;  // answers that came before may still be read
      output_.clear();
    }
  }
}

// Waits until something can be read or written, and does it.
Client::Progress Client::wait_io(Deadline deadline, bool for_input) {
  if (descriptor_ < 0 || ended_) return Progress::ended;
  int wait_ms = -1;
  if (deadline) {
    auto const left =
        std::chrono::ceil<std::chrono::milliseconds>(*deadline - std::chrono::steady_clock::now()).count();
    wait_ms = static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
  }
  bool const for_output = !output_.empty() && !output_broken_;
  pollfd state{descriptor_, static_cast<short>((for_input ? POLLIN : 0) | (for_output ? POLLOUT : 0)), 0};
  int const ready = ::poll(&state, 1, wait_ms);
  if (ready == 0) return Progress::timeout;
  if (ready < 0) return errno == EINTR ? Progress::some : Progress::ended;
  if (for_output && (state.revents & (POLLOUT | POLLERR | POLLHUP)) != 0) write_some();
  if (!for_input || (state.revents & (POLLIN | POLLERR | POLLHUP)) == 0) return Progress::some;
  std::array<char, bounds::read_bytes> bytes;
  ssize_t const count = ::recv(descriptor_, bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (count > 0) {
    frames_.feed({bytes.data(), static_cast<std::size_t>(count)});
  } else if (count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
    ended_ = true;
  }
  return Progress::some;
}

}  // namespace tidemark::ipc
