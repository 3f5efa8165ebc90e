"""The MIL operations computed with torch, one file per family; a new one goes into its family's file.

It may import coreml_runtime.format.
"""

from coreml_runtime.operations import (  # noqa: F401  (importing a family registers its rules)
    activation,
    construction,
    convolution_pooling,
    detection,
    elementwise,
    image,
    indexing,
    linear,
    normalization,
    quantization,
    recurrent,
    reduction,
    shape,
)
