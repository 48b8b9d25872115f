"""Makes golden.json beside it: window operations as pandas 1.5 computes them.

    python3 golden.py > golden.json

Rows are in order of entity and time; null is a missing value. Series without
the current row are made of values that are shifted by one row, or for windows
of time with closed="neither", for which times within an entity are distinct.
"""
import json
import math

import pandas as pd

DAY = 86_400_000_000


def rows():
    seed, out = 7, []
    for entity, count in (("a", 45), ("b", 1), ("c", 14)):
        time = 1_700_000_000_000_000 + len(out)
        for _ in range(count):
            seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
            part = seed >> 33
            time += 1 + part * 997 % (3 * DAY // 2) if part % 5 else DAY  # whole days: a row exactly at the border
            value = None if part % 11 == 0 else (part % 100_003) / 64 - 700
            out.append((entity, time, value))
    return out


def clean(series):
    return [None if math.isnan(v) else float(f"{v:.13g}") for v in series]


def main():
    data = rows()
    frame = pd.DataFrame(data, columns=["entity", "time", "x"])
    frame["when"] = pd.to_datetime(frame["time"], unit="us")
    groups = [g for _, g in frame.groupby("entity", sort=False)]

    def each(compute):
        return clean(pd.concat([compute(g) for g in groups]))

    series = []
    for n in (1, 3):
        series.append({"op": "lag", "n": n, "out": each(lambda g: g["x"].shift(n))})
        series.append({"op": "diff", "n": n, "out": each(lambda g: g["x"].diff(n))})
    series.append({"op": "diff", "n": 1, "of": "time", "out": each(lambda g: g["when"].diff().dt.total_seconds())})
    for op in ("mean", "sum", "min", "max", "std", "count"):
        for current in (False, True):
            for window, least in ((3, 1), (3, 3), (20, 4)):
                least = 0 if op == "count" else least

                def compute(g):
                    x = g["x"] if current else g["x"].shift(1)
                    return getattr(x.rolling(window, min_periods=least), op)()

                series.append({"op": "rolling_" + op, "rows": window, "current": current, "min_periods": least, "out": each(compute)})
            for span, least in (("36h", 1), ("7d", 3)):
                least = 0 if op == "count" else least

                def compute(g):
                    x = g.set_index("when")["x"]
                    return getattr(x.rolling(span, min_periods=least, closed="right" if current else "neither"), op)()

                series.append({"op": "rolling_" + op, "span": int(pd.Timedelta(span).value // 1000), "current": current,
                               "min_periods": least, "out": each(compute)})
    print('{"pandas": "%s",' % pd.__version__)
    print('"entity": %s,\n"time": %s,\n"x": %s,\n"series": [' % tuple(json.dumps([r[i] for r in data]) for i in range(3)))
    print(",\n".join(json.dumps(s) for s in series))
    print("]}")


main()
