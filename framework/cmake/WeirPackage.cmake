# What `cmake --install --component weir` puts where: find_package(weir COMPONENTS test) gives weir::weir, weir::test,
# weir_generate() and weir_sql(), pkg-config knows `weir` and `weir-test`; the programs `weir`, `weir-devbroker` and
# `weir-report` are installed with it, from framework/tools.

include(CMakePackageConfigHelpers)
set(WEIR_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/weir)
set(WEIR_CONTRACTS_INCLUDE_DIR ${CMAKE_INSTALL_INCLUDEDIR}/weir-contracts)
set(WEIR_INSTALLED_PROTO_DIR ${CMAKE_INSTALL_DATADIR}/weir/proto)

# The libraries that a layer found by pkg-config must be found again where a program is linked.
get_target_property(links weir LINK_LIBRARIES)
set(WEIR_FIND_MODULES "")
set(WEIR_PC_MODULES "")
set(WEIR_PC_LIBRARIES "")
foreach(link ${links})
    if(link MATCHES "PkgConfig::([A-Za-z0-9_]+)")
        set(name ${CMAKE_MATCH_1})
        string(APPEND WEIR_FIND_MODULES "pkg_check_modules(${name} REQUIRED QUIET IMPORTED_TARGET ${${name}_MODULE_NAME})\n")
        list(APPEND WEIR_PC_MODULES ${${name}_MODULE_NAME})
    elseif(link MATCHES "^[a-z_0-9]+$")
        string(APPEND WEIR_PC_LIBRARIES " -l${link}")
    endif()
endforeach()
list(REMOVE_DUPLICATES WEIR_PC_MODULES)
list(JOIN WEIR_PC_MODULES " " WEIR_PC_MODULES)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/weirConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/weirConfig.cmake
    INSTALL_DESTINATION ${WEIR_PACKAGE_DIR} PATH_VARS WEIR_INSTALLED_PROTO_DIR NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/weirConfigVersion.cmake COMPATIBILITY SameMinorVersion)
# Relative, so that the package may be installed anywhere.
file(RELATIVE_PATH WEIR_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
foreach(name weir weir-test)
    configure_file(${CMAKE_CURRENT_LIST_DIR}/${name}.pc.in ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc @ONLY)
endforeach()

# Some of it is C++; a project in C alone does not link its runtime by itself.
target_link_libraries(weir INTERFACE $<INSTALL_INTERFACE:stdc++>)

install(TARGETS weir weir-test protoc-gen-weir weir-sqlgen EXPORT weir COMPONENT weir
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT weir
        FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT weir
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT weir)
install(EXPORT weir NAMESPACE weir:: FILE weirTargets.cmake DESTINATION ${WEIR_PACKAGE_DIR} COMPONENT weir)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/weirConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/weirConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/WeirGenerate.cmake ${CMAKE_CURRENT_LIST_DIR}/WeirSql.cmake
        DESTINATION ${WEIR_PACKAGE_DIR} COMPONENT weir)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/weir.pc ${CMAKE_CURRENT_BINARY_DIR}/weir-test.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT weir)
install(DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/contracts/ DESTINATION ${WEIR_CONTRACTS_INCLUDE_DIR} COMPONENT weir
        FILES_MATCHING PATTERN "*.h")
install(DIRECTORY ${PROJECT_SOURCE_DIR}/proto/weir ${PROJECT_SOURCE_DIR}/proto/google ${PROJECT_SOURCE_DIR}/proto/grpc
        DESTINATION ${WEIR_INSTALLED_PROTO_DIR} COMPONENT weir)
