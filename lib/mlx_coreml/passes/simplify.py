"""The order in which a captured graph is cleaned up."""

from collections.abc import Collection, Sequence

from mlx_coreml.ir.graph import Graph
from mlx_coreml.passes.canonicalize.complex_numbers import separate_spectra
from mlx_coreml.passes.canonicalize.duplicates import merge_duplicates, merge_duplicates_of_all
from mlx_coreml.passes.canonicalize.gathers import rewrite_gathers
from mlx_coreml.passes.canonicalize.quantized_weights import rewrite_quantized
from mlx_coreml.passes.canonicalize.rotary_embedding import rewrite_rotary
from mlx_coreml.passes.canonicalize.strides import rewrite_strides
from mlx_coreml.passes.fold.constants import fold
from mlx_coreml.passes.fold.size_dependent import keep_size_dependent
from mlx_coreml.passes.fuse.activations import fuse_activations
from mlx_coreml.passes.fuse.attention import fuse_attention
from mlx_coreml.passes.fuse.batch_norm import fold_affine
from mlx_coreml.passes.fuse.convolution import fuse_convolutions
from mlx_coreml.passes.fuse.linear import fuse_linear
from mlx_coreml.passes.fuse.normalization import fuse_norms
from mlx_coreml.passes.fuse.padding import fuse_edge_padding
from mlx_coreml.passes.fuse.pixel_shuffle import fuse_shuffles
from mlx_coreml.passes.fuse.pooling import fuse_means, fuse_pooling
from mlx_coreml.passes.fuse.recurrent import fuse_recurrent
from mlx_coreml.passes.fuse.top_k import fuse_top_k
from mlx_coreml.passes.fuse.upsampling import fuse_upsampling
from mlx_coreml.passes.layout.broadcasts import drop_broadcasts
from mlx_coreml.passes.layout.channels_first import keep_channels_first
from mlx_coreml.passes.layout.rank import lower_ranks
from mlx_coreml.passes.layout.reshapes import drop_identities, merge_reshapes
from mlx_coreml.passes.layout.unbind import split_in_place

PASSES = [separate_spectra, drop_identities, merge_duplicates]
PASSES += [fuse_upsampling, rewrite_gathers, rewrite_quantized, fuse_top_k]
PASSES += [fuse_activations, fuse_norms, fuse_linear, fuse_recurrent]
PASSES += [rewrite_rotary, fuse_attention]
PASSES += [split_in_place, fuse_pooling, fuse_shuffles]
PASSES += [rewrite_strides, fuse_edge_padding]
PASSES += [merge_reshapes, fuse_means, fold_affine, fuse_convolutions, keep_channels_first, lower_ranks]
PASSES += [merge_reshapes, merge_duplicates]


def simplify(graph: Graph) -> Graph:
    """Every pass once, in order; the graph is changed in place and returned."""
    drop_broadcasts(graph)
    fold(graph)
    for each in PASSES:
        each(graph)
    return graph


def simplify_at_sizes(graphs: Sequence[Graph], lowered: Collection[str], tables: bool) -> None:
    """As `simplify`, of one function captured at several sizes, the largest first: what depends on them stays
    nodes, of the kinds in `lowered`, where its values are no beginnings of the largest ones. Without `tables`
    there may be larger ones.
    """
    for graph in graphs:
        drop_broadcasts(graph)
    made = [fold(graph) for graph in graphs]
    keep_size_dependent(graphs, made, lowered, tables)
    for each in PASSES:
        if each is merge_duplicates:
            merge_duplicates_of_all(graphs)
        else:
            for graph in graphs:
                each(graph)
