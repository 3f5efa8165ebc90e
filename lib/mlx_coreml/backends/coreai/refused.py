"""What does not move over to Core AI, and why; the reason is the end of an error message.

What needs the unversioned `coreai._compiler` is left out until the public interface has it.
"""

PUBLIC = "the public interface of coreai-core 1.0.0b3"
_REASONS = {
    "a random key that is an input has no counterpart; draw outside and pass the numbers": "RandomBits",
    f"{PUBLIC} has no matrix inverse; compute it from constants, or outside the model": "Inverse",
    f"{PUBLIC} has no matrix factorisation": "Cholesky QRF SVD LUF",
    f"{PUBLIC} has no eigenvalues": "Eig Eigh",
    "weights are quantized when a model is made": "Quantize",
    "quantized weights must be constants": "QuantizedMatmul GatherQMM",
    "a Metal kernel of MLX has another signature than one of Core AI": "CustomKernel",
    f"{PUBLIC} has no Fourier transform": "FFT Real Imag Conjugate",
}
REASONS = {kind: reason for reason, kinds in _REASONS.items() for kind in kinds.split()}

# Options of `convert` that do not move over.
OPTIONS = {
    "states": f"{PUBLIC} has no state: a graph takes no handles, which only `coreai._compiler` can use",
    "image_inputs": "pictures as inputs are converted for Core ML only so far",
    "flexible": "Core AI takes an axis of any size, but the rules here write the example's sizes into the "
    "program; convert once per size, or to Core ML",
}
