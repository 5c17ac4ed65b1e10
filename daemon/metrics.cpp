#include "daemon/metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <utility>

#include "daemon/clock.h"
#include "daemon/open_metrics.h"
#include "daemon/version.h"

namespace tidemark::daemon {

namespace {

constexpr lifecycle::Milliseconds descriptors_interval{10'000};  // between countings

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

void add_sessions(OpenMetrics& page, const store::Counts& counts) {
  const auto gauge = [&page](std::string_view name, std::string_view help, std::int64_t value) {
    page.gauge(name, help);
    page.sample(value);
  };
  gauge("tidemark_sessions", "Sessions that are known.", counts.sessions);
  gauge("tidemark_sessions_dirty", "Sessions with completed turns that aren't settled.", counts.dirty);
  gauge("tidemark_sessions_due", "Sessions of which something is due.", counts.due);
  gauge("tidemark_sessions_in_flight", "Sessions with an attempt out.", counts.in_flight);
  gauge("tidemark_sessions_confirming", "Sessions of which a provider has accepted something and isn't done.",
        counts.confirming);
  gauge("tidemark_sessions_stalled", "Sessions of which a provider has accepted something and doesn't get on with it.",
        counts.stalled);
  gauge("tidemark_sessions_in_doubt", "Sessions with an attempt whose outcome isn't known.", counts.in_doubt);
  gauge("tidemark_sessions_orphaned", "Sessions with due turns of an owner that is lost.", counts.orphaned);
  gauge("tidemark_sessions_stuck", "Sessions that wait for an operator.", counts.stuck);
}

std::int64_t open_descriptors() {
  DIR* folder = ::opendir("/proc/self/fd");
  if (!folder) return 0;
  std::int64_t descriptors = -3;  // ".", ".." and the folder's own
  while (::readdir(folder)) ++descriptors;
  ::closedir(folder);
  return descriptors;
}

}  // namespace

// As the process library of every language names them.
void Metrics::add_process(OpenMetrics& page) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  page.counter("process_cpu_seconds", "User and system CPU time that the daemon has spent.", "seconds");
  page.sample(seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
  std::int64_t virtual_pages = 0, resident_pages = 0;
  if (std::ifstream("/proc/self/statm") >> virtual_pages >> resident_pages) {
    page.gauge("process_resident_memory_bytes", "Resident memory of the daemon.", "bytes");
    page.sample(resident_pages * ::sysconf(_SC_PAGESIZE));
  }
  // Looking takes as long as there are many: milliseconds, with thousands of connections.
  const lifecycle::Steady at = now().steady;
  if (!descriptors_counted_ || at - *descriptors_counted_ >= descriptors_interval) {
    descriptors_counted_ = at;
    descriptors_ = open_descriptors();
  }
  page.gauge("process_open_fds", "File descriptors that the daemon has open.");
  page.sample(descriptors_);
}

// Names of providers are the configuration's, not a client's: few.
void Metrics::add_providers(OpenMetrics& page) {
  const auto gauge = [&](std::string_view name, std::string_view help, auto value) {
    page.gauge(name, help);
    for (const auto& [provider, line] : sources_.providers.all()) {
      if (line.provider) page.sample(std::int64_t{value(line)}, "provider", provider);
    }
  };
  gauge("tidemark_provider_paused", "1 if the provider is paused, 0 if not.",
        [](const ProviderLine& line) { return line.queue.paused() ? 1 : 0; });
  gauge("tidemark_provider_in_flight", "Attempts that take one of the provider's slots.",
        [](const ProviderLine& line) { return line.queue.in_flight(); });
  gauge("tidemark_provider_waiting", "Sessions whose next attempt waits for the provider.",
        [](const ProviderLine& line) { return line.queue.waiting(); });
}

std::string Metrics::page_of(const store::Outcome<store::Counts>& counted) {
  const Counters& counters = sources_.counters;
  OpenMetrics page;
  page.info("tidemark_build", "What runs.");
  page.sample(std::int64_t{1}, "version", version);
  if (const auto* counts = std::get_if<store::Counts>(&counted)) add_sessions(page, *counts);
  page.gauge("tidemark_agents_online", "Agents that a connection serves.");
  page.sample(sources_.dispatcher.agents_online({}));
  page.gauge("tidemark_connections", "Connections that are open.");
  page.sample(sources_.connections());
  page.gauge("tidemark_subscriptions", "Subscriptions to events.");
  page.sample(sources_.watchers.subscriptions());
  page.counter("tidemark_subscriptions_dropped", "Subscriptions that ended as their reader didn't keep up.");
  page.sample(sources_.watchers.overflows());

  add_providers(page);
  page.counter("tidemark_turns",
               "Calls of turn.complete: counted, repeated (their id was known), or not to be counted.");
  page.sample(counters.turns_completed, "result", "counted");
  page.sample(counters.turns_repeated, "result", "repeated");
  page.sample(counters.turns_uncounted, "result", "uncounted");
  page.counter("tidemark_attempts_begun", "Attempts at committing that were journaled.");
  page.sample(counters.attempts_begun);
  page.counter("tidemark_attempts", "Attempts at committing that have ended, by how.");
  page.sample(counters.attempts_committed, "end", "committed");
  page.sample(counters.attempts_skipped, "end", "skipped");
  page.sample(counters.attempts_accepted, "end", "accepted");
  page.sample(counters.attempts_failed, "end", "failed");
  page.sample(counters.attempts_in_doubt, "end", "in_doubt");
  page.sample(counters.attempts_withdrawn, "end", "withdrawn");
  page.histogram("tidemark_attempt_duration_seconds", "From asking for a commit to its end.",
                 counters.attempt_duration);

  page.counter("tidemark_calls", "Calls, by method.");
  for (const auto& [method, count] : sources_.calls()) page.sample(count, "method", method);
  page.counter("tidemark_errors", "Calls answered with an error, by reason.");
  for (const auto& [reason, count] : sources_.errors()) page.sample(count, "reason", reason);

  const store::JournalHealth health = sources_.ledger.health();
  page.gauge("tidemark_journal_healthy", "1 if the journal can be written, 0 if not.");
  page.sample(std::int64_t{health.healthy});
  page.gauge("tidemark_journal_bytes", "The journal's size on disk.", "bytes");
  page.sample(health.bytes);
  page.counter("tidemark_journal_commands", "Commands that the ledger has answered.");
  page.sample(counters.commands);
  page.histogram("tidemark_journal_batch_duration_seconds",
                 "A batch of commands, from its first to its being durable: what a mark waits for at least.",
                 counters.batch_duration);
  page.gauge("process_start_time_seconds", "When the daemon was started, since the epoch.", "seconds");
  page.sample(std::chrono::duration<double>(sources_.started_at.time_since_epoch()).count());
  add_process(page);
  return page.finish();
}

void Metrics::make(std::function<void(std::string)> done) {
  waiting_.push_back(std::move(done));
  if (waiting_.size() > 1) return;
  sources_.ledger.submit(store::Count{}, [this](const store::Outcome<store::Counts>& counted) {
    const std::string page = page_of(counted);
    for (const auto& give : std::exchange(waiting_, {})) give(page);
  });
}

}  // namespace tidemark::daemon
