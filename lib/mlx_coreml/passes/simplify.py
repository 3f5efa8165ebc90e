"""The order in which a captured graph is cleaned up."""

from twins.coreml.graph import Graph
from twins.coreml.passes.activations import recover_activations
from twins.coreml.passes.affine import fold_affine
from twins.coreml.passes.attention import recover_attention
from twins.coreml.passes.broadcasts import drop_broadcasts
from twins.coreml.passes.convolution import recover_convolutions
from twins.coreml.passes.duplicates import merge_duplicates
from twins.coreml.passes.fold import fold
from twins.coreml.passes.gathers import recover_gathers
from twins.coreml.passes.layout import keep_channels_first
from twins.coreml.passes.linear import recover_linear
from twins.coreml.passes.norms import recover_norms
from twins.coreml.passes.padding import recover_edge_padding
from twins.coreml.passes.pooling import recover_means, recover_pooling
from twins.coreml.passes.quantized import recover_quantized
from twins.coreml.passes.rank import lower_ranks
from twins.coreml.passes.recurrent import recover_recurrent
from twins.coreml.passes.reshapes import drop_identities, merge_reshapes
from twins.coreml.passes.rotary import recover_rotary
from twins.coreml.passes.shuffles import recover_shuffles
from twins.coreml.passes.spectra import separate_spectra
from twins.coreml.passes.strides import rewrite_strides
from twins.coreml.passes.top_k import recover_top_k
from twins.coreml.passes.unbind import split_in_place
from twins.coreml.passes.upsampling import recover_upsampling

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
