#!/usr/bin/env bash
# What recording costs: the CPU of "salescast run examples/bakery" in a folder, and against MinIO and MLflow, and the HTTP calls that
# MLflow gets for each step. Wants make build and make servers. Everything listens on 127.0.0.1 and ends with the script.
set -euo pipefail
cd "$(dirname "$0")/../../.."
work=$(mktemp -d)
pids=()
finish() { for p in "${pids[@]}"; do kill -- "-$p" 2>/dev/null || true; done; rm -rf "$work"; }
trap finish EXIT
set -m # every server is a process group
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wait_for() { for _ in $(seq 600); do curl -sf -o /dev/null "$1" && return; sleep 0.2; done; echo "$1 does not answer" >&2; exit 1; }

salescast=${SALESCAST:-bin/salescast}
minio=$(port) mlflow=$(port)
MINIO_ROOT_USER=bench-only MINIO_ROOT_PASSWORD=bench-only-secret .build/bin/minio server "$work/minio" --address "127.0.0.1:$minio" --quiet >"$work/minio.log" 2>&1 &
pids+=($!)
MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true .build/venvs/mlflow-3.17/bin/mlflow server --backend-store-uri "sqlite:///$work/mlflow.db" \
  --serve-artifacts --artifacts-destination "$work/artifacts" --host 127.0.0.1 --port "$mlflow" --workers 1 --uvicorn-opts "--access-log" >"$work/mlflow.log" 2>&1 &
pids+=($!)
wait_for "http://127.0.0.1:$minio/minio/health/ready"
wait_for "http://127.0.0.1:$mlflow/health"
mkdir -p "$work/minio/bench" # a bucket of MinIO on one disk is a folder

cpu() { # CPU seconds of a command, user and system
  TIMEFORMAT='%U %S'
  { time "$@" >"$work/out" 2>"$work/err" || { cat "$work/err" >&2; exit 1; }; } 2>&1 | awk '{printf "%.2f", $1 + $2}'
}
export HOME=$work
unset MLFLOW_TRACKING_URI
folder=$(cpu "$salescast" run examples/bakery -w "$work/folder")
remote=$(AWS_ENDPOINT_URL=http://127.0.0.1:$minio AWS_ACCESS_KEY_ID=bench-only AWS_SECRET_ACCESS_KEY=bench-only-secret \
  MLFLOW_TRACKING_URI=http://127.0.0.1:$mlflow cpu "$salescast" run examples/bakery -w s3://bench/runs/bakery)
awk -v a="$folder" -v b="$remote" 'BEGIN {printf "CPU: %s s in a folder, %s s with MinIO and MLflow: %.2fx (target 1.20x)\n", a, b, b / a}'
steps=$(find "$work/folder" -name manifest.json -not -path '*/attempts/*' | wc -l)
calls=$(grep -c '/api/2.0/' "$work/mlflow.log" || true)
files=$(grep -c 'PUT /api/2.0/mlflow-artifacts' "$work/mlflow.log" || true)
awk -v c="$calls" -v f="$files" -v s="$steps" 'BEGIN {printf "HTTP calls to MLflow: %d for %d steps and their parent, %d of them files: %.1f a step without files (target 60)\n", c, s, f, (c - f) / s}'
[ -z "${KEEP:-}" ] || { echo "MLflow stays at http://127.0.0.1:$mlflow until return is pressed"; read -r; }
