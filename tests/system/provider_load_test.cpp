// Many at once: orphans after an outage drain at the provider's bound, oldest first and fair between users; what is due
// at the start holds nobody's marks up (contract, section 9).
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "tests/system/provider_fixture.h"

namespace tidemark::system_test {
namespace {

// A sanitizer's own memory says nothing of the daemon's.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif
#else
constexpr bool sanitized = false;
#endif

// The sessions in the order in which the server was first asked to commit them.
std::vector<std::string> order_of(const OpenViking& viking) {
  std::vector<std::string> order;
  std::set<std::string> seen;
  for (const auto& request : viking.requests()) {
    const std::string path(request.at("path").as_string());
    if (request.at("method").as_string() != "POST" || !path.ends_with("/commit")) continue;
    const std::size_t begin = std::string("/api/v1/sessions/").size();
    const std::string session = path.substr(begin, path.rfind('/') - begin);
    if (seen.insert(session).second) order.push_back(session);
  }
  return order;
}

class ProviderLoad : public ProviderTest {};
class ProviderOrphans : public ProviderTest, public ::testing::WithParamInterface<int> {
 protected:
  static constexpr int orphans = 500;
  static std::string name(int number) { return "orphan-" + std::to_string(number); }
};

TEST_P(ProviderOrphans, DrainAtTheServersBoundOldestFirst) {
  serve("concurrency = " + std::to_string(GetParam()));
  viking->script(R"({"limit": {"commits": 2}, "rules": [{"path": "/commit", "delay_ms": 2}]})");
  {
    Agent gone(daemon, with_fallback("gone", "viking"));
    for (int number = 0; number < orphans; ++number) turn(gone, name(number), "gone");
  }
  ASSERT_TRUE(peer->serve_until([&] { return peer->daemon().orphaned > 0; }));
  const auto drained = [&] {
    const auto status = peer->daemon();
    EXPECT_LE(status.in_flight, GetParam());
    return status.dirty == 0;
  };
  // A second's rest after each refusal, and hundreds of exchanges with a slow server.
  ASSERT_TRUE(wait_until(drained, 6 * patience)) << peer->daemon().dirty;
  EXPECT_LE(viking->effects().at("commits_peak").as_int64(), 2);
  EXPECT_LE(viking->effects().at("commit_requests_peak").as_int64(), GetParam());
  expect_all_once();
  const std::vector<std::string> order = order_of(*viking);
  ASSERT_EQ(order.size(), static_cast<std::size_t>(orphans));
  // Those that are out together may change places; one that was refused comes back when others have had a turn.
  for (int number = 0; number < orphans; ++number) {
    const auto place = std::find(order.begin(), order.end(), name(number)) - order.begin();
    EXPECT_LE(std::abs(static_cast<int>(place) - number), 2 * GetParam()) << name(number);
  }
  for (int number = 0; number < orphans; ++number) {
    EXPECT_EQ(peer->history(name(number)).at(0).attempt, 1) << "429 spends no attempt";
  }
}

TEST_P(ProviderOrphans, AreFairBetweenUsers) {
  if (::getuid() != 0) GTEST_SKIP() << "only root can act as several users";
  serve("users = [\"root\", " + std::to_string(stranger) + "]\nconcurrency = " + std::to_string(GetParam()));
  viking->script(R"({"limit": {"commits": 2}, "rules": [{"path": "/commit", "delay_ms": 2}]})");
  peer->call(ipc::ProviderPauseParams{"viking", {}});
  Peer theirs(daemon.connect_as(stranger));
  theirs.call(hook("hook", "viking"));
  // Ours are all older, and many more.
  for (int number = 0; number < 200; ++number) {
    turn("ours-" + std::to_string(number));
    peer->detach("ours-" + std::to_string(number));
  }
  for (int number = 0; number < 50; ++number) {
    turn(theirs, "theirs-" + std::to_string(number), "hook");
    theirs.detach("theirs-" + std::to_string(number));
  }
  ipc::ProviderResumeParams resume;
  resume.provider = "viking";
  peer->call(resume);
  ASSERT_TRUE(wait_until([&] { return peer->daemon().dirty == 0; }, 6 * patience));
  const std::vector<std::string> order = order_of(*viking);
  ASSERT_EQ(order.size(), 250U);
  int ahead = 0;
  for (std::size_t place = 0; place < 90; ++place) {
    ahead += order[place].starts_with("theirs") ? 1 : -1;
    EXPECT_LE(std::abs(ahead), 2 * GetParam()) << "after " << place + 1;
  }
  expect_all_once();
}

INSTANTIATE_TEST_SUITE_P(Concurrency, ProviderOrphans, ::testing::Values(2, 8));

std::int64_t resident_kilobytes(pid_t process) {
  const std::string status = content_of("/proc/" + std::to_string(process) + "/status");
  return std::stoll(status.substr(status.find("VmRSS:") + 6));
}

TEST_F(ProviderLoad, WhatIsDueAtTheStartHoldsUpNoMarks) {
  serve("concurrency = 4");
  peer->call(ipc::ProviderPauseParams{"viking", {}});
  constexpr int sessions = 1'000;
  for (int number = 0; number < sessions; ++number) {
    const std::string session = "s" + std::to_string(number);
    turn(session);
    peer->detach(session);
  }
  daemon.kill();
  viking->script(R"({"rules": [{"path": "/commit", "delay_ms": 20}]})");
  daemon.start();
  peer = std::make_unique<Peer>(daemon);
  EXPECT_EQ(peer->daemon().due, sessions);
  ipc::ProviderResumeParams resume;
  resume.provider = "viking";
  peer->call(resume);
  Peer marker(daemon);
  std::int64_t marks = 0, peak = 0;
  ASSERT_TRUE(wait_until([&] {
    for (int more = 0; more < 20; ++more, ++marks) {
      EXPECT_EQ(marker.complete("marked-" + std::to_string(marks % 7), "nobody").generation, marks / 7 + 1);
    }
    peak = std::max(peak, resident_kilobytes(daemon.process().pid()));
    const auto status = peer->daemon();
    EXPECT_LE(status.in_flight, 4);
    return status.due == 0 && status.confirming == 0;
  }));
  EXPECT_GT(marks, 100);
  if (!sanitized) {
    EXPECT_LT(peak, 256 * 1024);
  }
  EXPECT_LE(viking->effects().at("commit_requests_peak").as_int64(), 4);
  expect_all_once();
}

}  // namespace
}  // namespace tidemark::system_test
