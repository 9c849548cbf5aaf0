"""Trains XGBoost 3.2.0 and LightGBM 4.7.0 through their Python packages and writes what the Go side must reproduce.

    pip install xgboost-cpu==3.2.0 lightgbm==4.7.0 numpy scipy
    python make.py

data.csv: the design matrix, target y, weight w and a column "valid" that is 1 for validation rows.
<engine>_<case>.json: parameters, options and predictions of all rows. <engine>_<case>.ubj/.txt: the model, where the case keeps it.
One thread: the sums of LightGBM's histograms depend on the number of threads, and then so do the last bits.
"""
import csv
import json
import pathlib

import lightgbm as lgb
import numpy as np
import xgboost as xgb

HERE = pathlib.Path(__file__).parent
COLUMNS = ["sales_lag7", "sales_lag7_mean28", "price", "weekday", "promo", "sparse"]
CATEGORICAL = 3  # weekday


def data():
    rng = np.random.default_rng(7)
    n = 600
    x = np.empty((n, len(COLUMNS)), np.float32)
    x[:, 0] = rng.poisson(8, n)
    x[:, 1] = rng.gamma(4, 2, n)
    x[:, 2] = np.round(rng.uniform(1, 5, n), 2)
    x[:, 3] = rng.integers(0, 7, n)
    x[:, 4] = rng.integers(0, 2, n)
    x[:, 5] = np.where(rng.random(n) < 0.9, 0, rng.normal(size=n))
    effect = np.array([0, 3, -2, 5, 1, -4, 2])[x[:, 3].astype(int)]
    y = np.maximum(0, np.round(x[:, 0] + 0.5 * x[:, 1] - x[:, 2] + effect + 4 * x[:, 4] + rng.normal(size=n), 2)).astype(np.float32)
    w = np.round(rng.uniform(0.5, 2, n), 2).astype(np.float32)
    valid = (np.arange(n) >= 450).astype(int)
    with open(HERE / "data.csv", "w", newline="") as f:
        out = csv.writer(f)
        out.writerow([*COLUMNS, "y", "w", "valid"])
        for i in range(n):
            out.writerow([*(repr(float(v)) for v in x[i]), repr(float(y[i])), repr(float(w[i])), valid[i]])
    return x, y, w, valid == 1


def holes(x):
    """The rule by which a case gets missing values: every seventh value, counted by rows."""
    x = x.copy()
    x.reshape(-1)[::7] = np.nan
    x[:, CATEGORICAL] = np.nan_to_num(x[:, CATEGORICAL])
    return x


class Blocks(xgb.DataIter):
    """Hands the rows out in blocks, as a Source does."""

    def __init__(self, x, y, w, types, rows):
        super().__init__()
        self.parts = [(x[i : i + rows], y[i : i + rows], None if w is None else w[i : i + rows]) for i in range(0, len(y), rows)]
        self.types, self.at = types, 0

    def next(self, input_data):
        if self.at == len(self.parts):
            return False
        x, y, w = self.parts[self.at]
        input_data(data=x, label=y, weight=w, feature_names=COLUMNS, feature_types=self.types)
        self.at += 1
        return True

    def reset(self):
        self.at = 0


def run_xgboost(case, x, y, w, valid):
    p = {k: v for k, v in case["params"].items() if k not in ("rounds", "enable_categorical")}
    cat = case["params"].get("enable_categorical") == "true"
    types = ["c" if cat and i == CATEGORICAL else "float" for i in range(len(COLUMNS))]
    bins = int(p.get("max_bin", 256))

    def matrix(rows, ref=None):
        weight = w[rows] if case["weighted"] else None
        return xgb.QuantileDMatrix(Blocks(x[rows], y[rows], weight, types, case["block_rows"]), ref=ref, max_bin=bins, enable_categorical=cat)

    train = matrix(~valid if case["patience"] else np.full(len(y), True))
    kw = {}
    if case["patience"]:
        kw = dict(evals=[(matrix(valid, train), "valid")], verbose_eval=False, callbacks=[xgb.callback.EarlyStopping(case["patience"], save_best=True)])
    b = xgb.train(p, train, int(case["params"]["rounds"]), **kw)
    case["rounds"] = b.num_boosted_rounds()
    pred = b.inplace_predict(x) if not cat else b.predict(xgb.DMatrix(x, feature_names=COLUMNS, feature_types=types, enable_categorical=True))
    contributions = b.predict(xgb.DMatrix(x[:5], feature_names=COLUMNS, feature_types=types, enable_categorical=cat), pred_contribs=True)
    gain = b.get_score(importance_type="total_gain")
    return b, pred, contributions, [gain.get(c, 0) for c in COLUMNS], lambda path: b.save_model(path + ".ubj")


def run_lightgbm(case, x, y, w, valid):
    p = {k: v for k, v in case["params"].items() if k != "rounds"} | {"verbosity": "0", "deterministic": "true", "force_col_wise": "true"}
    if "num_threads" not in p:
        p["num_threads"] = "1"
    train_rows = ~valid if case["patience"] else np.full(len(y), True)
    cats = [CATEGORICAL] if case["categorical"] else []

    def dataset(rows, ref=None):
        return lgb.Dataset(x[rows], y[rows], weight=w[rows] if case["weighted"] else None, feature_name=COLUMNS, categorical_feature=cats, reference=ref, params=p)

    train = dataset(train_rows)
    kw = {}
    if case["patience"]:
        kw = dict(valid_sets=[dataset(valid, train)], valid_names=["valid"], callbacks=[lgb.early_stopping(case["patience"], first_metric_only=True, verbose=False)])
    b = lgb.train(p, train, int(case["params"]["rounds"]), **kw)
    case["rounds"] = b.best_iteration if case["patience"] else b.num_trees()
    n = case["rounds"]
    return (b, b.predict(x, num_iteration=n), b.predict(x[:5], num_iteration=n, pred_contrib=True), list(b.feature_importance("gain", iteration=n)),
            lambda path: b.save_model(path + ".txt", num_iteration=n, importance_type="gain"))


def case(engine, name, params, missing=False, weighted=False, patience=0, categorical=False, block_rows=600, keep=False):
    return dict(engine=engine, name=name, params=params, missing=missing, weighted=weighted, patience=patience, categorical=categorical, block_rows=block_rows, keep=keep)


X = {"rounds": "12", "max_depth": "4", "learning_rate": "0.3", "nthread": "1"}
L = {"rounds": "12", "num_leaves": "9", "learning_rate": "0.3", "min_data_in_leaf": "10"}
CASES = [
    case("xgboost", "squared", X, keep=True),
    case("xgboost", "blocks", X | {"max_bin": "64"}, block_rows=97),
    case("xgboost", "missing", X, missing=True, keep=True),
    case("xgboost", "weighted", X, weighted=True),
    case("xgboost", "poisson", X | {"objective": "count:poisson"}),
    case("xgboost", "tweedie", X | {"objective": "reg:tweedie", "tweedie_variance_power": "1.3"}),
    case("xgboost", "quantile", X | {"objective": "reg:quantileerror", "quantile_alpha": "0.9"}),
    case("xgboost", "subsample", X | {"subsample": "0.7", "colsample_bytree": "0.6", "seed": "11"}),
    case("xgboost", "stopped", X | {"rounds": "200", "eval_metric": "mae"}, patience=4),
    case("xgboost", "categorical", X | {"enable_categorical": "true", "max_cat_to_onehot": "2"}, categorical=True, keep=True),
    case("lightgbm", "squared", L, keep=True),
    case("lightgbm", "blocks", L | {"max_bin": "64", "bin_construct_sample_cnt": "200"}, block_rows=97),
    case("lightgbm", "missing", L, missing=True, keep=True),
    case("lightgbm", "weighted", L, weighted=True),
    case("lightgbm", "poisson", L | {"objective": "poisson"}),
    case("lightgbm", "tweedie", L | {"objective": "tweedie", "tweedie_variance_power": "1.3"}),
    case("lightgbm", "quantile", L | {"objective": "quantile", "alpha": "0.9"}),
    case("lightgbm", "subsample", L | {"bagging_fraction": "0.7", "bagging_freq": "1", "feature_fraction": "0.6", "seed": "11"}),
    case("lightgbm", "stopped", L | {"rounds": "200", "metric": "l1"}, patience=4),
    case("lightgbm", "categorical", L | {"min_data_per_group": "10", "cat_smooth": "1"}, categorical=True, keep=True),
]

if __name__ == "__main__":
    assert xgb.__version__ == "3.2.0" and lgb.__version__ == "4.7.0"
    x, y, w, valid = data()
    for c in CASES:
        run = run_xgboost if c["engine"] == "xgboost" else run_lightgbm
        b, pred, contributions, gain, save = run(c, holes(x) if c["missing"] else x, y, w, valid)
        path = str(HERE / f"{c['engine']}_{c['name']}")
        if c["keep"]:
            save(path)
        c["predictions"] = [float(v) for v in np.float32(pred)]
        c["contributions"] = [[float(v) for v in np.float32(r)] for r in contributions]
        c["importance"] = [float(v) for v in gain]
        with open(path + ".json", "w") as f:
            json.dump(c, f)
            f.write("\n")
