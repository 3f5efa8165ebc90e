"""Operations at the end of a network: non-maximum suppression, and the classifier's label."""

import math

import torch

from coreml_runtime.operations.registry import Tensor, operation


@operation("non_maximum_suppression", arithmetic=False)
def non_maximum_suppression(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    max_boxes: int,
    score_threshold: float = -math.inf,
    per_class_suppression: bool = False,
    *,
    opset: int,
):
    last = opset >= 17  # since iOS17 the number of boxes is the last dimension, and no count is returned
    if last:
        boxes, scores = boxes.mT, scores.mT
    kept = [
        _kept(box, score, iou_threshold, score_threshold, max_boxes, per_class_suppression)
        for box, score in zip(boxes, scores, strict=True)
    ]
    chosen_boxes = torch.stack([_padded(box[k], max_boxes, 0) for box, k in zip(boxes, kept, strict=True)])
    chosen_scores = torch.stack(
        [_padded(score[k], max_boxes, 0) for score, k in zip(scores, kept, strict=True)]
    )
    indices = torch.stack([_padded(k, max_boxes, -1) for k in kept])
    if last:
        return chosen_boxes.mT, chosen_scores.mT, indices
    return chosen_boxes, chosen_scores, indices, torch.tensor([len(k) for k in kept])


def _kept(boxes, scores, iou_threshold, score_threshold, max_boxes, per_class) -> Tensor:
    """Indices of the boxes kept, best first: boxes (B, 4) centre and size, scores (B, K)."""
    best, label = scores.max(dim=-1)
    corners = torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], dim=1)
    kept: list[int] = []
    for i in torch.argsort(best, descending=True, stable=True).tolist():
        if len(kept) == max_boxes or best[i] < score_threshold:
            break
        rivals = [j for j in kept if not per_class or label[j] == label[i]]
        if not rivals or (_overlap(corners[i], corners[rivals]) <= iou_threshold).all():
            kept.append(i)
    return torch.tensor(kept, dtype=torch.int64)


def _overlap(box: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of one box with others (N, 4), as corners."""
    low, high = torch.maximum(box[:2], others[:, :2]), torch.minimum(box[2:], others[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    area, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(dim=1)
    return shared / (area + areas - shared)


def _padded(rows: Tensor, count: int, value: float) -> Tensor:
    result = torch.full((count, *rows.shape[1:]), value, dtype=rows.dtype)
    result[: len(rows)] = rows
    return result


@operation("classify", arithmetic=False)
def classify(probabilities: Tensor, classes: list):
    flat = probabilities.reshape(-1)
    labels = [label.item() if isinstance(label, Tensor) else label for label in classes]
    return classes[int(flat.argmax())], dict(zip(labels, flat.tolist(), strict=True))
