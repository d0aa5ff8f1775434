# CPack: one archive of everything, and a Debian package for each group of components.
set(CPACK_GENERATOR TGZ DEB)
set(CPACK_PACKAGE_NAME jenner)
set(CPACK_PACKAGE_VENDOR Jenner)
set(CPACK_PACKAGE_CONTACT "The Jenner authors")
set(CPACK_RESOURCE_FILE_LICENSE "${CMAKE_SOURCE_DIR}/LICENSE")
set(CPACK_PACKAGE_FILE_NAME "jenner-${PROJECT_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR}")
set(CPACK_PACKAGE_CHECKSUM SHA256)
set(CPACK_STRIP_FILES ON)
set(CPACK_THREADS 0)  # all processors
set(CPACK_VERBATIM_VARIABLES ON)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
if(JENNER_TORCH)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS
    "${TORCH_WHEEL_ROOT}/torch/lib" "${TORCH_WHEEL_ROOT}/nvidia/cu13/lib")
endif()

set(CPACK_DEBIAN_CLI_PACKAGE_NAME jenner)
set(CPACK_DEBIAN_CLI_DESCRIPTION "Command line of Jenner, a service for inoculation prompting studies
Submits studies, follows them and reads their figures. With documents and examples.")
set(CPACK_DEBIAN_SERVER_PACKAGE_NAME jenner-server)
set(CPACK_DEBIAN_SERVER_DESCRIPTION "Coordinator of Jenner, a service for inoculation prompting studies
Takes studies, places their trainings on workers and keeps the results.
The unit jenner-server.service is installed, not enabled.")
set(CPACK_DEBIAN_WORKER_PACKAGE_NAME jenner-worker)
set(CPACK_DEBIAN_WORKER_DESCRIPTION "Worker of Jenner, a service for inoculation prompting studies
Trains and evaluates language models on CPUs for a coordinator; holds libtorch.
The unit jenner-worker.service is installed, not enabled.")
foreach(_component server worker)
  string(TOUPPER "${_component}" _upper)
  set(_out "${CMAKE_CURRENT_BINARY_DIR}/${_component}-service")
  set(CPACK_DEBIAN_${_upper}_PACKAGE_CONTROL_EXTRA
    "${_out}/postinst" "${_out}/prerm" "${_out}/postrm" "${_out}/conffiles")
  set(CPACK_DEBIAN_${_upper}_PACKAGE_SUGGESTS jenner)
endforeach()

set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_COMPONENTS_ALL cli doc server server-service worker worker-service)
include(CPack)
foreach(_group cli server worker)
  cpack_add_component_group(${_group})
  cpack_add_component(${_group} GROUP ${_group})
endforeach()
cpack_add_component(doc GROUP cli)
cpack_add_component(server-service GROUP server)
cpack_add_component(worker-service GROUP worker)
