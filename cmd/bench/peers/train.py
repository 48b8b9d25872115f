"""PyTorch's side of the train bench: samples per second of a training loop over
tensors in memory (no loader), AdamW, cross-entropy. One JSON request a line."""

import json
import os
import sys
import time

import torch

torch.set_num_threads(int(os.environ.get("BENCH_THREADS", "1")))


def loop(r):
    torch.manual_seed(0)
    layers, width = [], r["inputs"]
    for h in r["hidden"]:
        layers += [torch.nn.Linear(width, h), torch.nn.ReLU()]
        if r["dropout"] > 0:
            layers.append(torch.nn.Dropout(r["dropout"]))
        width = h
    layers.append(torch.nn.Linear(width, r["outputs"]))
    model = torch.nn.Sequential(*layers).train()
    loss_of = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    batch = r["batch"]
    rows = batch * 8
    x = torch.randn(rows, r["inputs"])
    y = torch.randint(0, r["outputs"], (rows,))

    def epoch():
        for i in range(0, rows, batch):
            optimizer.zero_grad(set_to_none=True)
            loss_of(model(x[i : i + batch]), y[i : i + batch]).backward()
            optimizer.step()

    epoch()
    n, start = 0, time.perf_counter()
    while time.perf_counter() - start < r["seconds"]:
        epoch()
        n += rows
    return n / (time.perf_counter() - start)


def gemm(r):
    """GFLOP/s of one product into memory that is there."""
    a, b = torch.randn(r["m"], r["k"]), torch.randn(r["k"], r["n"])
    out = torch.empty(r["m"], r["n"])
    torch.mm(a, b, out=out)
    n, start = 0, time.perf_counter()
    while time.perf_counter() - start < r["seconds"]:
        torch.mm(a, b, out=out)
        n += 1
    return n * 2 * r["m"] * r["k"] * r["n"] / (time.perf_counter() - start) / 1e9


for line in sys.stdin:
    try:
        request = json.loads(line)
        if request.get("mode") == "ready":
            print(json.dumps({"value": 1}), flush=True)
            continue
        print(json.dumps({"value": gemm(request) if request.get("mode") == "gemm" else loop(request)}), flush=True)
    except Exception as e:  # the harness shows it
        print(json.dumps({"error": repr(e)}), flush=True)
