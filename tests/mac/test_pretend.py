"""The pretence itself: what a process on the pretended Mac sees of torch, MLX and the system."""

import json
import os
import subprocess
import sys

import machines
import pretended
import pytest

from twins.machine import macos
from twins.records.store import ROOT

TORCH = """
import json, torch
from torch.utils.flop_counter import FlopCounterMode

def refused(call):
    try:
        call()
    except (TypeError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return "taken"

x = torch.arange(6.0, device="mps").reshape(2, 3).requires_grad_()
w = torch.ones(4, 3, device="mps", requires_grad=True)
q = torch.ones(1, 1, 2, 4, device="mps")
with FlopCounterMode(display=False) as layer:
    torch.nn.functional.linear(x, w).sum().backward()
names = []
class Names(torch.utils._python_dispatch.TorchDispatchMode):
    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        names.append(function._overloadpacket._qualified_op_name)
        return function(*arguments, **(named or {}))
with torch.no_grad(), Names():
    attended = torch.nn.functional.scaled_dot_product_attention(q, q, q)
with Names():
    torch.nn.functional.linear(x, w).sum().backward()
print(json.dumps({
    "device": str((x + 1).device),
    "back": str((x + 1).cpu().device),
    "gradient": [str(w.grad.device), w.grad.cpu().tolist()],
    "names": sorted(set(names)),
    "attended": attended.cpu().flatten().tolist(),
    "counted": layer.get_total_flops(),
    "float64": refused(lambda: torch.ones(2, dtype=torch.float64, device="mps")),
    "double": refused(lambda: x.double()),
    "moved": refused(lambda: torch.ones(2, dtype=torch.float64).to("mps")),
    "mixed": refused(lambda: x + torch.ones(2, 3)),
    "numpy": refused(lambda: x.detach().numpy()),
    "available": torch.backends.mps.is_available(),
}))
"""
MLX = """
import json, mlx.core as mx, numpy as np, torch
a = mx.arange(3.0)
t = torch.from_dlpack(a)
try:
    taken = str(np.from_dlpack(a))
except RuntimeError as error:
    taken = str(error)
print(json.dumps({
    "available": mx.metal.is_available(), "exported": list(a.__dlpack_device__()), "taken": str(t.device),
    "numbers": t.cpu().tolist(), "numpy": taken, "view": np.asarray(a).tolist(),
}))
"""
SYSTEM = """
import json, platform, sysconfig
from twins import frameworks
from twins.machine import identity, process_memory
process_memory.reset_peak()
big = bytearray(b"1" * 2**27)
print(json.dumps({
    "system": platform.system(), "libraries": sysconfig.get_platform(),
    "machine": str(identity.fingerprint()),
    "devices": frameworks.common_devices(), "lacking": frameworks.LACKING, "memory": process_memory.meaning(),
    "peak": 2**27 < process_memory.peak() < process_memory.held() + 2**27,
}))
"""


def told(program, folder, machine="m3-max-40", **more):
    """What a process on a pretended machine prints, read."""
    command = [sys.executable, "-c", program]
    given = pretended.environment(machine, folder, **more)
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_torch_has_the_device_and_its_refusals(tmp_path):
    found = told(TORCH, tmp_path)
    assert (found["device"], found["back"], found["available"]) == ("mps:0", "cpu", True)
    assert found["gradient"] == ["mps:0", [[6.0, 10.0, 14.0]] * 4]  # of two backward passes
    assert found["attended"] == [1.0] * 8
    assert {"aten::linear_backward", "aten::_scaled_dot_product_attention_math_for_mps"} <= set(
        found["names"]
    )
    for name in ("float64", "double", "moved"):
        assert found[name].startswith("TypeError: Cannot convert a MPS Tensor to float64"), name
    assert "at least two devices, mps:0 and cpu" in found["mixed"]
    assert found["numpy"].startswith("TypeError: can't convert mps:0 device type tensor to numpy")


def test_a_counter_of_torch_misses_the_layer_as_on_a_mac(tmp_path):
    """Forward 2 x 2 x 3 x 4 = 48 operations; the backward pass, 96, is the one that no formula knows."""
    assert told(TORCH, tmp_path)["counted"] < 48 + 96


def test_mlx_exports_metal_whatever_the_device(tmp_path):
    found = told(MLX, tmp_path, TWINS_DEVICE="cpu")
    assert (found["available"], found["exported"], found["taken"]) == (True, [8, 0], "mps:0")
    assert (found["numbers"], found["view"]) == ([0.0, 1.0, 2.0], [0.0, 1.0, 2.0])
    assert found["numpy"] == "Unsupported device in DLTensor."


@pytest.mark.parametrize("machine", machines.MACS)
def test_the_tools_are_those_of_the_machine(machine, tmp_path, monkeypatch):
    mac = machines.MACS[machine]
    monkeypatch.setenv("PATH", f"{machines.install(machine, tmp_path)}:{os.environ['PATH']}")
    assert macos.gpu_cores(macos.output("ioreg", "-rc", "AGXAccelerator")) == mac.gpu
    assert macos.product_version() == tuple(map(int, mac.macos.split(".")))
    assert macos.sysctl("machdep.cpu.brand_string") == mac.chip
    assert macos.sysctl("hw.memsize") == str(mac.memory * 2**30)
    assert macos.power_source(macos.output("pmset", "-g", "batt")) == macos.SOURCES[mac.battery]
    assert macos.low_power(macos.output("pmset", "-g")) == (bool(mac.low_power) if mac.portable else None)
    assert macos.thermal_pressure(macos.output("notifyutil", "-g", macos.THERMAL)) == mac.pressure
    assert macos.swapped(macos.output("vm_stat")) == 16384 * (2048 + 4096)
    assert (macos.rosetta(), macos.xctest()) == (bool(mac.translated), mac.xcode == "Xcode")


def test_without_xcode_swift_builds_and_has_no_xctest(tmp_path):
    folder = machines.install("m3-max-40-tools-alone", tmp_path)

    def swift(*words):
        return subprocess.run(
            [folder / "swift", "build", *words], capture_output=True, text=True, check=False
        )

    assert swift("--package-path", "a folder").stdout.startswith("Build complete!")
    refused = swift("--build-tests", "--package-path", "a folder")
    assert (refused.returncode, refused.stderr) == (1, "error: no such module 'XCTest'\n")


def test_the_process_is_on_that_machine(tmp_path):
    found = told(SYSTEM, tmp_path, machine="m3-max-30")
    assert found["system"] == "Darwin" and found["libraries"].startswith("linux")
    assert found["machine"].startswith("Apple M3 Max with 30 GPU cores,")
    assert found["machine"].endswith("macOS 15.1 (arm64)")
    assert found["devices"] == ["cpu", "mps"] and found["lacking"] == {}
    assert (found["memory"], found["peak"]) == ("physical footprint", True)


def test_an_mps_that_cannot_allocate_is_left_out(tmp_path):
    found = told(SYSTEM, tmp_path, machine="m1", TWINS_PRETEND_MPS="broken")
    assert found["devices"] == ["cpu"] and list(found["lacking"]) == ["PyTorch on mps"]
    assert "out of memory" in found["lacking"]["PyTorch on mps"]
