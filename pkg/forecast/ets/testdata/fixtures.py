"""python fixtures.py DATA_DIR OUT_DIR: writes cases.json.gz, what statsforecast 2.0.3 makes of real and synthetic series: the oracle of parity_test.go."""
import gzip, json, sys
import numpy as np, pandas as pd, statsforecast
from statsforecast import ets as E
H = 28
FORMS = [('N', 'N', False), ('A', 'N', True), ('N', 'A', False), ('A', 'A', True)]

def one(y, m, t, s, d):
    """One form as upstream fits it: constants, initial states, squared error, criterion, forecasts and the width of 95 % intervals."""
    f = E.ets_f(y, m, model='A' + t + s, damped=d)
    q = E.forecast_ets(f, H, level=[95])
    return dict(trend=t == 'A', season=m if s == 'A' else 0, par=[None if not np.isfinite(v) else float(v) for v in f['par'][:4]], state=f['par'][4:].tolist(),
                sse=float((f['residuals'] ** 2).sum()), aicc=float(f['aicc']), mean=q['mean'].tolist(), width=(q['hi-95'] - q['lo-95']).tolist())

def case(name, y, m):
    y = np.asarray(y, float); fits = [one(y, m, t, s, d) for t, s, d in FORMS if s == 'N' or m > 1]
    return dict(name=name, m=m, y=y.tolist(), forms=fits)

if __name__ == '__main__':
    assert statsforecast.__version__ == '2.0.3'
    data, out = sys.argv[1:3]; g = np.random.default_rng(3); cases = []; t = np.arange(300.)
    wk = np.tile([.7, .8, .8, 1, 1.2, 1.4, 1.1], 60)
    cases.append(case('random_walk', 100 + g.normal(0, 1, 300).cumsum(), 1))
    cases.append(case('trend', 20 + .2 * t + g.normal(0, 3, 300), 1))
    cases.append(case('damped_trend', 50 + 40 * (1 - .96 ** t) + g.normal(0, 1, 300), 1))
    cases.append(case('weekly', 30 + 20 * wk[:300] + g.normal(0, 2, 300), 7))
    cases.append(case('weekly_trend', 3 + .1 * t + 10 * wk[:300] + g.normal(0, 2, 300), 7))
    cases.append(case('monthly', 100 + 30 * np.sin(2 * np.pi * np.arange(96) / 12) + g.normal(0, 4, 96).cumsum(), 12))
    cases.append(case('short', 10 + g.normal(0, 1, 20), 1))
    cases.append(case('intermittent', g.poisson(.5, 200), 7))
    for n, take in (('bakery_daily', slice(0, 60, 15)), ('yaz_daily', slice(0, 7, 3))):
        d = pd.read_csv(f'{data}/{n}.csv')
        for s, i in sorted(d.groupby(['store', 'item']).groups)[take]:
            cases.append(case(f'{n}/{s}/{i}', d[(d.store == s) & (d['item'] == i)].sort_values('date').sales.to_numpy()[:-H][-730:], 7))
    with gzip.GzipFile(f'{out}/cases.json.gz', 'wb', mtime=0) as f: f.write(json.dumps(cases).encode())
    print(len(cases))
