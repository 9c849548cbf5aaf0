"""python fixtures.py DATA_DIR OUT_DIR: writes cases.json.gz, what statsforecast 2.0.3 makes of real and synthetic series: the oracle of parity_test.go."""
import gzip, json, sys
import numpy as np, pandas as pd, statsforecast
from statsforecast.theta import auto_theta, forecast_theta
from statsforecast._lib import theta as T
H = 28

def case(name, y, m):
    y = np.asarray(y, float); f = auto_theta(y, m=m, model='DOTM'); p = f['par']; n = len(y)
    q = forecast_theta(f, H, level=[95])
    # the recursion at stated parameters, without a search
    a, e, s, mse = T.pegels_resid(y, T.ModelType.DOTM, float(y[0]) / 2, .3, 2.5, 3); o = np.empty(H); T.forecast(s, n, T.ModelType.DOTM, o, .3, 2.5)
    return dict(name=name, m=m, y=y.tolist(), alpha=float(p['alpha']), level=float(p['initial_smoothed']), theta=float(p['theta']), mean=q['mean'].tolist(),
                width=(q['hi-95'] - q['lo-95']).tolist(), sse=float((np.asarray(f['residuals'])[3:] ** 2).sum()) if not f.get('decompose') else None, fixed=o.tolist(), fixed_errors=e.tolist())

if __name__ == '__main__':
    assert statsforecast.__version__ == '2.0.3'
    data, out = sys.argv[1:3]; g = np.random.default_rng(3); cases = []; t = np.arange(300.)
    wk = np.tile([.7, .8, .8, 1, 1.2, 1.4, 1.1], 60)
    cases.append(case('random_walk', 100 + g.normal(0, 1, 300).cumsum(), 1))
    cases.append(case('trend', 20 + .2 * t + g.normal(0, 3, 300), 1))
    cases.append(case('weekly_product', (50 + .1 * t) * wk[:300] + g.normal(0, 2, 300), 7))
    cases.append(case('weekly_sum', 3 + 10 * wk[:300] - 8 + g.normal(0, 2, 300), 7))
    cases.append(case('short', 10 + g.normal(0, 1, 20), 1))
    cases.append(case('intermittent', g.poisson(.5, 200), 7))
    cases.append(case('yearly_weeks', (100 + 30 * np.sin(2 * np.pi * np.arange(160) / 52)) + g.normal(0, 4, 160), 52))
    for n, take in (('bakery_daily', slice(0, 60, 12)), ('yaz_daily', slice(0, 7, 3))):
        d = pd.read_csv(f'{data}/{n}.csv')
        for s, i in sorted(d.groupby(['store', 'item']).groups)[take]:
            cases.append(case(f'{n}/{s}/{i}', d[(d.store == s) & (d['item'] == i)].sort_values('date').sales.to_numpy()[:-H], 7))
    with gzip.GzipFile(f'{out}/cases.json.gz', 'wb', mtime=0) as f: f.write(json.dumps(cases).encode())
    print(len(cases))
