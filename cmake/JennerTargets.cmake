# jenner_library, jenner_executable and jenner_test: one way to declare a target, so that warnings,
# sanitizers, the linker and test time-outs are the same everywhere.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

find_program(JENNER_CCACHE ccache)
if(JENNER_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${JENNER_CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER "${JENNER_CCACHE}")
endif()
# Not mold 1.10 (Debian 12): of a program with one thread-local byte it places the part that becomes read-only before its
# first page, and without that part it does not end with some layouts.
find_program(JENNER_LLD ld.lld)
if(JENNER_LLD)
  add_link_options(-fuse-ld=lld)
endif()
if(JENNER_SANITIZE)
  # GCC's -Wmaybe-uninitialized has false positives in instrumented code (its manual, -fsanitize).
  add_compile_options(-fsanitize=${JENNER_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
  add_link_options(-fsanitize=${JENNER_SANITIZE})
endif()
# RelWithDebInfo keeps assertions on and debug info small.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
# What is shipped is optimised as what is tested. At -O3 GCC 12 also warns of its own std::string (its bug 105651).
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

add_library(jenner_options INTERFACE)
target_include_directories(jenner_options INTERFACE "${CMAKE_SOURCE_DIR}")
if(JENNER_FUZZ)
  # Clang's warnings are others; GCC's builds hold the code to them. vptr needs the run-time types of
  # libraries that have none.
  add_compile_options(-fsanitize=fuzzer-no-link -fno-sanitize=vptr,function)
else()
  target_compile_options(jenner_options INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wunused-result -Werror)
endif()

# jenner_library(name SOURCES a.cc a.h ... DEPS lib ...)
function(jenner_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC jenner_options ${ARG_DEPS})
endfunction()

# jenner_executable(name SOURCES main.cc ... DEPS lib ...); the file is build/<preset>/bin/<name>.
function(jenner_executable name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE jenner_options ${ARG_DEPS})
endfunction()

# jenner_test(name SOURCES x_test.cc ... LIBS lib ... LABELS unit|golden|integration|lint
#             [TIMEOUT seconds] [PROCESSORS n]); one ctest entry per executable. Tests find the
# source tree through the macro JENNER_SOURCE_DIR and binaries through JENNER_BINARY_DIR.
function(jenner_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT;PROCESSORS" "SOURCES;LIBS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE jenner_options ${ARG_LIBS} GTest::gtest GTest::gmock
    GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE JENNER_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
    JENNER_BINARY_DIR="${CMAKE_BINARY_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  # Threads of tensor code sleep while they wait, as under an agent: spinning, tests that run side by
  # side keep the cores from each other.
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "OMP_WAIT_POLICY=PASSIVE;GOMP_SPINCOUNT=0")
  if(ARG_PROCESSORS)
    set_tests_properties(${name} PROPERTIES PROCESSORS ${ARG_PROCESSORS})
  endif()
endfunction()
