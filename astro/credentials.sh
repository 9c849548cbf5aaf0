#!/bin/sh
# Makes up the credentials that a file of variables lacks, by default .env, and leaves it readable by its owner alone: credentials.sh [FILE]
set -eu
umask 077
file=${1:-.env}
touch "$file"
chmod 600 "$file"
[ -z "$(tail -c 1 "$file")" ] || echo >>"$file"
for name in MINIO_ROOT_USER MINIO_ROOT_PASSWORD SALESCAST_SERVE_TOKEN; do
  if ! grep -q "^$name=." "$file"; then
    # Written beside it and moved, so that no end in between loses what was there.
    { grep -v "^$name=" "$file" || true; printf '%s=%s\n' "$name" "$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')"; } >"$file.new"
    mv "$file.new" "$file"
    echo "made up $name in $file"
  fi
done
