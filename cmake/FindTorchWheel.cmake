# Finds libtorch inside the pinned PyPI wheel that tools/setup unpacked, CPU side only. The wheel's
# own TorchConfig.cmake asks for a CUDA toolkit; these few imported targets do not.
# Gives: jenner_torch (ATen, autograd, c10d; headers as SYSTEM), jenner_torch_parallel (for users of
# at::parallel_for) and TORCH_WHEEL_ROOT.
set(JENNER_TORCH_VERSION 2.13.0 CACHE STRING "Of the torch wheel; another one than the pinned is for trials (tests/gpu)")
set(TORCH_WHEEL_ROOT "${JENNER_CACHE}/torch-${JENNER_TORCH_VERSION}" CACHE PATH
  "Folder into which the torch, nvidia-cuda-runtime and nvidia-cuda-cupti wheels were unpacked")
set(_torch "${TORCH_WHEEL_ROOT}/torch")
if(NOT EXISTS "${_torch}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "libtorch ${JENNER_TORCH_VERSION} is not at ${TORCH_WHEEL_ROOT}: "
    "run tools/setup, or configure with --preset notorch")
endif()
file(STRINGS "${_torch}/version.py" _version REGEX "^__version__")
if(NOT _version MATCHES "${JENNER_TORCH_VERSION}")
  message(FATAL_ERROR "${_torch} holds ${_version}; expected ${JENNER_TORCH_VERSION}")
endif()
add_library(jenner_torch INTERFACE)
target_include_directories(jenner_torch SYSTEM INTERFACE
  "${_torch}/include" "${_torch}/include/torch/csrc/api/include"
  # Declarations only of the gloo types that ProcessGroupGloo.hpp names; see the README there.
  "${CMAKE_SOURCE_DIR}/worker/trainer/gloo_stub")
target_compile_definitions(jenner_torch INTERFACE
  _GLIBCXX_USE_CXX11_ABI=1 USE_DISTRIBUTED USE_C10D_GLOO)
target_link_libraries(jenner_torch INTERFACE "${_torch}/lib/libtorch_cpu.so" "${_torch}/lib/libc10.so")
target_link_options(jenner_torch INTERFACE
  # libtorch_cpu.so needs libcudart and libcupti, which its own RPATH finds at run time.
  "LINKER:--allow-shlib-undefined")
# at::parallel_for is a loop of one thread unless its user is compiled with OpenMP; linked to the wheel's
# own runtime, so that there is one pool of threads.
add_library(jenner_torch_parallel INTERFACE)
target_compile_options(jenner_torch_parallel INTERFACE -fopenmp)
target_link_libraries(jenner_torch_parallel INTERFACE jenner_torch "${_torch}/lib/libgomp.so.1")
set(TorchWheel_FOUND TRUE)
