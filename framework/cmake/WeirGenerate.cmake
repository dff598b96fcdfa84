# weir_generate(TARGET PROTOS a.proto... [IMPORT_DIRS dir...] [OUTPUT_DIR dir] [OBJECT]): a library of what protoc-gen-weir
# makes of the contracts: protobuf-c's <file>.pb-c.{c,h} and weir's <file>.weir.{c,h}, included as "<file>.weir.h".
#
# Protos are named relative to an import directory: those given, else the current source directory; weir's own (weir/options.proto,
# google/api/annotations.proto) and protoc's are always there. Link other libraries of contracts that these import with
# target_link_libraries(TARGET PUBLIC other). Beside it stands TARGET.descriptors.pb, a FileDescriptorSet with imports and
# source info; the target's property WEIR_DESCRIPTORS has its path.

find_program(WEIR_PROTOC protoc REQUIRED)
find_program(WEIR_PROTOC_GEN_C NAMES protoc-gen-c REQUIRED)
find_path(WEIR_PROTOBUF_PROTO_DIR google/protobuf/descriptor.proto REQUIRED)
find_path(WEIR_PROTOBUF_C_PROTO_DIR protobuf-c/protobuf-c.proto REQUIRED)
mark_as_advanced(WEIR_PROTOC WEIR_PROTOC_GEN_C WEIR_PROTOBUF_PROTO_DIR WEIR_PROTOBUF_C_PROTO_DIR)

set(WEIR_SYSTEM_PROTO_OPTIONS -I${WEIR_PROTOBUF_PROTO_DIR})
if(NOT WEIR_PROTOBUF_C_PROTO_DIR STREQUAL WEIR_PROTOBUF_PROTO_DIR)
    list(APPEND WEIR_SYSTEM_PROTO_OPTIONS -I${WEIR_PROTOBUF_C_PROTO_DIR})
endif()

# weir's own contracts: the package says where they are installed; here they are in the sources.
if(NOT WEIR_PROTO_DIR)
    get_filename_component(WEIR_PROTO_DIR ${CMAKE_CURRENT_LIST_DIR}/../../proto ABSOLUTE)
endif()

function(weir_generate target)
    cmake_parse_arguments(PARSE_ARGV 1 generate "OBJECT" "OUTPUT_DIR" "PROTOS;IMPORT_DIRS")
    if(NOT generate_PROTOS OR generate_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "weir_generate(${target}): needs PROTOS; does not know \"${generate_UNPARSED_ARGUMENTS}\"")
    endif()
    if(NOT generate_IMPORT_DIRS)
        set(generate_IMPORT_DIRS ${CMAKE_CURRENT_SOURCE_DIR})
    endif()
    if(NOT generate_OUTPUT_DIR)
        set(generate_OUTPUT_DIR ${CMAKE_CURRENT_BINARY_DIR}/${target}.generated)
    endif()
    set(out ${generate_OUTPUT_DIR})
    set(work ${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${target}.generated)
    set(includes)
    foreach(dir ${generate_IMPORT_DIRS})
        get_filename_component(dir ${dir} ABSOLUTE)
        list(APPEND dirs ${dir})
        list(APPEND includes -I${dir})
    endforeach()
    list(APPEND dirs ${WEIR_PROTO_DIR} ${WEIR_PROTOBUF_PROTO_DIR})
    list(APPEND includes -I${WEIR_PROTO_DIR} ${WEIR_SYSTEM_PROTO_OPTIONS})
    list(REMOVE_DUPLICATES includes)
    set(plugin --plugin=protoc-gen-weir=$<TARGET_FILE:weir::protoc-gen-weir>)

    # A command per file, with the dependencies that protoc found.
    set(generated)
    set(headers)
    set(sources)
    foreach(proto ${generate_PROTOS})
        string(REGEX REPLACE "\\.proto$" "" stem ${proto})
        string(REPLACE "/" "_" flat ${stem})
        set(source "")
        foreach(dir ${dirs})
            if(NOT source AND EXISTS ${dir}/${proto})
                set(source ${dir}/${proto})
            endif()
        endforeach()
        if(NOT source)
            message(FATAL_ERROR "weir_generate(${target}): no ${proto} in ${dirs}")
        endif()
        # Sorted, for Ninja wants the first of them first in the dependencies, and protoc sorts.
        set(files ${out}/${stem}.pb-c.c ${out}/${stem}.pb-c.h ${out}/${stem}.weir.c ${out}/${stem}.weir.h)
        add_custom_command(OUTPUT ${files}
            COMMAND ${CMAKE_COMMAND} -E make_directory ${out} ${work}
            COMMAND ${WEIR_PROTOC} ${plugin} --weir_out=${out} --weir_opt=protoc_gen_c=${WEIR_PROTOC_GEN_C} ${includes}
                    --dependency_out=${work}/${flat}.d ${proto}
            DEPENDS ${source} weir::protoc-gen-weir
            DEPFILE ${work}/${flat}.d
            COMMENT "Generating C of ${proto}" VERBATIM)
        list(APPEND generated ${files})
        list(APPEND headers ${out}/${stem}.weir.h)
        list(APPEND sources ${out}/${stem}.weir.c)
    endforeach()

    # All files at once: what can only be seen across them is checked here.
    set(descriptors ${CMAKE_CURRENT_BINARY_DIR}/${target}.descriptors.pb)
    add_custom_command(OUTPUT ${descriptors}
        COMMAND ${WEIR_PROTOC} ${plugin} --weir_out=${work} --weir_opt=check ${includes} --include_imports
                --include_source_info --descriptor_set_out=${descriptors} ${generate_PROTOS}
        DEPENDS ${headers} weir::protoc-gen-weir
        COMMENT "Checking the contracts of ${target}" VERBATIM)

    if(generate_OBJECT)
        add_library(${target} OBJECT ${generated} ${descriptors})
    else()
        add_library(${target} STATIC ${generated} ${descriptors})
    endif()
    if(COMMAND weir_instrument)
        weir_instrument(${target})
        # protobuf-c's code is as it is; ours is held to more.
        set_source_files_properties(${sources} PROPERTIES
            COMPILE_OPTIONS "-Wall;-Wextra;-Wpedantic;-Wconversion;-Wshadow;-Wmissing-prototypes;-Werror")
    else()
        set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    endif()
    set_target_properties(${target} PROPERTIES WEIR_DESCRIPTORS ${descriptors})
    target_include_directories(${target} SYSTEM PUBLIC $<BUILD_INTERFACE:${out}>)
    if(NOT generate_OBJECT)
        target_link_libraries(${target} PUBLIC weir::weir)
    endif()
endfunction()
