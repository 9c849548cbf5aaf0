#!/usr/bin/env bash
# The same features of the same panel by salescast and by polars, both from zstd Parquet to zstd Parquet, in processor time of the whole
# process. Usage: bench.sh [SERIES [STEPS]], 10000 x 1000 by default. PYTHON must have polars; without it a virtual environment is made.
set -euo pipefail
series=${1:-10000} steps=${2:-1000}
cd "$(dirname "$0")/../../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${PYTHON:-}" ]; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install -q polars==2.1.0
  PYTHON=$work/venv/bin/python
fi
CGO_ENABLED=0 go build -o "$work/featurize" ./tests/bench/featurize
"$work/featurize" make "$work/ws" "$series" "$steps"
ours=$("$work/featurize" run "$work/ws")
theirs=$("$PYTHON" tests/bench/featurize/polars_features.py "$work/ws/validate/attempts/bench/panel.parquet" "$work/polars.parquet")
"$PYTHON" - "$ours" "$theirs" "$work/ws/featurize" "$work/polars.parquet" <<'PY'
import glob, json, sys
import polars as pl
ours, theirs = json.loads(sys.argv[1]), json.loads(sys.argv[2])
a = pl.read_parquet(sorted(glob.glob(sys.argv[3] + "/attempts/*/features/*.parquet")))
b = pl.read_parquet(sys.argv[4])
names = [c for c in b.columns if c.startswith("sales_") or c in ("year", "month", "quarter", "week_of_year", "day_of_month", "weekday")]
worst = 0.0
for c in names:
    x, y = a[c].fill_nan(None).cast(pl.Float64), b[c].cast(pl.Float64).fill_nan(None)
    if x.is_null().sum() != y.is_null().sum():
        sys.exit(f"column {c}: {x.is_null().sum()} missing values, polars has {y.is_null().sum()}")
    worst = max(worst, ((x - y).abs() / (1 + y.abs())).max() or 0.0)
print(f"{'':10}{'rows':>10}{'CPU s':>9}{'wall s':>9}{'peak MB':>9}")
for n, r in (("salescast", ours), ("polars", theirs)):
    print(f"{n:10}{r['rows']:>10}{r['cpu_s']:>9.2f}{r['wall_s']:>9.2f}{r['peak_rss_mb']:>9}")
print(f"CPU ratio {ours['cpu_s'] / theirs['cpu_s']:.2f}; {len(names)} features compared, largest relative difference {worst:.1e}")
PY
