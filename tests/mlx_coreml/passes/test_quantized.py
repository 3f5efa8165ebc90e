"""Quantized models: the weights stay whole numbers in the package, and the numbers are MLX's."""

import re
from pathlib import Path

import numpy as np
import pytest

from mlx_coreml.capture.tracing import capture
from mlx_coreml.conversion.convert import convert
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.passes.canonicalize.quantized_weights import unpacked
from mlx_coreml.passes.simplify import simplify
from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

import mlx.nn as nn  # isort: skip
from mlx.utils import tree_flatten  # isort: skip
from mlx_lm.models import llama, qwen3_moe  # isort: skip

IDS = mx.array([[3, 1, 4, -1, 5]])
PLAIN_MODES = (("mxfp4", 32, 4), ("mxfp8", 32, 8), ("nvfp4", 16, 4))


def numbers(*shape: int, seed: int = 0) -> mx.array:
    return mx.array(np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32))


def quantized(module: nn.Module, group_size: int, bits: int, mode: str = "affine") -> nn.Module:
    """A module quantized in place, or the quantized form of a layer."""
    mx.eval(module.parameters())
    if hasattr(module, "to_quantized"):
        return module.to_quantized(group_size, bits, mode)
    nn.quantize(module, group_size=group_size, bits=bits, mode=mode)
    return module


def stored(fn, *arrays, precision: str = "float32", target: str = "iOS18") -> tuple[object, int]:
    """The converted and checked model, and the bytes of its weight file."""
    model = convert(fn, *arrays, precision=precision, deployment_target=target)
    return model, Path(model.weights_dir, "weight.bin").stat().st_size


def counts(model) -> dict[str, int]:
    (block,) = model.get_spec().mlProgram.functions["main"].block_specializations.values()
    kinds = [operation.type for operation in block.operations]
    return {kind: kinds.count(kind) for kind in kinds}


def bytes_of(module: nn.Module) -> int:
    return sum(array.nbytes for _, array in tree_flatten(module.parameters()))


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("group_size", [32, 64, 128])
def test_the_numbers_are_mlx_s(bits, group_size):
    weights = numbers(24, 256)
    packed = mx.quantize(weights, group_size=group_size, bits=bits)
    scales, biases = (np.repeat(np.array(each), group_size, axis=-1) for each in packed[1:])
    found = scales * unpacked(packed[0], bits) + biases
    wanted = mx.dequantize(*packed, group_size=group_size, bits=bits)
    np.testing.assert_allclose(found, np.array(wanted), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("bits", "wide"), [(2, 4), (3, 4), (4, 4), (5, 8), (6, 8), (8, 8)])
@pytest.mark.parametrize("group_size", [32, 64, 128])
def test_a_linear_layer_keeps_its_whole_numbers(bits, wide, group_size):
    layer = quantized(nn.Linear(512, 256), group_size, bits)
    model, size = stored(layer, numbers(2, 3, 512))
    assert counts(model)["constexpr_blockwise_shift_scale"] == counts(model)["linear"] == 1
    assert "add" not in counts(model)
    blocks = 256 * 512 // group_size
    assert size < 1.02 * (256 * 512 * wide / 8 + blocks * (4 + 1) + 256 * 4) + 1024


@pytest.mark.parametrize("kind", [mx.float16, mx.bfloat16])
@pytest.mark.parametrize("bits", [4, 8])
def test_half_precision_scales(kind, bits):
    layer = nn.Linear(128, 64)
    layer.set_dtype(kind)
    model, _ = stored(quantized(layer, 64, bits), numbers(2, 128).astype(kind), precision="float16")
    assert counts(model)["constexpr_blockwise_shift_scale"] == 1


def test_an_embedding_is_looked_up_in_the_packed_table():
    table = quantized(nn.Embedding(100, 128), 64, 4)
    model, size = stored(table, IDS)
    assert counts(model)["gather"] == 1
    assert size < 100 * 128 / 2 + 100 * 2 * 5 + 1024


def test_a_tied_embedding_is_stored_once():
    table = quantized(nn.Embedding(100, 128), 64, 4)
    model, size = stored(lambda ids: table.as_linear(table(ids)), IDS)
    assert counts(model)["constexpr_blockwise_shift_scale"] == 1
    assert size < 100 * 128 / 2 + 100 * 2 * 5 + 1024


@pytest.mark.parametrize(("mode", "group_size", "bits"), PLAIN_MODES)
@pytest.mark.parametrize("kind", ["linear", "embedding"])
def test_other_modes_become_plain_numbers_with_a_warning(kind, mode, group_size, bits):
    layer, x = (nn.Linear(128, 16), numbers(2, 128)) if kind == "linear" else (nn.Embedding(9, 128), IDS)
    with pytest.warns(
        UserWarning, match=f"weights of {bits} bits in mode {mode} are stored as plain numbers"
    ):
        model, _ = stored(quantized(layer, group_size, bits, mode), x)
    assert "constexpr_blockwise_shift_scale" not in counts(model)


def test_before_ios18_the_numbers_are_plain_with_a_warning():
    layer = quantized(nn.Linear(128, 64), 64, 4)
    with pytest.warns(
        UserWarning, match=r"become floating-point numbers below deployment target iOS18, .* 8 times larger"
    ):
        model, size = stored(layer, numbers(2, 128), target="iOS17")
    assert "constexpr_blockwise_shift_scale" not in counts(model)
    assert size > 128 * 64 * 4


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("value", [0.5, 0.0])
def test_blocks_of_one_value(precision, value):
    layer = nn.Linear(64, 8)
    layer.weight = mx.full((8, 64), value)
    packed = quantized(layer, 32, 4)
    if not value:
        model, _ = stored(packed, numbers(2, 64), precision=precision)
        assert counts(model)["constexpr_blockwise_shift_scale"] == 1
        return
    with pytest.warns(UserWarning, match="stored as plain numbers"):  # their offset is beyond fp16
        stored(packed, numbers(2, 64), precision=precision)


@pytest.mark.parametrize("transpose", [False, True])
def test_a_product_of_a_function(transpose):
    packed = mx.quantize(numbers(64, 64), group_size=32, bits=4)
    model, _ = stored(
        lambda x: mx.quantized_matmul(x, *packed, transpose=transpose, group_size=32, bits=4), numbers(3, 64)
    )
    assert counts(model)["constexpr_blockwise_shift_scale"] == 1


def test_dequantized_constants_are_not_multiplied_out():
    packed = mx.quantize(numbers(64, 128), group_size=32, bits=4)
    model, size = stored(lambda x: x @ mx.dequantize(*packed, group_size=32, bits=4).T, numbers(3, 128))
    assert counts(model)["constexpr_blockwise_shift_scale"] == 1
    assert size < 64 * 128


def test_weights_that_are_inputs_are_refused():
    packed = mx.quantize(numbers(16, 64), group_size=32, bits=4)
    with pytest.raises(ConversionError, match="quantized weights must be constants"):
        convert(lambda x, *w: mx.quantized_matmul(x, *w, group_size=32, bits=4), numbers(2, 64), *packed)


def test_a_lookup_in_two_tables_by_two_indices_is_not_one_table():
    packed = mx.quantize(numbers(16, 64), group_size=32, bits=4)

    def mixed(i, j):
        return mx.dequantize(packed[0][i], packed[1][j], packed[2][j], group_size=32, bits=4)

    graph = simplify(capture(mixed, mx.array([1]), mx.array([2])))
    assert "QuantizedMatmul" in graph.kinds()


def tiny_llama(tied: bool) -> nn.Module:
    mx.random.seed(0)
    return llama.Model(
        llama.ModelArgs(
            model_type="llama",
            hidden_size=256,
            num_hidden_layers=2,
            intermediate_size=512,
            num_attention_heads=4,
            num_key_value_heads=2,
            rms_norm_eps=1e-5,
            vocab_size=1000,
            tie_word_embeddings=tied,
        )
    )


@pytest.mark.parametrize(("bits", "group_size"), [(4, 64), (8, 32)])
@pytest.mark.parametrize("tied", [False, True])
def test_a_llama_is_as_small_as_its_packed_weights(bits, group_size, tied):
    network = quantized(tiny_llama(tied), group_size, bits)
    model, size = stored(lambda ids: network(ids), IDS)
    assert size < 1.01 * bytes_of(network)
    layers = 2 * 7 + (1 if tied else 2)
    assert counts(model)["constexpr_blockwise_shift_scale"] == layers


def test_quantized_experts_keep_their_whole_numbers():
    mx.random.seed(1)
    network = quantized(qwen3_moe.Model(qwen3_moe.ModelArgs(**EXPERTS)), 32, 4)
    model, size = stored(lambda ids: network(ids), IDS)
    assert size < 1.01 * bytes_of(network)
    named = [name for name, _ in tree_flatten(network.parameters()) if re.search("scales$", name)]
    assert counts(model)["constexpr_blockwise_shift_scale"] == len(named)


EXPERTS = {
    "model_type": "qwen3_moe",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "moe_intermediate_size": 32,
    "rms_norm_eps": 1e-5,
    "vocab_size": 100,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "max_position_embeddings": 64,
    "norm_topk_prob": True,
}
