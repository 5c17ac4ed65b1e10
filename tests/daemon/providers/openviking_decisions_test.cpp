#include "daemon/providers/openviking_decisions.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <string>

namespace tidemark::daemon {
namespace {

using lifecycle::Milliseconds;
using lifecycle::Utc;

constexpr std::int64_t no_total = -1;

OpenVikingSession state(std::int64_t commits, std::int64_t live, std::int64_t total) {
  OpenVikingSession session;
  session.commit_count = commits;
  session.message_count = live;
  if (total != no_total) session.total_message_count = total;
  return session;
}

Utc at(std::int64_t seconds) {
  return Utc(Milliseconds(1'800'000'000'000 + seconds * 1'000));
}

TEST(OpenVikingDecisions, what_became_of_an_earlier_commit) {
  struct Row {
    std::string what;
    OpenVikingSession before, now;
    OpenVikingEarlier earlier;
  };
  const Row rows[] = {
      {"archived", state(3, 2, 10), state(4, 0, 10), OpenVikingEarlier::landed},
      {"archived, and new turns since", state(3, 2, 10), state(4, 5, 15), OpenVikingEarlier::landed},
      {"archived by several", state(3, 2, 10), state(6, 0, 14), OpenVikingEarlier::landed},
      {"archived, without totals", state(3, 2, no_total), state(4, 1, no_total), OpenVikingEarlier::landed},
      {"not archived", state(3, 2, 10), state(3, 2, 10), OpenVikingEarlier::undone},
      {"not archived, and more", state(3, 2, 10), state(3, 4, 12), OpenVikingEarlier::undone},
      {"archived in part, the rest still live", state(3, 4, 10), state(4, 2, 10), OpenVikingEarlier::undone},
      {"gone without an archive", state(3, 2, 10), state(3, 0, 10), OpenVikingEarlier::emptied},
      {"there was nothing", state(3, 0, 10), state(3, 0, 10), OpenVikingEarlier::emptied},
      {"made anew, empty", state(3, 2, 10), state(0, 0, 0), OpenVikingEarlier::emptied},
      {"made anew", state(3, 2, 10), state(0, 1, 1), OpenVikingEarlier::undone},
  };
  for (const Row& row : rows) EXPECT_EQ(judge_earlier(row.before, row.now), row.earlier) << row.what;
}

TEST(OpenVikingDecisions, where_turns_are_when_nothing_was_there_to_commit) {
  struct Row {
    std::string what;
    std::optional<OpenVikingSession> before;  // of our last accepted commit, answered at 0, into archive_004
    OpenVikingSession now;
    std::int64_t last_turn_seconds;
    OpenVikingSwept swept;
  };
  const Row rows[] = {
      {"never ours, never anybody's", {}, state(0, 0, 0), 0, OpenVikingSwept::not_at_all},
      {"never ours, committed by somebody", {}, state(2, 0, 6), 0, OpenVikingSwept::by_another},
      {"never ours, no totals, committed by somebody", {}, state(2, 0, no_total), 0, OpenVikingSwept::by_another},
      {"archives without a message", {}, state(2, 0, 0), 0, OpenVikingSwept::not_at_all},
      {"nothing since, marked late", state(3, 2, 10), state(4, 0, 10), 61, OpenVikingSwept::not_at_all},
      {"nothing since, marked in time", state(3, 2, 10), state(4, 0, 10), 60, OpenVikingSwept::by_ours},
      {"nothing since, marked long before", state(3, 2, 10), state(4, 0, 10), -900, OpenVikingSwept::by_ours},
      {"came while we asked", state(3, 2, 10), state(4, 0, 11), 900, OpenVikingSwept::by_ours},
      {"somebody else's commit", state(3, 2, 10), state(5, 0, 12), 900, OpenVikingSwept::by_another},
      {"somebody else's commit of nothing new", state(3, 2, 10), state(5, 0, 10), 900, OpenVikingSwept::not_at_all},
      {"somebody else's commit, no totals", state(3, 2, no_total), state(5, 0, no_total), 900,
       OpenVikingSwept::by_another},
      {"only ours, no totals", state(3, 2, no_total), state(4, 0, no_total), 900, OpenVikingSwept::not_at_all},
      {"deleted and made anew", state(3, 2, 10), state(1, 0, 20), 0, OpenVikingSwept::not_at_all},
  };
  for (const Row& row : rows) {
    std::optional<OpenVikingSettled> settled;
    if (row.before) {
      settled.emplace();
      settled->before = *row.before;
      settled->answered_at = at(0);
      settled->archive = "viking://x/history/archive_004";
    }
    EXPECT_EQ(judge_nothing(settled, row.now, at(row.last_turn_seconds)), row.swept) << row.what;
  }
  OpenVikingSettled settled;
  settled.before = state(3, 2, 10);
  settled.answered_at = at(0);
  EXPECT_EQ(judge_nothing(settled, state(4, 0, 10), Utc{}), OpenVikingSwept::not_at_all) << "no time is no time";
  EXPECT_EQ(judge_nothing(settled, state(4, 0, 10), at(0)), OpenVikingSwept::by_ours) << "the archive's number follows";
}

TEST(OpenVikingDecisions, which_task_is_it) {
  const auto task = [](const char* id, std::int64_t created_seconds, const char* archive, const char* session = "s") {
    OpenVikingTask made;
    made.id = id;
    if (created_seconds != 0) made.created_at = at(created_seconds);
    made.archive = archive;
    made.session = session;
    return made;
  };
  struct Row {
    std::string what;
    std::vector<OpenVikingTask> tasks;
    std::string found;
  };
  const Row rows[] = {
      {"none", {}, ""},
      {"one", {task("a", 1'000, "")}, "a"},
      {"within the skew of the clocks", {task("a", 1'000 - 299, "")}, "a"},
      {"too old", {task("a", 1'000 - 301, "")}, ""},
      {"without a time", {task("a", 0, "")}, "a"},
      {"two that could be", {task("a", 1'001, ""), task("b", 1'002, "")}, ""},
      {"the one that names the archive",
       {task("a", 1'001, ""), task("b", 1, "u/archive_004"), task("c", 1'002, "")},
       "b"},
      {"the one that names no other", {task("a", 1'001, "u/archive_005"), task("b", 1'002, "")}, "b"},
      {"of another archive", {task("a", 1'001, "u/archive_005")}, ""},
      {"of another session", {task("a", 1'001, "", "t")}, ""},
      {"without its session", {task("a", 1'001, "", "")}, "a"},
      {"without an id", {task("", 1'001, "u/archive_004")}, ""},
  };
  for (const Row& row : rows) {
    const OpenVikingTask* found = find_task(row.tasks, "s", at(1'000), "viking://x/archive_004");
    EXPECT_EQ(found == nullptr ? "" : found->id, row.found) << row.what;
  }
}

TEST(OpenVikingDecisions, what_is_journaled_is_read_again) {
  OpenVikingSettled settled;
  settled.before = state(3, 2, 10);
  settled.before.last_commit_at = "2026-01-31T08:15:00Z";
  settled.before.uri = "viking://user/u/sessions/s";
  settled.before.account = "acme";
  settled.before.user = "alice";
  settled.answered_at = at(7) + Milliseconds(45);
  settled.task = "t";
  settled.archive = "viking://x/history/archive_004";
  settled.commit = "42";
  settled.confirmed = true;
  const std::optional<OpenVikingSettled> read = read_settled(settled_text(settled));
  ASSERT_TRUE(read);
  EXPECT_EQ(settled_text(*read), settled_text(settled));
  EXPECT_EQ(read->answered_at, settled.answered_at);
  EXPECT_EQ(read->before.account, "acme");
  EXPECT_EQ(time_text(Utc(Milliseconds(1'769'847'300'250))), "2026-01-31T08:15:00.250Z");
  const OpenVikingEvidence evidence = read_evidence(
      R"({"provider_kind":"openviking","before":{"commit_count":3,"message_count":2},"posted_at":"2026-01-31T08:15:00.250Z"})");
  ASSERT_TRUE(evidence.before);
  EXPECT_EQ(evidence.before->commit_count, 3);
  EXPECT_EQ(evidence.posted_at, Utc(Milliseconds(1'769'847'300'250)));
  for (const char* other : {"", "null", "[]", "{}", R"({"before":7})", R"({"before":{}})", "{{", R"({"output":"x"})"}) {
    EXPECT_FALSE(read_settled(other)) << other;
    EXPECT_FALSE(read_evidence(other).before) << other;
  }
  for (const char* odd : {"", "yesterday", "2026-13-31T08:15:00.250Z", "2026-01-31 08:15:00"}) {
    EXPECT_EQ(read_evidence(R"({"posted_at":")" + std::string(odd) + "\"}").posted_at, Utc{}) << odd;
  }
}

TEST(OpenVikingDecisions, another_identity_is_another_session) {
  OpenVikingSession then, now;
  EXPECT_EQ(other_identity(then, now), "");
  then.account = "acme";
  then.user = "alice";
  EXPECT_EQ(other_identity(then, now), "") << "a server that doesn't say";
  now = then;
  EXPECT_EQ(other_identity(then, now), "");
  now.user = "bob";
  EXPECT_NE(other_identity(then, now).find("bob"), std::string::npos);
}

}  // namespace
}  // namespace tidemark::daemon
