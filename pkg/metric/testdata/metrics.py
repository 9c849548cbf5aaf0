"""Makes metrics.json: panels, predictions and their scores, computed with pandas by the definitions in the package's comments.

    python metrics.py > metrics.json      (pandas 3.1.1, numpy 2)
"""
import json
import numpy as np, pandas as pd

LEVELS = [.025, .1, .25, .5, .75, .9, .975]
rng = np.random.default_rng(20161123)


def panel(freq, length, gaps):
    """Long frame: store, item, date, y (NaN unknown), obs. Odd series on purpose: leading zeros, constant, all zero, short, gappy."""
    out = []
    end = pd.date_range('2023-01-05', periods=length, freq=freq)[-1]
    for i, kind in enumerate(['plain', 'leading', 'constant', 'zero', 'short', 'gaps', 'negative']):
        n = length if kind != 'short' else 9
        ds = pd.date_range(end=end, periods=n, freq=freq)
        y = np.round(rng.gamma(3, 4, n) * (1 + .4 * np.sin(np.arange(n) * 2 * np.pi / 7)), 1)
        if kind == 'leading': y[:length // 3] = 0
        if kind == 'constant': y[:] = 5
        if kind == 'zero': y[:] = 0
        if kind == 'negative': y[3:20:5] = -1.5
        obs = np.ones(n, bool)
        if kind == 'gaps':
            lost = rng.random(n) < .25; lost[0] = False
            obs &= ~lost
            y[lost] = 0 if gaps == 'zero' else np.nan
        out.append(pd.DataFrame({'store': f's{i % 3}', 'item': f'i{i:02d}', 'date': ds, 'y': np.float32(y).astype(float), 'obs': obs}))
    return pd.concat(out).sort_values(['store', 'item', 'date'], ignore_index=True)


def predict(d, freq, h, origins):
    off = pd.tseries.frequencies.to_offset(freq); end = d.date.max(); rows = []
    for m, noise in [('good', 1.), ('bare', 2.), ('wild', 6.)]:
        for k in range(origins, 0, -1):
            cut = end - off * (h * k)
            t = d[(d.date > cut) & (d.date <= cut + off * h)].copy()
            t['model'], t['cutoff'] = m, cut
            steps = list(pd.date_range(cut, periods=h + 1, freq=freq)); t['horizon'] = [steps.index(x) for x in t.date]
            f = np.maximum(t.y.fillna(7) + rng.normal(0, noise, len(t)), 0)
            t['forecast'] = f
            q = np.sort(f.to_numpy()[:, None] + noise * rng.normal(0, 1.3, (len(t), len(LEVELS))), axis=1)
            for j, l in enumerate(LEVELS):
                t[f'q{j}'] = q[:, j] if m != 'bare' else np.nan
            if m == 'wild': t.loc[t.index[5], 'forecast'] = np.nan     # a forecast that was not made
            t['actual'] = t.y.where(t.obs)
            rows.append(t)
    return pd.concat(rows, ignore_index=True)


def scores(p, d, season):
    p = p[p.actual.notna()]; missing = int(p.forecast.isna().sum()); p = p[p.forecast.notna()].copy()
    r = {'rows': len(p), 'missing': missing}
    if len(p) == 0: return r
    y, f = p.actual.to_numpy(), p.forecast.to_numpy(); e = f - y
    div = lambda a, b: None if b == 0 else a / b
    r['wape'] = div(np.abs(e).sum(), np.abs(y).sum()); r['rmse'] = np.sqrt((e ** 2).mean()); r['mae'] = np.abs(e).mean()
    pos = y > 0; r['mape_rows'] = int(pos.sum()); r['mape'] = (np.abs(e[pos]) / y[pos]).mean() if pos.any() else None
    sst = ((y - y.mean()) ** 2).sum(); r['r2'] = None if sst == 0 else 1 - (e ** 2).sum() / sst
    r['bias'] = div(e.sum(), y.sum())
    p['ae'], p['se'] = np.abs(e), e ** 2
    q = p[[f'q{j}' for j in range(len(LEVELS))]].to_numpy()
    has = not np.isnan(q).any()
    if has:
        r['coverage_95'] = ((y >= q[:, 0]) & (y <= q[:, 6])).mean(); r['coverage_80'] = ((y >= q[:, 1]) & (y <= q[:, 5])).mean()
        pin = [np.maximum(l * (y - q[:, j]), (l - 1) * (y - q[:, j])).sum() for j, l in enumerate(LEVELS)]
        r['wql'] = div(2 * np.mean(pin), np.abs(y).sum())
        p['isc'] = (q[:, 6] - q[:, 0]) + 40 * np.maximum(q[:, 0] - y, 0) + 40 * np.maximum(y - q[:, 6], 0)
    else:
        p['isc'] = np.nan
    a, b, c = [], [], []
    for (s, i, cut), g in p.groupby(['store', 'item', 'cutoff']):
        t = d[(d.store == s) & (d['item'] == i) & (d.date <= cut)].y.to_numpy()
        nz = np.flatnonzero(np.nan_to_num(t)); t = t[nz[0]:] if len(nz) else t[:0]
        s1 = np.abs(t[season:] - t[:-season]); s2 = np.diff(t) ** 2
        s1 = np.nanmean(s1) if (~np.isnan(s1)).any() else np.nan
        s2 = np.nanmean(s2) if (~np.isnan(s2)).any() else np.nan
        if s1 > 0 and s2 > 0: a.append(np.sqrt(g.se.mean() / s2)); b.append(g.ae.mean() / s1)
        if s1 > 0: c.append(g.isc.mean() / s1)
    r['scaled'] = len(a)
    if a: r['rmsse'], r['mase'] = np.mean(a), np.mean(b)
    if c and has: r['msis'] = np.mean(c)
    return r


def num(x):
    return [None if v is None or v != v else float(v) for v in x]


def case(name, freq, code, season, h, origins, gaps):
    d = panel(freq, 90, gaps); p = predict(d, freq, h, origins); models = ['good', 'bare', 'wild']
    series = [tuple(x) for x in d[['store', 'item']].drop_duplicates().to_numpy()]
    S = lambda q: scores(q, d, season)
    return {
        'name': name, 'frequency': code, 'levels': LEVELS,
        'panel': [{'store': s, 'item': i, 'start': str(g.date.min().date()), 'y': num(g.y), 'observed': [bool(v) for v in g.obs]} for (s, i), g in d.groupby(['store', 'item'])],
        'predictions': {
            'model': [models.index(m) for m in p.model], 'series': [series.index((s, i)) for s, i in zip(p.store, p['item'])],
            'cutoff': [str(x.date()) for x in p.cutoff], 'date': [str(x.date()) for x in p.date], 'horizon': [int(x) for x in p.horizon],
            'actual': num(p.actual), 'forecast': num(p.forecast), 'quantiles': num(p[[f'q{j}' for j in range(len(LEVELS))]].to_numpy().ravel())},
        'models': models,
        'overall': [S(p[p.model == m]) for m in models],
        'by_horizon': [[S(p[(p.model == m) & (p.horizon == k + 1)]) for k in range(h)] for m in models],
        'by_series': [[S(p[(p.model == m) & (p.store == s) & (p['item'] == i)]) for s, i in series] for m in models],
        'by_origin': [[S(p[(p.model == m) & (p.cutoff == c)]) for c in sorted(p.cutoff.unique())] for m in models],
    }


print(json.dumps([case('daily', 'D', 'D', 7, 7, 3, 'zero'), case('weekly, gaps left open', 'W-THU', 'W-THU', 1, 4, 2, 'leave')], default=float))
