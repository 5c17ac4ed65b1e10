// See arguments.h.
#include "cli/arguments.h"

#include <charconv>
#include <limits>

#include "cli/format.h"
#include "ipc/json_text.h"

namespace tidemark::cli {

namespace {

// Writing JSON replaces what is not UTF-8, which tells whether there is any.
bool is_utf8(std::string const& text) {
  std::string json;
  ipc::append_string(json, text);
  constexpr std::string_view replacement = "\xEF\xBF\xBD";
  return json.find(replacement) == std::string::npos || text.find(replacement) != std::string::npos;
}

template <class Rule>
std::string rule_error(std::string const& text) {
  if (is_utf8(text) && Rule::allows(text)) return {};
  return "must be " + std::string(Rule::rule) + ", in UTF-8";
}

template <class Rule>
CLI::Validator rule_of() {
  CLI::Validator validator([](std::string& text) { return rule_error<Rule>(text); }, "");
  return validator;
}

}  // namespace

std::string name_error(std::string const& text) {
  return rule_error<ipc::Name>(text);
}

CLI::Option* add_name(CLI::App& app, std::string const& option, ipc::Name& target, std::string const& help) {
  return app
      .add_option_function<std::string>(
          option, [&target](std::string const& text) { target = text; }, help)
      ->check(rule_of<ipc::Name>())
      ->type_name("NAME");
}

CLI::Option* add_name(CLI::App& app, std::string const& option, std::optional<ipc::Name>& target,
                      std::string const& help) {
  return app
      .add_option_function<std::string>(
          option, [&target](std::string const& text) { target = text; }, help)
      ->check(rule_of<ipc::Name>())
      ->type_name("NAME");
}

CLI::Option* add_names(CLI::App& app, std::string const& option, std::vector<ipc::Name>& target,
                       std::string const& help) {
  return app
      .add_option_function<std::vector<std::string>>(
          option, [&target](std::vector<std::string> const& texts) { target.assign(texts.begin(), texts.end()); }, help)
      ->check(rule_of<ipc::Name>())
      ->type_name("NAME")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

CLI::Option* add_text(CLI::App& app, std::string const& option, ipc::Text& target, std::string const& help) {
  return app
      .add_option_function<std::string>(
          option, [&target](std::string const& text) { target = text; }, help)
      ->check(rule_of<ipc::Text>())
      ->type_name("TEXT");
}

CLI::Option* add_duration(CLI::App& app, std::string const& option, std::optional<ipc::Milliseconds>& target,
                          std::optional<ipc::Milliseconds> if_off, std::string const& help) {
  auto const take = [&target, if_off, option](std::string const& text) {
    auto const duration = parse_duration(text);
    if (!duration) throw CLI::ValidationError(option, duration.error());
    target = duration->value ? duration->value : if_off;
  };
  return app.add_option_function<std::string>(option, take, help)->type_name("DURATION");
}

CLI::Option* add_count(CLI::App& app, std::string const& option, std::optional<std::int64_t>& target, std::int64_t most,
                       std::string const& help) {
  auto const take = [&target, most, option](std::string const& text) {
    std::int64_t count = 0;
    auto const parsed = std::from_chars(text.data(), text.data() + text.size(), count);
    bool const whole = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
    if (!whole || count < 1 || count > most) {
      std::string const upto =
          most == std::numeric_limits<std::int64_t>::max() ? "from 1" : "from 1 to " + std::to_string(most);
      throw CLI::ValidationError(option, "\"" + printable(text) + "\" is no whole number " + upto);
    }
    target = count;
  };
  return app.add_option_function<std::string>(option, take, help)->type_name("N");
}

}  // namespace tidemark::cli
