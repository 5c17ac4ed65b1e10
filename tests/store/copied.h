// A copy of a journal for the tests, made and looked through at once.
#pragma once

#include "fixture.h"
#include "store/copy.h"
#include "store/verify.h"

namespace tidemark::store {

// Copies what the connection sees, in as many steps as it takes, calling `between` after each.
inline void copy_to(
    const std::filesystem::path& file, SQLite::Database& journal, const std::function<void()>& between = [] {}) {
  std::ofstream(file).close();
  Copy copy(file);
  copy.set_durable(INT64_MAX / 2);
  while (copy.step(journal, [] { return true; })) between();
  ASSERT_TRUE(copy.wait(std::chrono::milliseconds(0)));
  ASSERT_EQ(copy.failure(), "");
}

// The problems of a database that nobody has open, one a line.
inline std::string problems_of(const std::filesystem::path& file) {
  const std::atomic<bool> stop{false};
  std::string text;
  for (const std::string& problem : verify_database(file, stop)) text += problem + "\n";
  return text;
}

// The same of one that is open, by a copy.
inline std::string problems_of(Store& store) {
  const TemporaryFolder folder;
  copy_to(folder.path() / "copy.db", store.database());
  return problems_of(folder.path() / "copy.db");
}

}  // namespace tidemark::store
