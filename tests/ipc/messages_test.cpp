// The messages as other programs see them: the protocol's names, spelled out.
#include "ipc/messages.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <set>
#include <string>
#include <vector>

namespace tidemark::ipc {
namespace {

template <class T>
std::string write(T const& value) {
  std::string out;
  encode(out, value);
  return out;
}

template <class T>
std::string member_names() {
  std::string names;
  boost::mp11::mp_for_each<detail::Members<T>>([&](auto member) {
    using Type = std::remove_cvref_t<decltype(std::declval<T&>().*decltype(member)::pointer)>;
    if (!names.empty()) names += ", ";
    names += member.name;
    if (detail::is_optional<Type> || detail::is_flag<Type>) names += '?';
  });
  return names;
}

// `method(parameters): result`, as the page has it.
template <class Params>
std::string signature() {
  std::string text = std::string(Params::method) + "(" + member_names<Params>() + ")";
  if constexpr (requires { typename Params::Result; }) text += ": " + member_names<typename Params::Result>();
  return text;
}

template <class... Params>
std::vector<std::string> signatures() {
  return {signature<Params>()...};
}

TEST(Messages, AreThoseOfTheProtocol) {
  // NOLINTBEGIN(bugprone-suspicious-missing-comma): long rows are written in two pieces
  std::vector<std::string> const expected{
      "hello(client?, version?, protocol?): server, version, protocol, instance, uid, admin, limits",
      "ping(): ",
      "agent.register(agent, session?, group?, provider?, fallback?, external_id?, serves?, serves_orphans?, "
      "max_in_flight?): agent, epoch, due_segments",
      "agent.unregister(session?, agent?): ",
      "turn.begin(session, turn, agent?): ",
      "turn.complete(session, agent?, turn?, ephemeral?): generation, duplicate?, counted?",
      "turn.cancel(session, turn, reason?): ",
      "session.commit(session, agent?, wait?, timeout_ms?, detach?, reason?, uid?): committed, outcome, start?, end?, "
      "error?, generation, watermark",
      "session.flush(session, timeout_ms?, uid?): committed, outcome, segments, generation, watermark",
      "session.rotate(from, to?, agent?, uid?): due_segments, generation, watermark",
      "session.evict(session, timeout_ms?, uid?): evicted, outcome, error?, generation, watermark",
      "session.discard(session, uid?): discarded",
      "session.forget(session, reason, uid?): forgotten, dropped",
      "session.status(session, uid?): session, uid, generation, watermark, accepted, uncommitted, in_flight, agent, "
      "turns_open, last_turn_at, segments",
      "session.list(filter?, limit?, cursor?, uid?): sessions, cursor?",
      "drain(scope?, deadline_ms?, uid?): drained, committed, remaining",
      "commit.progress(commit, uid?): ",
      "commit.retry(session, uid?): due_segments",
      "commit.settle(session, through, reason, uid?): watermark",
      "commit.abandon(session, through, reason, uid?): watermark",
      "commit.history(session?, limit?, cursor?, uid?): commits, cursor?",
      "watch(sessions?, types?, uid?): subscription",
      "unwatch(subscription): ",
      "daemon.status(): version, instance, uptime_ms, schema, sessions, dirty, due, in_flight, confirming, stalled, "
      "in_doubt, orphaned, stuck, agents_online, providers, journal, recovered",
      "daemon.metrics(): text",
      "daemon.backup(name?): path, bytes",
      "daemon.verify(): ok, problems",
      "daemon.reload(): ",
      "provider.pause(provider, reason?): ",
      "provider.resume(provider, reason?): ",
      "commit(commit, key, session, external_id?, agent, provider?, start, end, attempt, reason, timeout_ms): status?",
      "agent.fenced(agent, epoch)",
      "daemon.draining(deadline_ms)",
      "event(subscription, seq, at, type, uid, session?, agent?, generation?, watermark?, accepted?, commit?, "
      "provider?, "
      "error?)"};
  // NOLINTEND(bugprone-suspicious-missing-comma)
  EXPECT_EQ(
      (signatures<HelloParams, PingParams, AgentRegisterParams, AgentUnregisterParams, TurnBeginParams,
                  TurnCompleteParams, TurnCancelParams, SessionCommitParams, SessionFlushParams, SessionRotateParams,
                  SessionEvictParams, SessionDiscardParams, SessionForgetParams, SessionStatusParams, SessionListParams,
                  DrainParams, CommitProgressParams, CommitRetryParams, CommitSettleParams, CommitAbandonParams,
                  CommitHistoryParams, WatchParams, UnwatchParams, DaemonStatusParams, DaemonMetricsParams,
                  DaemonBackupParams, DaemonVerifyParams, DaemonReloadParams, ProviderPauseParams, ProviderResumeParams,
                  AgentCommitParams, AgentFencedParams, DaemonDrainingParams, EventParams>()),
      expected);
  EXPECT_EQ(member_names<SegmentStatus>(),
            "start, end, owner, state, due, sealed, attempts, next_attempt_at, last_error, commit, key, provider?, "
            "orphaned?, stalled?, evidence?");
  EXPECT_EQ(
      member_names<CommitRecord>(),
      "commit, key, uid, session, owner, by, start, end, state, attempt, reason, started_at, finished_at, error?, "
      "evidence?");
  EXPECT_EQ(member_names<ProviderStatus>(), "name, kind, state, error?, since");
  EXPECT_EQ(member_names<JournalStatus>(), "healthy, bytes, error?");
  EXPECT_EQ(member_names<RecoveredStatus>(), "sessions, generations, in_doubt");
}

template <class E>
std::string words() {
  std::string all;
  for (auto const& [value, word] : EnumWords<E>::rows) {
    EXPECT_EQ(from_word<E>(word), value);
    EXPECT_EQ(word_of(value), word);
    all += all.empty() ? "" : " ";
    all += word;
  }
  return all;
}

TEST(Messages, WordsAreThoseOfTheProtocol) {
  EXPECT_EQ(
      words<Outcome>(),
      "committed clean busy accepted failed in_doubt no_owner owner_offline paused stuck timeout running unknown");
  EXPECT_EQ(words<SegmentState>(), "in_flight confirming stuck orphaned in_doubt waiting open");
  EXPECT_EQ(words<AttemptState>(), "in_flight confirming committed skipped failed in_doubt settled abandoned void");
  EXPECT_EQ(words<ListFilter>(), "all dirty due in_flight confirming stalled in_doubt orphaned stuck");
  EXPECT_EQ(words<DrainScope>(), "connection user all");
  EXPECT_EQ(words<CommitStatus>(), "committed skipped synced");
  EXPECT_EQ(words<ProviderState>(), "ok paused");
  EXPECT_EQ(words<EventType>(),
            "turn.completed session.due commit.started commit.accepted commit.succeeded commit.failed commit.in_doubt "
            "commit.stalled commit.stuck session.clean session.discarded agent.online agent.offline agent.orphaned "
            "provider.paused provider.resumed daemon.draining watch.overflow");
}

TEST(Messages, AnswersToMarksAreShort) {
  EXPECT_EQ(write(TurnCompleteResult{42, {}, {}}), R"({"generation":42})");
  EXPECT_EQ(write(TurnCompleteResult{42, true, {}}), R"({"generation":42,"duplicate":true})");
  EXPECT_EQ(write(TurnCompleteResult{42, {}, false}), R"({"generation":42,"counted":false})");
  EXPECT_EQ(write(Empty{}), "{}");
}

TEST(Messages, AStatusShowsWhatThereIsNot) {
  SessionStatusResult status;
  status.session = "s";
  status.generation = 3;
  SegmentStatus segment;
  segment.start = 1;
  segment.end = 3;
  segment.orphaned = true;
  status.segments.push_back(segment);
  EXPECT_EQ(write(status),
            R"({"session":"s","uid":0,"generation":3,"watermark":0,"accepted":0,"uncommitted":0,"in_flight":false,)"
            R"("agent":null,"turns_open":0,"last_turn_at":null,"segments":[{"start":1,"end":3,"owner":null,)"
            R"("state":"open","due":false,"sealed":false,"attempts":0,"next_attempt_at":null,"last_error":null,)"
            R"("commit":null,"key":null,"orphaned":true}]})");
  auto const decoded = decode<SessionStatusResult>(boost::json::parse(write(status)), Strictness::lenient);
  ASSERT_TRUE(decoded) << decoded.error().text;
  EXPECT_EQ(write(*decoded), write(status));
}

TEST(Messages, UidIsAUserAndInListsAlsoAll) {
  auto const status = [](char const* text) {
    return decode<SessionStatusParams>(boost::json::parse(text), Strictness::strict);
  };
  EXPECT_EQ(status(R"({"session":"s","uid":1000})")->uid, 1000U);
  EXPECT_FALSE(status(R"({"session":"s","uid":"all"})"));
  auto const list =
      decode<SessionListParams>(boost::json::parse(R"({"uid":"all","filter":"in_doubt"})"), Strictness::strict);
  ASSERT_TRUE(list);
  EXPECT_TRUE(list->uid->is_all());
  EXPECT_EQ(list->filter, ListFilter::in_doubt);
}

TEST(Messages, ParametersWithTypesOfEvents) {
  auto const watch = [](char const* text) { return decode<WatchParams>(boost::json::parse(text), Strictness::strict); };
  auto const good = watch(R"({"sessions":["a","b"],"types":["turn.completed","commit.in_doubt"]})");
  ASSERT_TRUE(good) << good.error().text;
  EXPECT_EQ(good->types, (std::vector<EventType>{EventType::turn_completed, EventType::commit_in_doubt}));
  EXPECT_FALSE(watch(R"({"types":["turn.finished"]})"));
  EXPECT_FALSE(watch(R"({"sessions":[""]})"));
}

}  // namespace
}  // namespace tidemark::ipc
