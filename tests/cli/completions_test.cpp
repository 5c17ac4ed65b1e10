// The completions know exactly the commands and options that the program has; and those for bash do as they should.
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <regex>

#include "cli/commands.h"
#include "tests/cli/help.h"
#include "tests/cli/program.h"

namespace tidemark::cli {
namespace {

std::string completion_file(std::string const& name) {
  return content_of(TIDEMARK_SOURCE "/cli/completions/" + name);
}

std::string between(std::string const& text, std::string const& begin, std::string const& end) {
  auto const from = text.find(begin);
  if (from == std::string::npos) return {};
  return text.substr(from, text.find(end, from) - from);
}

Words command_names() {
  Words names;
  for (auto const& command : commands()) names.emplace(command.name);
  return names;
}

// Options of a command that stand everywhere aren't among its own.
Words own_options_of(std::string_view command) {
  auto options = options_of(command).all;
  options.erase("--help");
  return options;
}

Words everywhere() {
  auto options = options_of("").all;
  options.erase("--version");
  return options;
}

TEST(ZshCompletion, KnowsEveryCommandAndOption) {
  auto const text = completion_file("_tidemark");
  EXPECT_EQ(matches(text, R"(\n +['"]([a-z]+):[a-z][^\n]*['"](?=\n))"), command_names());
  std::string const option = R"(\*?(--[a-z-]+)\[)";
  EXPECT_EQ(matches(between(text, "_tidemark_everywhere=(", "\n)"), R"((--[a-z-]+)\[)"), everywhere());
  EXPECT_EQ(matches(between(text, "\n_tidemark() {", "\n}"), option), Words{"--version"});
  for (auto const& command : command_names()) {
    auto const section = between(text, "_tidemark_command_" + command + "() {", "\n}");
    EXPECT_NE(section.find("$_tidemark_everywhere"), std::string::npos) << command;
    EXPECT_EQ(matches(section, option), own_options_of(command)) << command;
  }
}

TEST(FishCompletion, KnowsEveryCommandAndOption) {
  auto const text = completion_file("tidemark.fish");
  EXPECT_EQ(matches(text, "-n __tidemark_before_command -a ([a-z]+) "), command_names());
  EXPECT_EQ(matches(text, "complete -c tidemark -l ([a-z-]+) "), (Words{"help", "socket", "json", "uid"}));
  EXPECT_EQ(everywhere(), (Words{"--help", "--socket", "--json", "--uid"}));
  for (auto const& command : command_names()) {
    Words options;
    for (auto const& name : matches(text, "'__tidemark_at " + command + "' -l ([a-z-]+)")) options.insert("--" + name);
    EXPECT_EQ(options, own_options_of(command)) << command;
  }
}

class BashCompletion : public CommandTest {
 protected:
  BashCompletion() {
    std::string const rest =
        R"(","uid":0,"generation":1,"watermark":0,"accepted":0,"uncommitted":1,"in_flight":false,"agent":null,)"
        R"("turns_open":0,"last_turn_at":null})";
    daemon.answers("session.list", {R"({"sessions":[{"session":"chat-1)" + rest + R"(,{"session":"chat-2)" + rest +
                                    R"(,{"session":"two words)" + rest + R"(,{"session":"$(touch touched))" + rest +
                                    R"(,{"session":"q\"x)" + rest + "]}"});
  }

  // What is offered for the last of `words`, which follow the program's name.
  Words complete(std::vector<std::string> words) {
    auto const script = folder.path() + "/script";
    auto const printed = folder.path() + "/printed";
    {
      std::ofstream file(script);
      file << "cd " << folder.path() << "\nPATH=" << std::filesystem::path(TIDEMARK_PROGRAM).parent_path().string()
           << ":$PATH\nsource " TIDEMARK_SOURCE "/cli/completions/tidemark.bash\nCOMP_WORDS=(tidemark";
      for (auto const& word : words) file << ' ' << shell_word(word);
      file << ")\nCOMP_CWORD=" << words.size() << "\n_tidemark\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n";
    }
    ::setenv("TIDEMARK_SOCKET", socket.c_str(), 1);
    int const status =
        std::system(("bash --norc --noprofile " + script + " > " + printed + " 2>&1 </dev/null").c_str());
    ::unsetenv("TIDEMARK_SOCKET");
    EXPECT_EQ(status, 0) << content_of(printed);
    std::ifstream lines(printed);
    Words offered;
    for (std::string line; std::getline(lines, line);)
      if (!line.empty()) offered.insert(line);
    return offered;
  }
};

Words const sessions{"chat-1", "chat-2", R"(two\ words)", R"(\$\(touch\ touched\))"};

TEST_F(BashCompletion, KnowsEveryCommandAndOption) {
  EXPECT_EQ(complete({""}), command_names());
  EXPECT_EQ(complete({"-"}), options_of("").all);
  for (auto const& command : command_names()) {
    auto options = own_options_of(command);
    options.merge(everywhere());
    EXPECT_EQ(complete({command, "--"}), options) << command;
  }
}

TEST_F(BashCompletion, KnowsWhichOptionsTakeAValue) {
  for (auto const& command : command_names()) {
    for (auto const& option : options_of(command).with_value) {
      if (option == "--exec") continue;
      EXPECT_EQ(complete({option, "show", "show", ""}), sessions) << option << " has show for its value";
    }
  }
  for (auto const& option : options_of("").with_value) {
    if (option == "--socket") continue;
    EXPECT_EQ(complete({option, "show", "show", ""}), sessions) << option;
  }
}

TEST_F(BashCompletion, OffersSessionsWhereASessionIsMeant) {
  EXPECT_EQ(complete({"show", ""}), sessions);
  EXPECT_EQ(sent("session.list"), R"({"limit":1000})");
  EXPECT_EQ(complete({"show", "chat"}), (Words{"chat-1", "chat-2"}));
  EXPECT_EQ(complete({"show", R"(two\ )"}), Words{R"(two\ words)"});
  EXPECT_EQ(complete({"show", "chat-1", ""}), Words{});
  EXPECT_EQ(complete({"rotate", "chat-1", "chat"}), (Words{"chat-1", "chat-2"}));
  EXPECT_EQ(complete({"watch", "a", "b", ""}), sessions);
  EXPECT_EQ(complete({"agent", "me", "--session", ""}), sessions);
  EXPECT_EQ(complete({"retry", ""}), sessions);
  EXPECT_EQ(sent("session.list"), R"({"filter":"stuck","limit":1000})");
  EXPECT_EQ(complete({"--json", "commit", "--wait", ""}), sessions);
  EXPECT_EQ(sent("session.list"), R"({"filter":"dirty","limit":1000})");
  EXPECT_FALSE(std::filesystem::exists(folder.path() + "/touched")) << "a name was run";
}

TEST_F(BashCompletion, OffersProvidersWhereOneIsMeant) {
  daemon.answers("daemon.status",
                 {R"({"version":"0.1.0","instance":"i","uptime_ms":1,"schema":1,"sessions":1,"dirty":1,"due":0,)"
                  R"("in_flight":0,"confirming":0,"stalled":0,"in_doubt":0,"orphaned":0,"stuck":0,"agents_online":0,)"
                  R"("providers":[{"name":"memory","kind":"exec","state":"paused","error":"\"name\":\"no\"",)"
                  R"("since":"2026-01-01T00:00:00.000Z"},{"name":"my hook","kind":"http","state":"ok",)"
                  R"("since":"2026-01-01T00:00:00.000Z"}],"journal":{"healthy":true,"bytes":1},)"
                  R"("recovered":{"sessions":0,"generations":0,"in_doubt":0}})"});
  for (std::string const command : {"pause", "resume"}) {
    EXPECT_EQ(complete({command, ""}), (Words{"memory", R"(my\ hook)"}));
    EXPECT_EQ(complete({command, "me"}), Words{"memory"});
    EXPECT_EQ(complete({command, "--reason", "x", "me"}), Words{"memory"});
    EXPECT_EQ(complete({command, "memory", ""}), Words{});
  }
}

TEST_F(BashCompletion, IsSilentWithoutADaemonAndQuickWithOneThatIsStuck) {
  EXPECT_EQ(complete({"--socket", folder.path() + "/none", "show", ""}), Words{});
  daemon.holds("session.list");
  EXPECT_EQ(complete({"show", ""}), Words{});
}

TEST_F(BashCompletion, OffersWords) {
  EXPECT_EQ(complete({"co"}), (Words{"complete", "commit"}));
  EXPECT_EQ(complete({"drain", "--scope", ""}), (Words{"connection", "user", "all"}));
  Words types;
  for (auto const& [type, word] : ipc::EnumWords<ipc::EventType>::rows)
    if (type != ipc::EventType::watch_overflow) types.emplace(word);
  EXPECT_EQ(complete({"watch", "--type", ""}), types);
  EXPECT_TRUE(complete({"agent", "me", "--exec", "bas"}).contains("bash"));
}

TEST(Completion, OfTypesOfEventsIsTheSameInAllShells) {
  for (auto const& [type, word] : ipc::EnumWords<ipc::EventType>::rows) {
    if (type == ipc::EventType::watch_overflow) continue;
    for (char const* const file : {"_tidemark", "tidemark.fish"})
      EXPECT_TRUE(std::regex_search(completion_file(file), std::regex("[ ']" + std::string(word) + "[ '\\n]")))
          << file << " " << word;
  }
}

}  // namespace
}  // namespace tidemark::cli
