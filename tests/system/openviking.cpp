// See openviking.h.
#include "tests/system/openviking.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <stdexcept>

namespace tidemark::system_test {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

std::vector<std::string> command_of(std::vector<std::string> arguments) {
  std::vector<std::string> command{"/usr/bin/env", "python3", "-B",
                                   std::string(TIDEMARK_SOURCE) + "/tests/system/openviking_server.py"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

}  // namespace

OpenViking::OpenViking(std::vector<std::string> arguments)
    : process_(Process::spawn(command_of(std::move(arguments)), folder_.path() + "/output")) {
  const std::string output = folder_.path() + "/output";
  if (!wait_until([&] { return content_of(output).find('\n') != std::string::npos || process_.ended(); }) ||
      process_.ended()) {
    throw std::runtime_error("the stand-in doesn't start: " + content_of(output));
  }
  port_ = std::atoi(content_of(output).c_str());
}

void OpenViking::add(const std::string& session, const std::vector<std::string>& messages) const {
  script(json::serialize(json::object{
      {"add", json::object{{"session", session}, {"messages", json::array(messages.begin(), messages.end())}}}}));
}

std::vector<std::string> OpenViking::extracted(const std::string& session) const {
  const json::object effects = this->effects();
  const json::object& sessions = effects.at("sessions").as_object();
  const std::string name = session.find('/') == std::string::npos ? "default/default/" + session : session;
  std::vector<std::string> extractions;
  if (!sessions.contains(name)) return extractions;
  for (const json::value& archive : sessions.at(name).at("archives").as_array()) {
    std::string messages;
    for (const json::value& message : archive.at("messages").as_array()) {
      messages += (messages.empty() ? "" : " ") + std::string(message.as_string());
    }
    for (auto left = archive.at("extractions").as_int64(); left > 0; --left) extractions.push_back(messages);
  }
  return extractions;
}

int OpenViking::count(std::string_view method, std::string_view path) const {
  int found = 0;
  for (const json::value& request : requests()) {
    found += request.at("method").as_string() == json::string_view(method.data(), method.size()) &&
             request.at("path").as_string().find(json::string_view(path.data(), path.size())) != json::string::npos;
  }
  return found;
}

std::string OpenViking::text(std::string_view method, std::string_view path, std::string_view body) const {
  asio::io_context io;
  asio::ip::tcp::socket socket(io);
  socket.connect({asio::ip::address_v4::loopback(), static_cast<unsigned short>(port_)});
  const std::string request =
      std::string(method) + " " + std::string(path) +
      " HTTP/1.1\r\nHost: stand-in\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
      "\r\n\r\n" + std::string(body);
  asio::write(socket, asio::buffer(request));
  std::string answer;
  boost::system::error_code error;
  asio::read(socket, asio::dynamic_buffer(answer), error);
  const std::size_t end = answer.find("\r\n\r\n");
  if (end == std::string::npos || answer.find(" 200 ") > end) {
    throw std::runtime_error("the stand-in refuses " + std::string(path) + ": " + answer);
  }
  return answer.substr(end + 4);
}

json::value OpenViking::call(std::string_view method, std::string_view path, std::string_view body) const {
  return json::parse(text(method, path, body));
}

}  // namespace tidemark::system_test
