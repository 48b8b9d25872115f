"""Writes scikit_learn.json: what scikit-learn's scalers, encoders, bins and
imputers make of one table, for scikit_learn_golden_test.go.

    python3 scikit_learn.py > scikit_learn.json

Rows of "fit" are learned from; "then" are transformed. null is a missing value.
Where scikit-learn refuses missing values, the step is fitted to the others.
"""
import json

import numpy as np
import sklearn
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import KBinsDiscretizer, MinMaxScaler, OneHotEncoder, OrdinalEncoder, RobustScaler, StandardScaler

rng = np.random.default_rng(20261129)
NUMBERS = {
    "normal": rng.normal(3, 2, 41),
    "far": 1e6 + rng.normal(0, 1, 30),
    "skewed": np.exp(rng.normal(0, 3, 37)),
    "few": rng.integers(-3, 4, 40).astype(float),
    "two": np.array([1.0, 5.0]),
    "equal": np.full(20, 7.25),
    "gaps": np.where(rng.random(50) < 0.2, np.nan, rng.normal(-50, 10, 50)),
}
TEXTS = {
    "cities": np.array(["berlin", "ankara", "é", "delhi", "b"], dtype=object)[rng.choice(5, 60, p=[0.5, 0.2, 0.15, 0.1, 0.05])],
    "one": np.array(["x"] * 5, dtype=object),
}


def plain(values):
    out = []
    for v in np.asarray(values, dtype=object).ravel():
        missing = v is None or isinstance(v, float) and np.isnan(v)
        out.append(None if missing else v.item() if hasattr(v, "item") else v)
    return out


def cases():
    for name, x in NUMBERS.items():
        ends = np.nanmin(x), np.nanmax(x)
        then = np.append(x[:12], [0, *ends, ends[0] - 1.5, ends[1] + 2.5])
        scalers = [
            ("standard_scale", {}, StandardScaler()),
            ("min_max_scale", {}, MinMaxScaler()),
            ("min_max_scale", {"range": [-2, 3], "clip": True}, MinMaxScaler((-2, 3), clip=True)),
            ("robust_scale", {}, RobustScaler()),
        ]
        scalers += [("impute", {"strategy": s}, SimpleImputer(strategy=w)) for s, w in
                    [("mean", "mean"), ("median", "median"), ("mode", "most_frequent")]]
        scalers.append(("impute", {"strategy": "constant", "value": -1}, SimpleImputer(strategy="constant", fill_value=-1)))
        for op, params, step in scalers:
            step.fit(x.reshape(-1, 1))
            yield name, op, params, x, then, step.transform(then.reshape(-1, 1))
        there, later = x[~np.isnan(x)], then[~np.isnan(then)]
        for bins in [2, 4, 10]:
            step = KBinsDiscretizer(bins, encode="ordinal", strategy="quantile").fit(there.reshape(-1, 1))
            inner = step.bin_edges_[0][1:-1]
            if len(inner) != bins - 1:
                continue  # it drops equal quantiles, and with them bins at the ends, which ours keep
            later = later[~np.isin(later, inner)]  # their intervals are [a, b), ours (a, b]
            yield name, "quantile_bin", {"bins": bins}, there, later, step.transform(later.reshape(-1, 1))
    for name, x in TEXTS.items():
        then = np.append(np.unique(x), ["unseen"])
        step = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(x.reshape(-1, 1))
        yield name, "ordinal_encode", {}, x, then, step.transform(then.reshape(-1, 1))
        step = OneHotEncoder(handle_unknown="ignore").fit(x.reshape(-1, 1))
        hot = np.asarray(step.transform(then.reshape(-1, 1)).todense()).ravel()
        yield name, "one_hot", {"other": False}, x, then, hot
        step = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=9).fit(x.reshape(-1, 1))
        hot = np.asarray(step.transform(then.reshape(-1, 1)).todense()).ravel()
        if name == "cities":  # the last column is that of the infrequent ones
            yield name, "one_hot", {"min_count": 9}, x, then, hot
        gaps = np.where(np.arange(len(x)) % 4 == 1, None, x)
        step = SimpleImputer(missing_values=None, strategy="most_frequent").fit(gaps.reshape(-1, 1))
        yield name, "impute", {"strategy": "mode"}, gaps, gaps[:12], step.transform(gaps[:12].reshape(-1, 1))


def main():
    out = [{"table": name, "op": op, "params": params, "fit": plain(x), "then": plain(then), "out": plain(made)}
           for name, op, params, x, then, made in cases()]
    print(json.dumps({"sklearn": sklearn.__version__, "cases": out}, ensure_ascii=False))


main()
