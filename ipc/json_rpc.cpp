// See json_rpc.h. The JSON text goes through Boost.JSON's parser into values in one reused block of memory; our handler
// around its value stack adds what the values alone don't tell: the text of a numeric id and repeated member names.
#include "ipc/json_rpc.h"

#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_stack.hpp>
#include <optional>
#include <vector>

#include "ipc/bounds.h"

namespace tidemark::ipc {

namespace json = boost::json;

namespace {

struct ErrorRow {
  ErrorReason reason;
  int code;
  std::string_view word;
};

constexpr std::array<ErrorRow, 11> error_rows{{
    {ErrorReason::parse_error, -32700, "parse_error"},
    {ErrorReason::invalid_request, -32600, "invalid_request"},
    {ErrorReason::method_not_found, -32601, "method_not_found"},
    {ErrorReason::invalid_params, -32602, "invalid_params"},
    {ErrorReason::internal, -32603, "internal"},
    {ErrorReason::journal_unavailable, -32001, "journal_unavailable"},
    {ErrorReason::forbidden, -32002, "forbidden"},
    {ErrorReason::limit, -32003, "limit"},
    {ErrorReason::not_found, -32004, "not_found"},
    {ErrorReason::protocol_mismatch, -32005, "protocol_mismatch"},
    {ErrorReason::outcome_unknown, -32006, "outcome_unknown"},
}};

consteval bool rows_stand_in_order() {
  for (std::size_t index = 0; index < error_rows.size(); ++index)
    if (error_rows[index].reason != static_cast<ErrorReason>(index)) return false;
  return true;
}
static_assert(rows_stand_in_order(), "rows are found by index");

ErrorRow const& row_of(ErrorReason reason) {
  return error_rows[static_cast<std::size_t>(reason)];
}

// What Boost.JSON's own parser does, plus a count of the members written and the text of numbers that are ids.
struct Handler {
  static constexpr std::size_t max_object_size = json::object::max_size();
  static constexpr std::size_t max_array_size = json::array::max_size();
  static constexpr std::size_t max_key_size = json::string::max_size();
  static constexpr std::size_t max_string_size = json::string::max_size();

  json::value_stack stack;
  std::vector<std::string_view> number_ids;  // of the messages that have one, in order
  std::size_t members = 0;
  std::size_t depth = 0;
  std::size_t message_depth = 1;  // 2 in a batch
  std::string key_part;           // the beginning of a key that the parser hands over in pieces
  bool id_follows = false;

  void reset(json::storage_ptr storage) {
    stack.reset(std::move(storage));
    number_ids.clear();
    members = depth = 0;
    message_depth = 1;
    key_part.clear();
    id_follows = false;
  }

  void on_number(std::string_view text) {
    if (id_follows) number_ids.push_back(text);
    id_follows = false;
  }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) {
    ++depth;
    id_follows = false;
    return true;
  }
  bool on_object_end(std::size_t count, json::error_code&) {
    --depth;
    members += count;
    stack.push_object(count);
    return true;
  }
  bool on_array_begin(json::error_code&) {
    if (depth++ == 0) message_depth = 2;
    id_follows = false;
    return true;
  }
  bool on_array_end(std::size_t count, json::error_code&) {
    --depth;
    stack.push_array(count);
    return true;
  }
  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    if (depth == message_depth) key_part += part;
    stack.push_chars(part);
    return true;
  }
  bool on_key(json::string_view part, std::size_t, json::error_code&) {
    if (depth == message_depth) {
      if (key_part.empty()) {
        id_follows = part == "id";
      } else {
        key_part += part;
        id_follows = key_part == "id";
        key_part.clear();
      }
    }
    stack.push_key(part);
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
    stack.push_chars(part);
    return true;
  }
  bool on_string(json::string_view part, std::size_t, json::error_code&) {
    id_follows = false;
    stack.push_string(part);
    return true;
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t number, json::string_view text, json::error_code&) {
    on_number(text);
    stack.push_int64(number);
    return true;
  }
  bool on_uint64(std::uint64_t number, json::string_view text, json::error_code&) {
    on_number(text);
    stack.push_uint64(number);
    return true;
  }
  bool on_double(double number, json::string_view text, json::error_code&) {
    on_number(text);
    stack.push_double(number);
    return true;
  }
  bool on_bool(bool boolean, json::error_code&) {
    id_follows = false;
    stack.push_bool(boolean);
    return true;
  }
  bool on_null(json::error_code&) {
    id_follows = false;
    stack.push_null();
    return true;
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }
};

json::parse_options parser_options() {
  json::parse_options options;
  options.max_depth = bounds::json_depth_max;
  return options;
}

// Members that the values hold: fewer than were written when a name came twice in one object.
std::size_t count_members(json::value const& value) {
  std::size_t count = 0;
  if (auto const* object = value.if_object()) {
    count = object->size();
    for (auto const& member : *object)
      if (member.value().is_structured()) count += count_members(member.value());
  } else if (auto const* array = value.if_array()) {
    for (auto const& element : *array)
      if (element.is_structured()) count += count_members(element);
  }
  return count;
}

std::string text_at(json::object const& object, std::string_view name) {
  auto const* value = object.if_contains(name);
  auto const* string = value != nullptr ? value->if_string() : nullptr;
  return string != nullptr ? std::string(*string) : std::string();
}

// An error as a peer sent it, taken kindly: what is missing or of another type is left out.
Error read_error(json::value const& value) {
  Error error;
  auto const* object = value.if_object();
  if (object == nullptr) {
    error.message = "the peer's error is not an object";
    return error;
  }
  if (auto const* code = object->if_contains("code"); code != nullptr && code->is_int64()) {
    auto const number = code->get_int64();
    error.code = number == static_cast<int>(number) ? static_cast<int>(number) : 0;
  }
  error.message = text_at(*object, "message");
  auto const* data = object->if_contains("data");
  if (auto const* details = data != nullptr ? data->if_object() : nullptr) {
    error.reason = text_at(*details, "reason");
    error.limit = text_at(*details, "limit");
    if (auto const* wait = details->if_contains("retry_after_ms"); wait != nullptr && wait->is_int64())
      error.retry_after_ms = wait->get_int64();
    if (auto const* permanent = details->if_contains("permanent"); permanent != nullptr && permanent->is_bool())
      error.permanent = permanent->get_bool();
  }
  return error;
}

json::object const no_params;

}  // namespace

int code_of(ErrorReason reason) {
  return row_of(reason).code;
}
std::string_view word_of(ErrorReason reason) {
  return row_of(reason).word;
}

Error Error::make(ErrorReason reason, std::string message) {
  Error error;
  error.code = code_of(reason);
  error.message = std::move(message);
  error.reason = word_of(reason);
  return error;
}

Error Error::at_limit(std::string bound, std::string message) {
  Error error = make(ErrorReason::limit, std::move(message));
  error.limit = std::move(bound);
  return error;
}

void append_error(std::string& out, std::string_view id, Error const& error) {
  out += R"({"jsonrpc":"2.0","id":)";
  out += id;
  out += R"(,"error":{"code":)";
  append_integer(out, std::int64_t{error.code});
  out += R"(,"message":)";
  append_string(out, error.message);
  char separator = '{';
  auto const member = [&](std::string_view name) -> std::string& {
    if (separator == '{') out += R"(,"data":)";
    out += separator;
    separator = ',';
    return out.append(1, '"').append(name).append("\":");
  };
  if (!error.reason.empty()) append_string(member("reason"), error.reason);
  if (!error.limit.empty()) append_string(member("limit"), error.limit);
  if (error.retry_after_ms) append_integer(member("retry_after_ms"), *error.retry_after_ms);
  if (error.permanent) member("permanent") += "true";
  out += separator == ',' ? "}}}" : "}}";
}

struct Parser::State {
  std::array<unsigned char, 16 * bounds::kibibyte> block;  // enough for any usual frame
  std::optional<json::monotonic_resource> memory{std::in_place, block.data(), block.size()};
  std::optional<json::basic_parser<Handler>> parser{parser_options()};
  std::optional<json::value> root;
  std::size_t frame_bytes = 0;  // of the last frame
  std::vector<Message> messages;
  std::size_t number_ids_used = 0;
  bool batch = false;

  std::span<Message> parse(std::string_view frame);
  Message read_message(json::value const& value);
  std::span<Message> refuse(ErrorReason reason, std::string message) {
    return refuse(Error::make(reason, std::move(message)));
  }
  std::span<Message> refuse(Error error) {
    batch = false;
    messages.clear();
    messages.emplace_back(Invalid{"null", std::move(error)});
    return messages;
  }
};

std::span<Message> Parser::State::parse(std::string_view frame) {
  messages.clear();
  batch = false;
  number_ids_used = 0;
  root.reset();
  if (frame_bytes > bounds::read_bytes) parser.emplace(parser_options());  // gives back the stack that it grew
  frame_bytes = frame.size();
  auto& handler = parser->handler();
  parser->reset();
  handler.reset(&*memory);  // before the memory is taken back: the stack may still hold a broken frame's values
  // Made anew: its release() keeps the size of the next block, which doubles with each, over all frames ever parsed.
  memory.emplace(block.data(), block.size());

  json::error_code error;
  std::size_t const used = parser->write_some(false, frame.data(), frame.size(), error);
  if (!error && used < frame.size()) error = json::error::extra_data;
  if (error) return refuse(ErrorReason::parse_error, "the frame is not one JSON value: " + error.message());

  root.emplace(handler.stack.release());  // built in place: an assignment would copy it out of its memory
  if (count_members(*root) != handler.members)
    return refuse(ErrorReason::invalid_request, "an object has two members of the same name");
  auto const* array = root->if_array();
  if (array == nullptr) {
    messages.push_back(read_message(*root));
    return messages;
  }
  if (array->empty()) return refuse(ErrorReason::invalid_request, "a batch needs at least one member");
  if (array->size() > bounds::batch_members_max)
    return refuse(Error::at_limit("batch_members",
                                  "a batch has at most " + std::to_string(bounds::batch_members_max) + " members"));
  batch = true;
  for (auto const& member : *array) messages.push_back(read_message(member));
  return messages;
}

Message Parser::State::read_message(json::value const& value) {
  auto const* object = value.if_object();
  if (object == nullptr) return Invalid{"null", Error::make(ErrorReason::invalid_request, "a call is a JSON object")};

  json::value const* version = nullptr;
  json::value const* method = nullptr;
  json::value const* params = nullptr;
  json::value const* result = nullptr;
  json::value const* error = nullptr;
  CallId id;
  bool id_valid = true;
  for (auto const& member : *object) {
    json::string_view const key = member.key();
    if (key == "jsonrpc") {
      version = &member.value();
    } else if (key == "method") {
      method = &member.value();
    } else if (key == "params") {
      params = &member.value();
    } else if (key == "result") {
      result = &member.value();
    } else if (key == "error") {
      error = &member.value();
    } else if (key == "id") {
      if (member.value().is_number()) {
        id = parser->handler().number_ids[number_ids_used++];
      } else if (auto const* string = member.value().if_string()) {
        append_string(id, *string);
      } else if (member.value().is_null()) {
        id = "null";
      } else {
        id_valid = false;
      }
      if (id.size() > bounds::call_id_bytes_max) id_valid = false;
    }
  }
  if (!id_valid) id = "null";
  auto const invalid = [&](char const* text) -> Message {
    return Invalid{id.empty() ? "null" : std::move(id), Error::make(ErrorReason::invalid_request, text)};
  };
  if (!id_valid) return invalid("an id is a string of at most 256 bytes, a number or null");
  auto const* version_text = version != nullptr ? version->if_string() : nullptr;
  if (version_text == nullptr || *version_text != "2.0") return invalid(R"("jsonrpc" must be "2.0")");
  // Some peers write both members of an answer, the one that doesn't apply as null.
  if (error != nullptr && error->is_null()) error = nullptr;
  if (error != nullptr && result != nullptr && result->is_null()) result = nullptr;
  if (method == nullptr && (result != nullptr) != (error != nullptr) && !id.empty()) {
    if (result != nullptr) return Response{std::move(id), result, {}};
    return Response{std::move(id), nullptr, read_error(*error)};
  }
  auto const* method_text = method != nullptr ? method->if_string() : nullptr;
  if (method_text == nullptr) return invalid(R"("method" must be a string)");
  if (params != nullptr && !params->is_object())
    return Invalid{std::move(id), Error::make(ErrorReason::invalid_params,
                                              R"("params" must be an object: parameters are always named)")};
  return Request{std::move(id), *method_text, params != nullptr ? &params->get_object() : &no_params};
}

Parser::Parser() : state_(std::make_unique<State>()) {}
Parser::~Parser() = default;
Parser::Parser(Parser&&) noexcept = default;
Parser& Parser::operator=(Parser&&) noexcept = default;

std::span<Message> Parser::parse(std::string_view frame) {
  return state_->parse(frame);
}
bool Parser::batch() const {
  return state_->batch;
}

}  // namespace tidemark::ipc
