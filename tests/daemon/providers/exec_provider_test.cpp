// The exec provider with real commands: what they get, what becomes of how they end, and that nothing of them stays.
#include "daemon/providers/exec_provider.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/json/parse.hpp>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>
#include <thread>

namespace tidemark::daemon {
namespace {

using namespace std::chrono_literals;
using Kind = ProviderAnswer::Kind;
using Words = std::vector<std::string>;

ProviderRequest example_request() {
  ProviderRequest request;
  request.uid = 1000;
  request.session = "chat \"42\"";
  request.external_id = "über/42";
  request.owner = "hermes";
  request.reason = "idle";
  request.commit = 77;
  for (std::size_t index = 0; index < request.key.size(); ++index)
    request.key[index] = static_cast<std::uint8_t>(0x10 + index);
  request.start = 3;
  request.end = 5;
  request.attempt = 2;
  return request;
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Gone, or a zombie that its parent hasn't reaped yet.
bool is_gone(pid_t process) {
  const std::string stat = content_of("/proc/" + std::to_string(process) + "/stat");
  const auto name_end = stat.rfind(')');
  return name_end == stat.npos || stat.at(name_end + 2) == 'Z' || stat.at(name_end + 2) == 'X';
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

Words lines_of(const std::string& text, char separator = '\n') {
  Words lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line, separator);) lines.push_back(line);
  return lines;
}

class ExecProviderTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "tidemark-exec-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "every child is reaped";
    EXPECT_EQ(errno, ECHILD);
  }

  std::unique_ptr<ExecProvider> provider(Words command, lifecycle::Milliseconds timeout = 60s,
                                         std::int64_t output_bytes_max = 16'384) {
    return std::make_unique<ExecProvider>(ExecConfig{std::move(command), output_bytes_max}, timeout, io_);
  }

  static Words shell(const std::string& script) { return {"/bin/sh", "-c", script}; }

  // Runs the loop until it is so; false if that takes too long.
  bool run_until(const std::function<bool()>& reached, std::chrono::seconds wait_max = 30s) {
    const auto give_up_at = std::chrono::steady_clock::now() + wait_max;
    while (!reached()) {
      if (std::chrono::steady_clock::now() > give_up_at) return false;
      io_.restart();
      io_.run_for(10ms);
      if (io_.stopped()) std::this_thread::sleep_for(1ms);
    }
    return true;
  }

  void commit(ExecProvider& provider, ProviderRequest request, std::function<void(ProviderAnswer)> answered) {
    provider.commit(
        std::move(request), [](const auto&, const auto& then) { then(false); },
        [done = std::move(answered), first = true](ProviderAnswer answer) mutable {
          EXPECT_TRUE(std::exchange(first, false)) << "answered once";
          done(std::move(answer));
        });
  }

  ProviderAnswer answer_of(ExecProvider& provider, const ProviderRequest& request = example_request()) {
    std::optional<ProviderAnswer> answer;
    // As everything calls it: from inside the loop.
    boost::asio::post(io_, [&] {
      commit(provider, request, [&](ProviderAnswer given) { answer = std::move(given); });
      EXPECT_FALSE(answer) << "not from inside the call";
    });
    EXPECT_TRUE(run_until([&] { return answer.has_value(); }));
    return answer.value_or(ProviderAnswer());
  }

  ProviderAnswer answer_of(Words command, lifecycle::Milliseconds timeout = 60s,
                           std::int64_t output_bytes_max = 16'384) {
    return answer_of(*provider(std::move(command), timeout, output_bytes_max));
  }

  static boost::json::object evidence_of(const ProviderAnswer& answer) {
    boost::json::error_code error;
    const auto value = boost::json::parse(answer.evidence, error);
    EXPECT_FALSE(error) << answer.evidence;
    return value.is_object() ? value.as_object() : boost::json::object();
  }

  static std::string output_of(const ProviderAnswer& answer) {
    const auto evidence = evidence_of(answer);
    const auto* const output = evidence.if_contains("output");
    EXPECT_TRUE(output) << answer.evidence;
    return output ? std::string(output->as_string()) : std::string();
  }

  std::filesystem::path folder_;
  boost::asio::io_context io_;
};

// --- What a command gets ---------------------------------------------------------------------------------------------

TEST_F(ExecProviderTest, TheRequestStandsInTheEnvironmentAndNothingMeantForTheDaemon) {
  Words expected;
  for (char** variable = environ; *variable; ++variable) expected.emplace_back(*variable);
  const Words hidden = {"TIDEMARK_SOCKET", "TIDEMARK_OTHER",        "NOTIFY_SOCKET", "LISTEN_FDS",    "LISTEN_PID",
                        "WATCHDOG_USEC",   "CREDENTIALS_DIRECTORY", "INVOCATION_ID", "JOURNAL_STREAM"};
  for (const auto& name : hidden) ASSERT_EQ(::setenv(name.c_str(), "hidden", 1), 0);
  ASSERT_EQ(::setenv("LISTENING", "kept", 1), 0);
  const auto answer = answer_of({"env", "-0"});
  for (const auto& name : hidden) ::unsetenv(name.c_str());
  ::unsetenv("LISTENING");
  for (const std::string variable :
       {"LISTENING=kept", "TIDEMARK_UID=1000", "TIDEMARK_SESSION=chat \"42\"", "TIDEMARK_EXTERNAL_ID=über/42",
        "TIDEMARK_AGENT=hermes", "TIDEMARK_START=3", "TIDEMARK_END=5",
        "TIDEMARK_KEY=10111213-1415-1617-1819-1a1b1c1d1e1f", "TIDEMARK_ATTEMPT=2", "TIDEMARK_REASON=idle"})
    expected.push_back(variable);
  const Words given = lines_of(output_of(answer), '\0');
  EXPECT_EQ(std::multiset<std::string>(given.begin(), given.end()),
            std::multiset<std::string>(expected.begin(), expected.end()));
}

TEST_F(ExecProviderTest, TheRequestStandsOnItsInput) {
  const auto answer = answer_of({"cat"}, 5s);
  EXPECT_EQ(answer.kind, Kind::committed);
  EXPECT_EQ(answer.error, "");
  EXPECT_EQ(output_of(answer),
            R"({"commit":"77","key":"10111213-1415-1617-1819-1a1b1c1d1e1f","uid":1000,"session":"chat \"42\"",)"
            R"("external_id":"über/42","agent":"hermes","start":3,"end":5,"attempt":2,"reason":"idle",)"
            R"("timeout_ms":5000})"
            "\n");
}

TEST_F(ExecProviderTest, NoDescriptorIsInherited) {
  const int open = ::open("/dev/null", O_RDONLY);  // not close-on-exec
  ASSERT_GE(open, 0);
  // The fourth is the folder that is being read.
  EXPECT_EQ(output_of(answer_of({"ls", "/proc/self/fd"})), "0\n1\n2\n3\n");
  ::close(open);
}

TEST_F(ExecProviderTest, ItLeadsAGroupOfItsOwn) {
  const auto answer =
      answer_of(shell("read -r process name state parent group rest < /proc/$$/stat; echo $$; echo $group"));
  const Words numbers = lines_of(output_of(answer));
  ASSERT_EQ(numbers.size(), 2U);
  EXPECT_EQ(numbers[0], numbers[1]);
}

TEST_F(ExecProviderTest, ItsArgumentsAreNeverRead) {
  EXPECT_EQ(output_of(answer_of({"printf", "%s|", "a b", "$HOME;*", "", "`id`"})), "a b|$HOME;*||`id`|");
}

// --- How it ends -----------------------------------------------------------------------------------------------------

TEST_F(ExecProviderTest, ItsExitStatusIsTheAnswer) {
  struct Row {
    std::string script;
    Kind kind;
    std::string error;
    std::string evidence;
  };
  const std::vector<Row> rows = {
      {"echo done; exit 0", Kind::committed, "", R"({"exit":0,"output":"done\n"})"},
      {"exit 0", Kind::committed, "", R"({"exit":0,"output":""})"},
      {"echo first; echo 'not now' >&2; echo; exit 75", Kind::failed,
       "the command asks to try again later (exit status 75): not now", R"({"exit":75,"output":"first\nnot now\n\n"})"},
      {"exit 75", Kind::failed, "the command asks to try again later (exit status 75)", R"({"exit":75,"output":""})"},
      {"printf 'a\\tb'; exit 1", Kind::failed, "the command ended with exit status 1: a b",
       R"({"exit":1,"output":"a\tb"})"},
      {"exit 255", Kind::failed, "the command ended with exit status 255", R"({"exit":255,"output":""})"},
      {"echo working; kill -KILL $$", Kind::in_doubt, "the command was ended by signal 9 (Killed): working",
       R"({"signal":9,"output":"working\n"})"},
  };
  for (const auto& row : rows) {
    const auto answer = answer_of(shell(row.script));
    EXPECT_EQ(answer.kind, row.kind) << row.script;
    EXPECT_EQ(answer.error, row.error);
    EXPECT_EQ(answer.evidence, row.evidence);
  }
}

TEST_F(ExecProviderTest, WhatCannotBeStartedIsAFaultOfTheProvider) {
  const auto plain = (folder_ / "plain").string();
  std::ofstream(plain) << "no program";
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"/nowhere/at/all", "cannot start /nowhere/at/all: No such file or directory"},
      {"no-such-command-at-all", "cannot start no-such-command-at-all: No such file or directory"},
      {plain, "cannot start " + plain + ": Permission denied"},
      {folder_.string(), "cannot start " + folder_.string() + ": Permission denied"},
  };
  for (const auto& [program, error] : rows) {
    const auto answer = answer_of({program});
    EXPECT_EQ(answer.kind, Kind::faulty) << program;
    EXPECT_FALSE(answer.may_have_landed);
    EXPECT_EQ(answer.error, error);
    EXPECT_EQ(answer.evidence, "");
  }
  // Without an interpreter line: it isn't given to a shell either.
  std::filesystem::permissions(plain, std::filesystem::perms::owner_all);
  EXPECT_EQ(answer_of({plain}).error, "cannot start " + plain + ": Exec format error");
}

TEST_F(ExecProviderTest, NoMoreDescriptorsIsNoFaultOfTheProvider) {
  const auto provided = provider(shell("exit 0"));
  EXPECT_EQ(answer_of(*provided).kind, Kind::committed) << "the loop has all that it needs";
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const int lowest_free = ::dup(STDIN_FILENO);
  ::close(lowest_free);
  std::set<Kind> kinds;
  int free = 0;
  for (; free < 16 && !kinds.contains(Kind::committed); ++free) {
    const rlimit lowered{static_cast<rlim_t>(lowest_free + free), limit.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &lowered), 0);
    const auto answer = answer_of(*provided);
    kinds.insert(answer.kind);
    EXPECT_EQ(answer.error.empty(), answer.kind == Kind::committed) << answer.error;
  }
  ::setrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(kinds, (std::set<Kind>{Kind::committed, Kind::failed})) << "with " << free << " descriptors";
}

// --- What it writes --------------------------------------------------------------------------------------------------

TEST_F(ExecProviderTest, TheEndOfALongOutputIsKept) {
  const auto answer = answer_of(shell("head -c 10000000 /dev/zero | tr '\\0' x; echo; echo the end"), 60s, 1000);
  EXPECT_EQ(answer.kind, Kind::committed);
  EXPECT_EQ(output_of(answer), std::string(991, 'x') + "\nthe end\n");
}

TEST_F(ExecProviderTest, TheOutputNeedNoLineEnd) {
  EXPECT_EQ(output_of(answer_of({"printf", "no line end"})), "no line end");
}

TEST_F(ExecProviderTest, NoOutputIsKeptIfNoneIsWanted) {
  const auto answer = answer_of(shell("head -c 1000000 /dev/zero; exit 3"), 60s, 0);
  EXPECT_EQ(answer.evidence, R"({"exit":3,"output":""})");
  EXPECT_EQ(answer.error, "the command ended with exit status 3");
}

TEST_F(ExecProviderTest, BinaryOutputIsMadeUtf8AndStaysWithinItsBound) {
  EXPECT_EQ(output_of(answer_of(shell(R"(printf 'a\377b\000c')"))), std::string("a\uFFFD"
                                                                                "b\0c",
                                                                                7));
  const auto answer = answer_of(shell("head -c 100000 /dev/zero | tr '\\0' '\\377'; exit 1"), 60s, 1000);
  const std::string output = output_of(answer);
  EXPECT_EQ(output.size(), 999U) << "whole characters";
  EXPECT_EQ(output.substr(0, 6), "\uFFFD\uFFFD");
  // A character that the bound would cut is left out.
  EXPECT_EQ(output_of(answer_of({"printf", "äöü"}, 60s, 5)), "öü");
  EXPECT_EQ(output_of(answer_of({"printf", "äöü"}, 60s, 4)), "öü");
  EXPECT_EQ(output_of(answer_of({"printf", "äöü"}, 60s, 3)), "ü");
}

TEST_F(ExecProviderTest, ALongLineIsShortenedInTheError) {
  const auto answer = answer_of(shell("head -c 5000 /dev/zero | tr '\\0' x; exit 1"));
  EXPECT_EQ(answer.error, "the command ended with exit status 1: " + std::string(512, 'x'));
}

TEST_F(ExecProviderTest, ClosingItsOutputIsNoEnd) {
  const auto answer = answer_of(shell("echo before; exec >&- 2>&-; sleep 0.2; exit 4"));
  EXPECT_EQ(answer.evidence, R"({"exit":4,"output":"before\n"})");
}

// --- Time, and what is left ------------------------------------------------------------------------------------------

TEST_F(ExecProviderTest, ItIsAskedToEndAtTheTimeout) {
  const auto answer = answer_of(shell("trap 'echo told; exit 0' TERM; while :; do sleep 0.01; done"), 1s);
  EXPECT_EQ(answer.kind, Kind::in_doubt) << "whatever it says of itself then";
  EXPECT_EQ(answer.error, "the command had not ended after 1000 ms, and was ended: told");
  EXPECT_EQ(evidence_of(answer).at("exit"), 0);
}

TEST_F(ExecProviderTest, ItsWholeGroupIsAskedToEnd) {
  // It waits for its child, which alone listens.
  const auto answer =
      answer_of(shell("trap : TERM; sh -c 'trap \"echo child told; exit\" TERM; while :; do sleep 0.01; done' & "
                      "while kill -0 $! 2>/dev/null; do wait; done; exit 0"),
                1s);
  EXPECT_EQ(answer.kind, Kind::in_doubt);
  EXPECT_EQ(evidence_of(answer).at("exit"), 0);
  EXPECT_NE(output_of(answer).find("child told\n"), std::string::npos) << output_of(answer);
}

TEST_F(ExecProviderTest, ItIsEndedIfItDoesNotListen) {
  const auto begun = std::chrono::steady_clock::now();
  const auto answer = answer_of(shell("trap '' TERM; echo $$; while :; do sleep 60; done"), 1s);
  EXPECT_EQ(answer.kind, Kind::in_doubt);
  EXPECT_EQ(evidence_of(answer).at("signal"), 9);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s) << "no longer than the timeout again";
  EXPECT_TRUE(is_gone(std::stoi(output_of(answer)))) << "reaped before the answer";
}

TEST_F(ExecProviderTest, NothingOfTheGroupIsLeftAfterTheDeadline) {
  // The grandchild doesn't listen, and holds the output open.
  const auto answer =
      answer_of(shell("sh -c 'trap \"\" TERM; echo $$; while :; do sleep 60; done' & echo $$; wait"), 1s);
  EXPECT_EQ(answer.kind, Kind::in_doubt);
  const Words processes = lines_of(output_of(answer));
  ASSERT_EQ(processes.size(), 2U);
  for (const auto& process : processes) EXPECT_TRUE(run_until([&] { return is_gone(std::stoi(process)); })) << process;
}

TEST_F(ExecProviderTest, NothingOfTheGroupIsLeftAfterTheCommand) {
  const auto begun = std::chrono::steady_clock::now();
  const auto answer = answer_of(shell("(trap '' TERM HUP; while :; do sleep 60; done) & echo $!; exit 0"));
  EXPECT_EQ(answer.kind, Kind::committed);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 20s) << "the end of the output isn't waited for";
  const auto process = std::stoi(output_of(answer));
  EXPECT_TRUE(run_until([&] { return is_gone(process); }));
}

TEST_F(ExecProviderTest, AProcessThatLeftTheGroupHoldsUpNothing) {
  const auto written = folder_ / "written";
  const auto answer = answer_of(shell("setsid sh -c 'echo $$ > " + written.string() + "; exec yes' & until [ -s " +
                                      written.string() + " ]; do sleep 0.01; done; exit 0"),
                                60s, 100);
  EXPECT_EQ(answer.kind, Kind::committed);
  const auto process = std::stoi(content_of(written));
  ::kill(process, SIGKILL);
  EXPECT_TRUE(run_until([&] { return is_gone(process); }));
}

TEST_F(ExecProviderTest, FiftyRunAtOnce) {
  answer_of(shell("exit 0"));  // the loop has all that it needs
  const std::size_t descriptors = open_descriptors();
  // Each ends only once all have begun.
  const auto all = folder_.string();
  const auto provided = provider(shell("touch " + all + "/$TIDEMARK_SESSION; until [ -e " + all +
                                       "/go ]; do sleep 0.2; done; echo $TIDEMARK_SESSION"));
  std::set<std::string> answered;
  for (int number = 0; number < 50; ++number) {
    auto request = example_request();
    request.session = "session-" + std::to_string(number);
    commit(*provided, request, [&answered, session = request.session](const ProviderAnswer& answer) {
      EXPECT_EQ(answer.kind, Kind::committed) << answer.error;
      EXPECT_EQ(output_of(answer), session + "\n");
      answered.insert(session);
    });
  }
  EXPECT_TRUE(run_until([&] {
    const std::filesystem::directory_iterator files(folder_);
    return std::distance(begin(files), end(files)) == 50;
  }));
  EXPECT_TRUE(answered.empty());
  std::ofstream(folder_ / "go") << "";
  EXPECT_TRUE(run_until([&] { return answered.size() == 50; }));
  EXPECT_EQ(open_descriptors(), descriptors);
}

TEST_F(ExecProviderTest, ItsEndEndsWhatIsUnderWay) {
  auto provided = provider(shell("trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > $0; while :; do sleep 60; done' " +
                                 folder_.string() + "/$TIDEMARK_SESSION & echo $$ > " + folder_.string() +
                                 "/$TIDEMARK_SESSION-leader; wait"));
  Words files;
  for (const std::string session : {"one", "two", "three"}) {
    auto request = example_request();
    request.session = session;
    commit(*provided, request, [](const auto&) { ADD_FAILURE() << "answered"; });
    files.push_back(session);
    files.push_back(session + "-leader");
  }
  EXPECT_TRUE(run_until([&] {
    return std::all_of(files.begin(), files.end(),
                       [&](const auto& file) { return content_of(folder_ / file).ends_with('\n'); });
  }));
  const auto begun = std::chrono::steady_clock::now();
  provided.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 2s);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "reaped";
  for (const auto& file : files) {
    const auto process = std::stoi(content_of(folder_ / file));
    // Killed processes take a moment; if it isn't so, nothing of this test stays all the same.
    if (!run_until([&] { return is_gone(process); }, 5s)) {
      ADD_FAILURE() << file;
      ::kill(process, SIGKILL);
    }
  }
  io_.restart();
  io_.poll();
}

TEST_F(ExecProviderTest, AnEndedOneAnswersNobody) {
  auto provided = provider({"/nowhere/at/all"});
  commit(*provided, example_request(), [](const auto&) { ADD_FAILURE() << "answered"; });
  provided.reset();
  io_.poll();
  auto quick = provider(shell("exit 0"));
  commit(*quick, example_request(), [](const auto&) { ADD_FAILURE() << "answered"; });
  quick.reset();
  io_.restart();
  io_.poll();
}

TEST_F(ExecProviderTest, ACompletionMayEndIt) {
  for (const auto& command : {shell("exit 0"), Words{"/nowhere/at/all"}}) {
    auto provided = provider(command);
    bool answered = false;
    commit(*provided, example_request(), [&](const auto&) {
      provided.reset();
      answered = true;
    });
    EXPECT_TRUE(run_until([&] { return answered; }));
  }
}

}  // namespace
}  // namespace tidemark::daemon
