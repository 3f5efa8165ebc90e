"""Optimizers of both frameworks where their formulas agree, groups, schedules, frozen layers, accumulation.

The formulas: https://ml-explore.github.io/mlx/build/html/python/optimizers.html and
https://docs.pytorch.org/docs/2.13/optim.html; Lion of Chen et al. 2023 (https://arxiv.org/abs/2302.06675).
"""

from pair_corpus.fragments import pair
from pair_corpus.sequences.objectives import BAG

TEXTS = (
    BAG.replace("WIDTH", "5")
    + """
def batch(rng, size):
    return rng.integers(0, 20, (size, 6), dtype="int32"), rng.integers(0, 5, size, dtype="int32")
def mlx_loss(m, x, y): return mnn.losses.cross_entropy(m(x), y, reduction="mean")
def torch_loss(m, x, y): return F.cross_entropy(m(x), y)
"""
)

ADAM = """
def mlx_optimizer(r): return mo.Adam(r.learning_rate, betas=[0.9, 0.99], eps=1e-8, bias_correction=True)
def torch_optimizer(r, model):
    return torch.optim.Adam(model.parameters(), lr=r.learning_rate, betas=(0.9, 0.99), eps=1e-8)
= no bias correction in MLX | bias.correction
- , bias_correction=True
+
= AMSGrad in PyTorch | amsgrad
- betas=(0.9, 0.99), eps=1e-8
+ betas=(0.9, 0.99), eps=1e-8, amsgrad=True
= beta2 0.999 in PyTorch | beta
- betas=(0.9, 0.99)
+ betas=(0.9, 0.999)
= epsilon 1e-6 in PyTorch | eps
- (0.9, 0.99), eps=1e-8
+ (0.9, 0.99), eps=1e-6
= a penalty on weights in PyTorch | weight_decay|decay|L2|penalty
- betas=(0.9, 0.99), eps=1e-8
+ betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1
= ten times the rate in MLX | learning.rate|\\blr\\b
- mo.Adam(r.learning_rate
+ mo.Adam(10 * r.learning_rate
= one layer is not handed to PyTorch's optimizer | not hold|not handed
- torch.optim.Adam(model.parameters()
+ torch.optim.Adam([*model.t.parameters(), *model.o.parameters()]
= the loss is climbed in PyTorch | maximize|sign|climb
- betas=(0.9, 0.99), eps=1e-8
+ betas=(0.9, 0.99), eps=1e-8, maximize=True
"""

GROUPS = """
def mlx_optimizer(r):
    plain, decayed = (mo.AdamW(r.learning_rate, weight_decay=d, bias_correction=True) for d in (0.0, 0.2))
    return mo.MultiOptimizer([plain, decayed], [lambda name, weight: "bias" in name])
def torch_optimizer(r, model):
    groups = {False: [], True: []}
    for name, weight in model.named_parameters(): groups["bias" not in name].append(weight)
    settings = [{"params": weights, "weight_decay": 0.2 * decayed} for decayed, weights in groups.items()]
    return torch.optim.AdamW(settings, lr=r.learning_rate)
= biases decay as well in PyTorch | bias.*decay|decay
- "weight_decay": 0.2 * decayed
+ "weight_decay": 0.2
= biases decay as well in MLX | bias.*decay|decay
- for d in (0.0, 0.2))
+ for d in (0.2, 0.2))
= the table does not decay in MLX | `?t\\.weight`?.*decay|decay
- "bias" in name]
+ "bias" in name or name == "t.weight"]
= groups exchanged in PyTorch | decay
- groups["bias" not in name]
+ groups["bias" in name]
= weights that decay have another rate in PyTorch | learning.rate|\\blr\\b
- settings, lr=r
+ [settings[0], {**settings[1], "lr": 1e-4}], lr=r
= decay as a penalty in PyTorch | Adam\\b|decoupled|L2|penalty|AdamW
- torch.optim.AdamW(settings
+ torch.optim.Adam(settings
"""

WARM_UP = """
def mlx_optimizer(r):
    rise, fall = mo.linear_schedule(0.0, r.learning_rate, 4), mo.cosine_decay(r.learning_rate, 20)
    return mo.AdamW(mo.join_schedules([rise, fall], [4]), weight_decay=0.1, bias_correction=True)
def torch_optimizer(r, model): return torch.optim.AdamW(model.parameters(), r.learning_rate, weight_decay=0.1)
def torch_schedule(r, optimizer):
    def share(step): return step / 4 if step < 4 else 0.5 * (1 + math.cos(math.pi * (step - 4) / 20))
    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)
= the schedule is one step ahead in PyTorch | schedule|off by one|learning.rate|\\brate
- def share(step): return step / 4
+ def share(step): step += 1; return step / 4
= a longer warm-up in MLX | schedule|learning.rate|\\brate|warm
- r.learning_rate, 4), mo
+ r.learning_rate, 5), mo
= no schedule in PyTorch | schedule|learning.rate|\\brate
- def torch_schedule(r
+ def schedule(r
= a straight line down in PyTorch | schedule|learning.rate|\\brate
- 0.5 * (1 + math.cos(math.pi * (step - 4) / 20))
+ 1 - (step - 4) / 20
= twice the rate at the top in MLX | schedule|learning.rate|\\brate
- mo.cosine_decay(r.learning_rate, 20)
+ mo.cosine_decay(2 * r.learning_rate, 20)
"""

LION = """
class Lion(torch.optim.Optimizer):
    def __init__(s, weights, lr, betas, weight_decay):
        super().__init__(weights, {"lr": lr, "betas": betas, "weight_decay": weight_decay})
    @torch.no_grad()
    def step(s, closure=None):
        for group in s.param_groups:
            (one, two), lr = group["betas"], group["lr"]
            for p in (p for p in group["params"] if p.grad is not None):
                m = s.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p.mul_(1 - lr * group["weight_decay"]).sub_(lr * (one * m + (1 - one) * p.grad).sign())
                m.mul_(two).add_(p.grad, alpha=1 - two)
def mlx_optimizer(r): return mo.Lion(1e-4, betas=[0.9, 0.99], weight_decay=0.5)
def torch_optimizer(r, model): return Lion(model.parameters(), 1e-4, (0.9, 0.99), 0.5)
= betas exchanged in PyTorch | beta
- (0.9, 0.99), 0.5
+ (0.99, 0.9), 0.5
= no decay in MLX | decay
- weight_decay=0.5)
+ weight_decay=0.0)
= AdamW in PyTorch | Adam|Lion
- return Lion(model.parameters(), 1e-4, (0.9, 0.99), 0.5)
+ return torch.optim.AdamW(model.parameters(), 1e-4, (0.9, 0.99), weight_decay=0.5)
= a larger rate in PyTorch | learning.rate|\\blr\\b
- model.parameters(), 1e-4
+ model.parameters(), 2e-4
"""

ADAGRAD = """
def mlx_optimizer(r): return mo.Adagrad(0.01, eps=1e-8)
def torch_optimizer(r, model): return torch.optim.Adagrad(model.parameters(), lr=0.01, eps=1e-8)
= squares start at 0.1 in PyTorch | initial_accumulator_value|0\\.1|start
- lr=0.01, eps
+ lr=0.01, initial_accumulator_value=0.1, eps
= the rate falls in PyTorch | lr_decay|learning.rate|\\brate
- lr=0.01, eps
+ lr=0.01, lr_decay=0.1, eps
= a penalty in PyTorch | weight_decay|decay|penalty|L2
- lr=0.01, eps
+ lr=0.01, weight_decay=0.1, eps
"""

RMSPROP = """
def mlx_optimizer(r): return mo.RMSprop(r.learning_rate, alpha=0.9, eps=1e-8)
def torch_optimizer(r, model): return torch.optim.RMSprop(model.parameters(), r.learning_rate, 0.9, 1e-8)
= alpha 0.99 in MLX | alpha
- alpha=0.9,
+ alpha=0.99,
= centred in PyTorch | cent(e|)r
- 0.9, 1e-8)
+ 0.9, 1e-8, centered=True)
= momentum in PyTorch | momentum
- 0.9, 1e-8)
+ 0.9, 1e-8, momentum=0.5)
"""

ADADELTA = """
def mlx_optimizer(r): return mo.AdaDelta(1.0, rho=0.9, eps=1e-6)
def torch_optimizer(r, model): return torch.optim.Adadelta(model.parameters(), lr=1.0, rho=0.9, eps=1e-6)
= rho 0.95 in PyTorch | rho
- lr=1.0, rho=0.9
+ lr=1.0, rho=0.95
= epsilon 1e-5 in MLX | eps
- mo.AdaDelta(1.0, rho=0.9, eps=1e-6)
+ mo.AdaDelta(1.0, rho=0.9, eps=1e-5)
"""

ADAFACTOR = """
def mlx_optimizer(r):
    return mo.Adafactor(0.01, clip_threshold=1.0, decay_rate=-0.8, relative_step=False, scale_parameter=True)
def torch_optimizer(r, model):
    return torch.optim.Adafactor(model.parameters(), lr=0.01, beta2_decay=-0.8, d=1.0, weight_decay=0.0)
= the rate is not scaled by the weights in MLX | scale_parameter|scale
- scale_parameter=True
+ scale_parameter=False
= PyTorch's decay of weights, its default is 0 | weight_decay|decay
- , weight_decay=0.0
+ , weight_decay=0.1
= beta2 decays faster in PyTorch | decay_rate|beta2_decay
- beta2_decay=-0.8
+ beta2_decay=-0.5
= updates are clipped lower in MLX | clip_threshold|\\bd\\b|clip
- clip_threshold=1.0
+ clip_threshold=0.5
"""

NESTEROV = """
def mlx_optimizer(r): return mo.SGD(0.05, momentum=0.9, weight_decay=0.01, nesterov=True)
def torch_optimizer(r, model):
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True)
= no look ahead in PyTorch | nesterov
- lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True
+ lr=0.05, momentum=0.9, weight_decay=0.01
= momentum 0.8 in MLX | momentum
- mo.SGD(0.05, momentum=0.9
+ mo.SGD(0.05, momentum=0.8
= damped in PyTorch | dampening
- lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True
+ lr=0.05, momentum=0.9, weight_decay=0.01, dampening=0.5
= PyTorch's first step is not damped, MLX's is | dampening|first step
- mo.SGD(0.05, momentum=0.9, weight_decay=0.01, nesterov=True)
+ mo.SGD(0.05, momentum=0.9, weight_decay=0.01, dampening=0.5)
- momentum=0.9, weight_decay=0.01, nesterov=True)
+ momentum=0.9, weight_decay=0.01, dampening=0.5)
= no penalty in MLX | weight_decay|decay|penalty
- mo.SGD(0.05, momentum=0.9, weight_decay=0.01
+ mo.SGD(0.05, momentum=0.9
"""

RELATIVES = """
def mlx_optimizer(r): return mo.Adam(r.learning_rate, eps=1e-8, bias_correction=True)
def torch_optimizer(r, model): return torch.optim.Adam(model.parameters(), lr=r.learning_rate, eps=1e-8)
= Adamax, which MLX does not correct | bias.correction
- mo.Adam(r.learning_rate, eps=1e-8, bias_correction=True)
+ mo.Adamax(r.learning_rate, eps=1e-8)
- torch.optim.Adam(model
+ torch.optim.Adamax(model
= AdaMax in PyTorch only | Adam
- torch.optim.Adam(model
+ torch.optim.Adamax(model
= NAdam in PyTorch only | Adam
- torch.optim.Adam(model
+ torch.optim.NAdam(model
= RAdam in PyTorch only | Adam
- torch.optim.Adam(model
+ torch.optim.RAdam(model
"""

FROZEN = """
def mlx_model():
    model = M()
    model.t.freeze()
    return model
def torch_model():
    model = T()
    model.t.requires_grad_(False)
    return model
def torch_optimizer(r, model):
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(trained, lr=r.learning_rate, weight_decay=r.weight_decay)
= the table trains in MLX | frozen|freez
-     model.t.freeze()
+     model.unfreeze()
= another layer is frozen in PyTorch | frozen|freez
- model.t.requires_grad_(False)
+ model.f.requires_grad_(False)
= the last layer is frozen too in PyTorch | frozen|freez
- model.t.requires_grad_(False)
+ model.t.requires_grad_(False); model.o.requires_grad_(False)
"""

IN_PARTS = """
ACCUMULATE = 4
= the loss is a sum over texts in PyTorch | sum
- F.cross_entropy(m(x), y)
+ F.cross_entropy(m(x), y, reduction="sum")
= gradients are halved by a hook in PyTorch | times|factor|0\\.5
- super().__init__(); s.t = tnn.Embedding(20, 12); s.f = tnn.Linear(12, 12); s.o = tnn.Linear(12, 5)
+ super().__init__(); s.t = tnn.Embedding(20, 12); s.f = tnn.Linear(12, 12); s.o = tnn.Linear(12, 5)
+         for p in s.parameters(): p.register_hook(lambda g: g / 2)
"""

PAIRS = (
    pair("Adam", ADAM, TEXTS),
    pair("AdamW, biases do not decay", GROUPS, TEXTS),
    pair("AdamW, a warm-up and a cosine", WARM_UP, TEXTS),
    pair("Lion, written by hand in PyTorch", LION, TEXTS),
    pair("Adagrad", ADAGRAD, TEXTS),
    pair("RMSprop", RMSPROP, TEXTS),
    pair("AdaDelta", ADADELTA, TEXTS),
    pair("Adafactor", ADAFACTOR, TEXTS),
    pair("SGD with Nesterov's momentum", NESTEROV, TEXTS),
    pair("Adam, for its relatives", RELATIVES, TEXTS),
    pair("a frozen table", TEXTS + FROZEN),
    pair("batches in four parts", IN_PARTS, TEXTS),
)
