"""One program for all sizes of flexible axes: the model is lowered at a few sizes, and the programs merged."""

from collections.abc import Callable, Sequence

import mlx.core as mx
from coremltools.converters.mil import mil

from mlx_coreml.backends.mil import flexible_shapes as shapes
from mlx_coreml.backends.mil.merge_lengths import merge
from mlx_coreml.ir.errors import CaptureError, ConversionError
from mlx_coreml.ir.graph import Graph

Capture = Callable[[Sequence[mx.array]], Graph]  # of flat arrays


def any_size(
    axes: Sequence[shapes.Axis],
    graph: Graph,
    arrays: Sequence[mx.array],
    captured: Capture,
    lowered: Callable[[Graph], mil.Program],
) -> tuple[mil.Program, list]:
    """One program for all sizes, and the arrays at the least and greatest ones."""
    groups = shapes.independent(axes)
    try:
        captured(shapes.resized(arrays, shapes.apart(groups)))
    except CaptureError:
        raise
    except ValueError:  # MLX refuses sizes that differ: lengths with the same range are one length
        groups = shapes.tied(axes)
    avoid = {n for node in graph.nodes for tensor in (*node.inputs, *node.outputs) for n in tensor.shape}

    def merged(beyond: int) -> mil.Program:
        probes = shapes.probes(groups, avoid, beyond)
        return merge([lowered(captured(shapes.resized(arrays, sizes))) for sizes in probes])

    try:
        program = merged(0)
    except ConversionError as first:
        program = _merged_beyond(merged, first)
    return program, [shapes.resized(arrays, sizes) for sizes in shapes.extremes(groups)]


def _merged_beyond(merged: Callable, first: ConversionError) -> mil.Program:
    """The program from sizes one beyond the ranges: at their ends, lengths may be equal by chance."""
    try:
        return merged(1)
    except ValueError:  # MLX's own, or the same refusal
        raise first from None
