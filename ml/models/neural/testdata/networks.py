# Makes networks.json: networks in PyTorch, in float64, and what they do. Run in this folder: python3 networks.py > networks.json
# Of each: rows and classes, the weights it starts from, its outputs and its gradient there, and its weights after 1
# and 50 steps of AdamW over all rows at once, by their names in Troupe's files.
import copy, json, sys
import torch
from torch import nn

torch.manual_seed(7)
ROWS, FEATURES, CLASSES = 24, 5, 3
ACT = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "silu": nn.SiLU}


class Net(nn.Module):
    def __init__(self, case):
        super().__init__()
        tables = case.get("embeddings", [])
        if tables:
            self.embeddings = nn.ModuleList(nn.Embedding(t["codes"], t["size"]) for t in tables)
        self.plain = [i for i in range(FEATURES) if i not in [t["feature"] for t in tables]]
        widths = [len(self.plain) + sum(t["size"] for t in tables)] + case["hidden"] + [CLASSES]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        self.act = ACT[case["activation"]]()
        self.case = case
        norm = {"layer": nn.LayerNorm}.get(case.get("norm"))
        if norm:
            self.norms = nn.ModuleList(norm(n) for n in case["hidden"])

    def forward(self, x):
        if hasattr(self, "embeddings"):
            rows = [e(x[:, t["feature"]].long()) for e, t in zip(self.embeddings, self.case["embeddings"])]
            x = torch.cat([x[:, self.plain]] + rows, 1)
        for i, layer in enumerate(self.layers[:-1]):
            h = layer(x)
            if hasattr(self, "norms"):
                h = self.norms[i](h)
            h = self.act(h)
            x = x + h if self.case.get("residual") and i > 0 and h.shape == x.shape else h
        return self.layers[-1](x)


def numbers(t):
    return [float("%.9g" % v) for v in t.detach().double().flatten()]


def named(items):
    return {k: {"shape": list(v.shape), "values": numbers(v)} for k, v in items if not k.endswith("num_batches_tracked")}


out = []
for case in [
    {"name": "relu", "hidden": [7, 6], "activation": "relu"},
    {"name": "gelu", "hidden": [7, 6], "activation": "gelu"},
    {"name": "silu", "hidden": [7, 6], "activation": "silu"},
    {"name": "layer norm", "hidden": [7, 6], "activation": "relu", "norm": "layer"},
    {"name": "residual", "hidden": [5, 5, 6, 6], "activation": "tanh", "residual": True},
    {"name": "layer norm and residual", "hidden": [6, 6, 6, 4], "activation": "gelu", "norm": "layer", "residual": True},
    {"name": "embeddings", "hidden": [6], "activation": "silu",
     "embeddings": [{"feature": 1, "codes": 5, "size": 3}, {"feature": 4, "codes": 40, "size": 2}]},
]:
    x = torch.randn(ROWS, FEATURES).double()
    for t in case.get("embeddings", []):
        x[:, t["feature"]] = torch.randint(t["codes"], (ROWS,)).double()
    y = torch.randint(CLASSES, (ROWS,))
    net = Net(case)
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(1.5).add_(0.05 * torch.randn_like(p))
    net = net.double()
    case.update(features=FEATURES, classes=CLASSES, x=numbers(x), y=[int(v) for v in y], start=named(net.state_dict().items()))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)
    loss = nn.CrossEntropyLoss()
    for step in range(1, 51):
        optimizer.zero_grad()
        z = net(x)
        cost = loss(z, y)
        cost.backward()
        if step == 1:
            case.update(loss=float(cost), probabilities=numbers(z.softmax(1)), gradient=named((k, p.grad) for k, p in net.named_parameters()))
        optimizer.step()
        if step in (1, 50):
            case["after%d" % step] = named(copy.deepcopy(net).state_dict().items())
    net.eval()
    case["final"] = numbers(net(x).softmax(1))
    out.append(case)
print("[\n" + ",\n".join(json.dumps(c) for c in out) + "\n]")
