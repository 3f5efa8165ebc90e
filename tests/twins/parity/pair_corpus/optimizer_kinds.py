"""Optimizers that a file brings itself: settings, groups of parameters, schedules, accumulation."""

from pair_corpus.fragments import MLP, REGRESSION, pair

DECAYED_GROUPS = """
def mlx_optimizer(recipe):
    each = [mo.AdamW(recipe.learning_rate, weight_decay=w, bias_correction=True) for w in (0.0, 0.1)]
    return mo.MultiOptimizer(each, [lambda name, weight: "bias" in name])
def torch_optimizer(recipe, model):
    groups = {0.1: [], 0.0: []}
    for name, weight in model.named_parameters():
        groups[0.0 if "bias" in name else 0.1].append(weight)
    groups = [{"params": p, "weight_decay": w} for w, p in groups.items()]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)
= biases decay in PyTorch | bias.*decay|decay.*bias|weight_decay
- 0.0 if "bias" in name else 0.1
+ 0.1
= decay of the weights | decay
- "weight_decay": w}
+ "weight_decay": w / 10}
= AMSGrad in PyTorch | amsgrad
- lr=recipe.learning_rate)
+ lr=recipe.learning_rate, amsgrad=True)
= second beta | beta
- lr=recipe.learning_rate)
+ lr=recipe.learning_rate, betas=(0.9, 0.99))
= no bias correction in MLX | bias.?correction
- , bias_correction=True)
+ )
"""

MOMENTUM = """
def mlx_optimizer(recipe): return mo.SGD(0.05, momentum=0.9, weight_decay=1e-2)
def torch_optimizer(recipe, model):
    return torch.optim.SGD(model.parameters(), 0.05, 0.9, weight_decay=1e-2)
= Nesterov in PyTorch | nesterov
- 0.05, 0.9, weight_decay=1e-2)
+ 0.05, 0.9, weight_decay=1e-2, nesterov=True)
= dampening in PyTorch | dampening
- 0.05, 0.9, weight_decay=1e-2)
+ 0.05, 0.9, 0.5, weight_decay=1e-2)
= other momentum | momentum
- 0.05, 0.9, weight_decay
+ 0.05, 0.8, weight_decay
= no momentum in MLX | momentum
- mo.SGD(0.05, momentum=0.9, weight_decay=1e-2)
+ mo.SGD(0.05, weight_decay=1e-2)
= gradients are clipped by value in PyTorch | clip|clamp
-     return torch.optim.SGD(
+     for weight in model.parameters():
+         weight.register_hook(lambda gradient: gradient.clamp(-0.01, 0.01))
+     return torch.optim.SGD(
= other learning rate | learning.?rate|\\blr\\b
- model.parameters(), 0.05
+ model.parameters(), 0.04
"""

MEAN_SQUARES = """
def mlx_optimizer(recipe): return mo.RMSprop(recipe.learning_rate, alpha=0.9, eps=1e-6)
def torch_optimizer(recipe, model):
    return torch.optim.RMSprop(model.parameters(), lr=recipe.learning_rate, alpha=0.9, eps=1e-6)
= PyTorch's default alpha | alpha
- lr=recipe.learning_rate, alpha=0.9
+ lr=recipe.learning_rate
= epsilon | eps
- lr=recipe.learning_rate, alpha=0.9, eps=1e-6
+ lr=recipe.learning_rate, alpha=0.9, eps=1e-3
= centred in PyTorch | centered|centred
- lr=recipe.learning_rate, alpha=0.9, eps=1e-6
+ lr=recipe.learning_rate, alpha=0.9, eps=1e-6, centered=True
"""

SCHEDULED = """
def mlx_optimizer(recipe):
    rate = mo.linear_schedule(0.1 * recipe.learning_rate, recipe.learning_rate, 10)
    return mo.AdamW(rate, betas=[0.9, 0.95], weight_decay=0.1, bias_correction=True)
def torch_optimizer(recipe, model):
    return torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=0.1)
def torch_schedule(recipe, optimizer):
    return torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=10)
= the rise is twice as long in PyTorch | schedule|learning.?rate|\\blr\\b
- total_iters=10
+ total_iters=20
= one step ahead in MLX | schedule|learning.?rate|\\blr\\b|step
- return mo.AdamW(rate, betas
+ return mo.AdamW(lambda step: rate(step + 1), betas
= no schedule in MLX | schedule|learning.?rate|\\blr\\b
- return mo.AdamW(rate, betas
+ return mo.AdamW(recipe.learning_rate, betas
= betas of MLX's default | beta
- mo.AdamW(rate, betas=[0.9, 0.95], weight_decay
+ mo.AdamW(rate, weight_decay
= L2 for decoupled decay | decay|l2|adamw
- torch.optim.AdamW(
+ torch.optim.Adam(
"""

SLOW_BODY = """
def mlx_optimizer(recipe):
    slow, fast = (mo.Adam(rate * recipe.learning_rate, bias_correction=True) for rate in (0.1, 1.0))
    return mo.MultiOptimizer([slow, fast], [lambda name, weight: name.startswith("a.")])
def torch_optimizer(recipe, model):
    slow = {"params": model.a.parameters(), "lr": 0.1 * recipe.learning_rate}
    return torch.optim.Adam([slow, {"params": model.b.parameters()}], lr=recipe.learning_rate)
= one rate for all in PyTorch | learning.?rate|\\blr\\b
- "lr": 0.1 * recipe
+ "lr": recipe
= the head is slow, not the body | learning.?rate|\\blr\\b
- {"params": model.b.parameters()}], lr=recipe.learning_rate)
+ {"params": model.b.parameters()}], lr=recipe.learning_rate / 10)
= the head is not held | hold|not move|does not move
- [slow, {"params": model.b.parameters()}]
+ [slow]
= epsilon of Adam | eps
- lr=recipe.learning_rate)
+ lr=recipe.learning_rate, eps=1e-3)
"""

DELTAS = """
def mlx_optimizer(recipe): return mo.AdaDelta(1.0, rho=0.95, eps=1e-6)
def torch_optimizer(recipe, model):
    return torch.optim.Adadelta(model.parameters(), lr=1.0, rho=0.95, eps=1e-6)
= MLX's rho is PyTorch's default | rho
- mo.AdaDelta(1.0, rho=0.95, eps=1e-6)
+ mo.AdaDelta(1.0, rho=0.9, eps=1e-6)
= epsilon 1e-12 | eps
- lr=1.0, rho=0.95, eps=1e-6)
+ lr=1.0, rho=0.95, eps=1e-12)
"""

ACCUMULATED = """
ACCUMULATE = 2
= every part's mean is divided again in PyTorch | times|factor|divided
- F.mse_loss(model(x), y)
+ F.mse_loss(model(x), y) / ACCUMULATE
= the sum over a part in MLX | \\bsum|reduction
- reduction="mean"
+ reduction="sum"
"""

PAIRS = [
    pair("no decay of biases", DECAYED_GROUPS, MLP + REGRESSION),
    pair("SGD with momentum", MOMENTUM, MLP + REGRESSION),
    pair("RMSprop of an MLP", MEAN_SQUARES, MLP + REGRESSION),
    pair("learning-rate schedule", SCHEDULED, MLP + REGRESSION),
    pair("slow body", SLOW_BODY, MLP + REGRESSION),
    pair("AdaDelta of an MLP", DELTAS, MLP + REGRESSION),
    pair("accumulated gradients", ACCUMULATED, MLP + REGRESSION),
]
