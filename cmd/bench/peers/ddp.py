"""PyTorch's side of the gang bench: two processes of one thread each over gloo.
A JSON request a line, which the first process passes to the second: allreduce of
float32 in numbers per second, or DistributedDataParallel in samples per second."""

import json
import os
import subprocess
import sys
import tempfile
import time

import torch
import torch.distributed as dist

torch.set_num_threads(1)


def agreed(seconds):
    """The first process's seconds, in both."""
    t = torch.tensor([seconds if rank == 0 else 0.0], dtype=torch.float64)
    dist.all_reduce(t)
    return t.item()


def lasting(seconds, do):
    """How often a second do is done, in a time of about so many seconds."""
    rounds = 1
    while True:
        start = time.perf_counter()
        for _ in range(rounds):
            do()
        took = agreed(time.perf_counter() - start)
        if took >= seconds / 2:
            return rounds / took
        rounds = max(rounds + 1, int(rounds * min(seconds / max(took, 1e-6), 10)))


def allreduce(r):
    v = torch.zeros(r["numbers"])
    return lasting(r["seconds"], lambda: dist.all_reduce(v)) * r["numbers"]


def gang(r):
    torch.manual_seed(0)
    layers, width = [], r["inputs"]
    for h in r["hidden"]:
        layers += [torch.nn.Linear(width, h), torch.nn.ReLU()]
        if r["dropout"] > 0:
            layers.append(torch.nn.Dropout(r["dropout"]))
        width = h
    layers.append(torch.nn.Linear(width, r["outputs"]))
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Sequential(*layers).train())
    loss_of = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    share = r["batch"] // 2
    x = torch.randn(share * 8, r["inputs"])
    y = torch.randint(0, r["outputs"], (share * 8,))

    def epoch():
        for i in range(0, len(x), share):
            optimizer.zero_grad(set_to_none=True)
            loss_of(model(x[i : i + share]), y[i : i + share]).backward()
            optimizer.step()

    epoch()
    return lasting(r["seconds"], epoch) * r["batch"] * 8


rank = int(sys.argv[1]) if len(sys.argv) > 1 else 0
if rank == 0:
    meeting = os.path.join(tempfile.mkdtemp(), "meeting")
    other = subprocess.Popen([sys.executable, __file__, "1", meeting], stdin=subprocess.PIPE, text=True)
else:
    meeting = sys.argv[2]
dist.init_process_group("gloo", init_method="file://" + meeting, rank=rank, world_size=2)
for line in sys.stdin:
    if rank == 0:
        other.stdin.write(line)
        other.stdin.flush()
    request = json.loads(line)
    try:
        if request["mode"] == "ready":
            value = {"value": 1}
        else:
            value = {"value": allreduce(request) if request["mode"] == "allreduce" else gang(request)}
    except Exception as e:  # the harness shows it
        value = {"error": repr(e)}
    if rank == 0:
        print(json.dumps(value), flush=True)
if rank == 0:
    other.stdin.close()
    other.wait()
