# Makes imports.json: networks as PyTorch's users write them, with the keys of their state dicts, and what they predict, in float32.
# Run in this folder: python3 imports.py > imports.json
import json
import torch
from torch import nn

torch.manual_seed(23)
ROWS, FEATURES = 16, 6
TABLES = [(1, 5, 3), (4, 7, 2)]  # feature, codes, size
ACT = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


class Embedded(nn.Module):
    """Rows of tables behind the features that have none."""

    def join(self, x):
        plain = [i for i in range(FEATURES) if i not in [t[0] for t in TABLES]]
        return torch.cat([x[:, plain]] + [e(x[:, t[0]].long()) for e, t in zip(self.embeddings, TABLES)], 1)


class Blocks(Embedded):
    """Lists of modules, batch norm, residual blocks where widths are equal."""

    def __init__(self, hidden, outputs, act):
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(c, s) for _, c, s in TABLES)
        widths = [FEATURES - len(TABLES) + sum(s for _, _, s in TABLES)] + hidden
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in zip(widths, hidden)] + [nn.Linear(hidden[-1], outputs)])
        self.norms = nn.ModuleList(nn.BatchNorm1d(n) for n in hidden)
        self.act = ACT[act]()

    def forward(self, x):
        x = self.join(x)
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms)):
            h = self.act(norm(layer(x)))
            x = x + h if i > 0 and h.shape == x.shape else h
        return self.layers[-1](x)


class Plain(nn.Module):
    """One nn.Sequential, norms and dropout among its layers, no bias before a norm."""

    def __init__(self, hidden, outputs, act, norm):
        super().__init__()
        modules, width = [], FEATURES
        for n in hidden:
            modules += [nn.Linear(width, n, bias=False), norm(n), ACT[act](), nn.Dropout(0.1)]
            width = n
        self.layers = nn.Sequential(*modules, nn.Linear(width, outputs))

    def forward(self, x):
        return self.layers(x)


def numbers(t):
    return [float("%.9g" % v) for v in t.detach().double().flatten()]


out = []
for case, net in [
    (dict(name="blocks", norm="batch", residual=True, activation="gelu", classes=3), Blocks([6, 6, 6, 4], 3, "gelu")),
    (dict(name="sequential, batch norm", norm="batch", activation="relu", classes=3), Plain([7, 5], 3, "relu", nn.BatchNorm1d)),
    (dict(name="sequential, layer norm", norm="layer", activation="tanh", classes=3), Plain([7, 5, 4], 3, "tanh", nn.LayerNorm)),
]:
    x = torch.randn(ROWS, FEATURES)
    tables = TABLES if hasattr(net, "embeddings") else []
    for feature, codes, _ in tables:
        x[:, feature] = torch.randint(codes, (ROWS,)).float()
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), torch.arange(ROWS) % 3).backward()
        optimizer.step()
    net.eval()
    state = {k: dict(shape=list(v.shape), values=numbers(v)) for k, v in net.state_dict().items()}
    case.update(features=FEATURES, embeddings=[dict(feature=f, codes=c, size=s) for f, c, s in tables], start=state, x=numbers(x),
                probabilities=numbers(net(x).softmax(1)))
    out.append(case)
print("[\n" + ",\n".join(json.dumps(c) for c in out) + "\n]")
