"""python open.py FOLDER...: opens models of MLflow with mlflow.prophet and as python_function, forecasts what their input example asks, and prints both by folder."""
import json, logging, sys
import mlflow, mlflow.pyfunc
logging.disable(logging.CRITICAL)
out = {}
for folder in sys.argv[1:]:
    model, generic = mlflow.prophet.load_model(folder), mlflow.pyfunc.load_model(folder)
    ask = generic.input_example
    out[folder] = dict(
        dates=list(ask.ds), regressors=list(model.extra_regressors), holidays=len(model.train_holiday_names if model.train_holiday_names is not None else []),
        yhat=list(model.predict(ask).yhat), generic=list(generic.predict(ask).yhat))
print(json.dumps(out))
