# Writes OUTPUT, a C++ source that defines store::migrations() from the SQL files in DIRECTORY.
file(GLOB files ${DIRECTORY}/*.sql)
list(SORT files)
set(rows "")
set(expected 1)
foreach(file IN LISTS files)
  get_filename_component(name ${file} NAME)
  if(NOT name MATCHES "^([0-9][0-9][0-9][0-9])_[a-z0-9_]+\\.sql$")
    message(FATAL_ERROR "migrations/${name}: the name must be NNNN_words.sql")
  endif()
  math(EXPR number "1${CMAKE_MATCH_1} - 10000")
  if(NOT number EQUAL expected)
    message(FATAL_ERROR "migrations/${name}: expected number ${expected}; they run without gaps")
  endif()
  math(EXPR expected "${expected} + 1")
  file(READ ${file} sql)
  string(APPEND rows "    {${number}, \"${name}\", R\"sql(${sql})sql\"},\n")
endforeach()
file(WRITE ${OUTPUT} "// Made by cmake/embed_migrations.cmake from migrations/*.sql.
#include \"store/migrations.h\"

namespace tidemark::store {
namespace {
constexpr Migration all[] = {
${rows}};
}  // namespace
std::span<const Migration> migrations() { return all; }
}  // namespace tidemark::store
")
