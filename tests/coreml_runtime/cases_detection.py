"""Cases of quantised activations, quantised convolution and non-maximum suppression."""

import numpy as np
import torch.nn.functional as F
from cases import SIGNALS, add, floats, integers, tensors

add(
    "quantize",
    input=10 * floats(2, 3),
    scale=0.1,
    zero_point=np.int8(3),
    output_dtype="int8",
    expected=lambda input: np.clip(np.rint(input / np.float32(0.1)) + 3, -128, 127).astype(np.int8),
)
add(
    "quantize",
    "axis",
    input=10 * floats(2, 3),
    scale=[0.1, 0.2, 0.3],
    axis=-1,
    output_dtype="uint8",
    expected=lambda input: np.clip(np.rint(input / np.array([0.1, 0.2, 0.3], np.float32)), 0, 255).astype(
        np.uint8
    ),
)

add(
    "dequantize",
    input=integers(2, 3, low=-128, high=128).astype(np.int8),
    scale=0.1,
    zero_point=np.int8(3),
    expected=lambda input: (input.astype(np.float32) - 3) * np.float32(0.1),
)
add(
    "dequantize",
    "axis",
    input=integers(2, 3, low=0, high=256).astype(np.uint8),
    scale=[0.1, 0.2],
    axis=0,
    expected=lambda input: input * np.array([[0.1], [0.2]], np.float32),
)
add(
    "conv_quantized",
    x=SIGNALS[2],
    weight=integers(6, 4, 3, 2, low=0, high=256).astype(np.uint8),
    pad_type="valid",
    quantization_type="linear",
    quant_scale=[0.01, 0.02, 0.03, 0.04, 0.05, 0.06],
    quant_bias=[-1.0, 0, 1, -2, 0.5, 0],
    tolerance=1e-4,
    expected=lambda x, weight: F.conv2d(
        *tensors(
            x,
            (
                weight * np.arange(1, 7).reshape(6, 1, 1, 1) * 0.01
                + np.array([-1, 0, 1, -2, 0.5, 0]).reshape(6, 1, 1, 1)
            ).astype(np.float32),
        )
    ).numpy(),
)

BOXES = np.array([[[1, 1, 2, 2], [1.1, 1, 2, 2], [5, 5, 2, 2], [1, 1.2, 2, 2], [9, 9, 1, 1]]], np.float32)
SCORES = np.array([[[0.9, 0.1], [0.8, 0.1], [0.2, 0.7], [0.1, 0.6], [0.05, 0.02]]], np.float32)


def suppressed(order, boxes, scores, with_count):
    """Boxes kept, in order, padded to four; NMS by hand."""
    rows = list(order) + [-1] * (4 - len(order))
    kept = np.array(rows)[None]
    found = boxes[0][rows] * (kept[0] >= 0)[:, None], scores[0][rows] * (kept[0] >= 0)[:, None]
    if with_count:
        return found[0][None], found[1][None], kept, np.array([len(order)])
    return found[0].T[None], found[1].T[None], kept


NMS = {"iou_threshold": 0.5, "max_boxes": 4}
add(
    "non_maximum_suppression",
    opset=15,
    boxes=BOXES,
    scores=SCORES,
    **NMS,
    score_threshold=0.1,
    expected=lambda boxes, scores: suppressed([0, 2], boxes, scores, True),
)
add(
    "non_maximum_suppression",
    "per-class",
    opset=15,
    boxes=BOXES,
    scores=SCORES,
    **NMS,
    score_threshold=0.1,
    per_class_suppression=True,
    expected=lambda boxes, scores: suppressed([0, 2, 3], boxes, scores, True),
)
add(
    "non_maximum_suppression",
    "iOS17",
    boxes=BOXES.swapaxes(1, 2).copy(),
    scores=SCORES.swapaxes(1, 2).copy(),
    **NMS,
    expected=lambda boxes, scores: suppressed([0, 2, 4], BOXES, SCORES, False),
)
