"""Fourier transforms whose complex numbers stay inside a function: real products that give what MLX gives."""

import numpy as np
import pytest
from agreement import assert_agree, normal, results

from mlx_coreml.capture.tracing import capture
from mlx_coreml.conversion.convert import convert
from mlx_coreml.ir.errors import UnsupportedError
from mlx_coreml.passes.canonicalize.complex_numbers import LONGEST
from mlx_coreml.passes.simplify import simplify
from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

X, WINDOW = normal(3, 4, 7), mx.array(np.hanning(8).astype(np.float32))


def spectrogram(x):
    frames = mx.as_strided(x, (13, 8), (4, 1)) * WINDOW
    return mx.log10(mx.abs(mx.fft.rfft(frames)) ** 2 + 1e-6)


FUNCTIONS = {
    "sizes": lambda x: mx.abs(mx.fft.fft(x)),
    "sizes of half": lambda x: mx.abs(mx.fft.rfft(x)),
    "first axis": lambda x: mx.imag(mx.fft.fft(x, axis=0)),
    "cut": lambda x: mx.real(mx.fft.rfft(x, n=4)),
    "padded": lambda x: mx.real(mx.fft.rfft(x, n=10)),
    "and back": lambda x: mx.fft.irfft(mx.fft.rfft(x), n=7),
    "and back, even": lambda x: mx.fft.irfft(mx.fft.rfft(x, axis=1), axis=1),
    "and back, whole": lambda x: mx.real(mx.fft.ifft(mx.fft.fft(x))),
    "two axes": lambda x: mx.abs(mx.fft.fft2(x)),
    "two axes and back": lambda x: mx.fft.irfft2(mx.fft.rfft2(x), s=(4, 7)),
    "three axes": lambda x: mx.abs(mx.fft.fftn(x)),
    "convolution": lambda x: mx.fft.irfft(mx.fft.rfft(x) * mx.fft.rfft(mx.flip(x)), n=7),
    "filter": lambda x: mx.fft.irfft(mx.fft.rfft(x) * mx.fft.rfft(mx.arange(7.0)), n=7),
    "quotient": lambda x: mx.real(mx.fft.fft(x) / (mx.fft.fft(x) + 1)),
    "quotient by a number": lambda x: mx.imag(mx.fft.fft(x) / 3),
    "difference": lambda x: mx.abs(mx.fft.fft(x) - mx.array(2 + 3j)),
    "square": lambda x: mx.real(mx.square(mx.fft.fft(x))),
    "conjugate": lambda x: (mx.imag(mx.conj(mx.fft.fft(x))), mx.imag(mx.conj(x.astype(mx.complex64)))),
    "turned": lambda x: mx.real(mx.fft.fft(x) * mx.array(1j)),
    "slices": lambda x: mx.abs(mx.fft.fft(x)[:, 1:3].swapaxes(0, 2)),
    "rows": lambda x: mx.abs(mx.fft.fft(x)[mx.array([2, 0])]),
    "shifted": lambda x: mx.real(mx.fft.fftshift(mx.fft.fft(x))),
    "joined": lambda x: mx.abs(mx.concatenate([mx.fft.fft(x), x.astype(mx.complex64)])),
    "real as complex": lambda x: (mx.abs(x.astype(mx.complex64)), mx.imag(x.astype(mx.complex64) * 2)),
}
CASES = {name: (fn, (X,)) for name, fn in FUNCTIONS.items()}
CASES |= {
    "one axis": (lambda x: mx.abs(mx.fft.fft(x)), (normal(5),)),
    "spectrogram": (spectrogram, (normal(56),)),
}


@pytest.fixture(scope="module")
def pairs():
    return results(CASES)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_mlx(name, pairs):
    assert_agree(pairs[name], tolerance=2e-6)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: mx.fft.fft(x),  # a complex output
        lambda x: mx.real(mx.exp(mx.fft.fft(x))),  # no rule
        lambda x: mx.real(mx.fft.fft(x, n=LONGEST + 1)),  # matrices too large
    ],
)
def test_left_alone_and_refused(fn):
    graph = simplify(capture(fn, X))
    assert "FFT" in graph.kinds()
    with pytest.raises(UnsupportedError, match="no lowering for FFT"):
        convert(fn, X)


def test_a_complex_input_is_refused():
    with pytest.raises(ValueError, match="complex64"):
        convert(lambda x: mx.abs(x), mx.ones((3,), mx.complex64))
