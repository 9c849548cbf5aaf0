"""python peer.py FILE SERIES: fits and forecasts the first series with Prophet and prints the processor time per series, imports excluded, the fitting process included."""
import json, logging, resource, sys
import pandas as pd
from prophet import Prophet
logging.disable(logging.CRITICAL)

def cpu():
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))

d = pd.read_csv(sys.argv[1], parse_dates=['date'])
groups = [g.rename(columns={'date': 'ds', 'sales': 'y'})[['ds', 'y']] for _, g in list(d.groupby(['store', 'item']))[:int(sys.argv[2])]]
Prophet(uncertainty_samples=10).fit(groups[0].head(50))   # what the first fit alone loads
t = cpu()
for g in groups:
    m = Prophet(uncertainty_samples=500).fit(g)
    m.predict(m.make_future_dataframe(28, include_history=False))
print(json.dumps(dict(series=len(groups), cpu_s_per_series=(cpu() - t) / len(groups))))
