"""python load.py FOLDER: loads every FOLDER/*.json with Prophet's own reader, forecasts at the times of *.ask, prints the largest difference from *.want."""
import glob, json, logging, sys
import pandas as pd
from prophet.serialize import model_from_json
logging.disable(logging.CRITICAL)
worst = {}
for path in sorted(glob.glob(sys.argv[1] + '/*.json')):
    m = model_from_json(open(path).read())
    ask, want = json.load(open(path[:-5] + '.ask')), json.load(open(path[:-5] + '.want'))
    d = pd.DataFrame(dict(ask['columns'], ds=pd.to_datetime(ask['at'], unit='D')))
    got = m.predict(d)   # with intervals, so that everything the model holds is used
    worst[path] = max((abs(got[k] - want[k]) / (1 + abs(pd.Series(want[k])))).max() for k in want)
print(json.dumps(dict(models=len(worst), worst=max(worst.values()))))
