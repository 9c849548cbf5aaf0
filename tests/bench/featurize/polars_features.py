"""The reference features in polars: reads panel.parquet, writes zstd Parquet, prints one line of JSON. Usage: FILE OUT"""
import json
import resource
import sys
import time

t0 = time.time()
import polars as pl  # noqa: E402

y = pl.col("y").shift(1)
columns = [pl.col("y").shift(k).over("unique_id").alias(f"sales_lag{k}") for k in (1, 2, 3, 7, 14, 21, 30)]
for w in (3, 7, 14, 21, 30):
    for f in ("mean", "std", "min", "max", "median"):
        columns.append(getattr(y, f"rolling_{f}")(w, min_samples=1).over("unique_id").alias(f"sales_{f}{w}"))
d = pl.col("date").dt
columns += [d.year().alias("year"), d.month().alias("month"), d.quarter().alias("quarter"), d.week().alias("week_of_year"),
            d.day().alias("day_of_month"), (d.weekday() - 1).alias("weekday")]
x = pl.read_parquet(sys.argv[1], columns=["unique_id", "date", "y", "observed"]).with_columns(columns)
x.write_parquet(sys.argv[2], compression="zstd", compression_level=1)
u = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"rows": x.height, "columns": x.width - 4, "wall_s": round(time.time() - t0, 2),
                  "cpu_s": round(u.ru_utime + u.ru_stime, 2), "peak_rss_mb": u.ru_maxrss // 1024}))
