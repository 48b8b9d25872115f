"""Writes golden.json beside it: rows, and what scikit-learn 1.2 makes of them.

    python3 ml/metrics/testdata/golden.py
"""
import json
import pathlib

import numpy as np
from sklearn import metrics as m
from sklearn.calibration import calibration_curve

rng = np.random.default_rng(7)


def ece(confidence, hit):
    """The expected calibration error of 10 bins (a, b], by its definition."""
    bins = np.searchsorted(np.linspace(0, 1, 11)[1:-1], confidence)
    return sum(abs(hit[bins == k].sum() - confidence[bins == k].sum()) for k in range(10)) / len(hit)


def binary(n, ties):
    y = rng.integers(0, 2, n)
    p = np.clip(rng.normal(0.35 + 0.3 * y, 0.25), 0, 1)
    if ties:
        p = np.round(p, 1)
    p = p.astype(np.float32).astype(float)
    call = (p > 0.5).astype(int)
    share, mean = calibration_curve(y, p, n_bins=10)
    return {
        "task": "binary", "y": y.tolist(), "p": np.stack([1 - p, p], 1).ravel().tolist(),
        "want": {
            "auc": m.roc_auc_score(y, p), "average_precision": m.average_precision_score(y, p),
            "log_loss": m.log_loss(y, np.stack([1 - p, p], 1), eps=1e-15), "brier": m.brier_score_loss(y, p),
            "calibration_error": ece(p, y), "accuracy": m.accuracy_score(y, call),
            "precision": m.precision_score(y, call), "recall": m.recall_score(y, call), "f1": m.f1_score(y, call),
        },
        "confusion": m.confusion_matrix(y, call).tolist(),
        "share": share.tolist(), "mean": mean.tolist(),
    }


def multiclass(n, k):
    y = rng.integers(0, k, n)
    logits = rng.normal(0, 1, (n, k)) + 1.3 * np.eye(k)[y]
    p = np.exp(logits)
    p /= p.sum(1, keepdims=True)
    call = p.argmax(1)
    if k > 3:  # one that nobody predicts
        p[:, 3], call = p[:, 3] * 0.01, None
        p /= p.sum(1, keepdims=True)
        call = p.argmax(1)
    args = {"average": "macro", "zero_division": 0}
    weighted = {"average": "weighted", "zero_division": 0}
    return {
        "task": "multiclass", "y": y.tolist(), "p": p.ravel().tolist(), "classes": k,
        "want": {
            "accuracy": m.accuracy_score(y, call), "log_loss": m.log_loss(y, p, eps=1e-15),
            "brier": float(((p - np.eye(k)[y]) ** 2).sum(1).mean()),
            "calibration_error": ece(p.max(1), call == y),
            "auc_ovr": m.roc_auc_score(y, p, multi_class="ovr", average="macro"),
            "auc_ovr_weighted": m.roc_auc_score(y, p, multi_class="ovr", average="weighted"),
            "macro_precision": m.precision_score(y, call, **args), "macro_recall": m.recall_score(y, call, **args),
            "macro_f1": m.f1_score(y, call, **args),
            "weighted_precision": m.precision_score(y, call, **weighted),
            "weighted_recall": m.recall_score(y, call, **weighted), "weighted_f1": m.f1_score(y, call, **weighted),
        },
        "confusion": m.confusion_matrix(y, call).tolist(),
    }


def regression(n):
    y = rng.normal(50, 20, n)
    p = y + rng.normal(1, 5, n)
    return {
        "task": "regression", "y": y.tolist(), "p": p.tolist(),
        "want": {
            "rmse": float(np.sqrt(m.mean_squared_error(y, p))), "mae": m.mean_absolute_error(y, p),
            "median_absolute_error": m.median_absolute_error(y, p), "r2": m.r2_score(y, p),
        },
    }


def weighed(c):
    """The same rows with weights, some 0 and one large: every metric with sample_weight. Confusion counts rows still."""
    y, n = np.array(c["y"]), len(c["y"])
    w = rng.exponential(2, n).astype(np.float32).astype(float)
    w[::7], w[5] = 0, 60
    k = c.get("classes", 2)
    p = np.array(c["p"])
    if c["task"] == "regression":
        want = {"rmse": float(np.sqrt(m.mean_squared_error(y, p, sample_weight=w))), "mae": m.mean_absolute_error(y, p, sample_weight=w),
                "median_absolute_error": m.median_absolute_error(y, p, sample_weight=w), "r2": m.r2_score(y, p, sample_weight=w)}
        return {**c, "want": want, "w": w.tolist()}
    p = p.reshape(n, k)
    call = p.argmax(1)
    confidence, hit = (p[:, 1], y == 1) if c["task"] == "binary" else (p.max(1), call == y)
    bins = np.searchsorted(np.linspace(0, 1, 11)[1:-1], confidence)
    of = [bins == b for b in range(10) if (bins == b).any()]
    off = sum(abs((w * hit)[b].sum() - (w * confidence)[b].sum()) for b in of) / w.sum()
    c = {**c, "w": w.tolist()}
    if c["task"] == "binary":
        c["share"] = [(w * hit)[b].sum() / w[b].sum() for b in of]
        c["mean"] = [(w * confidence)[b].sum() / w[b].sum() for b in of]
        s = {"sample_weight": w}
        c["want"] = {
            "auc": m.roc_auc_score(y, p[:, 1], **s), "average_precision": m.average_precision_score(y, p[:, 1], **s),
            "log_loss": m.log_loss(y, p, eps=1e-15, **s), "brier": m.brier_score_loss(y, p[:, 1], **s), "calibration_error": off,
            "accuracy": m.accuracy_score(y, call, **s), "precision": m.precision_score(y, call, **s),
            "recall": m.recall_score(y, call, **s), "f1": m.f1_score(y, call, **s),
        }
        return c
    args = {"average": "macro", "zero_division": 0, "sample_weight": w}
    by = {"average": "weighted", "zero_division": 0, "sample_weight": w}
    c["want"] = {
        "accuracy": m.accuracy_score(y, call, sample_weight=w), "log_loss": m.log_loss(y, p, eps=1e-15, sample_weight=w),
        "brier": float(np.average(((p - np.eye(k)[y]) ** 2).sum(1), weights=w)), "calibration_error": off,
        "auc_ovr": m.roc_auc_score(y, p, multi_class="ovr", average="macro", sample_weight=w),
        "auc_ovr_weighted": m.roc_auc_score(y, p, multi_class="ovr", average="weighted", sample_weight=w),
        "macro_precision": m.precision_score(y, call, **args), "macro_recall": m.recall_score(y, call, **args),
        "macro_f1": m.f1_score(y, call, **args), "weighted_precision": m.precision_score(y, call, **by),
        "weighted_recall": m.recall_score(y, call, **by), "weighted_f1": m.f1_score(y, call, **by),
    }
    return c


cases = [binary(200, False), binary(150, True), multiclass(160, 3), multiclass(120, 5), regression(101), regression(100)]
cases += [weighed(c) for c in cases]
for c in [c for c in cases if c["task"] == "regression"]:
    args = {"sample_weight": c.get("w")}
    y, p = np.array(c["y"]), np.array(c["p"])
    for q in (0.1, 0.75):
        more = {"pinball_loss": m.mean_pinball_loss(y, p, alpha=q, **args), "coverage": float(np.average(y <= p, weights=c.get("w")))}
        cases.append({**c, "loss": {"Kind": "quantile", "Parameter": q}, "want": {**c["want"], **more}})
    d = np.abs(y - p)
    rows = np.where(d <= 4, d * d / 2, 4 * (d - 2))
    cases.append({**c, "loss": {"Kind": "huber", "Parameter": 4}, "want": {**c["want"], "huber_loss": float(np.average(rows, weights=c.get("w")))}})
path = pathlib.Path(__file__).with_name("golden.json")
path.write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
