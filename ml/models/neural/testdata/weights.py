# Makes weights.json: rows with weights of their own, in PyTorch, in float64. Run in this folder: python3 weights.py > weights.json
# The loss of a batch is the sum of the rows' losses, each times its row's weight, divided by the sum of the weights, times those
# of the rows' classes where there are some. Each is a network as in networks.py.
import copy, json
import torch
from torch import nn, optim

ROWS, FEATURES, HIDDEN = 20, 4, [6]


def numbers(t):
    return [float("%.9g" % v) for v in t.detach().double().flatten()]


def named(items):
    return {"layers." + k: {"shape": list(v.shape), "values": numbers(v)} for k, v in items}


def network(name, classes, weights=None, smoothing=0.0, balanced=False):
    torch.manual_seed(5)
    x = torch.randn(ROWS, FEATURES).float().double() * 3
    own = (torch.rand(ROWS) * 4).float().double()
    own[3], own[7] = 0, 50
    if classes:
        y = torch.randint(classes, (ROWS,))
    else:
        y = (x[:, 0] * 2 - x[:, 1] + 10 + torch.randn(ROWS)).float().double()
    layers = nn.ModuleList([nn.Linear(FEATURES, HIDDEN[0]), nn.Linear(HIDDEN[0], classes or 1)]).double()
    with torch.no_grad():
        for p in layers.parameters():
            p.copy_((p * 1.5).float())
    case = dict(name=name, hidden=HIDDEN, activation="tanh", features=FEATURES, classes=classes, x=numbers(x), y=numbers(y), w=numbers(own),
                settings=dict(classWeights=weights, labelSmoothing=smoothing, balanced=balanced), start=named(layers.state_dict().items()))
    if balanced:  # as scikit-learn's compute_class_weight, of what rows weigh
        weights = [float(own.sum() / (classes * own[y == c].sum())) for c in range(classes)]
    of_class = None if weights is None else torch.tensor(weights).double()
    scale = 1.0
    if not classes:  # a regression's target is standardised, as rows weigh
        mean = (own * y).sum() / own.sum()
        scale = ((own * (y - mean) ** 2).sum() / own.sum()).sqrt()
        target = (y - mean) / scale

    def criterion(out):
        if not classes:
            return (own * (out[:, 0] - target) ** 2).sum() / own.sum()
        rows = nn.functional.cross_entropy(out, y, weight=of_class, label_smoothing=smoothing, reduction="none")
        return (own * rows).sum() / (own if weights is None else own * of_class[y]).sum()

    optimizer = optim.SGD(layers.parameters(), lr=0.05, momentum=0.9)
    forward = lambda: layers[1](torch.tanh(layers[0](x)))
    outputs = lambda: numbers(forward().softmax(1) if classes else forward())
    for step in range(1, 51):
        optimizer.zero_grad()
        cost = criterion(forward())
        cost.backward()
        if step == 1:
            case.update(loss=float(cost * scale ** 2), probabilities=outputs())
            case["gradient"] = named((k, p.grad) for k, p in layers.named_parameters())
        optimizer.step()
        if step in (1, 50):
            case["after%d" % step] = named(copy.deepcopy(layers).state_dict().items())
    case["final"] = outputs()
    return case


print(json.dumps([
    network("classes", 3),
    network("classes with weights", 3, weights=[1.0, 5.0, 0.25]),
    network("classes with weights and smoothing", 3, weights=[2.0, 0.0, 30.0], smoothing=0.1),
    network("two balanced classes", 2, balanced=True),
    network("a number", 0),
]))
