#!/bin/sh
# Makes a private bucket, unless it is there: make-bucket URL BUCKET, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY set.
set -eu
# The credentials go through standard input: an argument is seen by everybody on the machine. The status stands after the answer's body,
# because a user that is not root cannot always open /dev/stderr.
answer=$(printf 'user = "%s:%s"\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" |
  curl --silent --show-error --config - --aws-sigv4 "aws:amz:${AWS_REGION:-us-east-1}:s3" --retry 5 --retry-connrefused \
    --request PUT --write-out '\n%{http_code}' "$1/$2")
status=$(printf '%s' "$answer" | tail -n 1)
case $status in
  200) echo "made bucket $2" ;;
  409) echo "bucket $2 is there" ;;
  *) echo "make bucket $2 at $1: status $status: $answer" >&2; exit 1 ;;
esac
