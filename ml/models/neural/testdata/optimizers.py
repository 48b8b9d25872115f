# Makes optimizers.json: optimizers, clipping and schedulers of PyTorch, in float64. Run in this folder: python3 optimizers.py > optimizers.json
# "networks" are as in networks.py, each with the settings of its optimizer in the words of this package; "rates" are
# the learning rates of each update.
import copy, json, warnings
import torch
from torch import nn, optim
from torch.optim import lr_scheduler as S

warnings.simplefilter("ignore")
torch.manual_seed(11)
ROWS, FEATURES, CLASSES, HIDDEN = 20, 4, 3, [6]


def numbers(t):
    return [float("%.9g" % v) for v in t.detach().double().flatten()]


def named(items):
    return {"layers." + k: {"shape": list(v.shape), "values": numbers(v)} for k, v in items}


def network(name, make, **settings):
    torch.manual_seed(3)
    x, y = torch.randn(ROWS, FEATURES).float().double() * 3, torch.randint(CLASSES, (ROWS,))
    layers = nn.ModuleList([nn.Linear(FEATURES, HIDDEN[0]), nn.Linear(HIDDEN[0], CLASSES)]).double()
    with torch.no_grad():
        for p in layers.parameters():
            p.copy_((p * 1.5).float())
    case = dict(name=name, hidden=HIDDEN, activation="tanh", features=FEATURES, classes=CLASSES, x=numbers(x), y=[int(v) for v in y],
                optimizer=settings, start=named(layers.state_dict().items()))
    optimizer = make(layers.parameters())
    forward = lambda: layers[1](torch.tanh(layers[0](x)))
    for step in range(1, 51):
        optimizer.zero_grad()
        cost = nn.CrossEntropyLoss()(forward(), y)
        cost.backward()
        if step == 1:
            case.update(loss=float(cost), probabilities=numbers(forward().softmax(1)))
        if "clipNorm" in settings:
            nn.utils.clip_grad_norm_(layers.parameters(), settings["clipNorm"])
        if "clipValue" in settings:
            nn.utils.clip_grad_value_(layers.parameters(), settings["clipValue"])
        if step == 1:
            case["gradient"] = named((k, p.grad) for k, p in layers.named_parameters())
        optimizer.step()
        if step in (1, 50):
            case["after%d" % step] = named(copy.deepcopy(layers).state_dict().items())
    case["final"] = numbers(forward().softmax(1))
    return case


def rates(epochs, batches, make, **scheduler):
    p = optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.2)
    by = scheduler.get("interval", "epoch")
    warm = scheduler.get("warmupIterations", 0) + scheduler.get("warmupEpochs", 0) * batches
    out = []
    main = make(p)
    if warm == 0:
        for i in range(epochs * batches):
            out.append(p.param_groups[0]["lr"])
            p.step()
            if by == "iteration" or i % batches == batches - 1:
                main.step()
    else:  # every update is a step of its own, and the main scheduler is told which epoch it is
        p = optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.2)
        seq = S.LinearLR(p, start_factor=scheduler["warmupStart"], total_iters=warm)
        for i in range(warm):
            out.append(p.param_groups[0]["lr"])
            p.step()
            seq.step()
        p = optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.2)
        main = make(p)
        for i in range(epochs * batches - warm):
            out.append(p.param_groups[0]["lr"])
            p.step()
            if by == "iteration" or i % batches == batches - 1:
                main.step()
    return dict(epochs=epochs, batches=batches, rate=0.2, scheduler=dict({"interval": "epoch"}, **scheduler), rates=out)


sgd, adam = optim.SGD, optim.Adam
print(json.dumps(dict(
    networks=[
        network("sgd", lambda p: sgd(p, lr=0.1), type="sgd", learningRate=0.1),
        network("sgd with decay", lambda p: sgd(p, lr=0.1, weight_decay=0.03), type="sgd", learningRate=0.1, weightDecay=0.03),
        network("momentum", lambda p: sgd(p, lr=0.05, momentum=0.9, weight_decay=0.01), type="sgd", learningRate=0.05, momentum=0.9, weightDecay=0.01),
        network("nesterov", lambda p: sgd(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01), type="sgd", learningRate=0.05, momentum=0.9, nesterov=True, weightDecay=0.01),
        network("adam", lambda p: adam(p, lr=0.003), type="adam", learningRate=0.003),
        network("adam with decay", lambda p: adam(p, lr=0.003, weight_decay=0.05, betas=(0.8, 0.99)), type="adam", learningRate=0.003, weightDecay=0.05, beta1=0.8, beta2=0.99),
        network("adamw", lambda p: optim.AdamW(p, lr=0.003, weight_decay=0.05), type="adamw", learningRate=0.003, weightDecay=0.05),
        network("clipped by norm", lambda p: sgd(p, lr=0.1, momentum=0.9), type="sgd", learningRate=0.1, momentum=0.9, clipNorm=0.3),
        network("clipped by value", lambda p: sgd(p, lr=0.1, momentum=0.9), type="sgd", learningRate=0.1, momentum=0.9, clipValue=0.02),
    ],
    rates=[
        rates(3, 4, lambda o: S.LambdaLR(o, lambda _: 1), type="constant"),
        rates(7, 3, lambda o: S.CosineAnnealingLR(o, T_max=7, eta_min=0.01), type="cosine", minLearningRate=0.01),
        rates(4, 5, lambda o: S.CosineAnnealingLR(o, T_max=20), type="cosine", interval="iteration"),
        rates(9, 2, lambda o: S.StepLR(o, step_size=3, gamma=0.5), type="step", every=3, factor=0.5),
        rates(3, 5, lambda o: S.StepLR(o, step_size=4, gamma=0.3), type="step", every=4, factor=0.3, interval="iteration"),
        rates(6, 2, lambda o: S.ExponentialLR(o, gamma=0.7), type="exponential", factor=0.7),
        rates(6, 4, lambda o: S.CosineAnnealingLR(o, T_max=4), type="cosine", warmupEpochs=2, warmupStart=0.25),
        rates(4, 5, lambda o: S.CosineAnnealingLR(o, T_max=13), type="cosine", interval="iteration", warmupIterations=7, warmupStart=0.1),
        rates(4, 5, lambda o: S.StepLR(o, step_size=2, gamma=0.5), type="step", every=2, factor=0.5, warmupIterations=3, warmupStart=0.5),
        rates(3, 2, lambda o: S.LambdaLR(o, lambda _: 1), type="constant", warmupEpochs=1, warmupStart=0.5),
    ],
)))
