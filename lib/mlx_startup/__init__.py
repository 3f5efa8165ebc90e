"""Prepares a process for MLX: importing this before `mlx.core` gives it a fast BLAS, threads and open files.

It may import nothing of the other packages. All of them may import it.
"""

from mlx_startup import blas, open_files, quiet

__version__ = "0.1.0"

THREADS = blas.limit_threads()
BLAS = blas.fast()
open_files.tolerate()
quiet.hush()
