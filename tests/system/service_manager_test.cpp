// The daemon under a service manager, whose part the test plays: it passes sockets and the environment, and reads the
// notices that come back.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "tests/system/peer.h"

namespace tidemark::system_test {
namespace {

using Clock = std::chrono::steady_clock;

// A bound Unix socket that ends with its object; its descriptor is far above those that are passed.
class BoundSocket {
 public:
  BoundSocket(const std::string& path, int type) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const int low = ::socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    descriptor_ = ::fcntl(low, F_DUPFD_CLOEXEC, 100);
    ::close(low);
    if (descriptor_ < 0 || ::bind(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("cannot bind " + path);
    }
  }
  ~BoundSocket() { ::close(descriptor_); }
  BoundSocket(const BoundSocket&) = delete;
  BoundSocket& operator=(const BoundSocket&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

class Service : public Daemon {
 public:
  explicit Service(std::string config = {})
      : Daemon(std::move(config)), notices_(std::make_unique<BoundSocket>(folder() + "/notify", SOCK_DGRAM)) {}
  ~Service() { process_.reset(); }

  // Starts the daemon with these variables; LISTEN_PID is its process id unless it is given. `passed` become its
  // descriptors from 3 on.
  void run(std::map<std::string, std::string> environment = {}, const std::vector<int>& passed = {}) {
    environment.try_emplace("NOTIFY_SOCKET", folder() + "/notify");
    if (!passed.empty()) environment.try_emplace("LISTEN_FDS", std::to_string(passed.size()));
    std::vector<std::string> arguments = command();
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    process_ = std::make_unique<Process>(Process::fork([&] {
      const int output = ::open((folder() + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
      ::dup2(output, STDOUT_FILENO);
      ::dup2(output, STDERR_FILENO);
      for (std::size_t i = 0; i < passed.size(); ++i) ::dup2(passed[i], 3 + static_cast<int>(i));
      if (environment.count("LISTEN_FDS") > 0) environment.try_emplace("LISTEN_PID", std::to_string(::getpid()));
      for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
      ::signal(SIGXFSZ, SIG_IGN);
      ::execv(pointers.front(), pointers.data());
      throw std::runtime_error("cannot run tidemarkd");
    }));
  }
  Process& process() { return *process_; }
  int end() {
    process_->signal(SIGTERM);
    return process_->wait_exit();
  }

  // The next line of a notice, if one comes in time.
  std::optional<std::string> next(Milliseconds time = patience) {
    if (lines_.empty()) {
      pollfd poll{notices_->descriptor(), POLLIN, 0};
      if (::poll(&poll, 1, static_cast<int>(time.count())) != 1) return std::nullopt;
      std::array<char, 4'096> buffer{};
      const ssize_t bytes = ::recv(notices_->descriptor(), buffer.data(), buffer.size(), 0);
      if (bytes <= 0) return std::nullopt;
      std::istringstream text(std::string(buffer.data(), static_cast<std::size_t>(bytes)));
      for (std::string line; std::getline(text, line);) lines_.push_back(line);
    }
    std::string line = std::move(lines_.front());
    lines_.pop_front();
    return line;
  }
  // Reads up to the line `wanted`; false if it doesn't come. What came before it is added to `before`.
  bool wait_for(const std::string& wanted, std::vector<std::string>* before = nullptr) {
    const auto deadline = Clock::now() + patience;
    while (Clock::now() < deadline) {
      const auto line = next();
      if (!line) return false;
      if (*line == wanted) return true;
      if (before) before->push_back(*line);
    }
    return false;
  }

 private:
  std::unique_ptr<BoundSocket> notices_;
  std::deque<std::string> lines_;
  std::unique_ptr<Process> process_;
};

bool has(const std::vector<std::string>& lines, const std::string& line) {
  return std::find(lines.begin(), lines.end(), line) != lines.end();
}

constexpr char clean[] = "STATUS=sessions dirty: 0, stuck: 0; the journal is healthy";

TEST(Notices, TheStartIsExtendedThenReadyThenHowItStands) {
  Service service;
  service.run();
  std::vector<std::string> before;
  ASSERT_TRUE(service.wait_for("READY=1", &before));
  EXPECT_TRUE(has(before, "STATUS=opening the journal"));
  EXPECT_TRUE(has(before, "EXTEND_TIMEOUT_USEC=30000000"));
  EXPECT_NO_THROW(Peer(service).complete("s")) << "ready means that it serves";
  EXPECT_TRUE(service.wait_for(clean));
}

TEST(Notices, AReloadHasABeginningAndAnEnd) {
  Service service;
  service.run();
  ASSERT_TRUE(service.wait_for("READY=1"));
  for (const char* config : {"[commit]\nidle = \"1h\"\n", "[commit]\nidle = \"soon\"\n"}) {
    service.write_config(config);
    service.process().signal(SIGHUP);
    EXPECT_TRUE(service.wait_for("RELOADING=1"));
    EXPECT_TRUE(service.wait_for("READY=1")) << "also when nothing was taken over";
  }
  EXPECT_TRUE(service.wait_logged("was not taken over"));
}

TEST(Notices, AStopGetsTimeForItsDeadline) {
  Service service("[daemon]\ndrain_deadline = \"5m\"\n");
  service.run();
  ASSERT_TRUE(service.wait_for("READY=1"));
  EXPECT_EQ(service.end(), 0);
  ASSERT_TRUE(service.wait_for("STOPPING=1"));
  const std::string extended = service.next().value_or("");
  const std::string name = "EXTEND_TIMEOUT_USEC=";
  ASSERT_EQ(extended.substr(0, name.size()), name);
  EXPECT_GT(std::stoll(extended.substr(name.size())), 300'000'000) << "the deadline, and some for the end itself";
  EXPECT_EQ(service.next().value_or("").substr(0, 16), "STATUS=stopping:");
}

TEST(Notices, AJournalThatHasFailedIsToldAsTheEnd) {
  Service service;
  service.run();
  ASSERT_TRUE(service.wait_for(clean));
  const rlimit nothing{1, RLIM_INFINITY};
  ASSERT_EQ(::prlimit(service.process().pid(), RLIMIT_FSIZE, &nothing, nullptr), 0);
  EXPECT_THROW(Peer(service).complete("s"), std::exception);
  ASSERT_TRUE(service.wait_for("STOPPING=1"));
  EXPECT_EQ(service.next().value_or("").substr(0, 35), "STATUS=a sync of the journal failed");
  EXPECT_EQ(service.process().wait_exit(), 1) << "so that it is started again";
}

TEST(Watchdog, IsFedTwiceInItsIntervalAndTheStatusFollows) {
  Service service;
  service.run({{"WATCHDOG_USEC", "200000"}});
  ASSERT_TRUE(service.wait_for("WATCHDOG=1"));
  const auto begun = Clock::now();
  for (int beat = 0; beat < 5; ++beat) ASSERT_TRUE(service.wait_for("WATCHDOG=1"));
  const auto lasted = Clock::now() - begun;
  EXPECT_GE(lasted, Milliseconds(400)) << "no more often than needed";
  EXPECT_LT(lasted, Milliseconds(5'000));
  Peer(service).complete("s");
  EXPECT_TRUE(service.wait_for("STATUS=sessions dirty: 1, stuck: 0; the journal is healthy"));
  std::vector<std::string> others;
  for (int beat = 0; beat < 3; ++beat) ASSERT_TRUE(service.wait_for("WATCHDOG=1", &others));
  EXPECT_TRUE(others.empty()) << "a status that hasn't changed isn't repeated: " << others.front();
}

// One thread of a process, held where it is until the object ends.
class HeldThread {
 public:
  HeldThread(pid_t process, const std::string& name) {
    const std::string tasks = "/proc/" + std::to_string(process) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks)) {
      if (content_of(task.path() / "comm") == name + "\n") thread_ = std::stoi(task.path().filename());
    }
    held_ = thread_ != 0 && ::ptrace(PTRACE_SEIZE, thread_, nullptr, nullptr) == 0 &&
            ::ptrace(PTRACE_INTERRUPT, thread_, nullptr, nullptr) == 0 &&
            ::waitpid(thread_, nullptr, __WALL) == thread_;
  }
  ~HeldThread() {
    if (held_) ::ptrace(PTRACE_DETACH, thread_, nullptr, nullptr);
  }
  HeldThread(const HeldThread&) = delete;
  HeldThread& operator=(const HeldThread&) = delete;
  pid_t thread() const { return thread_; }
  bool held() const { return held_; }

 private:
  pid_t thread_ = 0;
  bool held_ = false;
};

TEST(Watchdog, StarvesWhenTheLedgerHangsThoughCallsAreAnswered) {
  Service service;
  service.run({{"WATCHDOG_USEC", "200000"}});
  ASSERT_TRUE(service.wait_for("WATCHDOG=1"));
  {
    const HeldThread ledger(service.process().pid(), "ledger");
    ASSERT_NE(ledger.thread(), 0);
    if (!ledger.held()) GTEST_SKIP() << "this machine doesn't let a thread be held: " << std::strerror(errno);
    Peer peer(service);
    peer.call(ipc::PingParams{});  // whatever the ledger had answered before it was held has been said by now
    while (service.next(Milliseconds(0))) {
    }
    EXPECT_EQ(service.next(Milliseconds(500)), std::nullopt) << "five beats";
    peer.call(ipc::PingParams{});
  }
  EXPECT_TRUE(service.wait_for("WATCHDOG=1")) << "the ledger moves again";
}

// How often the two threads that matter have slept and been woken; sanitizers bring threads of their own.
std::int64_t wake_ups(pid_t process) {
  std::int64_t sum = 0;
  const std::filesystem::path tasks = "/proc/" + std::to_string(process) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    if (task.path().filename() != std::to_string(process) && content_of(task.path() / "comm") != "ledger\n") continue;
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      const std::string name = "voluntary_ctxt_switches:";
      if (line.substr(0, name.size()) == name) sum += std::stoll(line.substr(name.size()));
    }
  }
  return sum;
}

TEST(Watchdog, ThatIsNotOursOrNotSetWakesNobody) {
  for (const bool managed : {true, false}) {
    Service service;
    std::map<std::string, std::string> environment = {{"WATCHDOG_USEC", "20000"}};
    if (managed) {
      environment["WATCHDOG_PID"] = "1";
    } else {
      environment["NOTIFY_SOCKET"] = "";
    }
    service.run(environment);
    ASSERT_TRUE(service.wait_logged("is ready"));
    const bool still = wait_until([&] {
      const std::int64_t before = wake_ups(service.process().pid());
      EXPECT_FALSE(managed && service.next(Milliseconds(0)) == "WATCHDOG=1");
      ::usleep(300'000);
      return wake_ups(service.process().pid()) == before;
    });
    EXPECT_TRUE(still) << "an idle daemon sleeps";
    EXPECT_EQ(service.end(), 0);
  }
}

class PassedSocket : public ::testing::Test {
 protected:
  static std::unique_ptr<BoundSocket> listening(const std::string& path) {
    auto socket = std::make_unique<BoundSocket>(path, SOCK_STREAM);
    if (::listen(socket->descriptor(), 16) != 0) throw std::runtime_error("cannot listen on " + path);
    return socket;
  }
  Service service;
  const std::string path = service.folder() + "/passed";
};

TEST_F(PassedSocket, IsServedInPlaceOfTheConfiguredOneAndIsNotRemoved) {
  const auto socket = listening(path);
  auto early = ipc::Client::connect(path);
  ASSERT_TRUE(early) << "it connects before there is a daemon";
  service.run({}, {socket->descriptor()});
  ASSERT_TRUE(service.wait_for("READY=1"));
  EXPECT_TRUE(early->call(ipc::PingParams{}, patience));
  EXPECT_NE(::access(service.socket().c_str(), F_OK), 0) << "--socket is not made besides";
  EXPECT_EQ(service.end(), 0);
  EXPECT_EQ(::access(path.c_str(), F_OK), 0) << "its file is the service manager's";
  auto between = ipc::Client::connect(path);
  ASSERT_TRUE(between);
  service.run({}, {socket->descriptor()});
  EXPECT_TRUE(between->call(ipc::PingParams{}, patience)) << "a call between two daemons waits for the second";
}

TEST_F(PassedSocket, OfAnotherProcessIsNotTaken) {
  const auto socket = listening(path);
  service.run({{"LISTEN_PID", "1"}}, {socket->descriptor()});
  ASSERT_TRUE(service.wait_for("READY=1"));
  EXPECT_NO_THROW(Peer(service).complete("s")) << "on its own socket";
}

TEST_F(PassedSocket, TwoAreRefused) {
  const auto first = listening(path);
  const auto second = listening(path + "-2");
  service.run({}, {first->descriptor(), second->descriptor()});
  EXPECT_EQ(service.process().wait_exit(), 1);
  EXPECT_NE(service.log().find("the service manager passed 2 sockets, but tidemarkd serves one"), std::string::npos);
}

TEST_F(PassedSocket, ThatDoesNotListenIsRefused) {
  const BoundSocket deaf(path, SOCK_STREAM);
  service.run({}, {deaf.descriptor()});
  EXPECT_EQ(service.process().wait_exit(), 1);
  EXPECT_NE(service.log().find("is not a listening Unix stream socket"), std::string::npos);
}

TEST_F(PassedSocket, InANumberThatIsNoneIsRefused) {
  service.run({{"LISTEN_FDS", "many"}});
  EXPECT_EQ(service.process().wait_exit(), 1);
  EXPECT_NE(service.log().find("the service manager's LISTEN_FDS or LISTEN_PID can't be used"), std::string::npos);
}

}  // namespace
}  // namespace tidemark::system_test
