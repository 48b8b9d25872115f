"""Writes linear.json: tables of few rows and what scikit-learn's LogisticRegression and
Ridge make of them."""

import json
import os

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression, Ridge

random = np.random.default_rng(7)
cases = []


def case(name, task, classes, l2, x, y, coefficients, intercepts, w=None):
    cases.append({"name": name, "task": task, "classes": classes, "l2": l2, "x": x.tolist(), "y": y.tolist(),
                  "coefficients": np.atleast_2d(coefficients).tolist(), "intercepts": np.atleast_1d(intercepts).tolist(), **({} if w is None else {"w": w.tolist()})})


def table(rows):
    x = random.normal(size=(rows, 4)) * [1, 30, 0.02, 5] + [0, 100, 0, -3]
    x[:, 3] += x[:, 0] * 4  # not independent
    return x.astype(np.float32)


for l2 in [0.1, 1.0, 10.0]:
    x = table(80)
    y = (x[:, 0] + (x[:, 1] - 100) / 30 + random.normal(size=80) > 0.3).astype(int)
    m = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=1000, solver="newton-cholesky").fit(x.astype(np.float64), y)
    case(f"two classes, l2 {l2}", "binary", 2, l2, x, y, m.coef_, m.intercept_)
for l2 in [0.5, 5.0]:
    x = table(90)
    y = np.digitize(x[:, 0] + (x[:, 1] - 100) / 60 + 0.7 * random.normal(size=90), [-0.5, 0.5])
    m = LogisticRegression(C=1 / l2, tol=1e-8, max_iter=100000, solver="newton-cg", multi_class="multinomial").fit(x.astype(np.float64), y)
    case(f"three classes, l2 {l2}", "multiclass", 3, l2, x, y, m.coef_, m.intercept_)
for l2 in [0.0, 2.0, 50.0]:
    x = table(70)
    y = (200 + 3 * x[:, 0] - 0.5 * x[:, 1] + 40 * x[:, 2] + random.normal(size=70)).astype(np.float32)
    m = Ridge(alpha=l2, solver="cholesky").fit(x.astype(np.float64), y)
    case(f"a number, l2 {l2}", "regression", 0, l2, x, y, m.coef_, m.intercept_)

# rows with weights: sample_weight, one of which is 0 and one large
for l2 in [0.3, 20.0]:
    x, w = table(80), (random.uniform(size=80) * 3).astype(np.float32)
    w[5], w[9] = 0, 40
    y = (x[:, 0] + (x[:, 1] - 100) / 30 + random.normal(size=80) > 0.3).astype(int)
    m = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=1000, solver="newton-cholesky").fit(x.astype(np.float64), y, sample_weight=w)
    case(f"two classes with weights, l2 {l2}", "binary", 2, l2, x, y, m.coef_, m.intercept_, w)
    y = np.digitize(x[:, 0] + (x[:, 1] - 100) / 60 + 0.7 * random.normal(size=80), [-0.5, 0.5])
    m = LogisticRegression(C=1 / l2, tol=1e-8, max_iter=100000, solver="newton-cg", multi_class="multinomial").fit(x.astype(np.float64), y, sample_weight=w)
    case(f"three classes with weights, l2 {l2}", "multiclass", 3, l2, x, y, m.coef_, m.intercept_, w)
    y = (200 + 3 * x[:, 0] - 0.5 * x[:, 1] + 40 * x[:, 2] + random.normal(size=80)).astype(np.float32)
    m = Ridge(alpha=l2, solver="cholesky").fit(x.astype(np.float64), y, sample_weight=w)
    case(f"a number with weights, l2 {l2}", "regression", 0, l2, x, y, m.coef_, m.intercept_, w)

with open(os.path.join(os.path.dirname(__file__), "linear.json"), "w") as f:
    json.dump({"scikit_learn": sklearn.__version__, "cases": cases}, f)
    f.write("\n")
