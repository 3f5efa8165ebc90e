"""Primitives of MLX that have no meaning in Core ML, and why: the sentence ends an error message."""

REASONS = {
    "RandomBits": "a random key that is an input has no counterpart; draw outside and pass the numbers",
    "Inverse": "Core ML has no matrix inverse; compute it from constants, or outside",
    "Cholesky": "Core ML has no matrix factorisation",
    "QRF": "Core ML has no matrix factorisation",
    "SVD": "Core ML has no matrix factorisation",
    "Eig": "Core ML has no eigenvalues",
    "Eigh": "Core ML has no eigenvalues",
    "LUF": "Core ML has no matrix factorisation",
    "Quantize": "Core ML quantizes weights only when a model is made",
    "QuantizedMatmul": "quantized weights must be constants",
    "GatherQMM": "quantized weights must be constants",
    "CustomKernel": "a Metal kernel cannot run inside Core ML",
    "FFT": "Core ML has no complex numbers",
    "Real": "Core ML has no complex numbers",
    "Imag": "Core ML has no complex numbers",
    "Conjugate": "Core ML has no complex numbers",
}
