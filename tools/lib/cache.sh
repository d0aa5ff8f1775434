# Sourced by the scripts in tools/. Where downloads and prebuilt archives are kept, outside the build
# tree; cmake/JennerCache.cmake states the same rule.
export JENNER_CACHE="${JENNER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/jenner}"
mkdir -p "$JENNER_CACHE"
