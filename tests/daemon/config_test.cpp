// The configuration file: every key and where it goes, the users, and every complaint.
#include "daemon/config.h"

#include <sstream>

#include "daemon/config_keys.h"
#include "tests/daemon/config_fixture.h"

namespace tidemark::daemon {
namespace {

using namespace std::chrono_literals;
// Everything that a configuration says, so that two can be compared and the difference read.
std::string described(const store::UserPolicy& policy, const UserTimes& times, const Limits& limits) {
  std::ostringstream text;
  text << " timeout=" << toml_text(times.commit_timeout) << " orphan_grace=" << toml_text(times.orphan_grace)
       << " turn_timeout=" << toml_text(policy.commit.turn_timeout) << " idle=" << toml_text(policy.commit.idle)
       << " turns=" << policy.commit.uncommitted_turns_max << " age=" << toml_text(policy.commit.uncommitted_age_max)
       << " dirty=" << policy.dirty_sessions_max << " segments=" << policy.segments_max
       << " frame=" << limits.frame_bytes_max << " connections=" << limits.connections
       << " of_user=" << limits.connections_per_user << " waiting=" << limits.waiting_calls
       << " queue=" << limits.watch_queue;
  return text.str();
}

std::string described(const Config& config) {
  const store::Policies& policies = config.policies;
  std::ostringstream text;
  text << "socket=" << config.socket << " mode=" << std::oct << config.socket_mode << std::dec
       << " state_dir=" << config.state_dir << " log=" << config.log_level
       << " drain=" << toml_text(config.drain_deadline) << " admins=" << config.admin_group
       << " full=" << (config.synchronous == store::Synchronous::full)
       << " initial=" << toml_text(policies.retry.initial) << " max=" << toml_text(policies.retry.max)
       << " jitter=" << policies.retry.jitter << " attempts=" << policies.retry.attempts
       << " history=" << toml_text(policies.retention.history) << " rows=" << policies.retention.history_rows
       << " sessions=" << toml_text(policies.retention.sessions) << " turn_ids=" << policies.retention.turn_ids
       << " agents=" << toml_text(policies.retention.agents)
       << described(policies.everybody, {config.commit_timeout, config.orphan_grace}, config.limits);
  for (const auto& [uid, policy] : policies.users) {
    text << "\n" << uid << described(policy, config.user_times.at(uid), config.user_limits.at(uid));
  }
  return text.str();
}

// --- What is taken ---------------------------------------------------------------------------------------------------

TEST_F(ConfigTest, AnEmptyFileIsTheDefaults) {
  EXPECT_EQ(described(config_of("")), described(default_config()));
  EXPECT_EQ(described(config_of("# nothing\n[commit]\n[users]\n")), described(default_config()));
}

TEST_F(ConfigTest, TheDefaultsAreTheDocumentedOnes) {
  const std::string defaults = R"(
[daemon]
log_level = "info"
drain_deadline = "30s"
admin_group = ""
[journal]
synchronous = "full"
[commit]
timeout = "120s"
orphan_grace = "30s"
turn_timeout = "6h"
idle = "30m"
max_uncommitted_turns = 0
max_uncommitted_age = "off"
[retry]
initial = "5s"
max = "10m"
jitter = 0.2
attempts = 0
[retention]
history = "90d"
history_rows = 1000000
sessions = "off"
turn_ids = 64
agents = "1d"
[limits]
max_frame_bytes = 1048576
connections = 16384
connections_per_user = 12288
waiting_calls = 1024
dirty_sessions_per_user = 2000000
segments_per_session = 4096
watch_queue = 10000
)";
  EXPECT_EQ(described(config_of(defaults)), described(default_config()));
}

// One value a key, none of them the default.
const std::string every_key = R"(
[daemon]
socket = "/somewhere/socket"
socket_mode = "0660"
state_dir = "/somewhere/state"
log_level = "debug"
drain_deadline = "5s"
admin_group = "root"
[journal]
synchronous = "normal"
[commit]
timeout = "2m"
orphan_grace = "0s"
turn_timeout = "7h"
idle = "1500ms"
max_uncommitted_turns = 20
max_uncommitted_age = "2d"
[retry]
initial = "6s"
max = "11m"
jitter = 0.3
attempts = 8
[retention]
history = "off"
history_rows = 9
sessions = "30d"
turn_ids = 65
agents = "36h"
[limits]
max_frame_bytes = 20000
connections = 11
connections_per_user = 12
waiting_calls = 13
dirty_sessions_per_user = 14
segments_per_session = 15
watch_queue = 16
[metrics]
listen = "[::1]:9464"
)";

TEST_F(ConfigTest, EveryKeyGoesToItsPlace) {
  EXPECT_EQ(described(config_of(every_key)),
            "socket=/somewhere/socket mode=660 state_dir=/somewhere/state log=debug drain=5s admins=root full=0 "
            "initial=6s max=11m jitter=0.3 attempts=8 history=0s rows=9 sessions=30d turn_ids=65 agents=36h "
            "timeout=2m orphan_grace=0s turn_timeout=7h idle=1500ms turns=20 age=2d dirty=14 segments=15 frame=20000 "
            "connections=11 of_user=12 waiting=13 queue=16");
  const auto metrics = config_of(every_key).metrics_listen;
  ASSERT_TRUE(metrics);
  EXPECT_EQ(metrics->address, "::1");
  EXPECT_EQ(metrics->port, 9464);
}

TEST_F(ConfigTest, NoKeyIsMissingFromTheseTests) {
  const toml::table table = toml::parse(every_key);
  for (const ConfigKey& key : config_keys())
    EXPECT_TRUE(table[key.section][key.name]) << key.section << "." << key.name;
}

TEST_F(ConfigTest, AKeyMayBeWrittenWithItsSectionBeforeIt) {
  EXPECT_EQ(config_of("commit.timeout = '5s'\nretry = {jitter = 1}").commit_timeout, 5s);
}

struct Edges {
  std::string section;
  std::string key;
  std::string least;
  std::string most;
  std::vector<std::string> refused;
};

TEST_F(ConfigTest, RangesIncludeTheirEnds) {
  const std::string year = "'365d'";
  const std::vector<Edges> rows = {
      {"daemon", "socket_mode", "'000'", "'0777'", {"'1000'", "'0800'", "'07777'", "'66'", "'-66'", "'06x0'", "''"}},
      {"daemon", "drain_deadline", "'0s'", "'24h'", {"'-1s'", "'86401s'", "'off'"}},
      {"commit", "timeout", "'1s'", "'24h'", {"'999ms'", "'86400001ms'", "'off'"}},
      {"commit", "orphan_grace", "'0ms'", "'1d'", {"'-1ms'", "'25h'", "'off'"}},
      {"commit", "turn_timeout", "'10ms'", year, {"'9ms'", "'0s'", "'366d'"}},
      {"commit", "idle", "'10ms'", year, {"'9ms'", "'0s'", "'366d'"}},
      {"commit", "max_uncommitted_turns", "0", "1000000000", {"-1", "1000000001", "1.5", "'off'"}},
      {"commit", "max_uncommitted_age", "'10ms'", year, {"'9ms'", "'366d'"}},
      {"retry", "initial", "'10ms'", "'10m'", {"'9ms'", "'25h'", "'off'"}},
      {"retry", "max", "'5s'", "'24h'", {"'9ms'", "'25h'", "'off'"}},
      {"retry", "jitter", "0", "1.0", {"-0.1", "1.01", "nan", "inf", "'0.2'"}},
      {"retry", "attempts", "0", "1000000", {"-1", "1000001"}},
      {"retention", "history", "'1s'", "'3650d'", {"'999ms'", "'3651d'"}},
      {"retention", "history_rows", "1", "1000000000", {"0", "1000000001"}},
      {"retention", "sessions", "'1s'", "'3650d'", {"'999ms'", "'3651d'"}},
      {"retention", "turn_ids", "0", "1000000", {"-1", "1000001"}},
      {"retention", "agents", "'1s'", "'3650d'", {"'999ms'", "'3651d'"}},
      {"limits", "max_frame_bytes", "16384", "67108864", {"16383", "67108865"}},
      {"limits", "connections", "1", "1000000", {"0", "1000001"}},
      {"limits", "connections_per_user", "1", "1000000", {"0", "1000001"}},
      {"limits", "waiting_calls", "1", "1000000", {"0", "1000001"}},
      {"limits", "dirty_sessions_per_user", "1", "1000000000", {"0", "1000000001"}},
      {"limits", "segments_per_session", "1", "1000000000", {"0", "1000000001"}},
      {"limits", "watch_queue", "1", "1000000", {"0", "1000001"}},
  };
  for (const Edges& row : rows) {
    const std::string line = "[" + row.section + "]\n" + row.key + " = ";
    config_of(line + row.least);
    config_of(line + row.most);
    for (const std::string& value : row.refused) {
      const Texts problems = problems_of(line + value);
      ASSERT_EQ(problems.size(), 1U) << line << value;
      EXPECT_EQ(problems[0].find("2: " + row.section + "." + row.key + ": found "), 0U) << problems[0];
    }
  }
}

TEST_F(ConfigTest, OffIsZeroWhereItMakesSense) {
  const Config config = config_of(R"(
[commit]
turn_timeout = "off"
idle = "off"
[retention]
history = "off"
agents = "off"
)");
  EXPECT_EQ(config.policies.everybody.commit.turn_timeout, 0s);
  EXPECT_EQ(config.policies.everybody.commit.idle, 0s);
  EXPECT_EQ(config.policies.retention.history, 0s);
  EXPECT_EQ(config.policies.retention.agents, 0s);
}

TEST_F(ConfigTest, EveryLogLevelIsTaken) {
  for (const std::string level : {"trace", "debug", "info", "warn", "error"}) {
    EXPECT_EQ(config_of("[daemon]\nlog_level = '" + level + "'").log_level, level);
  }
}

// --- Users -----------------------------------------------------------------------------------------------------------

TEST_F(ConfigTest, AUserHasHisOwnValuesAndOtherwiseEverybodys) {
  const Config config = config_of(R"(
[users.root]
timeout = "7s"
waiting_calls = 3
segments_per_session = 4
[users.4711]
orphan_grace = "8s"
idle = "off"
connections_per_user = 5
[commit]
timeout = "9s"
max_uncommitted_turns = 6
[limits]
watch_queue = 77
)");
  EXPECT_EQ(config.times_of(0).commit_timeout, 7s);
  EXPECT_EQ(config.times_of(0).orphan_grace, 30s);
  EXPECT_EQ(config.limits_of(0).waiting_calls, 3);
  EXPECT_EQ(config.limits_of(0).connections_per_user, 12288);
  EXPECT_EQ(config.limits_of(0).watch_queue, 77) << "everybody's, though the section stands further down";
  EXPECT_EQ(config.policies.of(0).segments_max, 4);
  EXPECT_EQ(config.policies.of(0).commit.uncommitted_turns_max, 6);

  EXPECT_EQ(config.times_of(4711).commit_timeout, 9s);
  EXPECT_EQ(config.times_of(4711).orphan_grace, 8s);
  EXPECT_EQ(config.limits_of(4711).connections_per_user, 5);
  EXPECT_EQ(config.policies.of(4711).commit.idle, 0s);
  EXPECT_EQ(config.policies.of(4711).segments_max, 4096) << "one user's section says nothing of another";

  EXPECT_EQ(config.times_of(4712).commit_timeout, 9s);
  EXPECT_EQ(config.times_of(4712).orphan_grace, 30s);
  EXPECT_EQ(config.limits_of(4712).waiting_calls, 1024);
  EXPECT_EQ(config.policies.of(4712).commit.idle, 30min);
}

TEST_F(ConfigTest, EveryKeyOfCommitAndLimitsButOneIsAUsersToo) {
  for (const ConfigKey& key : config_keys()) {
    const bool expected = (key.section == "commit" || key.section == "limits") && key.name != "connections";
    EXPECT_EQ(key.per_user, expected) << key.section << "." << key.name;
  }
}

// --- What is refused -------------------------------------------------------------------------------------------------

TEST_F(ConfigTest, ComplaintsNameTheKeyAndSayWhatIsExpected) {
  const std::string duration = R"(expected a duration such as "500ms", "30s", "5m", "6h" or "90d")";
  const std::string address = R"(expected an IP address and a port, such as "127.0.0.1:9464" or "[::1]:9464")";
  const std::string user_keys =
      "timeout, orphan_grace, turn_timeout, idle, max_uncommitted_turns, max_uncommitted_age, max_frame_bytes, "
      "connections_per_user, waiting_calls, dirty_sessions_per_user, segments_per_session, watch_queue";
  const std::vector<std::pair<std::string, std::string>> rows = {
      // Types and forms.
      {"[commit]\ntimeout = 30", "2: commit.timeout: found the integer 30, " + duration},
      {"[commit]\ntimeout = 1.5", "2: commit.timeout: found the number 1.5, " + duration},
      {"[commit]\nidle = true", R"(2: commit.idle: found true, )" + duration + R"(, or "off")"},
      {"[commit]\ntimeout = '30'", R"(2: commit.timeout: found the text "30", )" + duration},
      {"[commit]\ntimeout = '30 s'", R"(2: commit.timeout: found the text "30 s", )" + duration},
      {"[commit]\ntimeout = 's'", R"(2: commit.timeout: found the text "s", )" + duration},
      {"[commit]\ntimeout = '1h30m'", R"(2: commit.timeout: found the text "1h30m", )" + duration},
      {"[commit]\ntimeout = \"\\u0007\"", R"(2: commit.timeout: found the text "?", )" + duration},
      {"[commit]\ntimeout = 2026-01-01", "2: commit.timeout: found a date or time, " + duration},
      {"[commit]\nmax_uncommitted_turns = 'off'",
       R"(2: commit.max_uncommitted_turns: found the text "off", expected an integer, 0 to 1000000000)"},
      {"[retry]\njitter = [1]", "2: retry.jitter: found a list, expected a number, 0 to 1"},
      {"[retry.jitter]\nx = 1", "1: retry.jitter: found a section, expected a number, 0 to 1"},
      {"[daemon]\nsocket_mode = 600",
       R"(2: daemon.socket_mode: found the integer 600, expected permission bits as three or four octal digits in quotes, such as "0600")"},
      {"[daemon]\nlog_level = 'loud'",
       R"(2: daemon.log_level: found the text "loud", expected one of "trace", "debug", "info", "warn", "error")"},
      {"[journal]\nsynchronous = false", R"(2: journal.synchronous: found false, expected one of "full", "normal")"},
      {"[daemon]\nsocket = 'tidemark.sock'",
       R"(2: daemon.socket: found the text "tidemark.sock", expected an absolute path of at most 107 bytes)"},
      {"[daemon]\nstate_dir = \"/a\\u0000b\"",
       R"(2: daemon.state_dir: found the text "/a?b", expected an absolute path of at most 4000 bytes)"},
      {"[daemon]\nadmin_group = 0", "2: daemon.admin_group: found the integer 0, expected the name of a group"},
      {"[daemon]\nadmin_group = 'no-such-group'",
       R"(2: daemon.admin_group: this machine has no group "no-such-group")"},
      // Ranges.
      {"[commit]\ntimeout = '2d'", R"(2: commit.timeout: found the text "2d", expected 1s to 1d)"},
      {"[commit]\nidle = '1ms'", R"(2: commit.idle: found the text "1ms", expected 10ms to 365d, or "off")"},
      {"[commit]\ntimeout = '99999999999999999999d'",
       R"(2: commit.timeout: found the text "99999999999999999999d", expected 1s to 1d)"},
      {"[commit]\ntimeout = '9223372036854775807d'",
       R"(2: commit.timeout: found the text "9223372036854775807d", expected 1s to 1d)"},
      {"[limits]\nmax_frame_bytes = 1",
       "2: limits.max_frame_bytes: found the integer 1, expected an integer, 16384 to 67108864"},
      {"[retry]\ninitial = '20m'", "2: retry.max (10m) is shorter than retry.initial (20m)"},
      {"[retry]\ninitial = '9s'\nmax = '8s'", "3: retry.max (8s) is shorter than retry.initial (9s)"},
      {"[retry]\nmax = '1s'", "2: retry.max (1s) is shorter than retry.initial (5s)"},
      // Names.
      {"[commit]\ntimout = '3s'", R"(2: unknown key "timout" in [commit]; did you mean timeout?)"},
      {"[commit]\nattempts = 3", R"(2: unknown key "attempts" in [commit]; it belongs in [retry])"},
      {"[retry]\nunheard_of = 3",
       R"(2: unknown key "unheard_of" in [retry]; known are initial, max, jitter, attempts)"},
      {"[comit]\ntimeout = '3s'", R"(1: unknown section "comit"; did you mean commit?)"},
      {"[telemetry]",
       R"(1: unknown section "telemetry"; known are daemon, journal, commit, retry, retention, limits, metrics, )"
       "providers, users"},
      {"idle = '3s'", R"(1: unknown key "idle" outside of a section; it belongs in [commit])"},
      {"commit = 3", "1: commit: found the integer 3, expected a section"},
      {"[[commit]]", "1: commit: found a list, expected a section"},
      {"[metrics]\nlisten = 'localhost:9464'", "2: metrics.listen: found the text \"localhost:9464\", " + address},
      {"[metrics]\nlisten = '::1:9464'", "2: metrics.listen: found the text \"::1:9464\", " + address},
      {"[metrics]\nlisten = '127.0.0.1'", "2: metrics.listen: found the text \"127.0.0.1\", " + address},
      {"[metrics]\nlisten = '127.0.0.1:0'", "2: metrics.listen: found the text \"127.0.0.1:0\", " + address},
      {"[metrics]\nlisten = '127.0.0.1:70000'", "2: metrics.listen: found the text \"127.0.0.1:70000\", " + address},
      {"[metrics]\nlisten = 9464", "2: metrics.listen: found the integer 9464, " + address},
      // Users.
      {"[users.no-such-user]\nidle = '1m'", R"(1: [users.no-such-user]: this machine has no user "no-such-user")"},
      {"[users.\"ro\\u0000ot\"]", "1: [users.ro?ot]: no user has such a name"},
      {"[users.4294967295]", "1: [users.4294967295]: found the uid 4294967295, expected 0 to 4294967294"},
      {"[users.99999999999]", "1: [users.99999999999]: found the uid 99999999999, expected 0 to 4294967294"},
      {"[users]\nroot = 3", "2: users.root: found the integer 3, expected a section"},
      {"users = 3", "1: users: found the integer 3, expected a section"},
      {"[users.root]\nconnections = 3", R"(2: unknown key "connections" in [users.root]; it belongs in [limits])"},
      {"[users.root]\nlog_level = 'info'", R"(2: unknown key "log_level" in [users.root]; it belongs in [daemon])"},
      {"[users.root.commit]\nidle = '3s'", R"(1: unknown key "commit" in [users.root]; known are )" + user_keys},
      {"[users.root]\ntimeout = 3", "2: users.root.timeout: found the integer 3, " + duration},
      {"[users.0]\n[users.root]", "2: [users.root]: another section is the same user's (uid 0)"},
  };
  for (const auto& [text, problem] : rows) EXPECT_EQ(problems_of(text), Texts{problem}) << text;
}

TEST_F(ConfigTest, APathThatFillsTheSocketsAddressIsTheLongest) {
  const std::string longest = "/" + std::string(106, 'a');
  EXPECT_EQ(config_of("[daemon]\nsocket = '" + longest + "'").socket, longest);
  EXPECT_EQ(problems_of("[daemon]\nsocket = '" + longest + "a'").size(), 1U);
}

TEST_F(ConfigTest, AllProblemsAreFoundInTheFilesOrder) {
  EXPECT_EQ(problems_of(R"([users.root]
idle = 3
[retry]
attempts = -1
[daemon]
colour = "red"
[providers]
)"),
            (Texts{R"(2: users.root.idle: found the integer 3, expected a duration such as "500ms", "30s", "5m", "6h" )"
                   R"(or "90d", or "off")",
                   "4: retry.attempts: found the integer -1, expected an integer, 0 to 1000000",
                   R"(6: unknown key "colour" in [daemon]; known are socket, socket_mode, state_dir, log_level, )"
                   "drain_deadline, admin_group",
                   "7: [providers] names no provider, expected [providers.NAME]"}));
}

TEST_F(ConfigTest, WhatFollowsFromAnotherProblemIsNotAProblem) {
  EXPECT_EQ(problems_of("[retry]\ninitial = '1x'\nmax = '1s'").size(), 1U);
}

TEST_F(ConfigTest, AFileThatIsNotTomlIsRefusedWithItsLine) {
  for (const std::string text : {"[daemon]\nsocket = ", "[daemon]\nsocket = \"\xff\"", "[daemon]\n[daemon]"}) {
    const Texts problems = problems_of(text);
    ASSERT_EQ(problems.size(), 1U) << text;
    EXPECT_EQ(problems[0].find("2: "), 0U) << problems[0];
    EXPECT_GT(problems[0].size(), 10U) << "it says what is wrong";
  }
}

TEST_F(ConfigTest, AFileThatCannotBeReadIsRefused) {
  EXPECT_EQ(std::get<Texts>(load_config(file_)), Texts{file_ + ": can't be read: No such file or directory"});
  EXPECT_EQ(std::get<Texts>(load_config(folder_.string())),
            Texts{folder_.string() + ": can't be read: Is a directory"});
  const std::string comment = "#" + std::string(1024 * 1024 - 1, 'x');
  config_of(comment);
  EXPECT_EQ(problems_of(comment + "x"), Texts{" is longer than 1048576 bytes"});
}

}  // namespace
}  // namespace tidemark::daemon
