"""Writes linear.json: tables of few rows and what scikit-learn's LogisticRegression,
Ridge, Lasso, ElasticNet and HuberRegressor make of them."""

import json
import os

import numpy as np
import sklearn
from sklearn.linear_model import ElasticNet, HuberRegressor, Lasso, LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

random = np.random.default_rng(7)
cases = []


def case(name, task, classes, l2, x, y, coefficients, intercepts, w=None, **more):
    cases.append({"name": name, "task": task, "classes": classes, "l2": l2, "x": x.tolist(), "y": y.tolist(),
                  "coefficients": np.atleast_2d(coefficients).tolist(), "intercepts": np.atleast_1d(intercepts).tolist(), **({} if w is None else {"w": w.tolist()}), **more})


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

# of standardised features, as lbfgs, saga and coordinate descent do not come to an
# end otherwise
def even(rows):
    x = StandardScaler().fit_transform(np.column_stack([table(rows), random.normal(size=(rows, 2))]))
    return x.astype(np.float32)


# classes with weights
for classes, task in [(2, "binary"), (3, "multiclass")]:
    for weights in ["balanced", {0: 0.2, 1: 3.0}]:
        for rows_weigh in [False, True]:
            x = even(90)
            y = np.digitize(x[:, 0] + 0.5 * x[:, 1] + 0.7 * random.normal(size=90), [0.5, 1.2][: classes - 1])
            w = (random.uniform(size=90) * 3).astype(np.float32) if rows_weigh else None
            of = weights
            if weights == "balanced":  # scikit-learn counts rows, not what they weigh
                total = np.bincount(y, weights=w, minlength=classes)
                of = {k: total.sum() / classes / total[k] for k in range(classes)}
            m = LogisticRegression(C=1, tol=1e-12, max_iter=100000, multi_class="multinomial" if classes > 2 else "auto", class_weight=of)
            m.fit(x.astype(np.float64), y, sample_weight=w)
            more = {"balanced": True} if weights == "balanced" else {"class_weights": [of.get(k, 1.0) for k in range(classes)]}
            case(f"{task}, classes with weights {weights}, rows with weights {rows_weigh}", task, classes, 1, x, y, m.coef_, m.intercept_, w, **more)

# absolute values
def shares(y):
    p = np.log(np.bincount(y) / len(y))
    return p - p.mean() if len(p) > 2 else p[1:] - p[0]


for l1, l2 in [(2.0, 0.0), (3.0, 1.5), (500.0, 0.0)]:
    x = even(90)
    y = (x[:, 0] + 0.3 * x[:, 1] + random.normal(size=90) > 0.3).astype(int)
    m = LogisticRegression(C=1 / (l1 + l2), penalty="elasticnet", l1_ratio=l1 / (l1 + l2), tol=1e-10, max_iter=1000000, solver="saga").fit(x.astype(np.float64), y)
    case(f"two classes, l1 {l1}, l2 {l2}", "binary", 2, l2, x, y, m.coef_, m.intercept_ if m.coef_.any() else shares(y), l1=l1)  # where saga's intercept does not get
    y = np.digitize(x[:, 0] + 0.3 * x[:, 1] + 0.7 * random.normal(size=90), [-0.5, 0.5])
    m = LogisticRegression(C=1 / (l1 + l2), penalty="elasticnet", l1_ratio=l1 / (l1 + l2), tol=1e-10, max_iter=1000000, solver="saga", multi_class="multinomial").fit(x.astype(np.float64), y)
    case(f"three classes, l1 {l1}, l2 {l2}", "multiclass", 3, l2, x, y, m.coef_, m.intercept_ if m.coef_.any() else shares(y), l1=l1)
for l1, l2 in [(4.0, 0.0), (20.0, 10.0), (1e6, 0.0)]:
    x, w = even(70), (random.uniform(size=70) * 3).astype(np.float32)
    y = (200 + 3 * x[:, 0] - 0.5 * x[:, 1] + 0.01 * x[:, 2] + random.normal(size=70)).astype(np.float32)
    for w in [None, w]:
        # scikit-learn has 1/(2 rows) before the sum, or 1/2 and weights that add up to 1
        n = 70 if w is None else float(w.astype(np.float64).sum())
        alpha = l1 / (2 * n) + l2 / n
        m = ElasticNet(alpha=alpha, l1_ratio=l1 / (2 * n) / alpha, tol=1e-12, max_iter=1000000) if l2 else Lasso(alpha=alpha, tol=1e-12, max_iter=1000000)
        m.fit(x.astype(np.float64), y.astype(np.float64), sample_weight=w if w is None else w.astype(np.float64))
        case(f"a number, l1 {l1}, l2 {l2}, weights {w is not None}", "regression", 0, l2, x, y, m.coef_, m.intercept_, w, l1=l1)

# Huber: of scikit-learn the scale is learned, too; where it has ended, the rest is ours
# with a delta of epsilon times the scale and an l2 of alpha times it
for epsilon, alpha in [(1.35, 0.0001), (1.1, 5.0), (3.0, 0.5)]:
    x = even(80)
    y = 200 + 3 * x[:, 0] - 0.5 * x[:, 1] + random.normal(size=80)
    y[::9] += 40 * random.normal(size=9)
    y = y.astype(np.float32)
    m = HuberRegressor(epsilon=epsilon, alpha=alpha, tol=1e-9, max_iter=100000).fit(x.astype(np.float64), y)
    case(f"a number, huber {epsilon}, alpha {alpha}", "regression", 0, alpha * m.scale_, x, y, m.coef_, m.intercept_, huber=epsilon * m.scale_)

with open(os.path.join(os.path.dirname(__file__), "linear.json"), "w") as f:
    json.dump({"scikit_learn": sklearn.__version__, "cases": cases}, f)
    f.write("\n")
