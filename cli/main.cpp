// The `tidemark` command.
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "cli/run.h"

namespace {

// One that can do more than print a line after the other.
bool is_terminal(int descriptor) {
  char const* const kind = std::getenv("TERM");
  return kind != nullptr && std::string_view(kind) != "dumb" && ::isatty(descriptor) == 1;
}

// By the habit of https://no-color.org.
bool wants_colour() {
  char const* const refused = std::getenv("NO_COLOR");
  return is_terminal(STDOUT_FILENO) && (refused == nullptr || *refused == '\0');
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
    auto exit =
        tidemark::cli::run(std::move(arguments), {std::cout, std::cerr, wants_colour(), is_terminal(STDERR_FILENO)});
    if (!std::cout.flush()) {
      std::cerr << "tidemark: the output can't be written\n";
      if (exit == tidemark::cli::Exit::done) exit = tidemark::cli::Exit::refused;
    }
    return static_cast<int>(exit);
  } catch (std::exception const& fault) {
    std::cerr << "tidemark: a fault of this program: " << fault.what() << '\n';
    return 1;
  }
}
