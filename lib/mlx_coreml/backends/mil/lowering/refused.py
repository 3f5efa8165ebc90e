"""Why some primitives of MLX have no lowering; the reason is the end of an error message."""

_REASONS = {
    "a random key that is an input has no counterpart; draw outside and pass the numbers": "RandomBits",
    "Core ML has no matrix inverse; compute it from constants, or outside the model": "Inverse",
    "Core ML has no matrix factorisation": "Cholesky QRF SVD LUF",
    "Core ML has no eigenvalues": "Eig Eigh",
    "Core ML quantizes weights only when a model is made": "Quantize",
    "quantized weights must be constants": "QuantizedMatmul GatherQMM",
    "a Metal kernel cannot run inside Core ML": "CustomKernel",
    "Core ML has no complex numbers": "FFT Real Imag Conjugate",
}
REASONS = {kind: reason for reason, kinds in _REASONS.items() for kind in kinds.split()}
