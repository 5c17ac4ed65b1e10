#include "daemon/daemon.h"

#include <grp.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/uuid/uuid.hpp>
#include <boost/uuid/uuid_generators.hpp>
#include <boost/uuid/uuid_io.hpp>
#include <csignal>
#include <filesystem>
#include <stdexcept>

#include "daemon/clock.h"
#include "daemon/convert.h"
#include "daemon/version.h"

namespace tidemark::daemon {

namespace {

// How long connections have to take their last answers when the daemon ends.
constexpr lifecycle::Milliseconds linger{500};

}  // namespace

Daemon::Daemon(Config config, std::string config_path)
    : config_(std::move(config)),
      config_path_(std::move(config_path)),
      signals_(io_, SIGTERM, SIGINT, SIGHUP),
      end_timer_(io_),
      service_manager_(io_),
      watchers_(config_, *this),
      provider_lines_(io_),
      dispatcher_(io_, config_, *this, provider_lines_, watchers_, counters_),
      confirmations_(io_, provider_lines_, dispatcher_) {}

Daemon::~Daemon() = default;

int Daemon::run() {
  const lifecycle::Steady started = now().steady;
  std::signal(SIGPIPE, SIG_IGN);
  // Inherited as ignored, the kernel would throw away how commands end.
  std::signal(SIGCHLD, SIG_DFL);
  lock_ = std::make_unique<store::StateDirLock>(config_.state_dir);
  {
    const ExtendedStart extended = service_manager_.extended_start();
    provider_lines_.configure(config_.providers);
    open_ledger();
  }
  metrics_ = std::make_unique<Metrics>(Metrics::Sources{
      *ledger_, dispatcher_, provider_lines_, watchers_, counters_, now().utc - (now().steady - started),
      [this] { return static_cast<std::int64_t>(clients_.size()); }, [this] { return methods_->calls(); },
      [this]() -> const std::map<std::string, std::int64_t>& { return workspace_.errors; }});
  methods_ = std::make_unique<Methods>(
      MethodContext{io_, config_, *ledger_, dispatcher_, provider_lines_, watchers_, counters_, *metrics_, *backups_,
                    boost::uuids::to_string(boost::uuids::random_generator()()), started, [this] { return reload(); }});
  open_listener();
  if (config_.metrics_listen) {
    metrics_listener_ = std::make_unique<MetricsListener>(
        io_,
        boost::asio::ip::tcp::endpoint(boost::asio::ip::make_address(config_.metrics_listen->address),
                                       config_.metrics_listen->port),
        [this](auto done) { metrics_->make(std::move(done)); });
  }
  wait_for_signal();
  const store::Recovered recovered = ledger_->recovered();
  if (recovered.sessions > 0) {
    spdlog::info("recovered: {} dirty sessions with {} uncommitted turns; segments in doubt, which go first: {}",
                 recovered.sessions, recovered.generations, recovered.in_doubt);
  }
  spdlog::info("tidemarkd {} is ready on {} (journal in {}, {} ms)", version,
               config_.socket.empty() ? "the socket that was passed" : config_.socket, config_.state_dir,
               (now().steady - started).count());
  service_manager_.ready(*ledger_);
  io_.run();
  backups_.reset();
  ledger_.reset();
  spdlog::info("tidemarkd has ended");
  return exit_status_;
}

void Daemon::open_ledger() {
  store::Ledger::Callbacks callbacks;
  callbacks.deliver = [this](store::Delivery delivery) {
    boost::asio::post(io_, [this, delivery = std::move(delivery)]() mutable { on_delivery(std::move(delivery)); });
  };
  callbacks.on_failure = [this](const std::string& why) {
    boost::asio::post(io_, [this, why] { on_journal_failure(why); });
  };
  // Behind whatever else is ready to run: so one wake-up of the ledger serves all connections that had something.
  callbacks.flush_wanted = [this] { boost::asio::post(io_, [this] { ledger_->flush(); }); };
  ledger_ = std::make_unique<store::Ledger>(store::OpenOptions{config_.state_dir, config_.synchronous},
                                            config_.policies, now, std::move(callbacks));
  dispatcher_.set_ledger(*ledger_);
  watchers_.set_ledger(*ledger_);
  confirmations_.set_ledger(*ledger_);
  backups_ = std::make_unique<store::Backups>(*ledger_, config_.state_dir);
}

void Daemon::open_listener() {
  const auto passed = service_manager_.passed_socket();
  if (!passed) throw std::runtime_error(passed.error());
  ipc::Listener::Opened opened = [&] {
    if (*passed) {
      config_.socket.clear();
      return ipc::Listener::adopt(io_, **passed);
    }
    const std::filesystem::path folder = std::filesystem::path(config_.socket).parent_path();
    std::error_code error;
    if (!folder.empty() && std::filesystem::create_directory(folder, error)) {
      std::filesystem::permissions(folder, std::filesystem::perms(config_.socket_mode & 0077 ? 0755 : 0700), error);
    }
    return ipc::Listener::open(io_, config_.socket, config_.socket_mode);
  }();
  if (!opened) throw std::runtime_error(opened.error().text);
  listener_ = *opened;
  listener_->start([this](ipc::Listener::Socket socket, boost::system::result<ipc::Peer, ipc::PeerError> peer) {
    on_connection(std::move(socket), peer);
  });
}

void Daemon::on_connection(ipc::Listener::Socket socket, boost::system::result<ipc::Peer, ipc::PeerError> peer) {
  const int descriptor = socket.native_handle();
  ipc::ConnectionOptions options;
  const Limits& limits = peer ? config_.limits_of(peer->uid) : config_.limits;
  options.frame_bytes_max = static_cast<std::size_t>(limits.frame_bytes_max);
  std::optional<ipc::Error> refused;
  if (!peer) {
    refused = ipc::Error::make(ipc::ErrorReason::forbidden,
                               "the kernel doesn't say which user you are (the overflow uid, or no credentials)");
  } else if (static_cast<std::int64_t>(clients_.size()) >= config_.limits.connections) {
    refused = ipc::Error::at_limit("connections", "the daemon has as many connections as it may have: " +
                                                      std::to_string(config_.limits.connections));
  } else if (connections_of_[peer->uid] >= limits.connections_per_user) {
    refused = ipc::Error::at_limit("connections_per_user", "your user has as many connections as it may have: " +
                                                               std::to_string(limits.connections_per_user));
  }
  if (refused) {
    std::string answer;
    ipc::append_error(answer, "null", *refused);
    answer += '\n';
    // Best effort, into an empty socket buffer; the connection is closed right after.
    [[maybe_unused]] const auto sent = ::send(descriptor, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return;
  }
  Client client;
  client.id = ++last_client_;
  client.uid = peer->uid;
  client.admin = is_admin(*peer, descriptor);
  client.connection = ipc::Connection::make(std::move(socket), *peer, *this, workspace_, options);
  ++connections_of_[client.uid];
  const ipc::Connection* key = client.connection.get();
  Client& entered = clients_.emplace(key, std::move(client)).first->second;
  clients_by_id_.emplace(entered.id, &entered);
  entered.connection->start();
}

// Root, whom the daemon runs as (its files are theirs anyway), and members of the configured group.
bool Daemon::is_admin(const ipc::Peer& peer, int descriptor) const {
  if (peer.uid == 0 || peer.uid == ::geteuid()) return true;
  if (config_.admin_group.empty()) return false;
  const group* entry = ::getgrnam(config_.admin_group.c_str());
  if (!entry) return false;
  if (peer.gid == entry->gr_gid) return true;
  // The groups that the peer had when it connected, as the kernel says.
  std::vector<gid_t> groups(64);
  auto bytes = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  int status = ::getsockopt(descriptor, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes);
  if (status != 0 && errno == ERANGE) {
    groups.resize(bytes / sizeof(gid_t));
    status = ::getsockopt(descriptor, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes);
  }
  if (status != 0) return false;
  groups.resize(bytes / sizeof(gid_t));
  return std::find(groups.begin(), groups.end(), entry->gr_gid) != groups.end();
}

Client* Daemon::find_client(ClientId id) {
  const auto found = clients_by_id_.find(id);
  return found == clients_by_id_.end() ? nullptr : found->second;
}

void Daemon::on_call(ipc::Connection& connection, ipc::Call call, std::string_view method,
                     const boost::json::object& params) {
  methods_->dispatch(clients_.at(&connection), std::move(call), method, params);
}

void Daemon::on_frames_handled(ipc::Connection& connection) {
  Client& client = clients_.at(&connection);
  client.heard_at = now().steady;
  dispatcher_.on_heard(client);
}

void Daemon::on_output_taken(ipc::Connection& connection) {
  watchers_.on_output_taken(clients_.at(&connection).id);
}

void Daemon::on_closed(ipc::Connection& connection, ipc::CloseReason reason) {
  const auto found = clients_.find(&connection);
  const Client client = found->second;
  clients_by_id_.erase(client.id);
  clients_.erase(found);
  if (--connections_of_[client.uid] == 0) connections_of_.erase(client.uid);
  switch (reason) {
    case ipc::CloseReason::oversized:
      spdlog::warn("pid {} (uid {}) sent a frame over the limit: its connection was closed", connection.peer().pid,
                   client.uid);
      break;
    case ipc::CloseReason::output_overflow:
    case ipc::CloseReason::write_stalled:
      spdlog::warn("pid {} (uid {}) doesn't read: its connection was closed", connection.peer().pid, client.uid);
      break;
    case ipc::CloseReason::peer_closed:
    case ipc::CloseReason::owner:
      break;
  }
  if (exit_status_ == 0 && !io_.stopped()) {
    dispatcher_.on_client_closed(client.id);
    watchers_.on_client_closed(client.id);
  }
}

void Daemon::on_delivery(store::Delivery delivery) {
  counters_.commands += static_cast<std::int64_t>(delivery.answered.size());
  if (delivery.took.count() > 0) counters_.batch_duration.add(delivery.took);
  dispatcher_.on_effects(delivery.effects);
  for (const auto& task : delivery.answered) task->finish();
  dispatcher_.after_answers(delivery.effects);
  confirmations_.on_effects(delivery.effects);
  watchers_.publish(delivery.effects.events);
  watch_journal();
}

// Says once when the journal falls ill, and once when it is well again.
void Daemon::watch_journal() {
  const bool healthy = ledger_->healthy();
  if (healthy == journal_healthy_) return;
  journal_healthy_ = healthy;
  if (healthy) {
    spdlog::info("the journal can be written again");
  } else {
    spdlog::error("the journal can't be written: {}. Marks are refused until it can; what was acknowledged is safe",
                  ledger_->health().error);
  }
  service_manager_.refresh_status();
}

void Daemon::on_journal_failure(const std::string& why) {
  spdlog::critical("{}. Nothing is written any more; the daemon ends so that a restart can recover", why);
  exit_status_ = 1;
  service_manager_.failed(why);
  if (listener_) listener_->close();
  end_timer_.expires_after(linger);
  end_timer_.async_wait([this](const boost::system::error_code&) { io_.stop(); });
}

void Daemon::wait_for_signal() {
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    on_signal(signal);
    wait_for_signal();
  });
}

void Daemon::on_signal(int signal) {
  if (signal == SIGHUP) {
    const std::string problem = reload();
    if (!problem.empty()) spdlog::error("the configuration was not taken over: {}", problem);
    return;
  }
  if (stopping_) {
    spdlog::warn("told to stop again: ending at once; what is due is in the journal");
    end_now();
    return;
  }
  stop();
}

std::string Daemon::reload() {
  service_manager_.reloading();
  std::string problem = read_configuration_again();
  service_manager_.reloaded();
  return problem;
}

std::string Daemon::read_configuration_again() {
  if (config_path_.empty()) return "no configuration file was given or found at the start";
  auto loaded = load_config(config_path_);
  if (const auto* problems = std::get_if<std::vector<std::string>>(&loaded)) {
    std::string text;
    for (const std::string& problem : *problems) text += (text.empty() ? "" : "; ") + problem;
    return text;
  }
  Config fresh = std::get<Config>(std::move(loaded));
  // Where the daemon lives is fixed while it does.
  fresh.socket = config_.socket;
  fresh.socket_mode = config_.socket_mode;
  fresh.state_dir = config_.state_dir;
  fresh.metrics_listen = config_.metrics_listen;
  fresh.synchronous = config_.synchronous;
  config_ = std::move(fresh);
  spdlog::set_level(spdlog::level::from_str(config_.log_level));
  store::SetPolicies command;
  command.policies = config_.policies;
  ledger_->submit(std::move(command), [](const auto&) {});
  provider_lines_.configure(config_.providers);
  dispatcher_.on_providers_configured();
  confirmations_.hurry();
  spdlog::info("the configuration {} was taken over", config_path_);
  return {};
}

// No boundary: attempts that are out are waited for, what is due already is tried once more, and the rest is journaled.
void Daemon::stop() {
  stopping_ = true;
  spdlog::info("stopping: attempts that are out and what is due have {}", duration_text(config_.drain_deadline));
  service_manager_.stopping(config_.drain_deadline);
  listener_->close();
  dispatcher_.stop_by_itself();
  backups_->stop();
  watchers_.publish_draining();
  for (const auto& [connection, client] : clients_) {
    if (!dispatcher_.served_by(client.id).empty()) {
      client.connection->notify(ipc::DaemonDrainingParams{config_.drain_deadline});
    }
  }
  end_timer_.expires_after(config_.drain_deadline);
  end_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) end_now();
  });
  stop_waits_ = 1;
  const auto done = [this](const WaitResult&) {
    if (--stop_waits_ == 0) end_now();
  };
  for (const auto& [uid, session] : dispatcher_.due_sessions()) {
    auto wait = std::make_shared<Wait>();
    wait->kind = Wait::Kind::stop;
    wait->uid = uid;
    wait->session = session;
    wait->done = done;
    ++stop_waits_;
    dispatcher_.enqueue(std::move(wait), std::nullopt);
  }
  done({});
}

void Daemon::end_now() {
  if (io_.stopped()) return;
  end_timer_.expires_after(linger);
  end_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) io_.stop();
  });
  // What is on its way through the ledger is answered first; then the connections end.
  ledger_->submit(store::Ping{}, [this](const auto&) {
    std::vector<std::shared_ptr<ipc::Connection>> connections;
    for (const auto& [connection, client] : clients_) connections.push_back(client.connection);
    for (const auto& connection : connections) connection->end();
    end_timer_.expires_after(lifecycle::Milliseconds(50));
    end_timer_.async_wait([this](const boost::system::error_code& error) {
      if (!error) io_.stop();
    });
  });
}

}  // namespace tidemark::daemon
