"""Opens with the Python packages the models that salescast trained and saved, and compares predictions: no difference is tolerated.

    python load_models.py DATA.csv FOLDER   (see "make test-engines-python")
"""
import csv
import pathlib
import sys

import lightgbm as lgb
import numpy as np
import xgboost as xgb

data, folder = sys.argv[1], pathlib.Path(sys.argv[2])
with open(data, newline="") as f:
    rows = list(csv.reader(f))
names = rows[0][:-3]
x = np.array([r[: len(names)] for r in rows[1:]], np.float32)


def expected(file):
    return np.frombuffer((folder / f"{file}.predictions").read_bytes(), "<f4")


b = xgb.Booster(model_file=folder / "xgboost.ubj")
assert b.feature_names == names, b.feature_names
for got in (b.inplace_predict(x, validate_features=False), b.predict(xgb.DMatrix(x, feature_names=names))):
    np.testing.assert_array_equal(got, expected("xgboost.ubj"))
print(f"xgboost {xgb.__version__}: {b.num_boosted_rounds()} rounds, {len(x)} predictions equal")

m = lgb.Booster(model_file=folder / "lightgbm.txt")
assert m.feature_name() == names, m.feature_name()
np.testing.assert_array_equal(np.float32(m.predict(x)), expected("lightgbm.txt"))
print(f"lightgbm {lgb.__version__}: {m.num_trees()} rounds, {len(x)} predictions equal")
