# shellcheck shell=bash
# Unmodified clients for the stories and the demo: the official Node SDKs, Debian's requests, curl.

CLIENTS=$LAB_BUILD/clients

# The scripts beside the packages they import.
clients_ready() { cp "$LAB_ROOT"/tests/clients/*.mjs "$CLIENTS/"; }

# client [lab_client options] -- NAME ARGUMENTS...: NAME is a script of tests/clients without its ending.
client() {
	local options=() name
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	name=$2
	shift 2
	if [ -e "$LAB_ROOT/tests/clients/$name.py" ]; then
		lab_client "${options[@]}" /usr/bin/python3 "$LAB_ROOT/tests/clients/$name.py" "$@"
	else
		lab_client "${options[@]}" node "$CLIENTS/$name.mjs" "$@"
	fi
}

# ask_openai [lab_client options] -- JSON [curl options]
ask_openai() {
	local options=() body
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	body=$2
	shift 2
	lab_client "${options[@]}" curl -sS https://api.openai.com/v1/chat/completions \
		-H 'Authorization: Bearer sk-lab' -H 'Content-Type: application/json' -d "$body" "$@"
}
