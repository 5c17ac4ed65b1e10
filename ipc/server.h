// The listening socket: makes its file or takes over a socket that was passed, and accepts for as long as it lives.
// Runs on the thread of its io_context.
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/result.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "ipc/peer.h"

namespace tidemark::ipc {

/// Why there is no listening socket: a sentence that names the path.
struct ListenError {
  bool live = false;  ///< another process listens there
  std::string text;
};

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;
  /// Gets each connection, with its peer or why that can't be told; such a connection is to be refused.
  using OnConnection = std::function<void(Socket, boost::system::result<Peer, PeerError>)>;
  using Opened = boost::system::result<std::shared_ptr<Listener>, ListenError>;

  /// Listens at `path`, whose file gets exactly `mode`. The file of a socket that nobody listens on any more is
  /// replaced; a live one, and what is no socket, is left alone and is an error.
  static Opened open(boost::asio::io_context& context, std::string const& path, mode_t mode);

  /// Takes over `descriptor`, a listening Unix stream socket that the service manager passed. Its file is not ours to
  /// remove.
  static Opened adopt(boost::asio::io_context& context, int descriptor);

  ~Listener();
  Listener(Listener const&) = delete;
  Listener& operator=(Listener const&) = delete;

  /// Accepts from now on. When the process or the machine has no descriptor or memory to spare, it rests for
  /// `accept_pause` and goes on.
  void start(OnConnection on_connection);

  /// Accepts no more, and removes the socket's file if it is still the one that was made. Connections live on.
  void close();

  /// How often it has rested.
  std::uint64_t pauses() const { return pauses_; }

 private:
  Listener(boost::asio::io_context& context, int descriptor);

  void wait_acceptable();
  void accept_some();
  void pause();

  boost::asio::local::stream_protocol::acceptor acceptor_;
  boost::asio::steady_timer timer_;
  OnConnection on_connection_;
  std::string path_;  // empty: not ours
  dev_t device_ = 0;  // of the file at path_
  ino_t inode_ = 0;
  std::uint64_t pauses_ = 0;
};

}  // namespace tidemark::ipc
