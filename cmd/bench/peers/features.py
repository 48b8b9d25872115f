"""pandas' side of the features bench: the playbook's ten features, the rolling mean
by the fastest way that pandas has, or with the argument playbook as it is written
there, a function of Python for each user. Debian's pandas reads no Parquet: the
columns come from files of numpy's (codes for texts) and go there again, which takes
it less time than Parquet would."""

import json
import os
import resource
import sys
import time

import numpy as np
import pandas as pd


def load(folder):
    frame = pd.DataFrame({n: np.load(f"{folder}/{n}.npy") for n in ["user_id", "ts", "amount", "total_amount", "transaction_count", "hour", "is_fraud"]})
    with open(f"{folder}/category.json") as f:
        names = json.load(f)
    frame["category"] = pd.Categorical.from_codes(np.load(f"{folder}/category.npy"), names)
    frame["ts"] = pd.to_datetime(frame["ts"], unit="us")
    return frame


def features(folder, out):
    df = load(folder)
    df["amount_scaled"] = (df.amount - df.amount.mean()) / df.amount.std(ddof=0)
    df["amount_log"] = np.log1p(df.amount)
    df["amount_bucket"] = pd.cut(df.amount, bins=[0, 100, 500, 1000, np.inf], labels=["low", "medium", "high", "very_high"])
    df["amount_per_tx"] = df.total_amount / df.transaction_count.where(df.transaction_count != 0)
    df["amount_x_hour"] = df.amount * df.hour
    hot = pd.get_dummies(df.category, prefix="cat")
    df["category_target_enc"] = df.category.map(df.groupby("category", observed=True).is_fraud.mean()).astype("float64")
    df["category_freq"] = df.category.map(df.category.value_counts(normalize=True)).astype("float64")
    df["ts_hour"], df["ts_day_of_week"], df["ts_month"] = df.ts.dt.hour, df.ts.dt.dayofweek, df.ts.dt.month
    df["ts_is_weekend"] = df.ts_day_of_week >= 5
    df["ts_hour_sin"], df["ts_hour_cos"] = np.sin(2 * np.pi * df.ts_hour / 24), np.cos(2 * np.pi * df.ts_hour / 24)
    by = df.groupby("user_id").amount
    df["amount_lag_1"] = by.shift(1)
    if sys.argv[1:] == ["playbook"]:
        df["amount_mean_7"] = by.transform(lambda x: x.rolling(7, min_periods=1).mean())
    else:
        df["amount_mean_7"] = by.shift(1).groupby(df.user_id).rolling(7, min_periods=1).mean().droplevel(0)
    os.makedirs(out, exist_ok=True)
    for frame in (df, hot):
        for name in frame.columns:
            column = frame[name]
            values = column.cat.codes if isinstance(column.dtype, pd.CategoricalDtype) else column
            np.save(f"{out}/{name}.npy", values.to_numpy())


for line in sys.stdin:
    request = json.loads(line)
    if request["mode"] == "ready":
        print(json.dumps({"value": 1}), flush=True)
        continue
    if request["mode"] == "peak":
        print(json.dumps({"value": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)
        continue
    start = time.perf_counter()
    features(request["numpy"], request["out"] + ".pandas")
    print(json.dumps({"value": request["rows"] / (time.perf_counter() - start)}), flush=True)
