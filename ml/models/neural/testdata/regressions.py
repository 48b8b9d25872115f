# Makes regressions.json: losses of regressions, in PyTorch, in float64. Run in this folder: python3 regressions.py > regressions.json
# Each is a network as in networks.py, whose target is standardised; deltas and losses are in the unit of the target.
import copy, json
import torch
from torch import nn, optim

ROWS, FEATURES, HIDDEN = 24, 4, [6]


def numbers(t):
    return [float("%.9g" % v) for v in t.detach().double().flatten()]


def named(items):
    return {"layers." + k: {"shape": list(v.shape), "values": numbers(v)} for k, v in items}


def network(name, kind, parameter=0.0, weighted=False):
    torch.manual_seed(3)
    x = torch.randn(ROWS, FEATURES).float().double() * 2
    y = (x[:, 0] * 2 - x[:, 1] + 10 + 3 * torch.randn(ROWS)).float().double()
    own = (torch.rand(ROWS) * 4).float().double() if weighted else torch.ones(ROWS).double()
    layers = nn.ModuleList([nn.Linear(FEATURES, HIDDEN[0]), nn.Linear(HIDDEN[0], 1)]).double()
    with torch.no_grad():
        for p in layers.parameters():
            p.copy_((p * 1.5).float())
    case = dict(name=name, hidden=HIDDEN, activation="tanh", features=FEATURES, classes=0, x=numbers(x), y=numbers(y),
                settings=dict(row=dict(kind=kind, parameter=parameter)), start=named(layers.state_dict().items()))
    if weighted:
        case["w"] = numbers(own)
    mean = (own * y).sum() / own.sum()
    scale = ((own * (y - mean) ** 2).sum() / own.sum()).sqrt()
    target = (y - mean) / scale

    def rows(out):
        if kind == "mae":
            return nn.functional.l1_loss(out, target, reduction="none")
        if kind == "huber":
            return nn.functional.huber_loss(out, target, reduction="none", delta=float(parameter / scale))
        d = target - out
        return torch.maximum(parameter * d, (parameter - 1) * d)

    forward = lambda: layers[1](torch.tanh(layers[0](x)))
    optimizer = optim.SGD(layers.parameters(), lr=0.05, momentum=0.9)
    for step in range(1, 51):
        optimizer.zero_grad()
        cost = (own * rows(forward()[:, 0])).sum() / own.sum()
        cost.backward()
        if step == 1:
            case.update(loss=float(cost * (scale ** 2 if kind == "huber" else scale)), probabilities=numbers(forward()))
            case["gradient"] = named((k, p.grad) for k, p in layers.named_parameters())
        optimizer.step()
        if step in (1, 50):
            case["after%d" % step] = named(copy.deepcopy(layers).state_dict().items())
    case["final"] = numbers(forward())
    return case


print(json.dumps([
    network("mae", "mae"),
    network("huber", "huber", 2.5),
    network("the median", "quantile", 0.5),
    network("a high quantile", "quantile", 0.9),
    network("a low quantile with weights", "quantile", 0.2, weighted=True),
    network("huber with weights", "huber", 1.0, weighted=True),
]))
