// Text in the OpenMetrics format, version 1.0: families of samples in base units, each with its help. Label values and
// help are escaped; names are ours and valid.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/counters.h"

namespace tidemark::daemon {

class OpenMetrics {
 public:
  static constexpr std::string_view content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";

  // Begins a family, whose samples follow. `unit` is the name's last word ("seconds", "bytes"), or empty.
  void gauge(std::string_view name, std::string_view help, std::string_view unit = {});
  // Its samples get the ending `_total` that the format asks for.
  void counter(std::string_view name, std::string_view help, std::string_view unit = {});
  void info(std::string_view name, std::string_view help);

  // One sample of the family; `label` empty = the only one.
  void sample(double value, std::string_view label = {}, std::string_view label_value = {});
  void sample(std::int64_t value, std::string_view label = {}, std::string_view label_value = {});

  // A whole family. `name` ends in `_seconds`.
  void histogram(std::string_view name, std::string_view help, const Histogram& histogram);

  // The text; nothing can follow.
  std::string finish();

 private:
  void family(std::string_view name, std::string_view type, std::string_view help, std::string_view unit);
  void append_sample(std::string_view value, std::string_view label, std::string_view label_value);

  std::string text_;
  std::string sample_name_;
};

}  // namespace tidemark::daemon
