"""Forecasts with a model of salescast.

It runs the salescast program, whose own code makes features and forecasts: the answer is that of "salescast forecast".
"""

import io
import json
import os
import shutil
import subprocess

import pandas as pd


class Model:
    def __init__(self, folder):
        self.folder = folder
        with open(os.path.join(folder, "input.json"), encoding="utf-8") as f:
            data = json.load(f)
        self.time, self.target, self.keys = data["time"], data["target"], data["keys"] or []
        self.columns = [*self.keys, self.time, self.target]
        for role in ("known_future", "past_only", "static"):
            self.columns += [c for c in data[role] or [] if c not in self.columns]
        if data.get("stockout"):
            self.columns.append(data["stockout"])

    def predict(self, rows, params=None):
        """Takes the history, and after it the rows of the plan with an empty target; returns a row per series and step."""
        missing = [c for c in self.columns if c not in rows.columns]
        if missing:
            raise ValueError(f"the columns {missing} are missing; this model reads {self.columns}")
        program = os.environ.get("SALESCAST_BIN") or shutil.which("salescast")
        if not program:
            raise RuntimeError(
                "this model forecasts by running the program salescast, which is not on PATH: "
                "install it, or set SALESCAST_BIN to where it is"
            )
        table = rows[self.columns].to_csv(index=False).encode()
        done = subprocess.run(
            [program, "forecast", "--model", self.folder, "--input", "-"], input=table, capture_output=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} forecast: exit {done.returncode}: {done.stderr.decode(errors='replace')[-4000:]}")
        out = pd.read_csv(
            io.BytesIO(done.stdout), dtype=dict.fromkeys(self.keys, str), parse_dates=["date", "cutoff"], float_precision="round_trip"
        )
        return out.drop(columns=["model", "actual"])


def _load_pyfunc(path):
    return Model(path)
