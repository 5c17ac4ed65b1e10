# Run by CPack between installing and closing the package: what Debian wants otherwise than `cmake --install` does it.
# Compressed manual pages and changelogs, the licences as one `copyright`, the configuration as a file in /etc.
set(root ${CPACK_TEMPORARY_INSTALL_DIRECTORY})
set(doc ${root}/usr/share/doc/tidemark)
set(packaging ${CPACK_TIDEMARK_PACKAGING})

file(REMOVE ${doc}/LICENSE)
file(COPY ${packaging}/copyright DESTINATION ${doc})
file(RENAME ${doc}/CHANGELOG.md ${doc}/changelog)
configure_file(${packaging}/changelog ${doc}/changelog.Debian COPYONLY)
configure_file(${packaging}/lintian-overrides ${root}/usr/share/lintian/overrides/tidemark COPYONLY)
file(COPY ${packaging}/tidemarkd.toml DESTINATION ${root}/etc/tidemark)

file(GLOB compressed ${root}/usr/share/man/man*/*.[158] ${doc}/changelog ${doc}/changelog.Debian)
foreach(file IN LISTS compressed)
  execute_process(COMMAND gzip -9nf ${file} COMMAND_ERROR_IS_FATAL ANY)
endforeach()

# CPack takes modes as they are in the tree, which depend on the umask of whoever checked it out.
execute_process(COMMAND chmod -R u=rwX,go=rX ${root} COMMAND_ERROR_IS_FATAL ANY)
