#include "daemon/providers/secret.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/providers/excerpt.h"

namespace tidemark::daemon {

namespace {

bool fits_header(char character) {
  return character >= ' ' && character < 0x7f;
}

// The whole file, or one byte more than secret_bytes_max of it. Empty with an errno: 0 = it isn't a regular file.
std::optional<std::string> contents_of(const std::string& path, int& error) {
  // Not blocking: the configuration may name a pipe.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (file < 0) {
    error = errno;
    return std::nullopt;
  }
  std::optional<std::string> contents(std::in_place);
  error = 0;
  struct stat status {};
  if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) contents.reset();
  while (contents && contents->size() <= secret_bytes_max) {
    char buffer[4096];
    const ssize_t count = ::read(file, buffer, sizeof buffer);
    if (count == 0) break;
    if (count > 0) {
      contents->append(buffer, static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      error = errno;
      contents.reset();
    }
  }
  ::close(file);
  return contents;
}

}  // namespace

boost::system::result<Secret, SecretProblem> read_secret(const SecretSource& source) {
  std::string path = source.file;
  std::string name = "the secret in " + source.file;
  if (path.empty()) {
    name = "the credential \"" + source.credential + "\"";
    const char* folder = std::getenv("CREDENTIALS_DIRECTORY");
    if (folder == nullptr || *folder == '\0') {
      return SecretProblem{name + " can't be read: the service manager has given this process no credentials"};
    }
    if (source.credential.empty() || source.credential.find('/') != std::string::npos || source.credential[0] == '.') {
      return SecretProblem{name + " can't be read: that is no credential's name"};
    }
    path = std::string(folder) + "/" + source.credential;
  }
  int error = 0;
  std::optional<std::string> secret = contents_of(path, error);
  if (!secret)
    return SecretProblem{name + " can't be read: " + (error != 0 ? std::strerror(error) : "it isn't a regular file")};
  if (secret->size() > secret_bytes_max) {
    return SecretProblem{name + " is longer than " + std::to_string(secret_bytes_max) + " bytes"};
  }
  secret->resize(secret->find_last_not_of(" \t\r\n") + 1);
  if (secret->empty()) return SecretProblem{name + " is empty"};
  if (!std::all_of(secret->begin(), secret->end(), fits_header)) {
    return SecretProblem{name + " holds a control character, such as the end of a first line, or one beyond ASCII"};
  }
  return Secret{std::move(*secret)};
}

namespace {

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

// The number that `digits` are in that base; -1 = they aren't one.
int number(std::string_view digits, int base) {
  int value = digits.empty() ? -1 : 0;
  for (const char digit : digits) {
    const int next = hex_value(digit);
    if (next < 0 || next >= base || value > 0xffff) return -1;
    value = value * base + next;
  }
  return value;
}

struct Escape {
  std::size_t length;  // in the text; 0 = none begins here
  int character;
};

Escape percent_escape(std::string_view text) {
  if (text[0] == '+') return {1, ' '};
  if (text[0] != '%' || text.size() < 3) return {0, 0};
  return {3, number(text.substr(1, 2), 16)};
}

Escape json_escape(std::string_view text) {
  if (text[0] != '\\' || text.size() < 2) return {0, 0};
  if (text[1] != 'u') return {2, text[1]};
  return {text.size() < 6 ? std::size_t{0} : 6, number(text.substr(2, 4), 16)};
}

Escape html_escape(std::string_view text) {
  const std::size_t end = text.substr(0, 10).find(';');
  if (text[0] != '&' || end == std::string_view::npos) return {0, 0};
  const std::string_view name = text.substr(1, end - 1);
  if (name == "amp") return {end + 1, '&'};
  if (name == "lt") return {end + 1, '<'};
  if (name == "gt") return {end + 1, '>'};
  if (name == "quot") return {end + 1, '"'};
  if (name == "apos") return {end + 1, '\''};
  if (name.size() < 2 || name[0] != '#') return {0, 0};
  const bool hex = name[1] == 'x' || name[1] == 'X';
  return {end + 1, number(name.substr(hex ? 2 : 1), hex ? 16 : 10)};
}

// Where the occurrence of `secret` that begins at `begin` ends, the furthest of several; `begin` = there is none. With
// `cut` an occurrence that the text's end cuts off is one too. A character can be meant and escaped in the same text
// ("%25" is "%" or itself), so all places are followed at which the part of the secret seen so far may end.
std::size_t match_end(std::string_view text, std::size_t begin, std::string_view secret, bool cut) {
  if (text[begin] != secret[0] && std::string_view("%+\\&").find(text[begin]) == std::string_view::npos) return begin;
  std::vector<std::size_t> ends{begin}, next;
  for (const char wanted : secret) {
    const auto go_on = [&next](std::size_t end) {
      if (std::find(next.begin(), next.end(), end) == next.end()) next.push_back(end);
    };
    for (const std::size_t end : ends) {
      const std::string_view rest = text.substr(end);
      if (rest.empty()) continue;
      if (rest[0] == wanted) go_on(end + 1);
      for (const Escape escape : {percent_escape(rest), json_escape(rest), html_escape(rest)}) {
        if (escape.length > 0 && escape.character == static_cast<unsigned char>(wanted)) go_on(end + escape.length);
      }
      // An escape that the cut has parted from its end.
      if (cut && end > begin && rest.size() < 10 && std::string_view("%\\&").find(rest[0]) != std::string_view::npos) {
        go_on(text.size());
      }
    }
    if (cut && std::find(next.begin(), next.end(), text.size()) != next.end()) return text.size();
    if (next.empty()) return begin;
    ends.swap(next);
    next.clear();
  }
  return *std::max_element(ends.begin(), ends.end());
}

}  // namespace

void Redactor::add(std::string_view secret) {
  const auto insert = [this](std::string_view part) {
    if (part.empty() || std::find(secrets_.begin(), secrets_.end(), part) != secrets_.end()) return;
    const auto longer = [](const std::string& left, std::string_view right) { return left.size() >= right.size(); };
    secrets_.emplace(std::lower_bound(secrets_.begin(), secrets_.end(), part, longer), part);
  };
  insert(secret);
  const std::size_t blank = secret.find(' ');
  const std::size_t token = secret.find_first_not_of(' ', std::min(blank, secret.size()));
  if (token != std::string_view::npos) insert(secret.substr(token));
}

std::string Redactor::redact(std::string_view text, bool cut) const {
  std::string result;
  result.reserve(text.size());
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t end = at;
    for (const std::string& secret : secrets_) end = std::max(end, match_end(text, at, secret, cut));
    if (end == at) {
      result += text[at++];
    } else {
      result += "***";
      at = end;
    }
  }
  return result;
}

std::string Redactor::redact(std::string_view text) const {
  return redact(text, false);
}

std::string Redactor::redact_start(std::string_view text, std::size_t bytes_max) const {
  return redact(whole_characters(text, bytes_max), text.size() > bytes_max);
}

}  // namespace tidemark::daemon
