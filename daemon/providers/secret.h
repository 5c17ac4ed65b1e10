// Secrets: read from where the configuration says, sent to the provider they are for, and kept out of everything else.
//
// Any thread; nothing is shared.
#pragma once

#include <boost/system/result.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/providers/provider_config.h"

namespace tidemark::daemon {

inline constexpr std::size_t secret_bytes_max = 65'536;

struct Secret {
  std::string text;
};

struct SecretProblem {
  std::string sentence;  // names the source and holds nothing of what was read
};

// A secret without the blanks and line ends after it. Refused: none, more than secret_bytes_max bytes, a control
// character (it could end a header) or one beyond ASCII (it has too many escaped forms to be found again in all of
// them), no file or no regular one. A credential is a file in the folder that $CREDENTIALS_DIRECTORY names.
boost::system::result<Secret, SecretProblem> read_secret(const SecretSource& source);

// Blots out secrets: every occurrence becomes "***", however short the secret is, and also where its characters are
// escaped as in JSON, percent-encoded as in URLs and forms, or character references as in HTML, each one or only some.
// Text goes through it before it is put into JSON, so that no escape is cut in two.
class Redactor {
 public:
  // Of a value such as "Bearer TOKEN" the part behind the blank is a secret too.
  void add(std::string_view secret);

  std::string redact(std::string_view text) const;
  // The same of the first `bytes_max` bytes, in whole characters; a beginning of a secret at their end is blotted out
  // too.
  std::string redact_start(std::string_view text, std::size_t bytes_max) const;

 private:
  std::string redact(std::string_view text, bool cut) const;

  std::vector<std::string> secrets_;  // longest first
};

}  // namespace tidemark::daemon
