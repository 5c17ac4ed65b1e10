// Reads: lists by filter with paging, counts, history, and the pages of a drain.
#include <set>

#include "fixture.h"

namespace tidemark::store {
namespace {

class Reads : public testing::Test {
 protected:
  // Of each user: clean, open, due, in flight, in doubt, orphaned and stuck sessions, three of each.
  Reads() {
    for (const uid_t uid : {alice, bob}) {
      for (int number = 0; number < 3; ++number) make_all(uid, std::to_string(number));
      Register command = register_agent("gone", "orphaned");
      command.uid = uid;
      store.call(command);
      AgentLost lost = agent_lost("gone", 0);
      lost.uid = uid;
      lost.epoch = epoch_of(uid);
      store.call(lost);
    }
    store.fold();
  }
  std::int64_t epoch_of(uid_t uid) {
    return store.database().execAndGet("SELECT epoch FROM agents WHERE name = 'gone' AND uid = " + std::to_string(uid));
  }
  template <class Command>
  typename Command::Result as(uid_t uid, Command command) {
    command.uid = uid;
    return store.call(command);
  }
  lifecycle::Attempt out(uid_t uid, const std::string& session) {
    const TakeOldest::Result taken = as(uid, take(session));
    return *as(uid, begin_attempt(session, taken.head.owner, ++key)).attempt;
  }
  void make_all(uid_t uid, const std::string& number) {
    for (const char* kind : {"clean", "open", "due", "in_flight", "in_doubt", "stuck"}) {
      as(uid, complete(kind + number, "a"));
    }
    as(uid, complete("orphaned" + number, "gone"));
    as(uid, end_attempt("clean" + number, out(uid, "clean" + number), AttemptEnd::committed));
    as(uid, make_due("due" + number));
    out(uid, "in_flight" + number);
    as(uid, end_attempt("in_doubt" + number, out(uid, "in_doubt" + number), AttemptEnd::in_doubt));
    as(uid, end_attempt("stuck" + number, out(uid, "stuck" + number), AttemptEnd::failed_for_good));
  }
  std::vector<std::string> list(ListFilter filter, std::optional<uid_t> uid, int limit) {
    std::vector<std::string> names;
    ListSessions command;
    command.filter = filter;
    command.uid = uid;
    command.limit = limit;
    do {
      const ListSessions::Result page = store.call(command);
      EXPECT_LE(static_cast<int>(page.sessions.size()), limit);
      for (const SessionView& view : page.sessions) {
        EXPECT_TRUE(view.segments.empty());
        EXPECT_EQ(view.uid, uid.value_or(view.uid));
        names.push_back(std::to_string(view.uid) + "/" + view.session);
      }
      command.cursor = page.cursor;
    } while (!command.cursor.empty());
    return names;
  }
  Store store;
  std::int64_t key = 0;
};

TEST_F(Reads, ListsByFilterAndPageByPage) {
  const std::map<ListFilter, int> of_one_user = {
      {ListFilter::all, 22},      {ListFilter::dirty, 18},     {ListFilter::due, 15},
      {ListFilter::in_flight, 3}, {ListFilter::in_doubt, 3},   {ListFilter::orphaned, 3},
      {ListFilter::stuck, 3},     {ListFilter::confirming, 0}, {ListFilter::stalled, 0},
  };
  for (int round = 0; round < 2; ++round) {
    for (const auto& [filter, count] : of_one_user) {
      for (const int limit : {1, 2, 7, 100}) {
        const std::vector<std::string> mine = list(filter, alice, limit);
        EXPECT_EQ(static_cast<int>(mine.size()), count) << static_cast<int>(filter) << " by " << limit;
        EXPECT_EQ(std::set<std::string>(mine.begin(), mine.end()).size(), mine.size());
        const std::vector<std::string> everybody = list(filter, std::nullopt, limit);
        EXPECT_EQ(static_cast<int>(everybody.size()), 2 * count);
        EXPECT_EQ(std::set<std::string>(everybody.begin(), everybody.end()).size(), everybody.size());
      }
    }
    store.reopen();
    // What was in flight is in doubt from now on.
    EXPECT_EQ(list(ListFilter::in_doubt, alice, 100).size(), 6u);
    for (int number = 0; number < 3; ++number) {
      for (const uid_t uid : {alice, bob}) out(uid, "in_flight" + std::to_string(number));
    }
  }
}

TEST_F(Reads, ListAllShowsTheSameWhetherInMemoryOrNot) {
  const std::string before = store.shown();
  ListSessions command;
  command.limit = 1'000;
  const auto text = [&] {
    std::string all;
    for (const SessionView& view : store.call(command).sessions) all += text_of(view) + "\n";
    return all;
  };
  store.reopen();
  const std::string listed = text();
  store.shown();  // reads each
  EXPECT_EQ(text(), listed);
}

TEST_F(Reads, CountsEqualARecount) {
  store.check_counts();
  Count count;
  count.uid = alice;
  const std::string of_alice = text_of(store.call(count));
  EXPECT_EQ(of_alice, "sessions=22 dirty=18 due=15 in_flight=3 confirming=0 stalled=0 in_doubt=3 orphaned=3 stuck=3");
  count.uid = bob;
  EXPECT_EQ(text_of(store.call(count)), of_alice);
  count.uid = 77;
  EXPECT_EQ(text_of(store.call(count)), text_of(Counts{}));
  store.reopen();
  store.check_counts();
  EXPECT_EQ(store.call(Count{}).sessions, 44);
}

TEST_F(Reads, HistoryIsPagedNewestFirst) {
  ListHistory command;
  command.uid = alice;
  command.limit = 5;
  std::vector<lifecycle::CommitId> commits;
  do {
    const ListHistory::Result page = store.call(command);
    for (const AttemptRow& row : page.attempts) {
      EXPECT_EQ(row.uid, alice);
      commits.push_back(row.commit_id);
    }
    command.before = page.cursor;
  } while (command.before != 0);
  EXPECT_EQ(commits.size(), 12u);
  EXPECT_TRUE(std::is_sorted(commits.rbegin(), commits.rend()));
  EXPECT_EQ(std::set<lifecycle::CommitId>(commits.begin(), commits.end()).size(), commits.size());
  ListHistory everybody;
  everybody.limit = 1;
  everybody.session = "stuck1";
  const ListHistory::Result first = store.call(everybody);
  ASSERT_EQ(first.attempts.size(), 1u);
  EXPECT_EQ(first.attempts[0].uid, bob);
  everybody.before = first.cursor;
  const ListHistory::Result second = store.call(everybody);
  ASSERT_EQ(second.attempts.size(), 1u);
  EXPECT_EQ(second.attempts[0].uid, alice);
  EXPECT_EQ(second.cursor, 0);
}

TEST_F(Reads, DrainPagesHoldEachDirtySessionOnce) {
  store.batch([](State& state) {
    for (int session = 0; session < 700; ++session) {
      expected(state.apply(complete("many" + std::to_string(session), session % 2 == 0 ? "even" : "odd")));
    }
  });
  const auto drain = [&](DrainPage command) {
    std::set<std::pair<uid_t, std::string>> names;
    int pages = 0;
    do {
      const DrainPage::Result page = store.call(command);
      for (const auto& session : page.sessions) EXPECT_TRUE(names.insert(session).second);
      command.after = page.last;
    } while (command.after != 0 && ++pages < 100);
    return names;
  };
  EXPECT_EQ(drain(DrainPage{}).size(), 736u);
  EXPECT_EQ(store.call(Count{}).due, 30) << "looking made something due";
  DrainPage of_even;
  of_even.uid = alice;
  of_even.owners = std::vector<std::string>{"even"};
  EXPECT_EQ(drain(of_even).size(), 350u);
  of_even.uid = bob;
  EXPECT_EQ(drain(of_even).size(), 0u);
  of_even.uid.reset();
  of_even.owners->push_back("nobody has heard of");
  EXPECT_EQ(drain(of_even).size(), 350u);
  DrainPage of_bob;
  of_bob.uid = bob;
  EXPECT_EQ(drain(of_bob).size(), 18u);
  store.check_counts();
}

TEST_F(Reads, OfASessionShowItsOldestSegments) {
  store.batch([](State& state) {
    for (int turn = 0; turn < 1'100; ++turn) expected(state.apply(complete("long", turn % 2 == 0 ? "a" : "b")));
  });
  const SessionView view = store.call(get("long"));
  EXPECT_EQ(view.generation, 1'100);
  ASSERT_EQ(view.segments.size(), segments_shown_max);
  EXPECT_EQ(view.segments.front().start, 1);
  EXPECT_EQ(view.segments.back().end, 1'000);
}

}  // namespace
}  // namespace tidemark::store
