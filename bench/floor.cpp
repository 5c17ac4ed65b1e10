// tidemark-floor: the least that a durable server of turn.complete can cost, for the daemon to be compared with. A bare
// Boost.Asio loop and a bare SQLite connection, one thread each; while a batch syncs, the next one gathers. It has no
// lifecycle, no users, no bounds and no recovery, trusts its clients, and scans for members in the order in which
// tidemark-load writes them.
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <boost/asio.hpp>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/floor_ledger.h"

namespace {

namespace asio = boost::asio;
using Socket = asio::local::stream_protocol::socket;
using tidemark::bench::Batch;
using tidemark::bench::Ledger;
using tidemark::bench::Mark;

/// Finds one member after another in a line, each from where the last one ended.
class Scanner {
 public:
  explicit Scanner(std::string_view line) : line_(line) {}

  bool skip(std::string_view text) {
    const void* found = memmem(line_.data(), line_.size(), text.data(), text.size());
    if (found == nullptr) return false;
    line_.remove_prefix(static_cast<std::size_t>(static_cast<const char*>(found) - line_.data()) + text.size());
    return true;
  }
  std::string_view text_of(std::string_view member) {
    if (!skip(member)) return {};
    const std::string_view value = line_.substr(0, line_.find('"'));
    line_.remove_prefix(value.size());
    return value;
  }
  std::uint64_t number_of(std::string_view member) {
    std::uint64_t value = 0;
    if (skip(member)) std::from_chars(line_.data(), line_.data() + line_.size(), value);
    return value;
  }

 private:
  std::string_view line_;
};

class Server;

/// One client. I/O thread only; lives while a read or write of it is out, or the server lists it.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Server& server, Socket socket, std::uint32_t index)
      : server_(server), socket_(std::move(socket)), index_(index) {}

  void read();
  void answer(const Mark& mark) {
    std::array<char, 128> line;
    char* at = line.data();
    const auto put = [&](std::string_view text) {
      std::memcpy(at, text.data(), text.size());
      at += text.size();
    };
    put(R"({"jsonrpc":"2.0","id":)");
    at = std::to_chars(at, at + 20, mark.id).ptr;
    put(R"(,"result":{"generation":)");
    at = std::to_chars(at, at + 20, mark.generation).ptr;
    put("}}\n");
    unsent_.append(line.data(), static_cast<std::size_t>(at - line.data()));
  }
  void refuse(std::uint64_t id) {
    unsent_ += R"({"jsonrpc":"2.0","id":)" + std::to_string(id) +
               R"(,"error":{"code":-32601,"message":"only turn.complete","data":{"reason":"method_not_found"}}})"
               "\n";
  }
  bool has_unsent() const { return !unsent_.empty(); }
  void write();

 private:
  void take_lines();

  Server& server_;
  Socket socket_;
  std::uint32_t index_;
  std::array<char, 65536> received_;
  std::size_t received_bytes_ = 0;
  std::string unsent_;
  std::string writing_;
};

class Server {
 public:
  Server(asio::io_context& io, const std::string& socket, const std::string& directory)
      : acceptor_(io, asio::local::stream_protocol::endpoint(socket)),
        ledger_(directory, io, [this](const Batch& batch) { answer(batch); }) {
    accept();
  }

  Ledger& ledger() { return ledger_; }
  void forget(std::uint32_t connection) { connections_[connection].reset(); }

 private:
  void accept() {
    acceptor_.async_accept([this](boost::system::error_code error, Socket socket) {
      if (error) throw boost::system::system_error(error, "accept");
      const auto index = static_cast<std::uint32_t>(connections_.size());
      connections_.push_back(std::make_shared<Connection>(*this, std::move(socket), index));
      connections_.back()->read();
      accept();
    });
  }

  void answer(const Batch& batch) {
    for (const Mark& mark : batch.marks) {
      const auto& connection = connections_[mark.connection];
      if (!connection) continue;
      if (!connection->has_unsent()) touched_.push_back(mark.connection);
      connection->answer(mark);
    }
    for (const std::uint32_t index : touched_) connections_[index]->write();
    touched_.clear();
  }

  asio::local::stream_protocol::acceptor acceptor_;
  // An index is never used again: an answer for a closed connection finds nothing.
  std::vector<std::shared_ptr<Connection>> connections_;
  std::vector<std::uint32_t> touched_;
  Ledger ledger_;
};

void Connection::read() {
  socket_.async_read_some(asio::buffer(received_.data() + received_bytes_, received_.size() - received_bytes_),
                          [self = shared_from_this()](boost::system::error_code error, std::size_t bytes) {
                            if (error) return self->server_.forget(self->index_);
                            self->received_bytes_ += bytes;
                            self->take_lines();
                            if (self->received_bytes_ == self->received_.size())
                              return self->server_.forget(self->index_);
                            self->read();
                          });
}

void Connection::take_lines() {
  std::string_view rest(received_.data(), received_bytes_);
  server_.ledger().gather([&](Batch& batch) {
    while (true) {
      const std::size_t end = rest.find('\n');
      if (end == std::string_view::npos) break;
      Scanner line(rest.substr(0, end));
      rest.remove_prefix(end + 1);
      const std::uint64_t id = line.number_of("\"id\":");
      if (!line.skip("\"turn.complete\"")) {
        refuse(id);
        continue;
      }
      Mark& mark = batch.marks.emplace_back(Mark{index_, id, {}, {}, {}});
      mark.session = batch.keep(line.text_of("\"session\":\""));
      mark.agent = batch.keep(line.text_of("\"agent\":\""));
      mark.turn = batch.keep(line.text_of("\"turn\":\""));
    }
  });
  std::memmove(received_.data(), rest.data(), rest.size());
  received_bytes_ = rest.size();
  if (has_unsent()) write();
}

void Connection::write() {
  if (!writing_.empty() || unsent_.empty()) return;
  std::swap(writing_, unsent_);
  asio::async_write(socket_, asio::buffer(writing_),
                    [self = shared_from_this()](boost::system::error_code error, std::size_t) {
                      self->writing_.clear();
                      if (!error) self->write();
                    });
}

void serve(const std::string& socket, const std::string& directory) {
  sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  mkdir(directory.c_str(), 0700);
  unlink(socket.c_str());
  asio::io_context io(1);
  Server server(io, socket, directory);
  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code, int) { io.stop(); });
  io.run();
  unlink(socket.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  std::string socket;
  std::string directory;
  CLI::App app("Serves turn.complete with as little as possible, to compare the daemon with.");
  app.add_option("--socket", socket, "Unix socket to listen on")->required()->type_name("PATH");
  app.add_option("--state-dir", directory, "Folder for a new database")->required()->type_name("PATH");
  CLI11_PARSE(app, argc, argv);
  try {
    serve(socket, directory);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tidemark-floor: %s\n", error.what());
    return 1;
  }
  return 0;
}
