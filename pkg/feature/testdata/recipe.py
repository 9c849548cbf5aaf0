"""Makes recipe_daily.json.gz and recipe_weekly.json.gz: random panels and the training features of random rows, by numpy.

    python recipe.py            # needs numpy

The formulas work on whole series x time matrices with prefix sums, as the study did in which the features were chosen; they share no
code and no layout with the Go package.
"""
import gzip
import json

import numpy as np


def easter(y):
    a, b, c = y % 19, y // 100, y % 100
    d, e, f = b // 4, b % 4, (b + 8) // 25
    g = (b - f + 1) // 3
    h = (19 * a + b - d - g + 15) % 30
    i, k = c // 4, c % 4
    n = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * n) // 451
    q = h + n - 7 * m + 114
    return np.datetime64(f"{y:04d}-{q // 31:02d}-{q % 31 + 1:02d}")


class Recipe:
    def __init__(self, daily, T, H, seed):
        g = np.random.default_rng(seed)
        self.daily, self.T, self.H, self.S = daily, T, H, 6
        self.P, self.Yr, self.base = (7, 364, 28) if daily else (1, 52, 8)
        self.W = [7, 14, 28, 56, 91, 182] if daily else [2, 4, 8, 13, 26, 52]
        self.store, self.item = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 0, 1])
        self.start = np.array([0, 0, 3, 11, 40, 90])
        first = np.datetime64("2019-01-07")  # a Monday
        self.dates = first + np.arange(T) * np.timedelta64(1 if daily else 7, "D")
        t = np.arange(T)
        level = np.exp(g.normal(2, 1.5, self.S))
        season = 1 + 0.4 * np.sin(2 * np.pi * t / self.Yr)
        self.Y = np.floor(g.poisson(level[:, None] * season * g.gamma(4, 0.25, (self.S, T)))).astype(float)
        self.O = (g.random((self.S, T)) > 0.08) & (t[None, :] >= self.start[:, None])
        self.O[np.arange(self.S), self.start] = True
        self.Y[~self.O] = 0
        self.K = {"promo": (g.random((self.S, T)) < 0.1).astype(float)}
        if not daily:
            self.K["price"] = np.round(g.uniform(1, 4, (self.S, T)) * 16) / 16
            self.K["rival"] = np.round(g.uniform(1, 4, (self.S, T)) * 16) / 16
        self.prices = [k for k in self.K if k != "promo"]
        cat = lambda a: np.concatenate([np.zeros((self.S, 1)), a.cumsum(1)], 1)
        self.CS, self.CN, self.C2 = cat(self.Y), cat(self.O.astype(float)), cat(self.Y**2)
        self.CZ = cat(((self.Y == 0) & self.O).astype(float))
        self.KC = {k: cat(np.where(t[None, :] >= self.start[:, None], v, 0)) for k, v in self.K.items()}
        alpha = 0.1 if daily else 0.25
        self.EW = [np.zeros((self.S, T)), np.zeros((self.S, T))]
        for E, a in zip(self.EW, (alpha, 3 * alpha)):
            for i in range(T):
                before = E[:, i - 1] if i else np.zeros(self.S)
                now = np.where(self.CN[:, i] == 0, self.Y[:, i], a * self.Y[:, i] + (1 - a) * before)
                E[:, i] = np.where(self.O[:, i], now, before)

    def spread(self, o):
        """Standard deviations of covariates, of what the series' rows hold up to step o."""
        live = (np.arange(self.T)[None, :] >= self.start[:, None]) & (np.arange(self.T)[None, :] <= o)
        return {k: max(v[live].std(), 1e-6) for k, v in self.K.items()}

    def span(self, C, s, a, b):
        return C[s, np.clip(b, 0, self.T)] - C[s, np.clip(a, 0, self.T)]

    def mean(self, s, a, b):
        n = self.span(self.CN, s, a, b)
        return np.where(n > 0, self.span(self.CS, s, a, b) / np.maximum(n, 1), np.nan)

    def sale(self, s, i):
        j = np.clip(i, 0, self.T - 1)
        return np.where((i >= 0) & (i < self.T) & self.O[s, j], self.Y[s, j], np.nan)

    def scale(self, s, o, kind):
        e = o + 1
        level, all_ = np.nan_to_num(self.mean(s, e - 2 * self.base, e)), np.nan_to_num(self.mean(s, 0 * o, e))
        year = np.nan_to_num(self.mean(s, e - self.Yr, e))
        if kind == "recent":
            return np.maximum(level, 0.05 * all_) + 1e-3 * (1 + all_)
        if kind == "exp":
            return np.maximum(all_, 0.2 * level) + 1e-3
        return np.maximum(0.5 * year + 0.5 * level, 0.05 * all_) + 1e-3 * (1 + all_)

    def features(self, s, o, t, kind, spread):
        h, e, sc, X = t - o, o + 1, self.scale(s, o, kind), {}
        base, Yr, daily = self.base, self.Yr, self.daily
        for w in self.W:
            X[f"sales_mean{w}"] = self.mean(s, e - w, e) / sc
        X["sales_mean_all"] = self.mean(s, 0 * o, e) / sc
        for name, E in zip(("sales_ewm10", "sales_ewm30") if daily else ("sales_ewm25", "sales_ewm75"), self.EW):
            X[name] = E[s, o] / sc
        n = self.span(self.CN, s, e - base, e)
        var = self.span(self.C2, s, e - base, e) - self.span(self.CS, s, e - base, e) ** 2 / np.maximum(n, 1)
        X[f"sales_std{base}"] = np.where(n > 1, np.sqrt(np.maximum(var, 0) / np.maximum(n - 1, 1)), np.nan) / sc
        X[f"sales_zeros{base}"] = np.where(n > 0, self.span(self.CZ, s, e - base, e) / np.maximum(n, 1), np.nan)
        for j in range(2 if daily else 4):
            X[f"sales_lag{j + 1}"] = self.sale(s, o - j) / sc
        if daily:
            k = np.ceil(h / 7).astype(int) * 7
            A = np.array([self.sale(s, t - k - 7 * j) for j in range(8)]) / sc
            X["sales_season_lag1"], X["sales_season_lag2"] = A[0], A[1]
            X["sales_season_mean4"], X["sales_season_mean8"] = np.nanmean(A[:4], 0), np.nanmean(A, 0)
            X["sales_season_median8"] = np.nanmedian(A, 0)
        q, num, den = 3 if daily else 1, 0.0, 0.0
        for k in (1, 2, 3):
            a = self.mean(s, t - k * Yr - q, np.minimum(t - k * Yr + q + 1, e))
            b = self.mean(s, o - k * Yr - base + 1, o - k * Yr + 1)
            ok = ~np.isnan(a) & ~np.isnan(b)
            num, den = num + np.where(ok, a, 0), den + np.where(ok, b, 0)
            if k == 1:
                X["sales_year_mean"], X["sales_year_level"], X["sales_year_ratio"] = a / sc, b / sc, a / np.maximum(b, 0.02 * sc)
        X["sales_years_ratio"] = np.where(den > 0, num / np.maximum(den, 1e-9), np.nan)
        X["sales_year_lag"] = self.sale(s, t - Yr) / sc
        if not daily:
            for j, name in ((-1, "before"), (1, "after")):
                X[f"sales_year_lag_{name}"] = np.where(t - Yr + j <= o, self.sale(s, t - Yr + j), np.nan) / sc
        self.totals(X, s, o, t)
        self.profiles(X, s, o, t, sc, spread)
        self.calendar(X, s, o, t, sc)
        self.covariates(X, s, o, t)
        return X, sc

    def totals(self, X, s, o, t):
        e, Yr, base, T = o + 1, self.Yr, self.base, self.T
        q = 3 if self.daily else 0
        total = self.CS.sum(0)
        R = lambda a, b: total[np.clip(b, 0, T)] - total[np.clip(a, 0, T)]
        end = np.minimum(t - Yr + q + 1, e)
        a, b = R(t - Yr - q, end) / (end - (t - Yr - q)), R(o - Yr - base + 1, o - Yr + 1) / base
        X["panel_year_ratio"] = np.where((t - Yr - q >= 0) & (o - Yr - base + 1 >= 0) & (b > 0), a / np.maximum(b, 1e-9), np.nan)
        for name, group in (("panel", 0 * self.store), ("store", self.store), ("item", self.item)):
            C = np.zeros((group.max() + 1, T + 1))
            np.add.at(C, group, self.CS)
            w1, w2 = self.W[0], 2 * base
            G = lambda a, b: C[group[s], np.clip(b, 0, T)] - C[group[s], np.clip(a, 0, T)]
            X[f"{name}_trend"] = np.where(e >= w2, G(e - w1, e) / w1 / np.maximum(G(e - w2, e) / w2, 1e-9), np.nan)

    def profiles(self, X, s, o, t, sc, spread):
        if not self.daily and not self.prices:
            return
        num, den, like, weight = (np.zeros(len(s)) for _ in range(4))
        for j in range(52):
            i = t - self.P * (np.ceil((t - o) / self.P).astype(int) + j) if self.P > 1 else o - j
            y = self.sale(s, i)
            w = np.exp(-j / 26) * ~np.isnan(y)
            y, d = np.nan_to_num(y), 0.0
            for k, v in self.K.items():
                d = d + ((v[s, np.clip(i, 0, self.T - 1)] - v[s, t]) / spread[k]) ** 2
            num, den = num + w * y, den + w
            w = w * np.exp(-2 * d)
            like, weight = like + w * y, weight + w
        profile = np.where(den > 0, num / np.maximum(den, 1e-12), np.nan)
        X["sales_profile"] = profile / sc
        X["sales_profile_ratio"] = profile / np.maximum(self.mean(s, o + 1 - 364, o + 1), 0.01 * sc)
        if self.prices:
            analog = (like + 0.05 * profile) / (weight + 0.05)
            X["sales_analog"], X["sales_analog_ratio"] = analog / sc, analog / np.maximum(profile, 1e-9)

    def calendar(self, X, s, o, t, sc):
        d = self.dates[t]
        year, month = d.astype("M8[Y]"), d.astype("M8[M]")
        X["day_of_year"] = (d - year).astype(int) + 1
        X["month"] = (month - year.astype("M8[M]")).astype(int) + 1
        dom = (d - month).astype(int) + 1
        if self.daily:
            X["weekday"], X["day_of_month"] = (d.astype(int) + 3) % 7, dom
        else:
            X["week_of_month"] = (dom - 1) // 7
        all_ = np.array([easter(y) for y in range(2017, 2026)])
        away = (d[:, None] - all_[None, :]).astype(int)
        X["since_easter"] = np.clip(away[np.arange(len(s)), np.abs(away).argmin(1)], -60, 60)
        X["horizon"], X["log_scale"], X["age"] = t - o, np.log(sc), np.minimum(o - self.start[s], self.Yr)
        X["store_code"], X["item_code"] = self.store[s], self.item[s]

    def covariates(self, X, s, o, t):
        e, limit = o + 1, np.minimum(np.maximum(t, o + self.H), self.T - 1)
        for k, v in self.K.items():
            X[k] = v[s, t]
            a = np.maximum(e - (2 * self.base if self.daily else 52), self.start[s])
            m = self.span(self.KC[k], s, a, e) / np.maximum(e - a, 1)
            X[k + "_over_mean"] = X[k] - m
            for j in (-2, -1, 1, 2):
                i = np.minimum(t + j, limit) if j > 0 else t + j
                X[k + (f"_after{j}" if j > 0 else f"_before{-j}")] = np.where(i >= self.start[s], v[s, np.maximum(i, 0)], np.nan)
            X[k + "_store_over"] = np.array([np.mean([v[r, c] for r in range(self.S) if self.store[r] == self.store[x] and c >= self.start[r]]) for x, c in zip(s, t)]) - X[k]
            if k in self.prices:
                X[k + "_log_over_mean"] = np.log(X[k] / m)
        for i, a in enumerate(self.prices):
            for b in self.prices[:i]:
                X[f"{a}_log_over_{b}"] = np.log(self.K[a][s, t] / self.K[b][s, t])


def make(name, daily, T, H, n, seed):
    p = Recipe(daily, T, H, seed)
    g = np.random.default_rng(seed + 1)
    s = g.integers(0, p.S, n)
    h = g.integers(1, H + 1, n)
    o = p.start[s] + (g.random(n) * (T - H - p.start[s])).astype(int)
    t = o + h
    out = {
        "dates": [str(p.dates[0])], "start": p.start.tolist(), "store": p.store.tolist(), "item": p.item.tolist(), "horizon": H, "origin": T - H - 1,
        "target": p.Y.astype(int).tolist(), "observed": p.O.astype(int).tolist(), "covariates": {k: v.tolist() for k, v in p.K.items()},
        "rows": np.column_stack([s, o, t]).tolist(), "features": {}, "scale": {},
    }
    for kind in ("recent", "year", "exp"):
        X, sc = p.features(s, o, t, kind, p.spread(T - H - 1))
        clean = lambda v: [None if np.isnan(x) else float(f"{x:.9g}") for x in np.asarray(v, float)]
        out["features"][kind] = {k: clean(v) for k, v in X.items()}
        out["scale"][kind] = clean(sc)
    with open(name, "wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as f:
        f.write(json.dumps(out, separators=(",", ":")).encode())


if __name__ == "__main__":
    np.seterr(all="ignore")
    import warnings

    warnings.filterwarnings("ignore")
    make("recipe_daily.json.gz", True, 560, 28, 120, 1)
    make("recipe_weekly.json.gz", False, 200, 13, 120, 2)
