# Where tools/setup keeps what is downloaded or built once: outside the build tree, so that a fresh
# build tree costs no download. tools/lib/cache.sh states the same rule for the shell scripts.
if(NOT JENNER_CACHE)
  if(DEFINED ENV{JENNER_CACHE})
    set(JENNER_CACHE "$ENV{JENNER_CACHE}")
  elseif(DEFINED ENV{XDG_CACHE_HOME})
    set(JENNER_CACHE "$ENV{XDG_CACHE_HOME}/jenner")
  else()
    set(JENNER_CACHE "$ENV{HOME}/.cache/jenner")
  endif()
endif()
