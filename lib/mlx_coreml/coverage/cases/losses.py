"""The losses of mlx.nn.losses, for models that score their own output on a device.

https://ml-explore.github.io/mlx/build/html/python/nn/losses.html
"""

from collections.abc import Iterator, Mapping

from mlx_coreml.coverage.cases.case import Case, Draw, integers, normal, texts, uniform

TABLES: list[tuple[Mapping[str, Draw], str]] = [
    ({"x": normal(4, 6), "i": integers(0, 6, 4)}, """
        nn.losses.cross_entropy(x, i)
        nn.losses.cross_entropy(x, i, reduction='mean')
        nn.losses.cross_entropy(x, i, label_smoothing=0.1, reduction='sum')
        nn.losses.cross_entropy(x, i, weights=mx.array([1.0, 2.0, 0.5, 1.0]))
        nn.losses.nll_loss(x, i)
        nn.losses.nll_loss(x, i, reduction='mean')
    """),
    ({"x": normal(4, 6), "y": uniform(0.05, 0.95, 4, 6)}, """
        nn.losses.cross_entropy(x, y)
        nn.losses.cross_entropy(x, y, axis=0)
        nn.losses.binary_cross_entropy(x, y)
        nn.losses.binary_cross_entropy(y, y, with_logits=False, reduction='none')
        nn.losses.l1_loss(x, y)
        nn.losses.mse_loss(x, y)
        nn.losses.mse_loss(x, y, reduction='none')
        nn.losses.gaussian_nll_loss(x, x, y)
        nn.losses.gaussian_nll_loss(x, x + 1, y, full=True, reduction='none')
        nn.losses.kl_div_loss(x, mx.log(y))
        nn.losses.smooth_l1_loss(x, y)
        nn.losses.smooth_l1_loss(x, y, beta=0.5, reduction='none')
        nn.losses.hinge_loss(x, mx.sign(y - 0.5))
        nn.losses.huber_loss(x, y)
        nn.losses.huber_loss(x, y, delta=0.5)
        nn.losses.log_cosh_loss(x, y)
        nn.losses.cosine_similarity_loss(x, y)
        nn.losses.cosine_similarity_loss(x, y, axis=0, reduction='mean')
        nn.losses.margin_ranking_loss(x, y, mx.sign(x), margin=0.3)
        nn.losses.triplet_loss(x, y, x + 0.5)
        nn.losses.triplet_loss(x, y, x + 0.5, p=1, margin=0.2, reduction='sum')
    """),
]  # fmt: skip


def cases() -> Iterator[Case]:
    """Every loss case."""
    for inputs, table in TABLES:
        yield from texts("loss", inputs, table)
