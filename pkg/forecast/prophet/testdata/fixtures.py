"""python fixtures.py DATA_DIR OUT_DIR: fits Prophet 1.5.0 to real and synthetic series and writes cases.json.gz, the oracle of parity_test.go.

DATA_DIR holds bakery_daily.csv and yaz_daily.csv. Each case has the series, the options, and what Prophet made of it: parameters, the
negative log posterior at them, yhat and its components over history and 28 future days, and the width of its 95 % interval.
"""
import gzip, json, logging, sys
import numpy as np, pandas as pd
from prophet import Prophet, __version__
logging.disable(logging.CRITICAL)
H = 28

def objective(m):
    h = m.history; p = m.params
    X, ps, cc, _ = m.make_all_seasonality_features(h)
    k, mm, s, d, b = p['k'].item(), p['m'].item(), p['sigma_obs'].item(), p['delta'].ravel(), p['beta'].ravel()
    t = h['t'].to_numpy()
    if m.growth == 'linear': g = m.piecewise_linear(t, d, k, mm, m.changepoints_t)
    elif m.growth == 'logistic': g = m.piecewise_logistic(t, h['cap_scaled'].to_numpy(), d, k, mm, m.changepoints_t)
    else: g = m.flat_trend(t, mm)
    a, mu = X.values @ (b * cc['additive_terms'].values), X.values @ (b * cc['multiplicative_terms'].values)
    r = h['y_scaled'].to_numpy() - g * (1 + mu) - a
    return float(len(t) * np.log(s) + (r @ r) / (2 * s * s) + 2 * s * s + (k * k + mm * mm) / 50 + np.abs(d).sum() / m.changepoint_prior_scale + (b * b / (2 * np.array(ps) ** 2)).sum())

def converged(df, reg, kw):
    tight = dict(tol_obj=1e-14, tol_rel_obj=1, tol_grad=1e-12, tol_rel_grad=1, tol_param=1e-14, history_size=60, iter=100000, algorithm='LBFGS')
    for k in (1, 1e2, 1e3, 1e4):   # the kinks of the Laplace prior make the line search fail once nothing is left to gain
        c = Prophet(uncertainty_samples=0, **kw)
        for r in reg: c.add_regressor(r)
        c.stan_backend.newton_fallback = False
        try: return c.fit(df, **dict(tight, tol_rel_obj=k, tol_rel_grad=k))
        except RuntimeError: pass
    c = Prophet(uncertainty_samples=0, **kw)
    for r in reg: c.add_regressor(r)
    return c.fit(df)

def case(name, df, reg=(), future=None, **kw):
    np.random.seed(1)
    m = Prophet(uncertainty_samples=2000, interval_width=.95, **kw)
    for r in reg: m.add_regressor(r)
    m.fit(df)
    # Stan's default tolerances leave some fits well short of the mode, where trend and yearly season trade places at no cost in yhat:
    # the components are compared with the same model fitted until nothing moves.
    best = converged(df, reg, kw)
    f = m.make_future_dataframe(H)
    extra = pd.concat([df, future]) if future is not None else df
    for c in list(reg) + ['cap']:
        if c in extra: f = f.merge(extra[['ds', c]], on='ds', how='left')
    f = f.ffill(); p = m.predict(f); z = best.predict(f); q = p.tail(H)
    day = lambda s: (s - pd.Timestamp(0)).dt.days.tolist()
    return dict(name=name, at=day(df.ds), y=[None if np.isnan(v) else v for v in df.y], cap=df.cap.tolist() if 'cap' in df else None,
                regressors={r: f[r].tolist() for r in reg}, future_at=day(f.ds), future_cap=f.cap.tolist() if 'cap' in f else None,
                options={k: v for k, v in kw.items() if k != 'holidays'},
                holidays=[dict(name=n, days=day(g.ds), lower=int(g.lower_window.iloc[0]), upper=int(g.upper_window.iloc[0])) for n, g in kw['holidays'].groupby('holiday')] if 'holidays' in kw else [],
                objective=objective(m), yhat=p.yhat.round(6).tolist(), trend=z.trend.round(6).tolist(), converged_objective=objective(best),
                weekly=z.weekly.round(6).tolist() if 'weekly' in p else None, yearly=z.yearly.round(6).tolist() if 'yearly' in p else None,
                width=(q.yhat_upper - q.yhat_lower).round(4).tolist(), sigma=float(m.params['sigma_obs'].item()))

def synthetic():
    g = np.random.default_rng(7)
    def days(n, start='2019-01-01'): return pd.date_range(start, periods=n)
    def wk(n): return np.tile([-3, -2, -2, 0, 3, 8, 5], n // 7 + 1)[:n]
    t = np.arange(800.)
    yield case('trend_break', pd.DataFrame(dict(ds=days(800), y=50 + .05 * t + np.maximum(t - 400, 0) * .2 + wk(800) + g.normal(0, 3, 800))))
    y = 90 / (1 + np.exp(-(t - 350) / 80)) + wk(800) * .5 + g.normal(0, 2, 800)
    yield case('logistic', pd.DataFrame(dict(ds=days(800), y=y, cap=100.)), growth='logistic')
    u = np.arange(1460.); s = 1 + .3 * np.sin(2 * np.pi * u / 365.25)   # four years, or trend and yearly season cannot be told apart
    yield case('multiplicative', pd.DataFrame(dict(ds=days(1460), y=(40 + .05 * u) * s * (1 + wk(1460) / 40) + g.normal(0, 2, 1460))), seasonality_mode='multiplicative')
    y = 30 + .02 * t + wk(800) + g.normal(0, 2, 800); y[100:160] = np.nan; y[500:540] = np.nan
    yield case('gaps', pd.DataFrame(dict(ds=days(800), y=y)))
    yield case('short', pd.DataFrame(dict(ds=days(40), y=20 + wk(40) + g.normal(0, 1, 40))))
    yield case('constant', pd.DataFrame(dict(ds=days(200), y=7.)))
    yield case('flat', pd.DataFrame(dict(ds=days(400), y=25 + wk(400) + g.normal(0, 2, 400))), growth='flat')
    y = g.poisson(.4, 500).astype(float)
    yield case('intermittent', pd.DataFrame(dict(ds=days(500), y=y)))
    p = (g.random(828) < .1).astype(float); x = g.normal(5, 2, 828); df = pd.DataFrame(dict(ds=days(828), y=30 + 12 * p + 2 * x + np.r_[wk(800), wk(28)] + g.normal(0, 2, 828), promo=p, price=x))
    yield case('regressors', df[:800], reg=('promo', 'price'), future=df[800:])
    hol = pd.DataFrame([dict(holiday=n, ds=pd.Timestamp(f'{yy}-{d}'), lower_window=-1, upper_window=1) for n, d in (('xmas', '12-25'), ('may', '05-01')) for yy in (2019, 2020, 2021)])
    df = pd.DataFrame(dict(ds=days(800), y=40 + wk(800) + g.normal(0, 2, 800))); df.loc[df.ds.isin(hol.ds), 'y'] += 30
    yield case('holidays', df, holidays=hol)

if __name__ == '__main__':
    assert __version__ == '1.5.0', __version__
    data, out = sys.argv[1:3]; cases = list(synthetic())
    for n, take in (('bakery_daily', slice(0, 60, 10)), ('yaz_daily', slice(0, 7, 2))):
        d = pd.read_csv(f'{data}/{n}.csv', parse_dates=['date'])
        ids = sorted(d.groupby(['store', 'item']).groups)[take]
        for s, i in ids:
            x = d[(d.store == s) & (d['item'] == i)].sort_values('date').rename(columns={'date': 'ds', 'sales': 'y'})[['ds', 'y']].reset_index(drop=True)
            cases.append(case(f'{n}/{s}/{i}', x[:-H].astype({'y': float})))
    with gzip.GzipFile(f'{out}/cases.json.gz', 'wb', mtime=0) as f: f.write(json.dumps(cases).encode())
    print(len(cases))
