# What `cmake --install` puts where, and the Debian package that CPack makes of it. Units find the programs by the service
# manager's own search path, so that they are the same under every prefix.
include(GNUInstallDirs)

install(TARGETS tidemarkd tidemark RUNTIME)
install(FILES LICENSE README.md CHANGELOG.md TYPE DOC)
install(DIRECTORY docs TYPE DOC FILES_MATCHING PATTERN "*.md" PATTERN man EXCLUDE)
install(DIRECTORY docs/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 FILES_MATCHING PATTERN "*.1")
install(DIRECTORY docs/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man5 FILES_MATCHING PATTERN "*.5")
install(DIRECTORY docs/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 FILES_MATCHING PATTERN "*.8")
install(FILES cli/completions/tidemark.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME tidemark)
install(FILES cli/completions/_tidemark DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES cli/completions/tidemark.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
# Where Debian's Python looks under /usr; elsewhere it goes into PYTHONPATH.
install(DIRECTORY clients/python/tidemark DESTINATION lib/python3/dist-packages
        FILES_MATCHING PATTERN "*.py" PATTERN "py.typed" PATTERN "__pycache__" EXCLUDE)
# The service manager looks in PREFIX/lib, whatever the libraries' folder is called.
install(DIRECTORY systemd/system systemd/user DESTINATION lib/systemd)
install(DIRECTORY systemd/sysusers.d systemd/tmpfiles.d DESTINATION lib)

set(packaging ${CMAKE_SOURCE_DIR}/packaging/debian)
file(STRINGS ${packaging}/changelog debian_version LIMIT_COUNT 1)
if(NOT debian_version MATCHES "^tidemark \\(${PROJECT_VERSION}-([0-9]+)\\) ")
  message(FATAL_ERROR "packaging/debian/changelog begins with \"${debian_version}\", but this is ${PROJECT_VERSION}")
endif()
set(CPACK_DEBIAN_PACKAGE_RELEASE ${CMAKE_MATCH_1})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tidemark)
set(CPACK_PACKAGE_VENDOR "The Tidemark authors")
set(CPACK_PACKAGE_CONTACT "The Tidemark authors <tidemark@users.noreply.github.com>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "list of agents' conversation turns that their memory lacks")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "Agents on one machine mark each completed turn with tidemarkd, a small local
daemon, before they go on: what it has answered is on disk. At the boundaries
of a session it asks each session's own agent, oldest first and one at a time,
to commit what its long-term memory does not have yet, and repeats under the
same key what was in doubt when somebody died.
.
This package has the daemon, its command tidemark, services for the system
and for single users, and the client for Python agents.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers, systemd | systemd-standalone-tmpfiles")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "systemd, python3 (>= 3.9)")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    "${packaging}/conffiles;${packaging}/postinst;${packaging}/prerm;${packaging}/postrm")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# What only a Debian package has, put in before it is closed: see the script.
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/cmake/debian_files.cmake)
set(CPACK_TIDEMARK_PACKAGING ${packaging})
include(CPack)

# The package in a bare Debian; 77 = this machine can't do that. Other presets need libraries that no user has.
if(TIDEMARK_TESTS AND CMAKE_BUILD_TYPE STREQUAL "Release")
  add_test(NAME package COMMAND ${CMAKE_SOURCE_DIR}/tests/package/run --build ${CMAKE_BINARY_DIR})
  # Alone: unpacking a Debian keeps the disk so busy that other tests' waits are over.
  set_tests_properties(package PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300 LABELS package RUN_SERIAL TRUE)
endif()
