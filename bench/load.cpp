// tidemark-load: measures a server that speaks the protocol's turn.complete (and, for cycles, the agent's side), and
// the machine under it. One thread, because it shares the machine with what it measures.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <map>
#include <random>
#include <string>

#include "bench/measurement.h"

namespace {

using tidemark::bench::Mode;
using tidemark::bench::Options;
using tidemark::bench::Order;
using tidemark::bench::Report;

const std::map<std::string, Mode> modes{
    {"marks", Mode::marks}, {"cycles", Mode::cycles}, {"echo", Mode::echo}, {"fdatasync", Mode::fdatasync}};
const std::map<std::string, Order> orders{{"random", Order::random}, {"sequential", Order::sequential}};

template <class Value>
const char* name_of(const std::map<std::string, Value>& names, Value value) {
  for (const auto& [name, candidate] : names) {
    if (candidate == value) return name.c_str();
  }
  return "";
}

struct Figures {
  double rate_per_second;
  double p50_us;
  double p99_us;
  double max_us;
};

Figures figures_of(const Report& report) {
  const auto microseconds = [](std::uint64_t ns) { return static_cast<double>(ns) * 1e-3; };
  return {report.seconds > 0 ? static_cast<double>(report.latency.count()) / report.seconds : 0,
          microseconds(report.latency.quantile_ns(0.5)), microseconds(report.latency.quantile_ns(0.99)),
          microseconds(report.latency.max_ns())};
}

bool of_server(const Options& options) {
  return options.mode == Mode::marks || options.mode == Mode::cycles;
}

void print_json(const Options& options, const Report& report) {
  const Figures figures = figures_of(report);
  std::printf(R"({"mode":"%s","rate_per_second":%.0f,"p50_us":%.1f,"p99_us":%.1f,"max_us":%.1f,"seconds":%.3f,)"
              R"("load_cpu_seconds":%.3f)",
              name_of(modes, options.mode), figures.rate_per_second, figures.p50_us, figures.p99_us, figures.max_us,
              report.seconds, report.cpu_seconds);
  if (of_server(options)) {
    std::printf(R"(,"connections":%u,"outstanding":%u,"errors":%llu,"durable_marks":%llu)", options.connections,
                options.outstanding, static_cast<unsigned long long>(report.errors),
                static_cast<unsigned long long>(report.durable_marks));
  }
  if (options.mode == Mode::marks) {
    if (options.rate_per_second > 0) std::printf(R"(,"rate_asked_per_second":%u)", options.rate_per_second);
    std::printf(R"(,"sessions":%u,"order":"%s","turn_ids":%s,"agents":%s,"seed":%llu)", options.sessions,
                name_of(orders, options.order), options.turn_ids ? "true" : "false", options.agents ? "true" : "false",
                static_cast<unsigned long long>(options.seed));
  }
  if (options.verify) {
    const auto& found = report.verification;
    std::printf(R"(,"sessions_asked":%llu,"generations_expected":%llu,"generations_found":%llu,"sessions_wrong":%llu)",
                static_cast<unsigned long long>(found.sessions_asked),
                static_cast<unsigned long long>(found.generations_expected),
                static_cast<unsigned long long>(found.generations_found),
                static_cast<unsigned long long>(found.sessions_wrong));
  }
  std::puts("}");
}

void print_table(const Options& options, const Report& report) {
  const Figures figures = figures_of(report);
  std::printf("%s", name_of(modes, options.mode));
  if (of_server(options)) std::printf(", %u connections x %u outstanding", options.connections, options.outstanding);
  if (options.mode == Mode::marks) {
    std::printf(", %u sessions in %s order, %s turn ids, %s agents, seed %llu", options.sessions,
                name_of(orders, options.order), options.turn_ids ? "with" : "without",
                options.agents ? "with" : "without", static_cast<unsigned long long>(options.seed));
  }
  std::printf("\n  rate              %12.0f /s\n", figures.rate_per_second);
  std::printf("  latency p50       %12.1f us\n", figures.p50_us);
  std::printf("  latency p99       %12.1f us\n", figures.p99_us);
  std::printf("  latency max       %12.1f us\n", figures.max_us);
  std::printf("  own CPU           %12.3f s of %.3f s\n", report.cpu_seconds, report.seconds);
  if (of_server(options)) {
    std::printf("  durable marks     %12llu in the whole run\n", static_cast<unsigned long long>(report.durable_marks));
    std::printf("  errors            %12llu\n", static_cast<unsigned long long>(report.errors));
  }
  if (options.verify) {
    const auto& found = report.verification;
    std::printf("  verified          %12llu sessions: %llu generations, %llu expected, %llu sessions wrong\n",
                static_cast<unsigned long long>(found.sessions_asked),
                static_cast<unsigned long long>(found.generations_found),
                static_cast<unsigned long long>(found.generations_expected),
                static_cast<unsigned long long>(found.sessions_wrong));
  }
}

Report run(const Options& options) {
  switch (options.mode) {
    case Mode::marks:
      return tidemark::bench::run_marks(options);
    case Mode::cycles:
      return tidemark::bench::run_cycles(options);
    case Mode::echo:
      return tidemark::bench::run_echo(options);
    case Mode::fdatasync:
      return tidemark::bench::run_fdatasync(options);
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  bool json = false;
  options.seed = std::random_device()();

  CLI::App app(
      "Measures a Tidemark server, and the machine under it.\n"
      "Exit status: 0 all was answered well, 1 errors, a failed verification or no server, 2 wrong usage.");
  app.option_defaults()->always_capture_default();
  app.add_option("--mode", options.mode,
                 "What to measure: marks (turn.complete), cycles (complete, commit, be asked, "
                 "answer), echo (a Unix socket's round trip), fdatasync (a durable 4 KiB append)")
      ->transform(CLI::CheckedTransformer(modes).description(""))
      ->default_str("marks")
      ->type_name("MODE");
  app.add_option("--socket", options.socket, "The server's Unix socket (marks, cycles)")->type_name("PATH");
  app.add_option("--directory", options.directory, "Where to append (fdatasync)")->type_name("PATH");
  app.add_option("--connections", options.connections, "Connections")->check(CLI::Range(1, 10'000));
  app.add_option("--outstanding", options.outstanding, "Unanswered marks a connection; 1 with cycles")
      ->check(CLI::Range(1, 10'000));
  app.add_option("--sessions", options.sessions, "Sessions that are marked")->check(CLI::Range(1, 100'000'000));
  app.add_option("--order", options.order, "Order of the sessions: random, sequential")
      ->transform(CLI::CheckedTransformer(orders).description(""))
      ->default_str("random")
      ->type_name("ORDER");
  app.add_flag("--turn-ids,!--no-turn-ids", options.turn_ids, "A fresh 36-character turn id with each mark (default)");
  app.add_flag("--agents", options.agents, "Name the session's agent in each mark");
  app.add_option("--rate", options.rate_per_second,
                 "Marks a second, each timed from when it was due (marks); 0: a new one upon each answer")
      ->check(CLI::Range(0, 10'000'000));
  app.add_option("--seconds", options.seconds, "Measured time")->check(CLI::Range(0.01, 86'400.0));
  app.add_option("--warmup-seconds", options.warmup_seconds, "Time before it")->check(CLI::Range(0.0, 86'400.0));
  app.add_option("--seed", options.seed, "Of the order of sessions; turn ids are fresh whatever it is")
      ->default_str("random");
  app.add_flag("--verify", options.verify,
               "Afterwards compare the sessions' generations with the answered marks: all up to 2000, else 50 of them");
  app.add_flag("--json", json, "Print one line of JSON");
  try {
    app.parse(argc, argv);
    if (of_server(options) && options.socket.empty()) throw CLI::RequiredError("--socket");
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (options.mode == Mode::cycles) options.outstanding = 1;
  if (!of_server(options)) options.verify = false;

  try {
    const Report report = run(options);
    json ? print_json(options, report) : print_table(options, report);
    if (report.errors > 0) std::fprintf(stderr, "first error: %s\n", report.first_error.c_str());
    const auto& found = report.verification;
    return report.errors == 0 && found.sessions_wrong == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tidemark-load: %s\n", error.what());
    return 1;
  }
}
