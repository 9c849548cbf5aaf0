#!/usr/bin/env bash
# Fit and 28-day forecast with 500 simulated futures, per series, by salescast's Prophet and by the Python package, in processor time.
# Usage: bench.sh [SERIES], 20 by default, five times in turn. PYTHON must have prophet; without it a virtual environment is made.
set -euo pipefail
n=${1:-20}
cd "$(dirname "$0")/../../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${PYTHON:-}" ]; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install -q prophet==1.5.0
  PYTHON=$work/venv/bin/python
fi
CGO_ENABLED=0 go build -o "$work/ours" ./tests/bench/prophet
data=examples/bakery/bakery_daily.csv.gz
for _ in 1 2 3 4 5; do
  "$work/ours" "$data" "$n" >>"$work/ours.jsonl"
  "$PYTHON" tests/bench/prophet/peer.py "$data" "$n" 2>/dev/null >>"$work/theirs.jsonl"
done
"$PYTHON" - "$work" <<'PY'
import json, statistics, sys
a, b = ([json.loads(x)["cpu_s_per_series"] for x in open(f"{sys.argv[1]}/{f}.jsonl")] for f in ("ours", "theirs"))
print(f"salescast {1e3 * statistics.median(a):.2f} ms, prophet {1e3 * statistics.median(b):.1f} ms per series; ratio {statistics.median(y / x for x, y in zip(a, b)):.0f}")
PY
