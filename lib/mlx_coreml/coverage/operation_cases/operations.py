"""Operations of mlx.core: every public function with a meaning in a Core ML model, and why others have none.

https://ml-explore.github.io/mlx/build/html/python/ops.html
"""

from collections.abc import Iterator

from mlx_coreml.coverage.cases.case import Case, texts
from mlx_coreml.coverage.operation_cases import elementwise, indexing, methods, products, reductions, shapes

DECOMPOSITION = "a matrix decomposition: Core ML has no operation for it"
RANDOM = "draws new numbers at each call: a model that is shipped computes the same for the same input"
FILES = "reads or writes a file"
SWITCH = "sets whether MLX compiles"
MACHINE = "asks or tells the machine: memory, devices, streams"
TALK = "asks about types or shapes, computes no array"
NARROW = "8-bit floating point or its products: Core ML has no such type"
OURS = "MLX's exporter cannot write it down"
KERNEL = "runs source code for one kind of GPU"

_REASONS = {
    DECOMPOSITION: """
        linalg.cholesky linalg.cholesky_inv linalg.det linalg.eig linalg.eigh linalg.eigvals linalg.eigvalsh
        linalg.inv linalg.lu linalg.lu_factor linalg.pinv linalg.qr linalg.slogdet linalg.solve
        linalg.solve_triangular linalg.svd linalg.tri_inv
    """,
    RANDOM: """
        random.bernoulli random.categorical random.gumbel random.key random.laplace random.multivariate_normal
        random.normal random.permutation random.randint random.seed random.split random.truncated_normal
        random.uniform
    """,
    FILES: """
        load save save_gguf save_safetensors savez savez_compressed import_function export_function exporter
        export_to_dot
    """,
    SWITCH: "disable_compile enable_compile",
    MACHINE: """
        async_eval clear_cache clear_streams default_device default_stream device_count device_info eval
        get_active_memory get_array_buffer_size get_cache_memory get_memory_limit get_peak_memory
        get_printoptions is_available new_stream new_thread_local_stream new_thread_unsafe_stream printoptions
        reset_peak_memory set_cache_limit set_default_device set_default_stream set_memory_limit
        set_printoptions set_wired_limit stream synchronize
    """,
    TALK: "broadcast_shapes can_cast einsum_path isdtype issubdtype result_type from_dlpack",
    NARROW: "from_fp8 to_fp8 qqmm gather_qqmm",
    OURS: "segmented_mm",
    KERNEL: "fast.cuda_kernel fast.metal_kernel fast.precompiled_cuda_kernel",
}
LEFT_OUT = {name: reason for reason, names in _REASONS.items() for name in names.split()}


def cases() -> Iterator[Case]:
    """Every operation case."""
    for family in (elementwise, reductions, shapes, indexing, products, methods):
        for inputs, table in family.TABLES:
            yield from texts("operation", inputs, table)
