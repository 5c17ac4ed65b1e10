#include "daemon/providers/http_transfer.h"

#include <strings.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <system_error>

namespace tidemark::daemon {

using lifecycle::Milliseconds;

namespace {

constexpr Milliseconds connect_timeout_max{10'000};
constexpr Milliseconds retry_after_max{3'600'000};

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char character) {
    const auto byte = static_cast<unsigned char>(character);
    return byte < 0x20 || byte == 0x7f;
  });
}

std::string without_control(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char character) {
        return has_control({&character, 1});
      },
      ' ');
  return text;
}

std::string url_part(CURLU* url, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

HttpAddress address_of(const std::string& text) {
  static constexpr std::string_view unix_scheme = "http+unix://";
  HttpAddress address;
  std::string location = text;
  const bool is_unix =
      text.size() > unix_scheme.size() && ::strncasecmp(text.c_str(), unix_scheme.data(), unix_scheme.size()) == 0;
  if (is_unix) {
    const std::size_t end = std::min(text.find_first_of("/?#", unix_scheme.size()), text.size());
    int length = 0;
    char* path = curl_easy_unescape(nullptr, text.c_str() + unix_scheme.size(),
                                    static_cast<int>(end - unix_scheme.size()), &length);
    if (path != nullptr) address.socket.assign(path, static_cast<std::size_t>(length));
    curl_free(path);
    if (address.socket.empty() || address.socket[0] != '/' || has_control(address.socket)) return address;
    location = "http://localhost" + text.substr(end);
  }
  CurlUrl url(curl_url());
  // As it stands: "/../" is what the configuration says, and must go to who can judge it.
  if (!url || curl_url_set(url.get(), CURLUPART_URL, location.c_str(), CURLU_PATH_AS_IS) != CURLUE_OK) return address;
  const std::string scheme = url_part(url.get(), CURLUPART_SCHEME, 0);
  if (scheme != "http" && scheme != "https") return address;
  address.place =
      is_unix ? "the socket " + address.socket
              : url_part(url.get(), CURLUPART_HOST, 0) + ":" + url_part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  address.url = std::move(url);
  return address;
}

// Called with a connection ready, before the first byte of the request: without this call nothing has left.
int on_begin(void* transfer, char*, char*, int, int) {
  static_cast<HttpTransfer*>(transfer)->begun = true;
  return CURL_PREREQFUNC_OK;
}

std::size_t on_body(char* data, std::size_t, std::size_t size, void* to) {
  auto& transfer = *static_cast<HttpTransfer*>(to);
  if (transfer.answer.body.size() + size > HttpClient::answer_bytes_max) {
    transfer.too_long = true;
    return 0;
  }
  transfer.answer.body.append(data, size);
  return size;
}

// A header's whole line. There may be any number of them, and of interim answers.
std::size_t on_header(char* data, std::size_t size, std::size_t count, void* to) {
  auto& transfer = *static_cast<HttpTransfer*>(to);
  const std::string_view line(data, size * count);
  if (line.substr(0, 5) == "HTTP/") transfer.headers_whole = false;
  if (line == "\r\n" || line == "\n") transfer.headers_whole = true;
  transfer.header_bytes += line.size();
  if (transfer.header_bytes <= HttpClient::answer_bytes_max) return line.size();
  transfer.too_long = true;
  return 0;
}

CurlList header_list(const HttpRequest& request) {
  bool typed = false;
  curl_slist* list = nullptr;
  const auto append = [&list](const std::string& line) {
    if (curl_slist* longer = curl_slist_append(list, line.c_str())) list = longer;
  };
  for (const auto& [name, value] : request.headers) {
    append(value.empty() ? name + ";" : name + ": " + value);  // libcurl's way to send a header without a value
    typed = typed || ::strcasecmp(name.c_str(), "content-type") == 0;
  }
  // Not waited for, and the peer closes first, so that the ports that linger are not ours.
  append("Expect:");
  append("Connection: close");
  if (!typed) append("Content-Type:");  // else libcurl calls it a form
  return CurlList(list);
}

template <typename Value>
void set(HttpTransfer& transfer, CURLcode& result, CURLoption option, Value value) {
  if (result == CURLE_OK) result = curl_easy_setopt(transfer.easy.get(), option, value);
}

std::optional<Milliseconds> retry_after_of(CURL* easy) {
  curl_header* header = nullptr;
  if (curl_easy_header(easy, "Retry-After", 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return std::nullopt;
  const std::string_view text(header->value);
  if (text.find_first_not_of("0123456789") == std::string_view::npos && text.size() > 9) return retry_after_max;
  curl_off_t seconds = 0;
  curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds);
  // 0 is also what libcurl makes of a text that it doesn't understand.
  if (seconds == 0 && text != "0") return std::nullopt;
  return Milliseconds(1000 * std::clamp<curl_off_t>(seconds, 0, retry_after_max.count() / 1000));
}

// The request hasn't left, and trying again won't help: the address or the trust in it is wrong.
bool is_misaddressed(const HttpTransfer& transfer, CURLcode code) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:  // libcurl doesn't tell a resolver that is out of order from an unknown name
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return true;
    case CURLE_SSL_CONNECT_ERROR:
      // OpenSSL's own word, as opposed to a connection that ended meanwhile.
      return std::strstr(transfer.error, "error:") != nullptr;
    default:
      return false;
  }
}

std::string reason_of(const HttpTransfer& transfer, CURLcode code) {
  long number = 0;
  curl_easy_getinfo(transfer.easy.get(), CURLINFO_OS_ERRNO, &number);
  if (number != 0 && code != CURLE_PARTIAL_FILE) return std::generic_category().message(static_cast<int>(number));
  return curl_easy_strerror(code);
}

// One sentence. libcurl's own words only where they can hold nothing of the request or the answer.
std::string sentence(const HttpTransfer& transfer, CURLcode code) {
  const std::string& place = transfer.address.place;
  if (transfer.too_long || code == CURLE_FILESIZE_EXCEEDED) {
    return "the answer of " + place + " is longer than " + std::to_string(HttpClient::answer_bytes_max) + " bytes";
  }
  if (!transfer.begun) {
    switch (code) {
      case CURLE_COULDNT_RESOLVE_HOST:
        return "the host name of " + place + " can't be resolved";
      case CURLE_COULDNT_RESOLVE_PROXY:
        return "the host name of the proxy for " + place + " can't be resolved";
      case CURLE_OPERATION_TIMEDOUT:
        return "no connection to " + place + " came about in time";
      case CURLE_COULDNT_CONNECT:
        return "no connection to " + place + " can be made: " + reason_of(transfer, code);
      case CURLE_PEER_FAILED_VERIFICATION:
      case CURLE_SSL_CONNECT_ERROR:
      case CURLE_SSL_CACERT_BADFILE:
        return "there is no TLS connection with " + place + ": " + without_control(transfer.error);
      default:
        return "no connection to " + place + " came about: " + reason_of(transfer, code);
    }
  }
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return place + " has not answered in time, " + std::to_string(transfer.request.timeout.count()) + " ms";
    case CURLE_GOT_NOTHING:
      return place + " ended the connection without an answer";
    case CURLE_PARTIAL_FILE:
      return place + " ended the connection in the middle of its answer";
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      return "the connection to " + place + " broke before the whole answer was there: " + reason_of(transfer, code);
    default:
      return "what " + place + " answered is not proper HTTP: " + std::string(curl_easy_strerror(code));
  }
}

}  // namespace

std::string problem_of_url(const std::string& url) {
  // libcurl would send user and password, and they would stand in the configuration.
  const std::size_t host = url.find("://");
  const std::size_t host_end = host == std::string::npos ? host : url.find_first_of("/?#", host + 3);
  if (url.substr(0, host_end).find('@') != std::string::npos) {
    return "the url holds a user or a password: put them into a header's file";
  }
  if (std::any_of(url.begin(), url.end(), [](char character) { return character <= ' ' || character >= 0x7f; })) {
    return "the url holds a blank, a control character or one beyond ASCII: they are percent-encoded in URLs";
  }
  if (url.find('#') != std::string::npos) return "the url has a fragment, which is never sent";
  // libcurl would take what follows a third slash for the host.
  const bool hostless = host == std::string::npos || host_end == host + 3;
  if (hostless || !address_of(url).url) return "the url is none of http://, https:// and http+unix://SOCKET/path";
  return {};
}

std::string read_address(HttpTransfer& transfer) {
  transfer.address = address_of(transfer.request.url);
  if (!transfer.address.url) return "the URL is none that requests can be sent to";
  const bool bad_method = transfer.request.method.empty() || has_control(transfer.request.method) ||
                          transfer.request.method.find(' ') != std::string::npos;
  if (bad_method) return "the method of a request to " + transfer.address.place + " is none";
  for (const auto& [name, value] : transfer.request.headers) {
    if (name.empty() || has_control(name) || name.find_first_of(": ") != std::string::npos || has_control(value)) {
      return "a header of a request to " + transfer.address.place + " holds a control character or has no proper name";
    }
  }
  return {};
}

CURLcode set_options(HttpTransfer& transfer) {
  const HttpRequest& request = transfer.request;
  CURLcode result = CURLE_OK;
  const auto timeout = std::max(request.timeout, Milliseconds(1));  // libcurl's 0 is none
  set(transfer, result, CURLOPT_PRIVATE, static_cast<void*>(&transfer));
  set(transfer, result, CURLOPT_ERRORBUFFER, static_cast<char*>(transfer.error));
  set(transfer, result, CURLOPT_NOSIGNAL, 1L);
  // A name that isn't looked up in time is given up without waiting for the thread that looks it up.
  set(transfer, result, CURLOPT_QUICK_EXIT, 1L);
  set(transfer, result, CURLOPT_CURLU, transfer.address.url.get());
  set(transfer, result, CURLOPT_PROTOCOLS_STR, "http,https");
  set(transfer, result, CURLOPT_FOLLOWLOCATION, 0L);
  set(transfer, result, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(transfer, result, CURLOPT_FRESH_CONNECT, 1L);
  set(transfer, result, CURLOPT_FORBID_REUSE, 1L);
  set(transfer, result, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
  set(transfer, result, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::min(timeout, connect_timeout_max).count()));
  set(transfer, result, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(transfer, result, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(HttpClient::answer_bytes_max));
  set(transfer, result, CURLOPT_USERAGENT, "tidemark/" TIDEMARK_VERSION);
  set(transfer, result, CURLOPT_PREREQFUNCTION, &on_begin);
  set(transfer, result, CURLOPT_PREREQDATA, static_cast<void*>(&transfer));
  set(transfer, result, CURLOPT_WRITEFUNCTION, &on_body);
  set(transfer, result, CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
  set(transfer, result, CURLOPT_HEADERFUNCTION, &on_header);
  set(transfer, result, CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
  if (!transfer.address.socket.empty()) {
    set(transfer, result, CURLOPT_UNIX_SOCKET_PATH, transfer.address.socket.c_str());
  }
  const bool may_have_body = request.method != "GET" && request.method != "HEAD";
  if (request.method == "HEAD") {
    set(transfer, result, CURLOPT_NOBODY, 1L);
  } else if (may_have_body && (!request.body.empty() || request.method == "POST" || request.method == "PUT" ||
                               request.method == "PATCH")) {
    set(transfer, result, CURLOPT_POST, 1L);
    set(transfer, result, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    set(transfer, result, CURLOPT_POSTFIELDS, request.body.c_str());
  }
  set(transfer, result, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  transfer.headers = header_list(request);
  set(transfer, result, CURLOPT_HTTPHEADER, transfer.headers.get());
  return result;
}

void conclude(HttpTransfer& transfer, CURLcode code) {
  HttpAnswer& answer = transfer.answer;
  long status = 0;
  curl_easy_getinfo(transfer.easy.get(), CURLINFO_RESPONSE_CODE, &status);
  if (code == CURLE_OK && !transfer.headers_whole) code = CURLE_PARTIAL_FILE;
  // An interim answer is none.
  if (code == CURLE_OK && status < 200) code = CURLE_WEIRD_SERVER_REPLY;
  if (code == CURLE_OK) {
    answer.end = HttpAnswer::End::answered;
    answer.status = status;
    answer.retry_after = retry_after_of(transfer.easy.get());
    return;
  }
  answer.end = transfer.begun ? HttpAnswer::End::interrupted : HttpAnswer::End::not_sent;
  answer.misaddressed = !transfer.begun && is_misaddressed(transfer, code);
  answer.error = sentence(transfer, code);
  answer.body.clear();
}

}  // namespace tidemark::daemon
