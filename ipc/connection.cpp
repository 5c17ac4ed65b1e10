// See connection.h. A round: handle the frames that are there, as far as the bounds allow, then write what came of it,
// then decide what to wait for. Reads and writes never block; the socket is only waited for, so that no connection
// holds a read buffer of its own.
#include "ipc/connection.h"

#include <poll.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <charconv>

namespace tidemark::ipc {

namespace asio = boost::asio;
using boost::system::error_code;

void Call::reply_json(std::string_view result) {
  answer([&](std::string& out) {
    append_response(out, id_, [&](std::string& text) { detail::append_raw(text, result); });
  });
}

void Call::fail(Error const& error) {
  if (owed_) {
    if (auto const connection = connection_.lock(); connection != nullptr)
      ++connection->workspace_.errors[error.reason];
  }
  answer([&](std::string& out) { append_error(out, id_, error); });
}

void Call::set_waiting() {
  if (!owed_ || waiting_) return;
  waiting_ = true;
  auto const connection = connection_.lock();
  if (connection == nullptr || connection->closed_) return;
  --connection->calls_outstanding_;
  ++connection->calls_waiting_;
  connection->schedule_round();
}

std::shared_ptr<Connection> Connection::make(Socket socket, Peer peer, ConnectionHandler& handler, Workspace& workspace,
                                             ConnectionOptions options) {
  return std::shared_ptr<Connection>(new Connection(std::move(socket), peer, handler, workspace, options));
}

Connection::Connection(Socket socket, Peer peer, ConnectionHandler& handler, Workspace& workspace,
                       ConnectionOptions options)
    : socket_(std::move(socket)),
      stall_timer_(socket_.get_executor()),
      linger_timer_(socket_.get_executor()),
      peer_(peer),
      handler_(handler),
      workspace_(workspace),
      options_(options),
      frames_(options.frame_bytes_max) {}

void Connection::start() {
  error_code error;
  socket_.non_blocking(true, error);
  if (error) return close(CloseReason::peer_closed);
  wait_readable();
}

// --- Answers and requests ---

void Connection::append_batch_if_whole(detail::BatchAnswers& batch) {
  if (--batch.missing > 0) return;
  output_ += '[';
  output_ += batch.text;
  output_ += "]\n";
  batch_bytes_ -= batch.text.size();
}

void Connection::output_added() {
  if (output_bytes() > options_.output_bytes_max) return close(CloseReason::output_overflow);
  schedule_round();
}

void Connection::schedule_round() {
  if (closed_ || std::exchange(round_scheduled_, true)) return;
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (!self->closed_) self->round();
  });
}

void Connection::end_requests() {
  auto const requests = std::exchange(requests_, {});
  for (auto const& [number, on_answer] : requests) on_answer(nullptr);
}

// --- Frames ---

void Connection::round() {
  round_scheduled_ = true;  // what is added during it needs no other
  handle_frames();
  flush();
  round_scheduled_ = false;
  if (closed_) return;
  if (tell_when_taken_ && !output_broken_ && unsent_bytes() <= bounds::output_bytes_low) {
    tell_when_taken_ = false;
    handler_.on_output_taken(*this);
    if (closed_) return;
  }
  if (!drained_) {
    // Others first, then the rest; unless paused, when an answer or the peer's taking of output starts the next round.
    if (!paused()) schedule_round();
  } else if (input_ == Input::ended) {
    finish_if_done();
  } else {
    if (input_ == Input::discarding) finish_if_done();
    if (!closed_) wait_readable();
  }
}

bool Connection::paused() const {
  return calls_outstanding_ >= options_.calls_outstanding_max || output_bytes() > options_.output_bytes_pause;
}

void Connection::handle_frames() {
  bool handled = false;
  while (!drained_ && !closed_ && !paused()) {
    std::string_view frame;
    switch (frames_.next(frame)) {
      case FrameReader::Outcome::frame:
        handle(frame);
        handled = true;
        break;
      case FrameReader::Outcome::incomplete:
        drained_ = true;
        break;
      case FrameReader::Outcome::overflow:
        handle_oversized();
        break;
    }
  }
  if (handled && !closed_) handler_.on_frames_handled(*this);
  if (drained_ && input_ == Input::ended) end_requests();
}

void Connection::handle(std::string_view frame) {
  auto const messages = workspace_.parser.parse(frame);
  std::shared_ptr<detail::BatchAnswers> batch;
  if (workspace_.parser.batch()) {
    std::size_t answers = 0;
    for (auto const& message : messages) {
      if (auto const* request = std::get_if<Request>(&message)) answers += request->id.empty() ? 0 : 1;
      if (auto const* invalid = std::get_if<Invalid>(&message)) answers += invalid->id.empty() ? 0 : 1;
    }
    batch = std::make_shared<detail::BatchAnswers>();
    batch->missing = answers;
  }
  for (auto& message : messages) {
    if (closed_) return;
    handle(message, batch);
  }
}

void Connection::handle(Message& message, std::shared_ptr<detail::BatchAnswers> const& batch) {
  Call call;
  call.owed_ = true;
  call.batch_ = batch;
  call.connection_ = weak_from_this();
  if (auto* request = std::get_if<Request>(&message)) {
    call.id_ = std::move(request->id);
    ++calls_outstanding_;
    handler_.on_call(*this, std::move(call), request->method, *request->params);
  } else if (auto* invalid = std::get_if<Invalid>(&message)) {
    call.id_ = std::move(invalid->id);
    ++calls_outstanding_;
    call.fail(invalid->error);
  } else if (auto const* response = std::get_if<Response>(&message)) {
    std::uint64_t number = 0;
    auto const* const end = response->id.data() + response->id.size();
    auto const parsed = std::from_chars(response->id.data(), end, number);
    auto const found = parsed.ec == std::errc() && parsed.ptr == end ? requests_.find(number) : requests_.end();
    if (found == requests_.end()) return;  // an answer to nothing of ours, or a second one
    auto const on_answer = std::move(found->second);
    requests_.erase(found);
    on_answer(response);
  }
}

void Connection::handle_oversized() {
  drained_ = true;
  if (!output_broken_) {
    append_error(output_, "null",
                 Error::make(ErrorReason::invalid_request,
                             "a frame has at most " + std::to_string(options_.frame_bytes_max) + " bytes"));
    output_ += '\n';
  }
  end(CloseReason::oversized);
}

// --- The socket ---

void Connection::wait_readable() {
  if (std::exchange(waiting_readable_, true)) return;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](error_code) {
    self->waiting_readable_ = false;
    if (!self->closed_) self->on_readable();
  });
}

void Connection::on_readable() {
  error_code error;
  std::size_t const count = socket_.read_some(asio::buffer(workspace_.read_buffer), error);
  if (error == asio::error::would_block || error == asio::error::interrupted) return wait_readable();
  if (error) {
    peer_gone_ = error != asio::error::eof;
    on_input_ended();
  } else if (input_ == Input::discarding) {
    discarded_ += count;
    if (discarded_ > bounds::discard_bytes_max) return close(end_reason_);
  } else {
    frames_.feed({workspace_.read_buffer.data(), count});
    drained_ = false;
  }
  round();
}

// The peer may have ended its sending only, and still wait for answers; or be gone altogether.
void Connection::on_input_ended() {
  input_ = Input::ended;
  pollfd state{socket_.native_handle(), 0, 0};
  if (::poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR)) != 0) peer_gone_ = true;
}

void Connection::wait_gone() {
  if (std::exchange(waiting_gone_, true)) return;
  socket_.async_wait(Socket::wait_error, [self = shared_from_this()](error_code) {
    self->waiting_gone_ = false;
    if (self->closed_) return;
    self->on_input_ended();
    self->finish_if_done();
  });
}

void Connection::flush() {
  while (!closed_ && written_ < output_.size()) {
    error_code error;
    std::size_t const count =
        socket_.write_some(asio::buffer(output_.data() + written_, output_.size() - written_), error);
    if (error == asio::error::interrupted) continue;
    if (error == asio::error::would_block) {
      wait_writable();
      break;
    }
    if (error) {  // what the peer sent before it went is still to be handled
      output_broken_ = true;
      written_ = output_.size();
      batch_bytes_ = 0;
      break;
    }
    written_ += count;
    if (written_ < output_.size()) written_at_ = Clock::now();
  }
  if (written_ == output_.size()) {
    output_.clear();
    written_ = 0;
    written_at_ = {};
    if (output_.capacity() > bounds::idle_buffer_bytes) output_.shrink_to_fit();
  } else if (written_ > options_.output_bytes_pause) {
    output_.erase(0, std::exchange(written_, 0));
  }
}

void Connection::wait_writable() {
  if (std::exchange(waiting_writable_, true)) return;
  watch_stall();
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](error_code) {
    self->waiting_writable_ = false;
    if (!self->closed_) self->round();
  });
}

// Runs while output is pending, and looks at its end whether the peer took any meanwhile.
void Connection::watch_stall() {
  if (written_at_ == Clock::time_point()) written_at_ = Clock::now();
  if (std::exchange(watching_stall_, true)) return;
  stall_timer_.expires_at(written_at_ + options_.write_stall_max);
  stall_timer_.async_wait([self = shared_from_this()](error_code) {
    self->watching_stall_ = false;
    if (self->closed_ || !self->waiting_writable_) return;
    if (Clock::now() - self->written_at_ >= self->options_.write_stall_max)
      return self->close(CloseReason::write_stalled);
    self->watch_stall();
  });
}

// --- The end ---

void Connection::end(CloseReason reason) {
  if (closed_ || input_ == Input::discarding) return;
  end_reason_ = reason;
  if (input_ == Input::open) input_ = Input::discarding;
  drained_ = true;
  linger_timer_.expires_after(options_.linger_max);
  linger_timer_.async_wait([self = shared_from_this()](error_code) {
    if (!self->closed_) self->close(self->end_reason_);
  });
  asio::post(socket_.get_executor(), [self = shared_from_this()] { self->end_requests(); });
  schedule_round();
}

// Nothing more is read. Closes once everything has been answered and written, or can't be.
void Connection::finish_if_done() {
  bool const answered = calls_outstanding_ + calls_waiting_ == 0;
  bool const written = output_bytes() == 0;
  if (peer_gone_ || (answered && written && input_ == Input::ended)) return close(end_reason_);
  if (input_ == Input::ended) return wait_gone();
  if (!answered || !written || shut_) return;
  // The peer sees the end after the last answer. Closing at once would fail its writes before it has read that.
  shut_ = true;
  error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

void Connection::close(CloseReason reason) {
  if (std::exchange(closed_, true)) return;
  error_code ignored;
  socket_.close(ignored);
  stall_timer_.cancel();
  linger_timer_.cancel();
  asio::post(socket_.get_executor(), [self = shared_from_this(), reason] {
    self->end_requests();
    self->handler_.on_closed(*self, reason);
  });
}

}  // namespace tidemark::ipc
