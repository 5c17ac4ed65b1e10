// The metrics' text, to the letter: other programs read it.
#include "daemon/open_metrics.h"

#include <gtest/gtest.h>

namespace tidemark::daemon {
namespace {

using namespace std::chrono_literals;

TEST(OpenMetrics, NamesFamiliesAndSamplesAsTheFormatDoes) {
  OpenMetrics page;
  page.info("thing", "What it is.");
  page.sample(std::int64_t{1}, "version", "1.2");
  page.gauge("level_bytes", "How full.", "bytes");
  page.sample(std::int64_t{4096});
  page.counter("things", "How many, by kind.");
  page.sample(std::int64_t{3}, "kind", "a");
  page.sample(2.5, "kind", "b");
  EXPECT_EQ(page.finish(),
            "# TYPE thing info\n"
            "# HELP thing What it is.\n"
            "thing_info{version=\"1.2\"} 1\n"
            "# TYPE level_bytes gauge\n"
            "# UNIT level_bytes bytes\n"
            "# HELP level_bytes How full.\n"
            "level_bytes 4096\n"
            "# TYPE things counter\n"
            "# HELP things How many, by kind.\n"
            "things_total{kind=\"a\"} 3\n"
            "things_total{kind=\"b\"} 2.5\n"
            "# EOF\n");
}

TEST(OpenMetrics, CountsOfAHistogramAddUp) {
  static constexpr std::array<double, 3> bounds{0.125, 0.5, 1};
  Histogram histogram{bounds};
  histogram.add(125ms);  // at a bound: not above it
  histogram.add(250ms);
  histogram.add(500ms);
  histogram.add(2s);
  OpenMetrics page;
  page.histogram("wait_seconds", "How long.", histogram);
  EXPECT_EQ(page.finish(),
            "# TYPE wait_seconds histogram\n"
            "# UNIT wait_seconds seconds\n"
            "# HELP wait_seconds How long.\n"
            "wait_seconds_bucket{le=\"0.125\"} 1\n"
            "wait_seconds_bucket{le=\"0.5\"} 3\n"
            "wait_seconds_bucket{le=\"1.0\"} 3\n"
            "wait_seconds_bucket{le=\"+Inf\"} 4\n"
            "wait_seconds_count 4\n"
            "wait_seconds_sum 2.875\n"
            "# EOF\n");
}

TEST(OpenMetrics, EscapesWhatIsNotOurs) {
  OpenMetrics page;
  page.gauge("one", "A \"word\" and \\ a\nline.");
  page.sample(std::int64_t{0}, "label", "\"\\\n");
  EXPECT_EQ(page.finish(),
            "# TYPE one gauge\n"
            "# HELP one A \\\"word\\\" and \\\\ a\\nline.\n"
            "one{label=\"\\\"\\\\\\n\"} 0\n"
            "# EOF\n");
}

}  // namespace
}  // namespace tidemark::daemon
