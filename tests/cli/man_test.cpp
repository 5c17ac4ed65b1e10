// The man pages know exactly the commands, options and keys that there are.
#include <stdlib.h>

#include <fstream>
#include <map>
#include <regex>

#include "cli/commands.h"
#include "tests/cli/help.h"
#include "tests/cli/program.h"

namespace tidemark::cli {
namespace {

std::string page(std::string const& name) {
  return content_of(TIDEMARK_SOURCE "/docs/man/" + name);
}

Words options_named(std::string const& text) {
  Words options;
  for (auto const& name : matches(text, "Fl -([a-z-]+)")) options.insert("--" + name);
  return options;
}

// The pieces of `text` that begin with a match of `pattern`, by its first group.
std::map<std::string, std::string> pieces(std::string const& text, std::string const& pattern) {
  std::map<std::string, std::string> found;
  std::regex const regex(pattern);
  std::smatch match;
  for (auto at = text.begin(); std::regex_search(at, text.end(), match, regex);) {
    auto const begin = match[0].second;
    std::smatch next;
    auto const end = std::regex_search(begin, text.end(), next, regex) ? next[0].first : text.end();
    found[match[1]] = std::string(begin, end);
    at = begin;
  }
  return found;
}

TEST(ManPage, OfTheCommandKnowsEveryCommandAndOption) {
  auto const text = page("tidemark.1");
  EXPECT_EQ(options_named(text.substr(0, text.find(".Sh COMMANDS"))), options_of("").all);
  auto listed = text.substr(text.find(".Sh COMMANDS"));
  listed = listed.substr(0, listed.find(".Sh ENVIRONMENT"));
  auto const described = pieces(listed, R"(\n(?:\.It|\.It Xo\n\.)\s*Cm ([a-z]+)(?=[ \n]))");
  Words names;
  for (auto const& command : commands()) {
    std::string const name(command.name);
    names.insert(name);
    ASSERT_TRUE(described.contains(name)) << name;
    auto options = options_of(name).all;
    options.erase("--help");
    auto told = options_named(described.at(name));
    told.erase("--json");  // of every command, and mentioned where it matters
    EXPECT_EQ(told, options) << name;
  }
  Words listed_names;
  for (auto const& [name, piece] : described) listed_names.insert(name);
  EXPECT_EQ(listed_names, names);
}

TEST(ManPage, OfTheDaemonKnowsEveryOption) {
  TemporaryFolder const folder;
  auto const help = folder.path() + "/help";
  ASSERT_EQ(std::system((TIDEMARKD_PROGRAM " --help > " + help).c_str()), 0);
  auto const options = options_in(content_of(help)).all;
  EXPECT_TRUE(options.contains("--state-dir"));
  EXPECT_EQ(options_named(page("tidemarkd.8")), options);
}

TEST(ManPage, OfTheConfigurationKnowsEveryKey) {
  std::map<std::string, Words> keys;
  std::string const rows = content_of(TIDEMARK_SOURCE "/daemon/config_keys.cpp");
  std::regex const row(R"re(\n +\{"([a-z]+)", "([a-z_]+)", (?:all|each),)re");
  for (std::sregex_iterator found(rows.begin(), rows.end(), row), end; found != end; ++found)
    keys[(*found)[1]].insert((*found)[2]);
  EXPECT_GE(keys.size(), 6U) << "the table is read";
  keys["users"];  // has others' keys
  keys["providers"] = matches(content_of(TIDEMARK_SOURCE "/daemon/config_providers.cpp"),
                              R"re(\{"([a-z_]+)", (?:required|optional),)re");
  EXPECT_GE(keys["providers"].size(), 20U) << "the tables are read";
  keys["providers"].insert("kind");
  std::map<std::string, Words> described;
  for (auto const& [section, text] : pieces(page("tidemarkd.toml.5"), R"(\n\.Ss \[([a-z]+)(?:\.NAME)?\])"))
    described[section] = matches(text, R"(\n\.It Cm ([a-z_]+) No =)");
  EXPECT_EQ(described, keys);
}

// No man pages, but their readers copy from them too.
TEST(Pages, ShowExamplesThatTheDaemonTakes) {
  TemporaryFolder const folder;
  auto const file = folder.path() + "/tidemarkd.toml";
  for (std::string const page : {"configuration.md", "providers.md"}) {
    auto const text = content_of(TIDEMARK_SOURCE "/docs/" + page);
    int examples = 0;
    for (std::size_t begin = 0; (begin = text.find("```toml\n", begin)) != std::string::npos; ++examples) {
      begin += 8;
      std::ofstream(file) << text.substr(begin, text.find("```\n", begin) - begin);
      EXPECT_EQ(std::system((TIDEMARKD_PROGRAM " --check-config --config " + file).c_str()), 0) << content_of(file);
    }
    EXPECT_GE(examples, 3) << page;
  }
}

TEST(ManPage, IsCleanMdoc) {
  if (std::system("command -v mandoc >/dev/null") != 0) GTEST_SKIP() << "mandoc is not installed";
  for (std::string const name : {"tidemark.1", "tidemarkd.8", "tidemarkd.toml.5"})
    EXPECT_EQ(std::system(("cd " TIDEMARK_SOURCE "/docs/man && mandoc -T lint -W style " + name).c_str()), 0) << name;
}

}  // namespace
}  // namespace tidemark::cli
