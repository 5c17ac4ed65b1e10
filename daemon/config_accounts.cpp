// The machine's users and groups, by the reentrant calls of the C library.
#include "daemon/config_accounts.h"

#include <grp.h>
#include <pwd.h>

#include <cerrno>
#include <vector>

namespace tidemark::daemon {
namespace {

constexpr std::size_t entry_bytes_max = 1'048'576;

// `get` is one of getpwnam_r and its kin; the entry's texts live in `buffer`.
template <class Entry, class Name>
boost::system::error_code look_up(int (*get)(Name, Entry*, char*, std::size_t, Entry**), Name name, Entry& entry,
                                  std::vector<char>& buffer) {
  Entry* result = nullptr;
  int error = ERANGE;
  for (std::size_t bytes = 1024; error == ERANGE && bytes <= entry_bytes_max; bytes *= 2) {
    buffer.resize(bytes);
    error = get(name, &entry, buffer.data(), buffer.size(), &result);
  }
  if (result) return {};
  // Some sources of names say nothing, some say "no such process", when they found nobody.
  if (error == 0 || error == ESRCH) error = ENOENT;
  return {error, boost::system::generic_category()};
}

}  // namespace

boost::system::result<uid_t> find_user(const std::string& name) {
  passwd entry{};
  std::vector<char> buffer;
  if (const auto error = look_up(::getpwnam_r, name.c_str(), entry, buffer)) return error;
  return entry.pw_uid;
}

boost::system::result<gid_t> find_group(const std::string& name) {
  group entry{};
  std::vector<char> buffer;
  if (const auto error = look_up(::getgrnam_r, name.c_str(), entry, buffer)) return error;
  return entry.gr_gid;
}

boost::system::result<std::string> find_home(uid_t uid) {
  passwd entry{};
  std::vector<char> buffer;
  if (const auto error = look_up(::getpwuid_r, uid, entry, buffer)) return error;
  return std::string(entry.pw_dir);
}

}  // namespace tidemark::daemon
