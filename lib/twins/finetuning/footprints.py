"""What steps of fine-tuning need: calculated for public models on Macs, measured for small ones, and tried.

A try is the step itself in a fresh process; it is left out where its calculated peak is more than may be used
of what is free, so that nothing is paged to disk.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from twins.finetuning import memory_model
from twins.finetuning.memory_model import Step
from twins.finetuning.what_fits import METHODS, NOT_MEASURED, SHAPES, Shape
from twins.frameworks import BOTH, Mlx, Torch
from twins.inference import checkpoint_folder
from twins.machine import kept_processes, process_memory
from twins.records.record_types import Footprint
from twins.timing.progress import tell

WORK = "twins.finetuning.memory_model:measured"
COUNTED = "twins.finetuning.memory_model:counted"
HELD = 2**30  # bytes that a process needs which counts a step, or takes a small one
TRIED = "tried"  # an entry of a case: whether the step ran, or why it was not begun


def step(shape: Shape, heading: str, batch: int, length: int) -> Step:
    """The step that is asked about: with gradient checkpointing, as people do who are short of memory."""
    method, dtype, bits = METHODS[heading]
    return Step(shape.config, method, dtype, batch, length, checkpointed=True, bits=bits)


def calculated(batch: int, length: int, count: int) -> Iterator[Footprint]:
    """What the first `count` shapes need by method and framework, as calculated for an Apple GPU."""
    jobs = [(shape, framework) for shape in SHAPES[:count] for framework in BOTH]
    asked = [
        _asked([step(shape, each, batch, length) for each in METHODS], one) | {"apple": True}
        for shape, one in jobs
    ]
    found = kept_processes.shared(COUNTED, asked, process_memory.at_once(HELD))
    for (shape, framework), sizes in zip(jobs, found, strict=True):
        for heading, size in zip(METHODS, sizes, strict=True):
            case = memory_model.case(step(shape, heading, batch, length)) | {"heading": heading}
            yield Footprint(shape.name, case, framework.name, size, None, NOT_MEASURED)


def _asked(steps: Sequence[Step], framework: Mlx | Torch) -> dict:
    """Steps and their framework as a process is told them."""
    return {"points": [asdict(each) for each in steps], "framework": framework.name}


def _sizes(width: int, layers: int, heads: int, vocabulary: int, tied: bool = False) -> dict:
    return checkpoint_folder.llama(width, layers, heads, 1, vocabulary, 1024) | {"tie_word_embeddings": tied}


def points(count: int) -> list[Step]:
    """Small steps of every kind that are both calculated and measured, the first `count` of them."""
    small, wide, deep = _sizes(192, 3, 3, 1024), _sizes(320, 2, 5, 2048), _sizes(96, 6, 2, 1024)
    full, low = "float32", "bfloat16"
    made = [
        Step(small, "full", full, 2, 128),
        Step(small, "lora", full, 4, 128),
        Step(small, "lora", full, 4, 128, checkpointed=True),
        Step(small, "full", low, 2, 64),
        Step(wide, "full", full, 1, 128),
        Step(wide | {"tie_word_embeddings": True}, "full", full, 2, 128),
        Step(deep, "full", full, 4, 128, checkpointed=True),
        Step(deep, "lora", full, 1, 256),
        Step(small, "lora", low, 4, 64),
        Step(wide, "lora", full, 2, 128, checkpointed=True),
        Step(deep, "full", full, 2, 256),
        Step(small, "full", full, 1, 256, checkpointed=True),
    ]
    return made[:count]


def measured(found: Sequence[Step]) -> Iterator[Footprint]:
    """Each point calculated for the device in use, and measured in a process of each framework.

    A framework's own allocator tells its peak, so that both run at the same time.
    """
    if not found:
        return
    tell(f"memory of both frameworks at {len(found)} points")
    jobs, at_once = [_asked(found, one) for one in BOTH], process_memory.at_once(HELD)
    readings = kept_processes.shared(WORK, jobs, at_once)
    asked = [job | {"apple": one.device == "mps"} for job, one in zip(jobs, BOTH, strict=True)]
    sizes = kept_processes.shared(COUNTED, asked, at_once)
    for framework, own, needed in zip(BOTH, readings, sizes, strict=True):
        for point, read, size in zip(found, own, needed, strict=True):
            shape = f"{point.config['num_hidden_layers']} blocks of {point.config['hidden_size']}"
            case = memory_model.case(point)
            yield Footprint(shape, case, framework.name, size, read["bytes"], read["source"])


def tried(headings: Sequence[str], batch: int, length: int, seconds: float) -> Iterator[Footprint]:
    """The public models by method, smallest first, really trained for a step until one does not fit.

    No step is begun once `seconds` have passed, and none at all without any. Of QLoRA nothing is tried: the
    numbers of its base are made from weights that must be held first.
    """
    if seconds <= 0:
        return
    begun = time.monotonic()
    for heading in [each for each in headings if METHODS[each][2] is None]:
        for framework in BOTH:
            for shape in SHAPES:
                asked = step(shape, heading, batch, length)
                record = _tried(shape.name, heading, asked, framework, time.monotonic() - begun < seconds)
                yield record
                if record.measured is None:
                    break


def _tried(name: str, heading: str, asked: Step, framework: Mlx | Torch, more: bool) -> Footprint:
    """One try: the measured peak, or why there is none."""
    size = memory_model.needed(asked, framework, apple=framework.device == "mps")
    case = memory_model.case(asked) | {"heading": heading, TRIED: True}
    if not more:
        return Footprint(name, case, framework.name, size, None, "no time was left for it")
    try:
        process_memory.room(size, f"a step of {name}")
        tell(f"{framework.name}, {heading}: a step of {name}")
        (read,) = kept_processes.call(0, WORK, _asked([asked], framework))
    except (MemoryError, RuntimeError) as error:
        return Footprint(name, case, framework.name, size, None, " ".join(str(error).split()))
    return Footprint(name, case, framework.name, size, read["bytes"], read["source"])
