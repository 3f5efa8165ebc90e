"""The order in which a captured graph is cleaned up."""

from mlx_coreml.ir.graph import Graph
from mlx_coreml.passes.canonicalize.complex_numbers import separate_spectra
from mlx_coreml.passes.canonicalize.duplicates import merge_duplicates
from mlx_coreml.passes.canonicalize.gathers import recover_gathers
from mlx_coreml.passes.canonicalize.quantized_weights import recover_quantized
from mlx_coreml.passes.canonicalize.rotary_embedding import recover_rotary
from mlx_coreml.passes.canonicalize.strides import rewrite_strides
from mlx_coreml.passes.fold.constants import fold
from mlx_coreml.passes.fuse.activations import recover_activations
from mlx_coreml.passes.fuse.attention import recover_attention
from mlx_coreml.passes.fuse.batch_norm import fold_affine
from mlx_coreml.passes.fuse.convolution import recover_convolutions
from mlx_coreml.passes.fuse.linear import recover_linear
from mlx_coreml.passes.fuse.normalization import recover_norms
from mlx_coreml.passes.fuse.padding import recover_edge_padding
from mlx_coreml.passes.fuse.pixel_shuffle import recover_shuffles
from mlx_coreml.passes.fuse.pooling import recover_means, recover_pooling
from mlx_coreml.passes.fuse.recurrent import recover_recurrent
from mlx_coreml.passes.fuse.top_k import recover_top_k
from mlx_coreml.passes.fuse.upsampling import recover_upsampling
from mlx_coreml.passes.layout.broadcasts import drop_broadcasts
from mlx_coreml.passes.layout.channels_first import keep_channels_first
from mlx_coreml.passes.layout.rank import lower_ranks
from mlx_coreml.passes.layout.reshapes import drop_identities, merge_reshapes
from mlx_coreml.passes.layout.unbind import split_in_place

PASSES = [drop_broadcasts, fold, separate_spectra, drop_identities, merge_duplicates]
PASSES += [recover_upsampling, recover_gathers, recover_quantized, recover_top_k]
PASSES += [recover_activations, recover_norms, recover_linear, recover_recurrent]
PASSES += [recover_rotary, recover_attention]
PASSES += [split_in_place, recover_pooling, recover_shuffles]
PASSES += [rewrite_strides, recover_edge_padding]
PASSES += [merge_reshapes, recover_means, fold_affine, recover_convolutions, keep_channels_first, lower_ranks]
PASSES += [merge_reshapes, merge_duplicates]


def simplify(graph: Graph) -> Graph:
    """Every pass once, in order; the graph is changed in place and returned."""
    for each in PASSES:
        each(graph)
    return graph
