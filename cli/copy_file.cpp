// See copy_file.h. The copy goes to the disk in small pieces: a large one at its end would hold up every other sync of
// the machine, the daemon's among them.
#include "cli/copy_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

namespace tidemark::cli {

namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 20U;
constexpr std::int64_t pieces_a_sync = 4;

std::string failed(std::string const& what, std::string const& path) {
  return "cannot " + what + " " + path + ": " + std::generic_category().message(errno);
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(Descriptor const&) = delete;
  Descriptor& operator=(Descriptor const&) = delete;
  int number() const { return number_; }
  bool good() const { return number_ >= 0; }

 private:
  int number_;
};

// A file beside another, gone again unless it takes that one's name.
class Beside {
 public:
  explicit Beside(std::string const& path) : path_(path + ".XXXXXX"), file_(::mkostemp(path_.data(), O_CLOEXEC)) {}
  ~Beside() {
    if (file_.good() && !path_.empty()) ::unlink(path_.c_str());
  }
  Beside(Beside const&) = delete;
  Beside& operator=(Beside const&) = delete;

  Descriptor const& file() const { return file_; }
  bool take_name(std::string const& name, bool replace) {
    int taken = ::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, name.c_str(), replace ? 0 : RENAME_NOREPLACE);
    // A file system that can't tell: looking first is the best that is left.
    if (taken != 0 && (errno == EINVAL || errno == ENOSYS) && !replace) {
      struct stat there {};
      if (::lstat(name.c_str(), &there) == 0) {
        errno = EEXIST;
        return false;
      }
      taken = ::rename(path_.c_str(), name.c_str());
    }
    if (taken == 0) path_.clear();
    return taken == 0;
  }

 private:
  std::string path_;  // empty: it has taken the name
  Descriptor file_;
};

bool write_all(int descriptor, char const* bytes, std::size_t count) {
  while (count > 0) {
    ssize_t const written = ::write(descriptor, bytes, count);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes += written;
    count -= static_cast<std::size_t>(written);
  }
  return true;
}

bool sync_folder_of(std::string const& path) {
  auto const folder = std::filesystem::path(path).parent_path();
  Descriptor const opened(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems can't sync a folder, and need not.
  return opened.good() && (::fsync(opened.number()) == 0 || errno == EINVAL);
}

}  // namespace

std::string copy_file(std::string const& from, std::int64_t bytes, std::string const& to, bool replace) {
  Descriptor const source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source.good()) return failed("read", from);
  Beside copy(to);
  if (!copy.file().good()) return failed("write beside", to);
  std::int64_t copied = 0;
  std::vector<char> piece(piece_bytes);
  for (std::int64_t pieces = 1;; ++pieces) {
    ssize_t const count = ::read(source.number(), piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed("read", from);
    if (count == 0) break;
    if (!write_all(copy.file().number(), piece.data(), static_cast<std::size_t>(count))) return failed("write", to);
    if (pieces % pieces_a_sync == 0 && ::fdatasync(copy.file().number()) != 0) return failed("write", to);
    copied += count;
  }
  if (copied != bytes)
    return from + " has " + std::to_string(copied) + " bytes where it should have " + std::to_string(bytes);
  if (::fsync(copy.file().number()) != 0) return failed("write", to);
  if (!copy.take_name(to, replace)) return failed("write", to);
  if (!sync_folder_of(to)) return failed("write the folder of", to);
  return {};
}

}  // namespace tidemark::cli
