// A peer that watches: it keeps every event that it is told.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ipc/described.h"
#include "tests/system/peer.h"

namespace tidemark::system_test {

class Watcher : public Peer {
 public:
  explicit Watcher(ipc::Client connected) : Peer(std::move(connected)) {
    client.on_notification([this](std::string_view method, const boost::json::object& params) {
      if (method != "event") return;
      const auto event = ipc::decode<ipc::EventParams>(params, ipc::Strictness::lenient);
      ASSERT_TRUE(event) << event.error().text;
      events.push_back(*event);
    });
  }
  explicit Watcher(const Daemon& daemon) : Watcher(daemon.connect()) {}

  std::int64_t watch(ipc::WatchParams params = {}) { return call(params).subscription; }
  bool wait_for(const std::string& type, std::size_t times = 1) {
    return serve_until([&] {
      std::size_t seen = 0;
      for (const auto& event : events) seen += event.type == type;
      return seen >= times;
    });
  }
  /// The latest of that type; an empty one if there was none.
  ipc::EventParams last(const std::string& type) const {
    for (auto event = events.rbegin(); event != events.rend(); ++event) {
      if (event->type == type) return *event;
    }
    return {};
  }
  /// The types seen so far, with the session or agent each is about.
  std::string story() const {
    std::string text;
    for (const auto& event : events) {
      text += (text.empty() ? "" : ", ") + event.type + " " + event.session.value_or(event.agent.value_or(""));
    }
    return text;
  }

  std::vector<ipc::EventParams> events;
};

}  // namespace tidemark::system_test
