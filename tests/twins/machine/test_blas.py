"""Which BLAS MLX gets, and how many threads; import order matters, so most of it runs in fresh processes."""

import importlib.util
import os
import sys
import time

import numpy as np
import pytest
from fresh import last_line, python

from mlx_startup import blas
from twins.frameworks import MLX, TORCH, on

linux = pytest.mark.skipif(sys.platform != "linux", reason="macOS gives both frameworks Accelerate")
USED = "from twins import frameworks; print(frameworks.BLAS)"
REFERENCE = "the reference BLAS of its wheel"


@linux
def test_twins_first_is_fast():
    code = "import mlx_startup; from mlx_startup import blas; print(mlx_startup.BLAS); print(blas.provider())"
    assert python(code).stdout.split() == ["libtorch_cpu.so", "libtorch_cpu.so"]


@linux
def test_mlx_first_is_told():
    done = python("import mlx.core; " + USED)
    assert done.stdout.strip() == REFERENCE
    assert done.stderr.count("RuntimeWarning") == 1
    assert "MLX was imported before mlx_startup, so it keeps the reference BLAS" in done.stderr
    assert "restart and import twins or mlx_startup first." in done.stderr


@linux
def test_torch_first_is_promoted():
    done = python("import torch; " + USED, OMP_NUM_THREADS="1")
    assert (done.stdout.strip(), done.stderr) == ("libtorch_cpu.so", "")


@linux
def test_without_a_library_that_brings_it_the_reference_is_named(monkeypatch):
    monkeypatch.setattr(blas, "provider", lambda: None)
    assert blas._open_globally() == REFERENCE


def test_macos_needs_nothing(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert blas.fast() == "Accelerate"


@linux
def test_without_torch_the_reference_is_named(monkeypatch):
    monkeypatch.setattr(blas, "provider", lambda: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert blas._open_globally() == REFERENCE


def seconds(framework, x) -> float:
    start = time.perf_counter()
    framework.evaluate(x @ x)
    return time.perf_counter() - start


def test_products_are_within_a_factor_of_four():
    """The one place where times are compared: with the reference BLAS MLX is 20 times slower, always."""
    numbers = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32)
    with on("cpu"):
        given = {framework: framework.array(numbers) for framework in (MLX, TORCH)}
        best = dict.fromkeys(given, float("inf"))
        for _ in range(40):  # the fastest of many is what a busy machine disturbs least
            best = {f: min(best[f], seconds(f, x)) for f, x in given.items()}
            if 1 / 4 < best[MLX] / best[TORCH] < 4:
                break
    assert 1 / 4 < best[MLX] / best[TORCH] < 4


@pytest.mark.parametrize("text", ["0", "x", "999", "-1", "1.5", "", "²"])
def test_impossible_threads_are_refused(monkeypatch, text):
    monkeypatch.setenv("TWINS_THREADS", text)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    with pytest.raises(ValueError) as raised:
        blas.threads()
    assert str(raised.value) == f"TWINS_THREADS is {text!r}; it takes a whole number from 1 to 8"


def test_impossible_threads_stop_the_import():
    said = last_line(python("import twins.frameworks", TWINS_THREADS="0"))
    assert said == f"ValueError: TWINS_THREADS is '0'; it takes a whole number from 1 to {os.cpu_count()}"


def test_one_thread_unless_asked_for_more(monkeypatch):
    monkeypatch.delenv("TWINS_THREADS", raising=False)
    assert blas.threads() == 1
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setenv("TWINS_THREADS", "4")
    assert blas.threads() == 4


def test_every_library_is_told_how_many_threads():
    count = str(min(2, os.cpu_count()))
    code = """
from mlx_startup import blas
from twins import frameworks
import os, torch
print(frameworks.THREADS, torch.get_num_threads(), *map(os.getenv, blas.THREAD_VARIABLES))
"""
    done = python(code, TWINS_THREADS=count)
    assert done.stdout.split() == [count] * (2 + len(blas.THREAD_VARIABLES))
    assert done.stderr == ""


def test_torch_first_with_other_threads_is_told():
    done = python("import torch, twins.frameworks; print(torch.get_num_threads())", TWINS_THREADS="1")
    assert done.stderr.count("RuntimeWarning") == 1
    assert "torch was imported before mlx_startup without OMP_NUM_THREADS=1, so MLX and torch" in done.stderr
    assert done.stdout.strip() == "1"
