# weir_own_code(TARGET...): warnings as errors, hidden visibility, the preset's sanitizers. For the project's own code;
# generated code and third-party headers are not held to it.

set(WEIR_SANITIZE "" CACHE STRING "Sanitizers for -fsanitize=, e.g. address,undefined")
option(WEIR_COVERAGE "Instrument for coverage" OFF)

function(weir_instrument)
    foreach(target ${ARGN})
        set_target_properties(${target} PROPERTIES C_STANDARD 11 C_EXTENSIONS ON C_VISIBILITY_PRESET hidden
                              CXX_STANDARD 17 CXX_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON)
        target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
        if(WEIR_SANITIZE)
            target_compile_options(${target} PRIVATE -fsanitize=${WEIR_SANITIZE} -fno-omit-frame-pointer)
            if(NOT WEIR_SANITIZE STREQUAL "thread")
                target_compile_options(${target} PRIVATE -fno-sanitize-recover=all)
            endif()
            target_link_options(${target} PRIVATE -fsanitize=${WEIR_SANITIZE})
        endif()
        if(WEIR_COVERAGE)
            target_compile_options(${target} PRIVATE --coverage)
            target_link_options(${target} PRIVATE --coverage)
        endif()
    endforeach()
endfunction()

function(weir_own_code)
    weir_instrument(${ARGN})
    foreach(target ${ARGN})
        target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror
                               $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
                               $<$<C_COMPILER_ID:Clang>:-Wno-gnu-zero-variadic-macro-arguments>)
    endforeach()
endfunction()
