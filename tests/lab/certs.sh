#!/usr/bin/env bash
# The scripted provider's certificates: certs.sh DIR makes DIR/root.pem (what to trust), DIR/NAME.pem
# (chain and key) for each name, and DIR/bad/*.pem. Made once; again when they are two days old.
set -euo pipefail
set -f # names begin with "*"
dir=${1:?usage: certs.sh DIR}
names="api.openai.com api.anthropic.com eu.api.openai.com api.mistral.ai
	bedrock-runtime.us-east-1.amazonaws.com us-central1-aiplatform.googleapis.com
	generativelanguage.googleapis.com not-ai.example.com *.openai.azure.com *.example.com"

mkdir -p "$dir/bad"
dir=$(cd "$dir" && pwd)
stamp=$dir/.made
exec 9>"$dir/.lock"
flock 9
if [ -n "$(find "$stamp" -mtime -2 2>/dev/null)" ]; then
	exit 0
fi
cd "$dir"

key() { # FILE [ALGORITHM...]
	local f=$1
	shift
	[ $# -gt 0 ] || set -- EC -pkeyopt ec_paramgen_curve:P-256
	openssl genpkey -algorithm "$@" -out "$f" 2>/dev/null
}

authority() { # NAME SUBJECT [ISSUER]: NAME.key and NAME.crt
	local ext=(-addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign")
	key "$1.key"
	if [ $# -lt 3 ]; then
		openssl req -x509 -new -key "$1.key" -subj "$2" -days 30 "${ext[@]}" -out "$1.crt"
	else
		openssl req -new -key "$1.key" -subj "$2" | openssl x509 -req -days 30 -CA "$3.crt" \
			-CAkey "$3.key" -set_serial "0x$(openssl rand -hex 12)" -out "$1.crt" -extfile <(
				printf '%s\n' "basicConstraints=critical,CA:TRUE,pathlen:0" \
					"keyUsage=critical,keyCertSign,cRLSign" subjectKeyIdentifier=hash \
					authorityKeyIdentifier=keyid
			) 2>/dev/null
	fi
}

# leaf FILE NAMES ISSUER [EKU]: one certificate for all the names, signed by ISSUER.
leaf() {
	local san=
	for n in $2; do san=$san${san:+,}DNS:$n; done
	[ -f "$1.key" ] || key "$1.key"
	openssl req -new -key "$1.key" -subj "/CN=${2%% *}" | openssl x509 -req -days "${days:-20}" \
		-CA "$3.crt" -CAkey "$3.key" -set_serial "0x$(openssl rand -hex 12)" -out "$1.crt" -extfile <(
			printf '%s\n' basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature \
				"extendedKeyUsage=${4:-serverAuth}" subjectKeyIdentifier=hash \
				authorityKeyIdentifier=keyid "subjectAltName=$san"
		) 2>/dev/null
}

authority root "/O=sallyport lab/CN=Scripted provider root"
authority inter "/O=sallyport lab/CN=Scripted provider intermediate" root
authority other "/O=sallyport lab/CN=A root that nobody trusts"
cp root.crt root.pem

key leaf.key # one key for all good leaves: quick, and nothing here is secret
for n in $names; do
	file=${n/\*/_}
	cp leaf.key "$file.key"
	leaf "$file" "$n" inter
	cat "$file.crt" inter.crt leaf.key >"$file.pem"
	rm "$file.crt" "$file.key"
done
leaf plain "default.example.com" inter
cat plain.crt inter.crt plain.key >default.pem

ai="api.openai.com api.anthropic.com"
cp leaf.key bad/leaf.key
bad() { # NAME ISSUER CHAIN...: bad/leaf.crt becomes bad/NAME.pem
	local name=$1
	shift
	cat bad/leaf.crt "$@" bad/leaf.key >"bad/$name.pem"
}
leaf bad/leaf "www.example.org" inter && bad wronghost inter.crt
leaf bad/leaf "$ai" other && bad otherroot other.crt
leaf bad/leaf "$ai" inter && bad nochain
leaf bad/leaf "$ai" inter clientAuth && bad clientonly inter.crt
openssl req -x509 -key bad/leaf.key -subj /CN=api.openai.com -days 20 -out bad/leaf.crt \
	-addext subjectAltName=DNS:api.openai.com,DNS:api.anthropic.com
bad selfsigned
# `openssl x509` 3.0 knows no start date; `openssl ca` does.
san=DNS:api.openai.com,DNS:api.anthropic.com
: >bad/index.txt
echo 01 >bad/serial
openssl req -new -key bad/leaf.key -subj /CN=api.openai.com -out bad/leaf.csr
dated() { # NAME START END
	openssl ca -batch -notext -in bad/leaf.csr -out bad/leaf.crt -cert inter.crt \
		-keyfile inter.key -startdate "$2" -enddate "$3" -md sha256 -config <(
			printf '%s\n' '[ca]' default_ca=d '[d]' database=bad/index.txt new_certs_dir=bad \
				unique_subject=no serial=bad/serial policy=p x509_extensions=x '[p]' commonName=supplied '[x]' \
				basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature \
				extendedKeyUsage=serverAuth "subjectAltName=$san" authorityKeyIdentifier=keyid
		) 2>/dev/null
	bad "$1" inter.crt
}
dated expired 20240101000000Z 20240201000000Z
dated notyet 20450101000000Z 20460101000000Z
rm -f bad/leaf.key
key bad/leaf.key RSA -pkeyopt rsa_keygen_bits:1024
leaf bad/leaf "$ai" inter && bad weakkey inter.crt
find bad -type f \( ! -name '*.pem' -o -name '0?.pem' \) -delete
rm -f plain.key plain.crt leaf.key
find . -name '*.pem' -exec chmod 644 {} +
touch "$stamp"
