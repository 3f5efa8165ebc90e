"""MLX and PyTorch behind one interface: devices, precision, memory, seeds, compilation."""

import os

import mlx.core as mx
import numpy as np
import pytest
import torch
from fresh import last_line, python

from twins import frameworks
from twins.frameworks import BOTH, DEVICES, MLX, TORCH, common_devices, on, use
from twins.machine import identity

ABSENT = [device for device in (*DEVICES, "abacus") if device not in common_devices()]
each = pytest.mark.parametrize("framework", BOTH, ids=lambda framework: framework.key)


def pretend(monkeypatch, mlx: tuple[str, ...], torch_devices: tuple[str, ...]) -> list[tuple[str, str]]:
    """Let the frameworks see these devices; the list gets what each is then put on."""
    calls: list[tuple[str, str]] = []
    for framework, devices in ((MLX, mlx), (TORCH, torch_devices)):
        monkeypatch.setattr(framework, "available", lambda devices=devices: devices)
        monkeypatch.setattr(framework, "use", lambda device, f=framework: calls.append((f.key, device)))
    return calls


@pytest.mark.parametrize("device", ABSENT)
def test_an_absent_device_is_refused_with_what_is_there(device):
    lists = "; ".join(f"{f.name} has {', '.join(f.available())}" for f in BOTH)
    sentence = f"device {device!r} is not there for both frameworks; {lists}"
    with pytest.raises(ValueError) as raised:
        use(device)
    assert str(raised.value) == sentence
    assert last_line(python("import twins.frameworks", TWINS_DEVICE=device)) == f"ValueError: {sentence}"


def test_the_cpu_can_be_asked_for():
    code = """
from twins.frameworks import MLX, TORCH
import mlx.core as mx
print(MLX.device, TORCH.device, mx.default_device(), TORCH.array(MLX.numpy(mx.ones(1))).device)
"""
    done = python(code, TWINS_DEVICE="cpu")
    assert done.stdout.split() == ["cpu", "cpu", "Device(cpu,", "0)", "cpu"]


def test_float32_is_float32_on_both():
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert os.environ["MLX_ENABLE_TF32"] == "0"
    with on(common_devices()[-1]):
        a = np.full((64, 64), 1 + 2.0**-12, np.float32)  # TF32 has 10 bits after the point, float32 has 23
        for framework in BOTH:
            x = framework.array(a)
            product = framework.numpy(x @ x)
            assert abs(product[0, 0] / 64 / (1 + 2.0**-12) ** 2 - 1) < 1e-6


def test_a_device_counts_only_when_both_have_it(monkeypatch):
    pretend(monkeypatch, ("cpu", "mps"), ("cpu", "mps", "cuda"))
    assert common_devices() == ("cpu", "mps")
    with pytest.raises(ValueError, match=r"'cuda' .* MLX has cpu, mps; PyTorch has cpu, mps, cuda$"):
        use("cuda")


def test_the_best_common_device_is_the_default(monkeypatch):
    calls = pretend(monkeypatch, ("cpu", "cuda"), ("cpu", "cuda"))
    assert use() == "cuda"
    assert use("cpu") == "cpu"
    assert calls == [("mlx", "cuda"), ("torch", "cuda"), ("mlx", "cpu"), ("torch", "cpu")]


def test_on_goes_back_even_after_an_error(monkeypatch):
    calls = pretend(monkeypatch, ("cpu", "mps"), ("cpu", "mps"))
    monkeypatch.setattr(MLX, "device", "mps")
    with pytest.raises(KeyError), on("cpu"):
        assert calls == [("mlx", "cpu"), ("torch", "cpu")]
        raise KeyError
    assert calls[2:] == [("mlx", "mps"), ("torch", "mps")]


@each
def test_equal_seeds_give_equal_numbers(framework):
    draw = {"mlx": lambda: mx.random.normal((8,)), "torch": lambda: torch.randn(8)}[framework.key]
    drawn = []
    for seed in (1, 1, 2):
        framework.seed(seed)
        drawn.append(framework.numpy(draw()))
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_mlx_counts_its_peak():
    MLX.reset_peak_memory()
    before = MLX.peak_memory()
    x = mx.zeros((1024, 1024))
    MLX.evaluate(x)
    peak = MLX.peak_memory()
    del x
    assert 4 * 2**20 <= peak - before < 8 * 2**20  # the array, and not much beside it
    assert MLX.peak_memory() == peak
    MLX.reset_peak_memory()
    assert MLX.peak_memory() < peak


@pytest.mark.parametrize(
    ("device", "source"),
    [("cpu", "nothing"), ("mps", "torch.accelerator.max_memory"), ("cuda", "torch.accelerator.max_memory")],
)
def test_torch_says_what_its_peak_is(monkeypatch, device, source):
    monkeypatch.setattr(TORCH, "device", device)
    assert TORCH.memory_source().startswith(source)
    assert MLX.memory_source().startswith("mx.get_peak_memory")


def test_torch_counts_no_peak_on_a_cpu():
    with on("cpu"):
        TORCH.reset_peak_memory()
        assert TORCH.peak_memory() is None


def test_mlx_compiles_what_it_is_given():
    assert MLX.numpy(MLX.compile(lambda x: 2 * x + 1)(mx.array([3.0]))).tolist() == [7.0]
    state = {"count": mx.array(0)}

    def counted(x):
        state["count"] = state["count"] + 1
        return x * state["count"]

    call = MLX.compile(counted, [state])
    assert [MLX.numpy(call(mx.array(10))).item() for _ in range(3)] == [10, 20, 30]
    assert MLX.numpy(state["count"]).item() == 3


@each
def test_evaluate_takes_anything(framework):
    framework.evaluate(framework.array(np.ones(2)), [framework.array(np.ones(1))], {"a": None}, 3)
    framework.synchronize()


def test_no_compiler_is_found_and_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(MLX, "device", "cpu")
    assert frameworks.compiler() is None
    assert any(sentence.startswith("No C++ compiler was found") for sentence in identity.of_frameworks())


def test_what_a_reader_must_know(monkeypatch):
    pretend(monkeypatch, ("cpu", "mps"), ("cpu", "mps"))
    monkeypatch.setattr(frameworks, "LACKING", {})
    monkeypatch.setattr(MLX, "device", "mps")
    assert ["one thread" in sentence for sentence in identity.of_frameworks()] == [True]
    monkeypatch.setattr(MLX, "device", "cpu")
    assert "**these are not Apple-silicon figures**" in identity.of_frameworks()[0]
    monkeypatch.setattr(TORCH, "available", lambda: ("cpu",))
    told = "The frameworks see different devices (MLX has cpu, mps; PyTorch has cpu); both ran on cpu."
    assert identity.of_frameworks()[-1] == told


def test_compiling_works_here_or_says_why(monkeypatch):
    fault = frameworks.compile_fault.__wrapped__
    assert fault() == ""
    monkeypatch.setattr(frameworks, "compiler", lambda: None)
    with on("cpu"):  # a GPU's compiler is its own
        assert fault() == "Compiled steps are left out: there is no C++ compiler."


def test_a_back_end_that_cannot_compile_is_named(monkeypatch):
    def refuse(function):
        raise RuntimeError("no such back end\nand more")

    monkeypatch.setattr(frameworks.torch, "compile", refuse)
    told = f"Compiled steps are left out: torch.compile cannot run on {TORCH.device} (no such back end)."
    assert frameworks.compile_fault.__wrapped__() == told


@pytest.mark.parametrize(
    "error", [RuntimeError("MPS backend out of memory\nand more"), ValueError("no heap")]
)
def test_a_device_that_is_offered_but_cannot_allocate_does_not_count(monkeypatch, error):
    """As on hosted Macs, which report an MPS."""

    def refuse(*shape, **more):
        raise error

    first = str(error).splitlines()[0]
    monkeypatch.setattr(frameworks, "LACKING", {})
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch, "ones", refuse)
    monkeypatch.setattr(
        TORCH, "_works", lambda device: type(TORCH)._works.__wrapped__(TORCH, device)
    )  # asked anew
    assert TORCH.available() == ("cpu",)
    assert {"PyTorch on mps": first} == frameworks.LACKING
    monkeypatch.setattr(frameworks, "compile_fault", lambda: "")
    assert f"PyTorch on mps is offered here but does not work: {first}." in identity.of_frameworks()


def test_a_metal_that_cannot_compute_does_not_count(monkeypatch):
    def refuse(*shape, **more):
        raise RuntimeError("[metal::Device] Unable to load device")

    monkeypatch.setattr(frameworks, "LACKING", {})
    monkeypatch.setattr(mx.metal, "is_available", lambda: True)
    monkeypatch.setattr(mx.cuda, "is_available", lambda: False)
    monkeypatch.setattr(mx, "ones", refuse)
    monkeypatch.setattr(MLX, "_works", lambda device: type(MLX)._works.__wrapped__(MLX, device))  # asked anew
    assert MLX.available() == ("cpu",)
    assert frameworks.LACKING == {"MLX on mps": "[metal::Device] Unable to load device"}


@each
@pytest.mark.parametrize(
    ("asked", "held"), [(None, "float32"), ("float64", "float64"), ("float32", "float32")]
)
def test_float64_stays_only_when_asked_for_by_name(framework, asked, held):
    with on("cpu"):
        array = framework.array(np.ones(2, np.float64), asked)
    assert array.dtype == framework.dtype(held)


def test_float64_on_mps_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr(TORCH, "device", "mps")
    with pytest.raises(ValueError, match=r"^float64 does not exist on mps; frameworks\.on\('cpu'\)"):
        TORCH.array(np.ones(2, np.float32), "float64")


def test_a_release_frees_what_mlx_keeps():
    held = mx.ones(2**20)
    mx.eval(held)
    del held
    frameworks.release()
    assert mx.get_cache_memory() == 0
