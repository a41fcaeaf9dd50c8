#!/bin/sh
# Makes the files of this folder anew, with GnuPG 2.2, OpenSSL 3, OpenSSH and Java's keytool. The password is "secret". They
# are committed because the tests need none of these programs.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GNUPGHOME="$work"
printf 'hello plain text\n' >hello.txt
gpg() { command gpg --batch --yes --quiet --pinentry-mode loopback --trust-model always "$@" 2>/dev/null; }
sym() { gpg --passphrase secret "$@"; }

for c in AES AES192 AES256 3DES CAST5 BLOWFISH TWOFISH CAMELLIA256 IDEA; do
    sym --s2k-count 65536 --cipher-algo $c -c -o sym-$c.gpg hello.txt
done
sym --s2k-mode 0 --cipher-algo AES -c -o sym-s2k0.gpg hello.txt
sym --s2k-mode 1 --s2k-digest-algo SHA512 --cipher-algo AES256 -c -o sym-s2k1.gpg hello.txt
sym --s2k-count 65536 --s2k-digest-algo SHA256 -c -o sym-sha256.gpg hello.txt
sym --s2k-count 65011712 -c -o sym-max.gpg hello.txt
sym --rfc2440 --s2k-count 65536 --cipher-algo CAST5 -c -o sym-sed.gpg hello.txt
sym --s2k-count 65536 -c -o sym-partial.gpg <hello.txt
sym --s2k-count 65536 -a -c -o sym.asc hello.txt
for z in zip zlib bzip2 uncompressed; do
    gpg --compress-algo $z --store -o lit-$z.gpg hello.txt
done

gpg --passphrase '' --quick-gen-key 'One <one@example.com>' future-default default never
gpg --passphrase '' --quick-gen-key 'Two <two@example.com>' future-default default never
gpg -r one@example.com -e -o pk1.gpg hello.txt
gpg -r one@example.com -r two@example.com -a -e -o pk2.asc hello.txt
gpg -R one@example.com -e -o pk-hidden.gpg hello.txt
sym --s2k-count 65536 -r one@example.com -c -e -o pk-password.gpg hello.txt
gpg -r one@example.com -s -e -o pk-signed.gpg hello.txt
gpg -s -o signed.gpg hello.txt
gpg -a -s -o signed.asc hello.txt
gpg --clearsign -o clear.asc hello.txt
printf -- '- dash\n-----BEGIN PGP MESSAGE-----\nplain\n' >"$work/dash.txt"
gpg --clearsign -o clear-dash.asc "$work/dash.txt"
gpg -b -o detached.sig hello.txt
gpg -a -b -o detached.asc hello.txt
gpg --export one@example.com >public.gpg
gpg -a --export one@example.com >public.asc
gpg -a --passphrase '' --export-secret-keys one@example.com >secret.asc

openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=rsa -days 9999 -keyout "$work/rsa.key" -out "$work/rsa.pem" 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ec -days 9999 -keyout "$work/ec.key" -out "$work/ec.pem" 2>/dev/null
printf 'Content-Type: text/plain\r\n\r\nhello plain text\r\n' >"$work/entity"
cms() { openssl cms -binary -in "$work/entity" "$@"; }
cms -encrypt -aes256 -outform DER -out enveloped.p7m "$work/rsa.pem"
cms -encrypt -aes256 -stream -outform DER -out enveloped-ber.p7m "$work/rsa.pem"
cms -encrypt -aes128 -outform PEM -out enveloped.pem "$work/rsa.pem" "$work/ec.pem"
cms -encrypt -des3 -outform DER -out enveloped-3des.p7m "$work/rsa.pem" "$work/rsa.pem"
cms -encrypt -aes-256-gcm -outform DER -out authenveloped.p7m -recip "$work/rsa.pem" -keyopt rsa_padding_mode:oaep
cms -encrypt -aes256 -pwri_password secret -outform DER -out enveloped-password.p7m
cms -EncryptedData_encrypt -aes256 -secretkey 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff -outform DER -out encrypteddata.p7m
cms -data_create -outform DER -out data.p7m
cms -digest_create -outform DER -out digested.p7m
cms -sign -nodetach -signer "$work/rsa.pem" -inkey "$work/rsa.key" -outform DER -out signed.p7m
cms -sign -nodetach -stream -signer "$work/rsa.pem" -inkey "$work/rsa.key" -outform DER -out signed-ber.p7m
cms -sign -signer "$work/ec.pem" -inkey "$work/ec.key" -outform DER -out detached.p7s
openssl crl2pkcs7 -nocrl -certfile "$work/rsa.pem" -outform DER -out certs-only.p7c
openssl crl2pkcs7 -nocrl -certfile "$work/ec.pem" -outform PEM -out certs-only.pem

openssl pkcs12 -export -in "$work/ec.pem" -inkey "$work/ec.key" -passout pass:secret -out modern.p12
openssl pkcs12 -export -legacy -in "$work/ec.pem" -inkey "$work/ec.key" -passout pass:secret -out legacy.p12
openssl pkcs12 -export -in "$work/ec.pem" -inkey "$work/ec.key" -keypbe NONE -certpbe NONE -nomac -passout pass: -out open.p12
openssl pkcs12 -export -in "$work/ec.pem" -inkey "$work/ec.key" -certpbe NONE -passout pass:secret -out key-only.p12
openssl pkcs8 -topk8 -in "$work/ec.key" -passout pass:secret -out key-pkcs8.pem
openssl pkcs8 -topk8 -in "$work/ec.key" -passout pass:secret -outform DER -out key-pkcs8.der
openssl pkcs8 -topk8 -in "$work/ec.key" -nocrypt -out key-open.pem
openssl pkcs8 -topk8 -in "$work/ec.key" -nocrypt -outform DER -out key-open.der
openssl ec -in "$work/ec.key" -aes256 -passout pass:secret -out key-legacy.pem 2>/dev/null
cp "$work/ec.pem" certificate.pem
openssl enc -aes-256-cbc -pbkdf2 -pass pass:secret -in hello.txt -out openssl.enc
openssl enc -aes-256-cbc -pbkdf2 -pass pass:secret -a -in hello.txt -out openssl.b64
ssh-keygen -q -t ed25519 -N secret -C test -f "$work/ssh" && cp "$work/ssh" ssh-locked
ssh-keygen -q -t ed25519 -N '' -C test -f "$work/ssh2" && cp "$work/ssh2" ssh-open
java() { keytool -storetype JKS -storepass secret1 -keypass secret1 -noprompt "$@" 2>/dev/null; }
java -genkeypair -alias key -keyalg EC -dname CN=test -keystore "$work/key.jks" && cp "$work/key.jks" key.jks
java -importcert -alias cert -file "$work/rsa.pem" -keystore "$work/cert.jks" && cp "$work/cert.jks" certificates.jks
