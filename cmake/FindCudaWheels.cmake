# Finds what libjenner_cuda.so is compiled and linked against in the tree of the torch wheel, where
# tools/setup --cuda unpacked it: headers of the CUDA runtime and of exactly the NCCL that torch names.
# No CUDA toolkit, no nvcc. Gives: jenner_cuda_wheels.
set(JENNER_NCCL_VERSION 2.29.7 CACHE STRING "That the torch wheel names")
set(_nvidia "${TORCH_WHEEL_ROOT}/nvidia")
foreach(_needed cu13/include/crt/host_defines.h cu13/include/nv/target nccl/include/nccl.h
    nccl/lib/libnccl.so.2)
  if(NOT EXISTS "${_nvidia}/${_needed}")
    message(FATAL_ERROR "JENNER_CUDA: ${_nvidia}/${_needed} is missing: run tools/setup --cuda")
  endif()
endforeach()
file(STRINGS "${_nvidia}/nccl/include/nccl.h" _nccl REGEX "define NCCL_(MAJOR|MINOR|PATCH) ")
string(REGEX REPLACE "[^0-9;]" "" _nccl "${_nccl}")
string(REPLACE ";" "." _nccl "${_nccl}")
if(NOT _nccl STREQUAL JENNER_NCCL_VERSION)
  message(FATAL_ERROR "JENNER_CUDA: found NCCL ${_nccl}; expected ${JENNER_NCCL_VERSION}")
endif()
add_library(jenner_cuda_wheels INTERFACE)
target_include_directories(jenner_cuda_wheels SYSTEM INTERFACE
  "${_nvidia}/cu13/include" "${_nvidia}/nccl/include")
target_link_libraries(jenner_cuda_wheels INTERFACE "${TORCH_WHEEL_ROOT}/torch/lib/libc10_cuda.so"
  "${_nvidia}/nccl/lib/libnccl.so.2" "${_nvidia}/cu13/lib/libcudart.so.13")
target_link_options(jenner_cuda_wheels INTERFACE
  # Everything that is left undefined here is in the trainer or nowhere.
  "LINKER:--allow-shlib-undefined")
set(CudaWheels_FOUND TRUE)
