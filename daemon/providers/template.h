// Texts with placeholders, and how a value is written into each place so that it stays a value: a session's name is a
// user's word, and must neither add a path segment, a header, a member of a JSON object nor a field of a form.
//
// Placeholders are {session} {external_id} {start} {end} {key} {attempt}, exactly; any other {word} of small letters
// and underscores is a mistake, and all other braces stand for themselves.
#pragma once

#include <string>
#include <string_view>

#include "daemon/providers/provider.h"
#include "daemon/providers/provider_config.h"

namespace tidemark::daemon {

enum class Encoding {
  percent,  // URLs and forms: all but letters, digits and -._~ as %XX; and dots too if there is nothing else, since "."
            // and ".." as path segments mean folders
  header,  // visible ASCII as it is, except %",;\ which go as %XX like everything else: neither a line, a quoted string
           // nor a member of a list ends
  json,    // within a JSON string, whose quotes the template has; {start}, {end} and {attempt} may stand for numbers
  plain,   // as it is
};

// The text with the request's values in it.
std::string expand(std::string_view text, const ProviderRequest& request, Encoding encoding);

// The first {word} that is no placeholder; empty = there is none.
std::string unknown_placeholder(std::string_view text);
bool has_placeholder(std::string_view text);

// How values are written into the configured body, and of which type it is then.
struct BodyEncoding {
  Encoding encoding = Encoding::plain;
  std::string content_type;  // to be sent; empty = a header of the configuration says it, or there is no body
  std::string problem;       // why the body can't be sent so; empty = it can
};

// By the configuration's Content-Type: JSON, a form or plain text; others can have no placeholders. Without that header
// the body has to be JSON.
BodyEncoding body_encoding(const HttpConfig& config);

}  // namespace tidemark::daemon
