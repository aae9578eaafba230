#!/bin/sh
# Runs the launcher's preStop hook against answers of curl that are given, without waiting.
#
#   prestop.sh DIRECTORY    with the hook in the file hook; everything else is made there
set -eu
cd "$1"
mkdir -p bin
# Each call takes the next answer, and the last one again and again; a second passes with each sleep, three with an answer that is late.
cat >bin/curl <<'C'
#!/bin/sh
read -r calls <calls
echo $((calls + 1)) >calls
# shellcheck disable=SC2046 # words are wanted
set -- $(cat answers)
[ "$calls" -lt $# ] || calls=$(($# - 1))
shift "$calls"
[ "$1" != 28 ] || echo $(($(cat clock) + 3)) >clock
exit "$1"
C
cat >bin/sleep <<'C'
#!/bin/sh
echo $(($(cat clock) + 1)) >clock
C
cat >bin/date <<'C'
#!/bin/sh
cat clock
C
chmod +x bin/*

# try CALLS SECONDS ANSWER...: how often the hook has to ask (or any), and how long it may last at most.
try() {
	want=$1 most=$2
	shift 2
	echo 0 >calls
	echo 1000 >clock
	echo "$*" >answers
	PATH=$PWD/bin:$PATH sh hook || { echo "prestop: answers $*: the hook fails" >&2; exit 1; }
	seconds=$(($(cat clock) - 1000))
	[ "$want" != any ] || want=$(cat calls)
	if [ "$(cat calls)" != "$want" ] || [ "$seconds" -gt "$most" ]; then
		echo "prestop: answers $*: asked $(cat calls) times in $seconds s, want $want times in $most s at most" >&2
		exit 1
	fi
}
bound=$(sed -n 's/^end=.* + \([0-9]*\))) .*/\1/p' hook)
[ -n "$bound" ] || { echo "prestop: the hook has no bound" >&2; exit 1; }
try 1 0 7                                # no parent
try 4 5 0 0 0 7                          # it goes
try 3 12 28                              # it hangs
try 7 30 0 28 28 0 52 56 22 0            # late twice, then there again; three failures in a row, of whatever kind, end it
try "$bound" "$bound" 0                  # it never goes
try any "$((bound + 4))" 28 28 0 28 28 0 28 28 0 28 28 0 28 28 0 28 28 0 28 28 0 28 28 0 28 28 0
