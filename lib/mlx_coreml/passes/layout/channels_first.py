"""Keeps what lies between convolutions channels-first, so that their transposes cancel.

One pass from the inputs on: a Transpose is a view that is made when something reads it. An operation without
a layout of its own reads the view's source instead, and its result is a view again; so a transpose moves down
until the one before the next convolution undoes it. A ResNet keeps the first transpose only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import mlx.core as mx
import numpy as np

from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from mlx_coreml.passes.fold.evaluate import UNARY
from mlx_coreml.passes.layout.broadcasts import ELEMENTWISE
from mlx_coreml.passes.layout.channels import KINDS, permuted, to_last
from mlx_coreml.passes.rewriting.rewrite import replaced, step, through

RESHAPES = ("Reshape", "Flatten", "Unflatten", "ExpandDims", "Squeeze")
PLAIN = (*ELEMENTWISE, *UNARY, "AsType", "Sqrt", "Log")
ACTIVATIONS = ("relu", "clip", "gelu", "silu", "softplus", "softsign", "hard_sigmoid", "leaky_relu", "elu")


@dataclass(frozen=True)
class View:
    """A tensor that is the transpose of `source` in `order`; `moves` when operations may go before it."""

    source: Tensor
    order: tuple[int, ...]
    moves: bool


@dataclass(frozen=True)
class Flat:
    """A view flattened but for its first axis, and the node that did."""

    view: View
    node: Node


@dataclass
class Layout:
    """The nodes so far, and the tensors that are views of others."""

    nodes: list[Node] = field(default_factory=list)
    views: dict[Tensor, View] = field(default_factory=dict)
    flats: dict[Tensor, Flat] = field(default_factory=dict)
    known: dict[tuple, Tensor] = field(default_factory=dict)

    def add(self, node: Node) -> None:
        """Append a node that reads its inputs as they are."""
        node.inputs = [self.real(tensor) for tensor in node.inputs]
        self.nodes.append(node)

    def real(self, tensor: Tensor) -> Tensor:
        """The tensor to read, made when it is a view that nothing has read yet."""
        if tensor in self.flats:
            self.add(self.flats.pop(tensor).node)
        view = self.views.get(tensor)
        if view is None:
            return tensor
        if view.order == tuple(range(len(view.order))):
            return view.source
        if (view.source, view.order) not in self.known:
            self.known[view.source, view.order] = tensor
            node = Node("Transpose", [view.source], [tensor], (list(view.order),), tensor.node.path)
            self.nodes.append(node)
        return self.known[view.source, view.order]

    def turned(self, tensor: Tensor, view: View, limit: int, node: Node) -> Tensor | None:
        """The tensor whose transpose in the view's order is `tensor`, when it has fewer than `limit` elements
        or costs nothing; lower ranks are filled up with leading axes of one.
        """
        mine, rank = self.views.get(tensor), len(view.order)
        if mine is not None and mine.order == view.order:
            return mine.source
        if tensor.rank == 0:
            return self.real(tensor)
        if tensor.size == 1 and tensor.value is not None:
            return constant(tensor.value.reshape(()), tensor.name)
        back = inverse(view.order)
        key = tensor, back
        if key in self.known:
            return self.known[key]
        lifted = (1,) * (rank - tensor.rank) + tensor.shape
        if tensor.value is not None:
            self.known[key] = constant(mx.transpose(tensor.value.reshape(lifted), back), tensor.name)
        elif tensor.size < limit:
            self.known[key] = self._moved(tensor, lifted, back, node)
        return self.known.get(key)

    def _moved(self, tensor: Tensor, lifted: tuple[int, ...], order: tuple[int, ...], node: Node) -> Tensor:
        """A transpose of a small tensor; where only axes of one move it is a reshape."""
        shape = permuted(lifted, order)
        wide = [i for i in order if lifted[i] > 1]
        if wide == sorted(wide):
            source = self.real(through(tensor, *RESHAPES))
            self.nodes.append(step(node, "Reshape", [source], shape, shape))
        else:
            source = self.real(tensor)
            if lifted != tensor.shape:
                self.nodes.append(step(node, "Reshape", [source], lifted, lifted))
                source = self.nodes[-1].output
            self.nodes.append(step(node, "Transpose", [source], shape, list(order)))
        self.nodes[-1].output.dtype = tensor.dtype
        return self.nodes[-1].output

    def sink(self, node: Node, inputs: list[Tensor], view: View, order: Sequence[int], *arguments) -> None:
        """Put a node before the transpose; `order` is that of its results."""
        back = inverse(order)
        made = [Tensor(t.name, permuted(t.shape, back), t.dtype) for t in node.outputs]
        self.nodes.append(Node(node.kind, inputs, made, arguments, node.path))
        for tensor, source in zip(node.outputs, made, strict=True):
            self.views[tensor] = View(source, tuple(order), list(order) != sorted(order))


def inverse(order: Sequence[int]) -> tuple[int, ...]:
    """The order that undoes a transpose."""
    return tuple(int(i) for i in np.argsort(order))


def keep_channels_first(graph: Graph) -> None:
    """Move each Transpose after a channels-first operation down, to where it cancels or is needed."""
    layout = Layout()
    for node in graph.nodes:
        rule = RULES.get(node.kind)
        if rule is None or not rule(layout, node):
            layout.add(node)
    graph.outputs = [layout.real(tensor) for tensor in graph.outputs]
    graph.nodes = layout.nodes
    graph.sweep()


def _moving(layout: Layout, node: Node) -> View | None:
    """The first view among the inputs, as wide as the result, that operations may go before."""
    views = (layout.views.get(t) for t in node.inputs)
    return next((v for v in views if v and v.moves and len(v.order) == node.outputs[0].rank), None)


def _transpose(layout: Layout, node: Node) -> bool:
    """A view; of a view, one with both orders."""
    (order,) = node.unpack(1)
    (x,) = node.inputs
    before = layout.views.get(x)
    if before is None:
        source = layout.real(x)
        moves = source.node is not None and source.node.kind in KINDS
        layout.views[node.output] = View(source, tuple(order), moves)
    else:
        layout.views[node.output] = View(before.source, permuted(before.order, order), before.moves)
    return True


def _elementwise(layout: Layout, node: Node) -> bool:
    view = _moving(layout, node)
    if view is None:
        return False
    inputs = [layout.turned(t, view, node.outputs[0].size, node) for t in node.inputs]
    if None in inputs:
        return False
    layout.sink(node, inputs, view, view.order, *node.arguments)
    return True


def _concatenate(layout: Layout, node: Node) -> bool:
    view = _moving(layout, node)
    inputs = [layout.turned(t, view, 0, node) for t in node.inputs] if view else [None]
    if None in inputs:
        return False
    layout.sink(node, inputs, view, view.order, view.order[node.unpack(1)[0]])
    return True


def _first_input(arguments: Callable[[Node, View], tuple]) -> Callable[[Layout, Node], bool]:
    """The rule of a node whose first input alone has a layout."""

    def rule(layout: Layout, node: Node) -> bool:
        view = layout.views.get(node.inputs[0])
        if view is None or not view.moves:
            return False
        inputs = [view.source, *map(layout.real, node.inputs[1:])]
        layout.sink(node, inputs, view, view.order, *arguments(node, view))
        return True

    return rule


def _placed(axes: Sequence[int], view: View) -> list[int]:
    """Axes of a view as axes of its source."""
    return sorted(view.order[axis] for axis in axes)


def _dropping(layout: Layout, node: Node, axes: Sequence[int], *before) -> bool:
    """A node that drops axes, which are its last argument."""
    view = layout.views.get(node.inputs[0])
    if view is None or not view.moves:
        return False
    kept = [place for axis, place in enumerate(view.order) if axis not in axes]
    layout.sink(node, [view.source], view, inverse(inverse(kept)), *before, _placed(axes, view))
    return True


def _mean(layout: Layout, node: Node) -> bool:
    """With its axes kept or dropped."""
    keep, axes = node.unpack(2)
    if not keep:
        return _dropping(layout, node, axes, keep)
    return _first_input(lambda n, v: (keep, _placed(axes, v)))(layout, node)


def _flatten(layout: Layout, node: Node) -> bool:
    """All axes but the first in one: what reads it may permute its weights instead."""
    view = layout.views.get(node.inputs[0])
    if view is None or not view.moves or view.order[0] != 0 or node.output.rank != 2:
        return False
    if node.output.shape[0] != node.inputs[0].shape[0]:
        return False
    layout.flats[node.output] = Flat(view, node)
    return True


def _linear(layout: Layout, node: Node) -> bool:
    """One of channels is a convolution of one place, one of a flattened view permutes its weight."""
    view = layout.views.get(node.inputs[0])
    if view is not None and view.moves and list(view.order) == to_last(len(view.order)):
        return _pointwise(layout, node, view)
    x, weight, *rest = node.inputs
    flat = layout.flats.get(x)
    if flat is None or weight.value is None:
        return False
    source = flat.view.source
    places = np.arange(x.shape[1]).reshape(source.shape[1:]).transpose([i - 1 for i in flat.view.order[1:]])
    columns = constant(mx.take(weight.value, mx.array(np.argsort(places.reshape(-1))), axis=1), weight.name)
    layout.nodes.append(step(flat.node, "Reshape", [source], x.shape, x.shape))
    layout.nodes.append(replaced(node, "linear", [layout.nodes[-1].output, columns, *rest], *node.arguments))
    return True


def _pointwise(layout: Layout, node: Node, view: View) -> bool:
    """The weight (out, in) as a kernel (out, in, 1, ...)."""
    weight, *bias = node.inputs[1:]
    spatial = len(view.order) - 2
    if weight.value is None or not 1 <= spatial <= 3 or any(b.value is None for b in bias):
        return False
    kernel = constant(weight.value.reshape(*weight.shape, *[1] * spatial), weight.name)
    ones = [1] * spatial
    node = replaced(node, "conv", [], ones, [0] * 2 * spatial, ones, 1)
    layout.sink(node, [view.source, kernel, *bias], view, view.order, *node.arguments)
    return True


def _slices(node: Node, view: View) -> tuple:
    """Start, end and strides in the order of the source."""
    return tuple(permuted(each, inverse(view.order)) for each in node.unpack(3))


def _pad(node: Node, view: View) -> tuple:
    axes, low, high = node.unpack(3)
    return [view.order[axis] for axis in axes], low, high


RULES: dict[str, Callable[[Layout, Node], bool]] = {
    **dict.fromkeys((*PLAIN, *ACTIVATIONS), _elementwise),
    **dict.fromkeys(("Reshape", "Flatten"), _flatten),
    "Transpose": _transpose,
    "Concatenate": _concatenate,
    "Reduce": _first_input(lambda n, v: (n.arguments[0], _placed(n.arguments[1], v))),
    "ArgReduce": _first_input(lambda n, v: (n.arguments[0], v.order[n.arguments[1]])),
    "mean": _mean,
    "Squeeze": lambda layout, node: _dropping(layout, node, *node.unpack(1)),
    "reduce": lambda layout, node: _dropping(layout, node, node.arguments[1], node.arguments[0]),
    "Split": _first_input(lambda n, v: (n.arguments[0], v.order[n.arguments[1]])),
    "Slice": _first_input(_slices),
    "Pad": _first_input(_pad),
    "batch_norm": _first_input(lambda n, v: (v.order[n.arguments[0]],)),
    **dict.fromkeys(("resample", "take"), _first_input(lambda n, v: (v.order[n.arguments[0]],))),
    "linear": _linear,
}
