# shellcheck shell=bash
# Sourced by scripts that install packages; they have a fail.

# as_root COMMAND...: through sudo if need be.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
		sudo "$@"
	else
		fail "this needs root, and there is no sudo: $*"
	fi
}
