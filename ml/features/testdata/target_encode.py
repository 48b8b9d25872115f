"""Writes target_encode.json: what scikit-learn's TargetEncoder (1.3 or later) makes
of some tables after fit, for target_encode_golden_test.go.

    python3 target_encode.py > target_encode.json
"""
import json

import numpy as np
import sklearn
from sklearn.preprocessing import TargetEncoder

rng = np.random.default_rng(20261129)
CITIES = np.array(["ankara", "berlin", "", "delhi", "é", None], dtype=object)
SHARES = [0.4, 0.3, 0.15, 0.1, 0.03, 0.02]


def tables():
    rows = 120
    city = CITIES[rng.choice(len(CITIES), rows, p=SHARES)]
    score = np.array([len(c or "four") for c in city]) + rng.normal(size=rows)
    yield "truths", city, (score > 4.5).astype(int).tolist(), "binary"
    yield "texts", city, np.where(score > 4.5, "yes", "no").tolist(), "binary"
    yield "numbers", city, score.tolist(), "continuous"
    yield "far from 0", city, (1e6 + score).tolist(), "continuous"
    yield "tiny", city, (1e-9 * score).tolist(), "continuous"
    yield "all equal", city, [2.5] * rows, "continuous"


def main():
    cases = []
    for name, city, target, kind in tables():
        x = city.reshape(-1, 1)
        later = np.append(CITIES, "unseen").reshape(-1, 1)
        for smooth in ["auto", 0.0, 1.0, 20.5]:
            e = TargetEncoder(smooth=smooth, target_type=kind).fit(x, target)
            cases.append({
                "name": name, "smoothing": smooth, "city": city.tolist(), "target": target,
                "later": later[:, 0].tolist(), "encoded": e.transform(later)[:, 0].tolist(),
            })
    print(json.dumps({"sklearn": sklearn.__version__, "cases": cases}, ensure_ascii=False))


main()
