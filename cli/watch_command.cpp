// Watch: follows events until it is interrupted, over restarts of the daemon. While what it prints isn't read it reads
// nothing itself: then the daemon drops it in the end, and it says so.
#include <boost/json/parse.hpp>
#include <ctime>
#include <thread>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "ipc/messages.h"
#include "ipc/words.h"

namespace tidemark::cli {

namespace {

constexpr std::chrono::milliseconds connect_pause_least{50};
constexpr std::chrono::milliseconds connect_pause_most{2'000};
constexpr std::string_view overflow_word = "watch.overflow";

Colour colour_of(std::string const& type) {
  auto const known = ipc::from_word<ipc::EventType>(type);
  if (!known) return Colour::plain;
  switch (*known) {
    case ipc::EventType::commit_succeeded:
    case ipc::EventType::session_clean:
      return Colour::green;
    case ipc::EventType::commit_in_doubt:
    case ipc::EventType::commit_stalled:
    case ipc::EventType::agent_orphaned:
    case ipc::EventType::daemon_draining:
      return Colour::yellow;
    case ipc::EventType::commit_failed:
    case ipc::EventType::commit_stuck:
    case ipc::EventType::provider_paused:
    case ipc::EventType::watch_overflow:
      return Colour::red;
    case ipc::EventType::turn_completed:
    case ipc::EventType::session_due:
    case ipc::EventType::commit_started:
    case ipc::EventType::commit_accepted:
    case ipc::EventType::session_discarded:
    case ipc::EventType::agent_online:
    case ipc::EventType::agent_offline:
    case ipc::EventType::provider_resumed:
      break;
  }
  return Colour::plain;
}

// The clock on the wall, with the day, as this may go on for long.
std::string local_text(ipc::Utc at) {
  std::time_t const seconds = std::chrono::system_clock::to_time_t(at);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  char text[sizeof "2026-01-31 08:15:00" + 16];
  std::size_t const length = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
  return {text, length};
}

// Where to look on if nothing mends itself; empty: all goes its way.
std::string way_of(ipc::EventParams const& event) {
  auto const known = ipc::from_word<ipc::EventType>(event.type);
  if (known == ipc::EventType::provider_paused) return "tidemark status";
  bool const held_up = known == ipc::EventType::commit_stuck || known == ipc::EventType::commit_stalled;
  if (held_up && event.session) return "tidemark show " + shell_word(*event.session);
  return known == ipc::EventType::agent_orphaned ? "tidemark ls --orphaned" : "";
}

std::string line_of(ipc::EventParams const& event, bool with_uid, bool coloured) {
  constexpr std::size_t type_width = 17;  // of the longest type
  std::string text = local_text(event.at) + "  " + paint(printable(event.type), colour_of(event.type), coloured);
  text.append(event.type.size() < type_width ? type_width - event.type.size() : 0, ' ');
  auto const add = [&](std::string const& label, auto const& value) {
    if constexpr (requires { std::to_string(*value); }) {
      if (value) text += "  " + label + std::to_string(*value);
    } else {
      if (value) text += "  " + label + printable(*value);
    }
  };
  if (with_uid) add("uid ", std::optional(event.uid));
  add("", event.session);
  add("agent ", event.agent);
  add("provider ", event.provider);
  add("generation ", event.generation);
  add("watermark ", event.watermark);
  if (event.accepted != event.watermark) add("accepted ", event.accepted);
  add("commit ", event.commit);
  add("error: ", event.error);
  if (auto const way = way_of(event); !way.empty()) text += "  -> " + printable(way);
  return text;
}

class Watch {
 public:
  Watch(Context& context, ipc::WatchParams params) : context_(context), params_(std::move(params)) {}

  Exit run() {
    if (!context_.set_user(params_)) return Exit::usage;
    if (auto const connected = context_.connection(); !connected) return connected.error();
    for (;;) {
      std::string const before = std::exchange(instance_, instance());
      if (!instance_.empty() && instance_ == before) return tell_dropped();
      if (auto const refused = subscribe()) return *refused;
      client().run_until([this] { return overflow_ || !context_.terminal().out; });
      if (overflow_) return tell_dropped();
      if (!context_.terminal().out) return Exit::refused;
      reconnect();
    }
  }

 private:
  ipc::Client& client() { return **context_.connection(); }

  void tell(std::string const& sentence) {
    context_.refuse(sentence);
    context_.terminal().err << std::flush;
  }

  // Which daemon this is, from its start to its end; empty if it doesn't say.
  std::string instance() {
    auto const greeted = client().call_json(ipc::HelloParams::method, R"({"client":"tidemark watch"})");
    if (!greeted) return {};
    auto const json = boost::json::parse(*greeted);
    auto const* const said = json.is_object() ? json.get_object().if_contains("instance") : nullptr;
    return said != nullptr && said->is_string() ? std::string(said->get_string()) : std::string();
  }

  // Empty also if the daemon ended meanwhile, which shows when it is listened to.
  std::optional<Exit> subscribe() {
    client().on_notification([this](std::string_view method, boost::json::object const& params) {
      if (method == ipc::EventParams::method) on_event(params);
    });
    auto const subscribed = client().call(params_);
    if (!subscribed) {
      if (subscribed.error().kind == ipc::CallError::Kind::ended) return std::nullopt;
      return context_.refuse(subscribed.error().message());
    }
    if (std::exchange(lost_, false)) tell("connected again; what happened in between is not shown");
    told_gone_ = false;
    pause_ = connect_pause_least;
    return std::nullopt;
  }

  void on_event(boost::json::object const& params) {
    auto const event = ipc::decode<ipc::EventParams>(params, ipc::Strictness::lenient);
    if (!event) return tell("an event is not understood: " + event.error().text);
    context_.print_json(params);
    bool const with_uid = params_.uid && params_.uid->is_all();
    context_.human() << line_of(*event, with_uid, context_.coloured()) << '\n';
    context_.terminal().out << std::flush;
    overflow_ = overflow_ || event->type == overflow_word;
  }

  // Slower each time until there is a subscription: somebody may also accept connections and end them.
  void reconnect() {
    lost_ = true;
    for (;;) {
      std::this_thread::sleep_for(std::exchange(pause_, std::min(pause_ * 2, connect_pause_most)));
      if (context_.reconnect()) return;
      if (!std::exchange(told_gone_, true)) tell("the daemon has ended; waiting until one answers again");
    }
  }

  Exit tell_dropped() {
    return context_.refuse(
        "the daemon has dropped this watch, as what it prints was not read fast enough; events are "
        "missing from here on");
  }

  Context& context_;
  ipc::WatchParams params_;
  std::string instance_;  // of the daemon; empty: it didn't say
  std::chrono::milliseconds pause_ = connect_pause_least;
  bool lost_ = false;       // the connection, and not subscribed again since
  bool told_gone_ = false;  // in this time
  bool overflow_ = false;
};

}  // namespace

Run watch(CLI::App& app) {
  auto const sessions = std::make_shared<std::vector<ipc::Name>>();
  auto const types = std::make_shared<std::vector<std::string>>();
  add_names(app, "session", *sessions, "only of these sessions")->expected(1, ipc::bounds::list_elements_max);
  std::vector<std::string> words;
  for (auto const& [type, word] : ipc::EnumWords<ipc::EventType>::rows)
    if (type != ipc::EventType::watch_overflow) words.emplace_back(word);
  app.add_option("--type", *types, "only events of this type, like commit.failed; may be repeated")
      ->check(CLI::IsMember(words).description(""))
      ->type_name("TYPE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  return [sessions, types](Context& context) {
    ipc::WatchParams params;
    if (!sessions->empty()) params.sessions = *sessions;
    if (!types->empty()) {
      params.types.emplace();
      for (auto const& word : *types) params.types->push_back(*ipc::from_word<ipc::EventType>(word));
    }
    return Watch(context, std::move(params)).run();
  };
}

}  // namespace tidemark::cli
