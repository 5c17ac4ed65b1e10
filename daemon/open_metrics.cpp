#include "daemon/open_metrics.h"

#include <array>
#include <cassert>
#include <charconv>

namespace tidemark::daemon {

namespace {

void append_escaped(std::string& text, std::string_view value) {
  for (const char character : value) {
    switch (character) {
      case '\\':
        text += "\\\\";
        break;
      case '"':
        text += "\\\"";
        break;
      case '\n':
        text += "\\n";
        break;
      default:
        text += character;
    }
  }
}

// The shortest text that reads back as the same number, written out as the format wants it for bounds: 0.001, 1.0.
std::string number_text(double value) {
  std::array<char, 512> buffer;  // the longest is that of the least
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed).ptr;
  std::string text(buffer.data(), end);
  if (text.find('.') == text.npos) text += ".0";
  return text;
}

}  // namespace

void OpenMetrics::family(std::string_view name, std::string_view type, std::string_view help, std::string_view unit) {
  assert(unit.empty() || name.ends_with(unit));
  const auto line = [&](std::string_view what) { ((text_ += what) += name) += ' '; };
  line("# TYPE ");
  (text_ += type) += '\n';
  if (!unit.empty()) {
    line("# UNIT ");
    (text_ += unit) += '\n';
  }
  line("# HELP ");
  append_escaped(text_, help);
  text_ += '\n';
  sample_name_ = name;
}

void OpenMetrics::gauge(std::string_view name, std::string_view help, std::string_view unit) {
  family(name, "gauge", help, unit);
}

void OpenMetrics::counter(std::string_view name, std::string_view help, std::string_view unit) {
  family(name, "counter", help, unit);
  sample_name_ += "_total";
}

void OpenMetrics::info(std::string_view name, std::string_view help) {
  family(name, "info", help, {});
  sample_name_ += "_info";
}

void OpenMetrics::append_sample(std::string_view value, std::string_view label, std::string_view label_value) {
  text_ += sample_name_;
  if (!label.empty()) {
    ((text_ += '{') += label) += "=\"";
    append_escaped(text_, label_value);
    text_ += "\"}";
  }
  ((text_ += ' ') += value) += '\n';
}

void OpenMetrics::sample(double value, std::string_view label, std::string_view label_value) {
  append_sample(number_text(value), label, label_value);
}

void OpenMetrics::sample(std::int64_t value, std::string_view label, std::string_view label_value) {
  append_sample(std::to_string(value), label, label_value);
}

void OpenMetrics::histogram(std::string_view name, std::string_view help, const Histogram& histogram) {
  family(name, "histogram", help, "seconds");
  sample_name_ = std::string(name) + "_bucket";
  std::int64_t count = 0;
  for (std::size_t at = 0; at < histogram.bounds().size(); ++at) {
    count += histogram.count(at);
    sample(count, "le", number_text(histogram.bounds()[at]));
  }
  count += histogram.count(histogram.bounds().size());
  sample(count, "le", "+Inf");
  sample_name_ = std::string(name) + "_count";
  sample(count);
  sample_name_ = std::string(name) + "_sum";
  sample(histogram.sum_seconds());
}

std::string OpenMetrics::finish() {
  text_ += "# EOF\n";
  return std::move(text_);
}

}  // namespace tidemark::daemon
