"""Python's own bound on recursion, kept while a package is imported that would lift it for the whole process.

py_ecc, which eth-account and web3 import, sets it to 100,000: more than the stack holds. From then on nested JSON
that anybody sends ends the process with a segmentation fault, instead of a RecursionError that can be caught.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def recursion_bound() -> Iterator[None]:
    """Leave the bound as it was before the block."""
    before = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
