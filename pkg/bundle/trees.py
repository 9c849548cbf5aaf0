"""What the trees of a salescast member say of rows of features: the mean over its seeds, on the scale that they were trained on."""

import json
import os

import numpy as np

LOG_OFFSET = 0.02  # of the target "log"


def _open(path, format):
    if format.startswith("xgboost"):
        import xgboost

        booster = xgboost.Booster(model_file=path)
        return lambda rows: booster.predict(xgboost.DMatrix(rows))
    import lightgbm

    return lightgbm.Booster(model_file=path).predict


class Model:
    def __init__(self, folder):
        with open(os.path.join(folder, "member.json"), encoding="utf-8") as f:
            member = json.load(f)
        self.log = member["trees"]["target"] == "log"
        self.trees = [_open(os.path.join(folder, m["file"]), m["format"]) for m in member["models"]]

    def predict(self, rows, params=None):
        mean = 0.0
        for trees in self.trees:
            says = np.asarray(trees(rows), dtype="float32").astype("float64")
            if self.log:
                says = np.exp(says) - LOG_OFFSET
            mean = mean + np.maximum(says, 0) / len(self.trees)
        return np.log(mean + LOG_OFFSET) if self.log else mean


def _load_pyfunc(path):
    return Model(path)
