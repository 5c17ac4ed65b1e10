// The stand-in for an OpenViking server as a process of the test: openviking_server.py, whose beginning says what can
// be asked of it.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tests/system/process.h"

namespace tidemark::system_test {

class OpenViking {
 public:
  /// Runs until the object ends. Throws if it doesn't start.
  explicit OpenViking(std::vector<std::string> arguments = {});

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int port() const { return port_; }

  /// POST /_script. Throws if the server refuses it.
  void script(std::string_view json) const { call("POST", "/_script", json); }
  void release(const std::string& hold) const { call("POST", "/_release", R"({"hold": ")" + hold + "\"}"); }
  /// Turns that are live, as an agent would send them.
  void add(const std::string& session, const std::vector<std::string>& messages) const;
  boost::json::object effects() const { return call("GET", "/_effects").as_object(); }
  /// Of one session ("default/default/NAME" unless said otherwise): each archive's messages that were extracted, one
  /// text an archive, joined by blanks; as often as they were.
  std::vector<std::string> extracted(const std::string& session) const;
  boost::json::array requests() const { return call("GET", "/_requests").as_array(); }
  /// How many requests had this method and a path with this text in it.
  int count(std::string_view method, std::string_view path) const;

  /// What any path answers, as its body's text.
  std::string text(std::string_view method, std::string_view path, std::string_view body = {}) const;
  Process& process() { return process_; }

 private:
  boost::json::value call(std::string_view method, std::string_view path, std::string_view body = {}) const;

  TemporaryFolder folder_;
  Process process_;
  int port_ = 0;
};

}  // namespace tidemark::system_test
