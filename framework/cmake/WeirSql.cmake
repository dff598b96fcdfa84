# weir_sql(TARGET SCHEMA 001_a.sql... QUERIES queries.sql): a library of what weir-sqlgen makes of migrations, one file each and
# the oldest first, and of named queries: included as "TARGET.h", given to weir_sql_add() as `.schema = &TARGET`.
#
# Every query is prepared against the schema while it is built: a wrong one is an error of the build, with file and line.

function(weir_sql target)
    cmake_parse_arguments(PARSE_ARGV 1 sql "" "QUERIES" "SCHEMA")
    if(NOT sql_QUERIES OR NOT sql_SCHEMA OR sql_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "weir_sql(${target}): needs SCHEMA and QUERIES; does not know \"${sql_UNPARSED_ARGUMENTS}\"")
    endif()
    set(out ${CMAKE_CURRENT_BINARY_DIR}/${target}.generated)
    list(TRANSFORM sql_SCHEMA PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ REGEX "^[^/]")
    list(TRANSFORM sql_QUERIES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ REGEX "^[^/]")
    add_custom_command(OUTPUT ${out}/${target}.c ${out}/${target}.h
        COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
        COMMAND $<TARGET_FILE:weir::weir-sqlgen> --out ${out} --name ${target} --queries ${sql_QUERIES} ${sql_SCHEMA}
        DEPENDS ${sql_SCHEMA} ${sql_QUERIES} weir::weir-sqlgen
        COMMENT "Checking the queries of ${target}" VERBATIM)
    add_library(${target} STATIC ${out}/${target}.c ${out}/${target}.h)
    if(COMMAND weir_own_code)
        weir_own_code(${target})
    else()
        set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    endif()
    target_include_directories(${target} SYSTEM PUBLIC $<BUILD_INTERFACE:${out}>)
    target_link_libraries(${target} PUBLIC weir::weir)
endfunction()
