#!/bin/bash
# Starts the enclave with nitro-cli, keeps it running, and terminates it when it is told to stop. There is one enclave, its name is always
# containment-chamber, and of two launchers on one directory of sockets the second ends.
#
#   PRODUCTION              true refuses ENCLAVE_DEBUG: a debug enclave attests registers of zeros, and its console is open to the host
#   ENCLAVE_DEBUG           1 starts in debug mode and prints the console
#   ENCLAVE_EIF             the enclave image file (/enclave/containment-chamber.eif)
#   ENCLAVE_MEMORY_MIB      memory of the enclave, at least four times the size of its image; required
#   ENCLAVE_CPU_COUNT       virtual CPUs of the enclave; required. With hyperthreading AWS wants an even number
#   ENCLAVE_CID             the enclave's vsock context identifier, 4 or above (16)
#   ENCLAVE_RESTART         always, on-failure or never (always). An enclave tells no exit code: it ended well only if nitro-cli was seen to
#                           terminate it
#   ENCLAVE_PARENT_HEALTH   URL where the parent answers (http://127.0.0.1:3001/healthz): the enclave is started when it does, because its log
#                           and its configuration come over the parent. If it is set and empty, no parent is waited for, and the log sink
#                           alone is started here
#   ENCLAVE_DEVICE          where enclaves are started (/dev/nitro_enclaves)
#   NITRO_CLI_SOCKETS_PATH  (/run/nitro_enclaves), NITRO_CLI_LOGS_PATH (/var/log/nitro_enclaves) and NITRO_CLI_ARTIFACTS (artifacts, below the
#                           logs) are directories of nitro-cli, made here, which have to be writable
#   RUST_LOG                what nitro-cli writes to its log (warn)
#   ENCLAVE_LOG_MIB         size at which nitro_enclaves.log, which nitro-cli only ever appends to, becomes nitro_enclaves.log.1 (8). Of its
#                           files err….log, one for each error, the last ten are kept
#
# Waits, in milliseconds: ENCLAVE_POLL_MS (5000) between looks at the enclave; ENCLAVE_BACKOFF_MS (1000) before the first restart, doubled
# for each further one up to ENCLAVE_BACKOFF_MAX_MS (60000), and the first again after a run of ENCLAVE_STEADY_MS (60000); ENCLAVE_STOP_MS
# (10000) for a start that is under way when a signal comes: it is ended then, and the enclave looked for as long again.
#
# Exit codes: 0 stopped by SIGTERM or SIGINT, and the enclave is terminated; 2 refused configuration, with a line that begins with FATAL;
# 3 nitro-cli or its device is missing; 4 the enclave ended or did not start, and is not to be started again; 1 all else.
#
# Of its two processes the first only passes signals on, because a trap of bash 5.2 that runs while a command substitution is read fails,
# and the signal is lost. If the first alone is killed, the second terminates the enclave. If both are, the next start of the script does;
# on a host, systemd kills nitro-cli's own process as well, and the enclave ends with that.
set -uo pipefail

readonly name=containment-chamber
readonly ratio=4 # ENCLAVE_MEMORY_EIF_SIZE_RATIO of nitro-cli: the image is unpacked in the enclave's memory

say() { echo "enclave-entrypoint: $*" >&2; }
refuse() { echo "FATAL $*" >&2; exit 2; }

# switch NAME: sets the variable that has the name in small letters to yes or nothing, by the words that the signer takes.
switch() {
	local value=${!1:-}
	case ${value,,} in
	true | 1) printf -v "${1,,}" yes ;;
	false | 0 | '') printf -v "${1,,}" '' ;;
	*) refuse "$1=$value: want true or false" ;;
	esac
}

# number NAME LOWEST HIGHEST WHAT: the environment variable NAME has to be a whole number from LOWEST to HIGHEST.
number() {
	local value=${!1:-}
	[ -n "$value" ] || refuse "$1 is not set: want $4"
	if ! [[ $value =~ ^[1-9][0-9]{0,9}$ ]] || [ "$value" -lt "$2" ] || [ "$value" -gt "$3" ]; then
		refuse "$1=$value: want $4"
	fi
}

check_configuration() {
	local size need milliseconds
	switch PRODUCTION
	switch ENCLAVE_DEBUG
	# shellcheck disable=SC2153,SC2154 # switch sets the names in small letters
	[ -z "$production" ] || [ -z "$enclave_debug" ] || refuse "ENCLAVE_DEBUG=$ENCLAVE_DEBUG with PRODUCTION=$PRODUCTION: a debug enclave attests nothing, and its console is open to the host"
	case $ENCLAVE_RESTART in
	always | on-failure | never) ;;
	*) refuse "ENCLAVE_RESTART=$ENCLAVE_RESTART: want always, on-failure or never" ;;
	esac
	case $ENCLAVE_PARENT_HEALTH in
	'' | http://?* | https://?*) ;;
	*) refuse "ENCLAVE_PARENT_HEALTH=$ENCLAVE_PARENT_HEALTH: want a URL, such as http://127.0.0.1:3001/healthz, or nothing" ;;
	esac
	number ENCLAVE_CPU_COUNT 1 1024 "how many virtual CPUs the enclave gets, 1 or more"
	number ENCLAVE_CID 4 4294967294 "a vsock context identifier from 4: 0 to 2 are reserved, and 3 is this host"
	for milliseconds in ENCLAVE_POLL_MS ENCLAVE_BACKOFF_MS ENCLAVE_BACKOFF_MAX_MS ENCLAVE_STEADY_MS ENCLAVE_STOP_MS; do
		number "$milliseconds" 1 86400000 "milliseconds, from 1 to a day"
	done
	number ENCLAVE_LOG_MIB 1 1024 "MiB of a log, from 1 to 1024"
	if ! [ -f "$ENCLAVE_EIF" ] || ! [ -r "$ENCLAVE_EIF" ]; then
		refuse "ENCLAVE_EIF=$ENCLAVE_EIF: no such file, or not readable"
	fi
	size=$(stat -Lc %s "$ENCLAVE_EIF")
	[ "$size" -gt 0 ] || refuse "ENCLAVE_EIF=$ENCLAVE_EIF: the file is empty"
	need=$(((size * ratio + 1048575) / 1048576))
	number ENCLAVE_MEMORY_MIB 1 9999999 "MiB of memory for the enclave, at least $need for this image"
	[ "$ENCLAVE_MEMORY_MIB" -ge "$need" ] || refuse "ENCLAVE_MEMORY_MIB=$ENCLAVE_MEMORY_MIB: the image $ENCLAVE_EIF has $size bytes, and an enclave needs $ratio times that: want at least $need"
}

check_host() {
	local program directory probe
	command -v nitro-cli >/dev/null || { say "nitro-cli is missing: it comes with the package aws-nitro-enclaves-cli of Amazon Linux"; exit 3; }
	[ -c "$ENCLAVE_DEVICE" ] || { say "there is no device $ENCLAVE_DEVICE: was the instance launched with enclaves enabled, and has the container the resource aws.ec2.nitro/nitro_enclaves?"; exit 3; }
	for program in jq timeout curl; do
		command -v "$program" >/dev/null || { say "$program is missing"; exit 1; }
	done
	command -v flock >/dev/null || { say "flock is missing: it comes with util-linux"; exit 1; }
	for directory in NITRO_CLI_SOCKETS_PATH NITRO_CLI_LOGS_PATH NITRO_CLI_ARTIFACTS; do
		if ! mkdir -p "${!directory}" 2>/dev/null || ! probe=$(mktemp "${!directory}/.writable.XXXXXX" 2>/dev/null); then
			say "$directory=${!directory}: cannot be written to"
			exit 1
		fi
		rm -f "$probe"
	done
}

# Two launchers would terminate each other's enclave for ever. What is started from here does not get the descriptor, because nitro-cli's
# own process outlives this one if that is killed, and the next launcher has to get the lock.
lock_place() {
	local file=$NITRO_CLI_SOCKETS_PATH/$name.lock
	# On a host the next launcher may have another user's number.
	(umask 0 && : >>"$file") 2>/dev/null
	exec 9<"$file" || { say "NITRO_CLI_SOCKETS_PATH: $file cannot be opened"; exit 1; }
	flock -n 9 || { say "another launcher runs on NITRO_CLI_SOCKETS_PATH=$NITRO_CLI_SOCKETS_PATH: it holds $file"; exit 1; }
}

# rest MILLISECONDS: ends early when the first process passes a signal on, which sets stopping, or has ended.
rest() {
	local seconds word code
	seconds=$(($1 / 1000)).$(printf %03d $(($1 % 1000)))
	[ -z "$stopping" ] || { sleep "$seconds" 8<&- 9>&-; return; }
	read -r -t "$seconds" -u 8 word
	code=$?
	[ "$code" -gt 128 ] || stopping=${word:-"killed in part"}
}

# told is true when this is to stop.
told() {
	[ -n "$stopping" ] || ! read -r -t 0 -u 8 || rest 1
	[ -n "$stopping" ]
}

# pause MILLISECONDS: not at all when a signal has come.
pause() { told || rest "$1"; }

# own COMMAND…: in the background, where it takes signals as ever.
own() {
	trap - TERM INT
	exec "$@" 8<&- 9>&-
}

# limited SECONDS COMMAND…: nitro-cli waits for processes that may hang. Signals of the terminal do not reach it: what it does is finished.
limited() { timeout --kill-after 5 "$@" 8<&- 9>&-; }

# complaint prints what nitro-cli said last on its standard error: the line with the code, which stands amid advice, or all of it.
complaint() { grep -m 1 '^\[ E' "$errors" || tr '\n' ' ' <"$errors"; }

# tidy keeps nitro-cli's logs from filling the place where they are. It opens its log anew when there is none.
tidy() {
	local log=$NITRO_CLI_LOGS_PATH/nitro_enclaves.log old
	[ ! -f "$log" ] || [ "$(stat -c %s "$log")" -le $((ENCLAVE_LOG_MIB * 1048576)) ] || mv -f "$log" "$log.1"
	old=("$NITRO_CLI_LOGS_PATH"/err*.log) # in the order of their times
	[ ${#old[@]} -le 10 ] || rm -f "${old[@]:0:${#old[@]}-10}"
}

# listed prints the enclaves of our name as a JSON array, and fails if nitro-cli does not tell: nothing follows from that. If the name is
# taken, nitro-cli appends a number to it. It is called in subshells only, which it rids of the lock.
listed() {
	local all
	exec 9>&-
	all=$(limited 20 nitro-cli describe-enclaves 2>"$errors") || return 1
	jq -ce --arg name "$name" 'if type == "array" then [.[] | select(.EnclaveName | test("^" + $name + "(_[0-9]+)?$"))] else error("no list") end' <<<"$all" 2>>"$errors"
}

# look sets state to running, terminating, gone or unknown, for the enclave $id.
look() {
	local list
	if list=$(listed); then
		[ -z "$blind" ] || say "nitro-cli describe-enclaves answers again"
		blind=''
		state=$(jq -r --arg id "$id" '[.[] | select(.EnclaveID == $id) | if .State == "TERMINATING" then "terminating" else "running" end][0] // "gone"' <<<"$list")
		return
	fi
	state=unknown
	[ -n "$blind" ] || say "nitro-cli describe-enclaves fails, which says nothing of the enclave: $(complaint)"
	blind=yes
}

# terminate ID: true when nitro-cli does not list it any more.
terminate() {
	local list try
	for ((try = 0; try < 5; try++)); do
		limited 60 nitro-cli terminate-enclave --enclave-id "$1" >/dev/null 2>"$errors" || say "nitro-cli terminate-enclave failed: $(complaint)"
		if list=$(listed) && jq -e --arg id "$1" 'all(.[]; .EnclaveID != $id)' <<<"$list" >/dev/null; then
			return 0
		fi
		rest "$ENCLAVE_POLL_MS"
	done
	return 1
}

# clear_place terminates what an earlier launcher left behind. It fails while it cannot be told that there is nothing.
clear_place() {
	local list old
	list=$(listed) || { say "nitro-cli describe-enclaves fails, and nothing is started before it tells what runs: $(complaint)"; return 1; }
	for old in $(jq -r '.[].EnclaveID' <<<"$list"); do
		say "the enclave $old of an earlier launcher still runs: terminating it"
		terminate "$old" || { say "the enclave $old could not be terminated"; return 1; }
	done
}

# await_starter waits for the run-enclave that is under way. When a signal comes it gets some more time, and is ended.
await_starter() {
	local until=''
	while kill -0 "$starter" 2>/dev/null; do
		if told; then
			: "${until:=$(($(clock) + ENCLAVE_STOP_MS))}"
			if [ "$(clock)" -ge "$until" ]; then
				say "$stopping: nitro-cli run-enclave has not ended in $ENCLAVE_STOP_MS ms: ending it"
				cut=yes
				kill "$starter"
				break
			fi
		fi
		rest 100
	done
	wait "$starter"
}

# start sets id.
start() {
	local flags=() answer=$NITRO_CLI_LOGS_PATH/launcher-answer.json
	# shellcheck disable=SC2154 # set by switch
	[ -z "$enclave_debug" ] || flags=(--debug-mode)
	own timeout --kill-after 5 600 nitro-cli run-enclave --enclave-name "$name" --eif-path "$ENCLAVE_EIF" --memory "$ENCLAVE_MEMORY_MIB" \
		--cpu-count "$ENCLAVE_CPU_COUNT" --enclave-cid "$ENCLAVE_CID" "${flags[@]}" >"$answer" 2>"$errors" &
	starter=$!
	await_starter || { say "nitro-cli run-enclave failed: $(complaint)"; return 1; }
	id=$(jq -re .EnclaveID "$answer") || { say "nitro-cli run-enclave told no EnclaveID: $(<"$answer")"; return 1; }
	say "started $(jq -r '"EnclaveID=\(.EnclaveID) EnclaveName=\(.EnclaveName) EnclaveCID=\(.EnclaveCID) CPUs=\(.NumberOfCPUs) MemoryMiB=\(.MemoryMiB)"' "$answer")"
	if [ -n "$enclave_debug" ]; then
		say "debug mode: the console follows"
		own nitro-cli console --enclave-id "$id" &
		console=$!
	fi
}

# follow returns when the enclave has ended, with 0 if nitro-cli was seen to terminate it, or when a signal came. One look that misses
# the enclave is not believed: nitro-cli asks the enclave's own process, which may be slow.
follow() {
	local missed=0 terminated=1
	while ! told; do
		look
		case $state in
		running) missed=0 ;;
		terminating) terminated=0 ;;
		gone) missed=$((missed + 1)) ;;
		esac
		[ "$missed" -lt 2 ] || return "$terminated"
		keep_sink
		tidy
		pause "$ENCLAVE_POLL_MS"
	done
}

# keep_sink starts the log sink unless it runs.
keep_sink() {
	[ -z "$ENCLAVE_PARENT_HEALTH" ] || return 0
	if [ -n "$sink" ]; then
		! kill -0 "$sink" 2>/dev/null || return 0
		say "the log sink has ended: starting it again"
	fi
	own containment-chamber-enclave-proxy vsock-stdout --enclave-cid "$ENCLAVE_CID" &
	sink=$!
}

# await_parent fails when a signal comes first.
await_parent() {
	local told=''
	[ -n "$ENCLAVE_PARENT_HEALTH" ] || { keep_sink; return 0; }
	while ! told; do
		if curl --silent --fail --max-time 5 --output /dev/null "$ENCLAVE_PARENT_HEALTH" 8<&- 9>&-; then
			[ -z "$told" ] || say "the parent answers"
			return 0
		fi
		[ -n "$told" ] || say "waiting for the parent at $ENCLAVE_PARENT_HEALTH"
		told=yes
		pause "$ENCLAVE_POLL_MS"
	done
	return 1
}

# milliseconds since some moment
clock() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

end_console() {
	[ -n "$console" ] || return 0
	kill "$console" 2>/dev/null
	wait "$console" 2>/dev/null
	console=''
}

# run is one life of the enclave. It returns 0 if it ended well, 1 if not, and 2 if there was none.
run() {
	local outcome
	clear_place && ! told || return 2
	start || return 2
	follow
	outcome=$?
	end_console
	return "$outcome"
}

# end_sink lets it write what it has, and is done last of all.
# shellcheck disable=SC2317 # the trap at the end calls it
end_sink() {
	[ -n "$sink" ] || return 0
	kill "$sink" 2>/dev/null
	wait "$sink" 2>/dev/null
}

# end_all terminates every enclave of ours, and fails if it is not told that they are gone.
end_all() {
	local list old code=0
	# If it is not told what runs, there is still the one that was started.
	list=$(listed) || { list="[{\"EnclaveID\": \"$id\"}]" && [ -n "$id" ]; } || return 1
	for old in $(jq -r '.[].EnclaveID' <<<"$list"); do
		terminate "$old" || code=1
	done
	return "$code"
}

# leave terminates the enclave and exits.
leave() {
	local code=0 until
	say "$stopping: stopping"
	end_console
	end_all || code=1
	# nitro-cli's own process may go on without the run-enclave that was ended, and is listed only when the enclave runs.
	if [ -n "$cut" ]; then
		until=$(($(clock) + ENCLAVE_STOP_MS))
		while [ "$(clock)" -lt "$until" ]; do
			rest "$((ENCLAVE_POLL_MS < ENCLAVE_STOP_MS ? ENCLAVE_POLL_MS : ENCLAVE_STOP_MS))"
			code=0
			end_all || code=1
		done
	fi
	[ "$code" = 0 ] || say "nitro-cli does not tell that the enclave is gone: it may still run"
	[ "$code" != 0 ] || say "no enclave runs any more"
	exit "$code"
}

: "${ENCLAVE_EIF:=/enclave/containment-chamber.eif}" "${ENCLAVE_CID:=16}" "${ENCLAVE_RESTART:=always}"
: "${ENCLAVE_PARENT_HEALTH=http://127.0.0.1:3001/healthz}" # empty is an answer
: "${ENCLAVE_POLL_MS:=5000}" "${ENCLAVE_BACKOFF_MS:=1000}" "${ENCLAVE_BACKOFF_MAX_MS:=60000}" "${ENCLAVE_STEADY_MS:=60000}" "${ENCLAVE_STOP_MS:=10000}"
: "${RUST_LOG:=warn}" "${ENCLAVE_LOG_MIB:=8}"
: "${ENCLAVE_DEVICE:=/dev/nitro_enclaves}"
: "${NITRO_CLI_SOCKETS_PATH:=/run/nitro_enclaves}" "${NITRO_CLI_LOGS_PATH:=/var/log/nitro_enclaves}" "${NITRO_CLI_ARTIFACTS:=$NITRO_CLI_LOGS_PATH/artifacts}"
export RUST_LOG NITRO_CLI_SOCKETS_PATH NITRO_CLI_LOGS_PATH NITRO_CLI_ARTIFACTS

# keep_running is the second process, which does everything. It reads on 8 what the first passes on, and that has ended when there is an end.
keep_running() {
	local backoff=$ENCLAVE_BACKOFF_MS began outcome
	trap '' TERM INT
	exec 8<&0 0</dev/null
	id='' sink='' console='' blind='' state='' starter='' cut='' stopping=''
	check_configuration
	check_host
	lock_place
	errors=$NITRO_CLI_LOGS_PATH/launcher-errors.log # what nitro-cli said last on its standard error
	trap 'end_console; end_sink' EXIT
	while await_parent; do
		tidy
		began=$(clock)
		run
		outcome=$?
		! told || break
		[ "$outcome" = 2 ] || { say "the enclave $id has ended after $((($(clock) - began) / 1000)) s"; id=''; }
		case $ENCLAVE_RESTART.$outcome in
		never.2)
			clear_place
			exit 4
			;;
		never.* | on-failure.0) exit 4 ;;
		esac
		[ "$(($(clock) - began))" -lt "$ENCLAVE_STEADY_MS" ] || backoff=$ENCLAVE_BACKOFF_MS
		say "next start in $backoff ms"
		pause "$backoff"
		backoff=$((backoff * 2 < ENCLAVE_BACKOFF_MAX_MS ? backoff * 2 : ENCLAVE_BACKOFF_MAX_MS))
		keep_sink
	done
	leave
}

# The first process has no command substitution from here.
early=''
trap 'early=SIGTERM' TERM
trap 'early=SIGINT' INT
exec 7>&1
coproc second { keep_running >&7 7>&-; }
worker=$! pipe=${second[1]-}
exec 7>&-
trap '' PIPE
trap 'echo SIGTERM >&"$pipe"' TERM
trap 'echo SIGINT >&"$pipe"' INT
[ -z "$early" ] || echo "$early" >&"$pipe"
wait "$worker"
while kill -0 "$worker" 2>/dev/null; do
	wait "$worker" # it returns when a signal comes
done
wait "$worker"
