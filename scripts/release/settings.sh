# shellcheck shell=bash
# Sourced where bytes are made. Settings of a user that change them are gone, those of Go's own file of settings too; where modules come from
# and lie may differ, for go.sum holds them. CC stays.

for name in GOPROXY GOSUMDB GONOSUMDB GOPRIVATE GOINSECURE GOMODCACHE GOCACHE; do
	value=$(cd / && go env $name) && export "$name=$value"
done
for name in $(compgen -e | grep -E '^(GO(FLAGS|EXPERIMENT|AMD64|ARM64|FIPS140|DEBUG|OS|ARCH|TOOLCHAIN|ROOT)|CGO_.*|AR|LD|CFLAGS|CPPFLAGS|LDFLAGS|CPATH|C_INCLUDE_PATH|LIBRARY_PATH|LD_RUN_PATH|GCC_EXEC_PREFIX|COMPILER_PATH)$'); do
	unset "$name"
done
export GOENV=off
