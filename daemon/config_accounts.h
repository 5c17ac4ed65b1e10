// The machine's users and groups, as the configuration names them. Any thread; a lookup can block on a directory
// service.
#pragma once

#include <sys/types.h>

#include <boost/system/result.hpp>
#include <string>

namespace tidemark::daemon {

/// The error of a lookup that worked and found nobody is boost::system::errc::no_such_file_or_directory.
boost::system::result<uid_t> find_user(const std::string& name);
boost::system::result<gid_t> find_group(const std::string& name);
boost::system::result<std::string> find_home(uid_t uid);

}  // namespace tidemark::daemon
