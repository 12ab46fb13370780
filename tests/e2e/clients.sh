# shellcheck shell=bash
# Unmodified clients for the stories and the demo: the official Node SDKs, Debian's requests, curl.

CLIENTS=$LAB_BUILD/clients

# The scripts beside the packages they import, where every user of the lab can read them: $LAB/apps.
clients_ready() {
	cp "$LAB_ROOT"/tests/clients/*.{mjs,py} "$CLIENTS/"
	mkdir -p "$LAB/apps"
	lab_in mount --bind "$CLIENTS" "$LAB/apps"
}

# client [lab_client options] -- NAME ARGUMENTS...: NAME is a script of tests/clients without its ending.
client() {
	local options=() name
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	name=$2
	shift 2
	if [ -e "$CLIENTS/$name.py" ]; then
		lab_client "${options[@]}" /usr/bin/python3 "$LAB/apps/$name.py" "$@"
	else
		lab_client "${options[@]}" node "$LAB/apps/$name.mjs" "$@"
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
