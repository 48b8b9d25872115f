# Makes losses.json: class weights and label smoothing of PyTorch, in float64. Run in this folder: python3 losses.py > losses.json
# Each is a network as in networks.py, with the settings of its loss in the words of this package.
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
    x, y = torch.randn(ROWS, FEATURES).float().double() * 3, torch.randint(classes, (ROWS,))
    layers = nn.ModuleList([nn.Linear(FEATURES, HIDDEN[0]), nn.Linear(HIDDEN[0], classes)]).double()
    with torch.no_grad():
        for p in layers.parameters():
            p.copy_((p * 1.5).float())
    case = dict(name=name, hidden=HIDDEN, activation="tanh", features=FEATURES, classes=classes, x=numbers(x), y=[int(v) for v in y],
                settings=dict(classWeights=weights, labelSmoothing=smoothing, balanced=balanced), start=named(layers.state_dict().items()))
    if balanced:  # as scikit-learn's compute_class_weight
        weights = [ROWS / (classes * int((y == c).sum())) for c in range(classes)]
    criterion = nn.CrossEntropyLoss(weight=None if weights is None else torch.tensor(weights).double(), label_smoothing=smoothing)
    optimizer = optim.SGD(layers.parameters(), lr=0.05, momentum=0.9)
    forward = lambda: layers[1](torch.tanh(layers[0](x)))
    for step in range(1, 51):
        optimizer.zero_grad()
        cost = criterion(forward(), y)
        cost.backward()
        if step == 1:
            case.update(loss=float(cost), probabilities=numbers(forward().softmax(1)))
            case["gradient"] = named((k, p.grad) for k, p in layers.named_parameters())
        optimizer.step()
        if step in (1, 50):
            case["after%d" % step] = named(copy.deepcopy(layers).state_dict().items())
    case["final"] = numbers(forward().softmax(1))
    return case


print(json.dumps([
    network("class weights", 3, weights=[1.0, 5.0, 0.25]),
    network("a class that does not count", 3, weights=[2.0, 0.0, 30.0]),
    network("label smoothing", 3, smoothing=0.1),
    network("both", 4, weights=[1.0, 3.0, 0.5, 7.0], smoothing=0.2),
    network("two classes, both", 2, weights=[1.0, 9.0], smoothing=0.05),
    network("balanced", 3, balanced=True),
    network("balanced with smoothing", 2, balanced=True, smoothing=0.3),
]))
