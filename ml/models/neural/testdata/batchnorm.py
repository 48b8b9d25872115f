# Makes batchnorm.json: batch norm in PyTorch, in float64, as networks.py has other networks. Run in this folder: python3 batchnorm.py > batchnorm.json
# Of more than 256 rows a batch has several shards: each is normalised by BatchNorm1d's own function, by itself, and the
# running statistics follow the mean over the shards with more than one row, each as much as it has rows.
import copy, json
import torch
from torch import nn

torch.manual_seed(11)
FEATURES, CLASSES, SHARD = 5, 3, 256
ACT = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


class Ghost(nn.BatchNorm1d):
    def forward(self, x):
        if not self.training:
            return super().forward(x)
        chunks = x.split(SHARD)
        if len(chunks) == 1:
            return super().forward(x)
        whole = [c for c in chunks if len(c) > 1]
        rows = sum(len(c) for c in whole)
        with torch.no_grad():
            mean = sum(c.mean(0) * len(c) for c in whole) / rows
            var = sum(c.var(0, unbiased=True) * len(c) for c in whole) / rows
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var, self.momentum)
        norm = lambda c: nn.functional.batch_norm(c, None, None, self.weight, self.bias, True, 0.0, self.eps) if len(c) > 1 else 0 * c + self.bias
        return torch.cat([norm(c) for c in chunks])


class Net(nn.Module):
    def __init__(self, case):
        super().__init__()
        widths = [FEATURES] + case["hidden"] + [CLASSES]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        self.norms = nn.ModuleList(Ghost(n) for n in case["hidden"])
        self.act, self.residual = ACT[case["activation"]](), case.get("residual")

    def forward(self, x):
        for i, layer in enumerate(self.layers[:-1]):
            h = self.act(self.norms[i](layer(x)))
            x = x + h if self.residual and i > 0 and h.shape == x.shape else h
        return self.layers[-1](x)


def numbers(t):
    return [float("%.9g" % v) for v in t.detach().double().flatten()]


def named(items):
    return {k: {"shape": list(v.shape), "values": numbers(v)} for k, v in items if not k.endswith("num_batches_tracked")}


out = []
for rows, case in [
    (24, {"name": "one shard", "hidden": [7, 6], "activation": "relu"}),
    (40, {"name": "one shard, residual", "hidden": [6, 6, 6], "activation": "gelu", "residual": True}),
    (300, {"name": "two shards", "hidden": [6, 5], "activation": "tanh"}),
    (257, {"name": "a shard of one row", "hidden": [6], "activation": "tanh"}),
]:
    x, y = torch.randn(rows, FEATURES).float().double() * 2 + 1, torch.randint(CLASSES, (rows,))
    net = Net(case).double()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_((p * 1.5 + 0.05 * torch.randn_like(p)).float())
        for n in net.norms:
            n.running_mean.copy_(torch.randn_like(n.running_mean).float())
            n.running_var.copy_((torch.rand_like(n.running_var) + 0.5).float())
    case.update(norm="batch", features=FEATURES, classes=CLASSES, x=numbers(x), y=[int(v) for v in y], start=named(net.state_dict().items()))
    net.eval()
    case["probabilities"] = numbers(net(x).softmax(1))
    net.train()
    # A bias before a batch norm has a gradient of 0, of which AdamW would make steps of the size of its rounding.
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    loss = nn.CrossEntropyLoss()
    for step in range(1, 51):
        optimizer.zero_grad()
        cost = loss(net(x), y)
        cost.backward()
        if step == 1:
            case.update(loss=float(cost), gradient=named((k, p.grad) for k, p in net.named_parameters()))
        optimizer.step()
        if step in (1, 50):
            case["after%d" % step] = named(copy.deepcopy(net).state_dict().items())
    net.eval()
    case["final"] = numbers(net(x).softmax(1))
    out.append(case)
print("[\n" + ",\n".join(json.dumps(c) for c in out) + "\n]")
