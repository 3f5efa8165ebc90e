"""Small models of graphs, spikes and physics."""

import mlx.core as mx

from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal, whole

import mlx.nn as nn  # isort: skip

models = Kind("science model")


class Messages(nn.Module):
    """Messages along edges, added at nodes; degrees divide them."""

    def __init__(self, dims: int, out: int):
        super().__init__()
        self.message, self.update_node = nn.Linear(2 * dims, out), nn.Linear(dims + out, out)

    def __call__(self, nodes, sources, targets):
        ends = mx.concatenate([nodes[sources], nodes[targets]], axis=-1)
        count = nodes.shape[0]
        sent = nn.relu(self.message(ends))
        summed = mx.zeros((count, sent.shape[-1])).at[targets].add(sent)
        degree = mx.zeros((count, 1)).at[targets].add(mx.ones((targets.shape[0], 1)))
        return nn.relu(self.update_node(mx.concatenate([nodes, summed / mx.maximum(degree, 1.0)], axis=-1)))


class Graph(nn.Module):
    """Two rounds of messages, attention over edges, and a sum over nodes."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = Messages(4, 8), Messages(8, 8), nn.Linear(8, 2)
        self.score = nn.Linear(8, 1)

    def __call__(self, x, edge_index):
        sources, targets = edge_index
        h = self.second(self.first(x, sources, targets), sources, targets)
        weight = mx.exp(nn.leaky_relu(self.score(h[sources])))  # (E, 1)
        total = mx.zeros((x.shape[0], 1)).at[targets].add(weight)
        share = weight / (total[targets] + 1e-9)
        h = mx.zeros_like(h).at[targets].add(share * h[sources])
        return self.head(h.sum(0, keepdims=True)), h


@models
def graph_network():
    """A graph network with scattered sums"""
    calls = [call(normal(6, 4), whole(0, 6, 2, 12)) for _ in range(2)]
    lonely = mx.array([[0, 1, 2, 3] * 3, [5] * 12])
    return Made(Graph(), calls[0], [calls[1], call(normal(6, 4), lonely), call(mx.zeros((6, 4)), lonely)])


@models
def graph_network_sizes():
    """A graph network of any number of edges"""
    calls = [call(normal(6, 4), whole(0, 6, 2, n)) for n in (12, 3, 17, 39)]
    return Made(Graph(), calls[0], calls[1:], {"flexible": {"edge_index": {1: (2, 40)}}})


@models
def spiking_network():
    """A spiking network over time steps"""
    hidden, out = nn.Linear(8, 16), nn.Linear(16, 4)

    def fn(x):
        u, v, counts = mx.zeros((x.shape[0], 16)), mx.zeros((x.shape[0], 4)), 0
        for step in range(x.shape[1]):
            u = 0.9 * u + hidden(x[:, step])
            spikes = (u >= 0.5).astype(mx.float32)
            u = mx.where(spikes > 0, 0.0, u)
            v = 0.9 * v + out(spikes)
            counts = counts + spikes
        return v, counts

    calls = [call(scale * normal(2, 6, 8)) for scale in (1, 1, 0, 3)]
    return Made(fn, calls[0], calls[1:])


@models
def energy_and_forces():
    """An energy by distances of atoms, and forces by its gradient"""
    table, net = nn.Embedding(5, 4), nn.Sequential(nn.Linear(12, 16), nn.SiLU(), nn.Linear(16, 1))
    centres = mx.linspace(0.5, 4, 4)
    far = 1 - mx.eye(5)

    def energy(positions, kinds):
        apart = positions[:, None] - positions[None]
        distance = mx.sqrt(apart.square().sum(-1) + 1e-6)  # (N, N)
        radial = mx.exp(-(distance[..., None] - centres).square())
        kind = table(kinds)
        pair = mx.concatenate(
            [mx.broadcast_to(k, (5, 5, 4)) for k in (kind[:, None], kind[None])] + [radial], axis=-1
        )
        return (net(pair)[..., 0] * far).sum()

    def fn(positions, kinds):
        value, slope = mx.value_and_grad(energy)(positions, kinds)
        return {"energy": value, "forces": -slope}

    calls = [call(scale * normal(5, 3), whole(0, 5, 5)) for scale in (1, 1, 3)]
    return Made(fn, calls[0], calls[1:])


@models
def heat_equation():
    """The residual of a differential equation, with second derivatives"""
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))

    def u(t, x):
        return net(mx.stack([t, x], axis=-1))[..., 0]

    def total(t, x):
        return u(t, x).sum()

    def residual(t, x):
        by_t = mx.grad(total, 0)(t, x)
        by_xx = mx.grad(lambda y: mx.grad(total, 1)(t, y).sum())(x)
        return by_t - 0.1 * by_xx

    calls = [call(scale * normal(8), scale * normal(8)) for scale in (1, 1, 0, 4)]
    return Made(residual, calls[0], calls[1:])


@models
def flow_step():
    """A step of a solver in a loop, with a learned correction"""
    net = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.GELU(), nn.Conv2d(8, 2, 3, padding=1))

    def slope(v):
        return 0.1 * (sum(mx.roll(v, s, axis=a) for s in (1, -1) for a in (1, 2)) - 4 * v) + 0.1 * net(v)

    def fn(v, dt=0.1, steps=3):
        for _ in range(steps):
            a = slope(v)
            b = slope(v + 0.5 * dt * a)
            c = slope(v + 0.5 * dt * b)
            v = v + dt / 6 * (a + 2 * b + 2 * c + slope(v + dt * c))
        return v

    calls = [call(scale * normal(1, 8, 8, 2)) for scale in (1, 1, 0)]
    return Made(fn, calls[0], calls[1:])


@models
def gated_recurrence():
    """A selective scan in a loop over time"""
    enter, decay = nn.Linear(6, 24), nn.Linear(6, 8)

    def fn(x):
        a, b, c = mx.split(enter(x), 3, axis=-1)
        keep = mx.exp(-nn.softplus(decay(x)))
        h, made = mx.zeros((x.shape[0], 8)), []
        for i in range(x.shape[1]):
            h = keep[:, i] * h + a[:, i] * b[:, i]
            made.append((h * c[:, i]).sum(-1))
        return mx.stack(made, axis=1)

    calls = [call(scale * normal(2, 7, 6)) for scale in (1, 1, 0, 4)]
    return Made(fn, calls[0], calls[1:])
