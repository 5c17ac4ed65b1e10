// See daemon.h.
#include "tests/system/daemon.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <stdexcept>

#include "ipc/messages.h"

namespace tidemark::system_test {

Daemon::Daemon(std::string config) {
  write_config(config);
}

Daemon::~Daemon() {
  process_.reset();
  if (::testing::Test::HasFailure()) std::fprintf(stderr, "---- what tidemarkd printed\n%s----\n", log().c_str());
}

std::vector<std::string> Daemon::command() const {
  return {TIDEMARKD_PROGRAM, "--socket", socket(), "--state-dir", state_dir(), "--config", config_path()};
}

void Daemon::launch() {
  process_ = std::make_unique<Process>(Process::spawn(command(), folder_.path() + "/log"));
}

void Daemon::start() {
  launch();
  const bool ready = wait_until([this] {
    if (process_->ended()) return true;
    auto client = ipc::Client::connect(socket());
    return client && client->call(ipc::PingParams{}, patience);
  });
  if (!ready || process_->ended()) throw std::runtime_error("tidemarkd doesn't run:\n" + log());
}

void Daemon::kill() {
  process_->kill();
}

void Daemon::kill_and_start() {
  kill();
  start();
}

int Daemon::stop() {
  process_->signal(SIGTERM);
  return process_->wait_exit();
}

void Daemon::write_config(const std::string& text) const {
  std::ofstream(config_path()) << text;
}

bool Daemon::wait_logged(const std::string& text) const {
  return wait_until([&] { return log().find(text) != std::string::npos; });
}

ipc::Client Daemon::connect() const {
  auto client = ipc::Client::connect(socket());
  return std::move(client.value());
}

ipc::Client Daemon::connect_as(uid_t uid) const {
  const gid_t group = ::getegid();
  std::vector<gid_t> groups(64);
  const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  if (count < 0 || ::setgroups(0, nullptr) != 0 || ::setegid(uid) != 0 || ::seteuid(uid) != 0) {
    throw std::runtime_error("cannot connect as another user");
  }
  auto client = ipc::Client::connect(socket());
  if (::seteuid(0) != 0 || ::setegid(group) != 0 || ::setgroups(static_cast<std::size_t>(count), groups.data()) != 0) {
    throw std::runtime_error("cannot be root again");
  }
  return std::move(client.value());
}

}  // namespace tidemark::system_test
