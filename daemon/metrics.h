// The metrics page: everybody's counts, none of anybody's names. Made when it is asked for, by one read of the ledger;
// nothing of it costs a mark more than a few increments. Whoever asks meanwhile gets the same page. I/O thread only.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/counters.h"
#include "daemon/dispatcher.h"
#include "daemon/open_metrics.h"
#include "daemon/watchers.h"
#include "store/ledger.h"

namespace tidemark::daemon {

class Metrics {
 public:
  // Where the figures come from; all of it outlives the page's maker.
  struct Sources {
    store::Ledger& ledger;
    const Dispatcher& dispatcher;
    const ProviderLines& providers;
    const Watchers& watchers;
    const Counters& counters;
    lifecycle::Utc started_at;
    std::function<std::int64_t()> connections;
    std::function<std::map<std::string_view, std::int64_t>()> calls;     // by method
    std::function<const std::map<std::string, std::int64_t>&()> errors;  // answered, by reason
  };

  explicit Metrics(Sources sources) : sources_(std::move(sources)) {}

  // Hands the page, in OpenMetrics' format, to `done`, later and on this thread. Figures that a failed ledger can't
  // give are left out.
  void make(std::function<void(std::string)> done);

 private:
  std::string page_of(const store::Outcome<store::Counts>& counted);
  void add_providers(OpenMetrics& page);
  void add_process(OpenMetrics& page);

  Sources sources_;
  std::vector<std::function<void(std::string)>> waiting_;  // for the page that is being made
  std::int64_t descriptors_ = 0;                           // open ones, when last counted
  std::optional<lifecycle::Steady> descriptors_counted_;
};

}  // namespace tidemark::daemon
