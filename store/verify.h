// Looks through a journal that nobody writes: the database's integrity, and the contract's invariants over every row.
#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace tidemark::store {

// Problems that are told; a journal with more of them needs no longer list.
inline constexpr std::size_t problems_max = 100;

// What is wrong with the database `file`, in sentences for a person that name sessions and numbers; empty = nothing.
// The file is a copy, nobody else's, and to be thrown away afterwards. Reads row by row: memory follows the largest
// session and the log of marks, not the journal. Gives up as soon as `stop` is set, and what it returns then means
// nothing. Throws SQLite::Exception if the file can't be read at all.
std::vector<std::string> verify_database(const std::filesystem::path& file, const std::atomic<bool>& stop);

}  // namespace tidemark::store
