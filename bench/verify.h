// Asks a server how many generations its sessions have: before a run and after it, so that the difference can be
// compared with the marks that were answered in between.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/measurement.h"

namespace tidemark::bench {

class Verifier {
 public:
  /// Chooses the sessions to ask: all up to 2,000, else 50 of them; and asks for the first time. `name` turns a
  /// number below session_count into a session's name. Throws as run_marks() does.
  Verifier(const Options& options, std::uint32_t session_count, std::function<std::string(std::uint32_t)> name);

  /// Asks again; `marks` are the answered marks of each session in between.
  Verification verify(const std::vector<std::uint32_t>& marks) const;

 private:
  std::vector<std::uint64_t> ask() const;

  std::string socket_;
  std::vector<std::uint32_t> numbers_;
  std::function<std::string(std::uint32_t)> name_;
  std::vector<std::uint64_t> before_;
};

}  // namespace tidemark::bench
