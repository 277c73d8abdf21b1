"""Failures of the machine, recognised behind an error."""

from __future__ import annotations

import errno
import os
import re

import torch.distributed as dist

from sret_search.errors import chain

_SYSTEM = frozenset(
    getattr(errno, name)
    for name in (
        "EAGAIN", "EBUSY", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTDOWN",
        "EHOSTUNREACH", "EIO", "EMFILE", "ENETDOWN", "ENETRESET", "ENETUNREACH", "ENFILE",
        "ENOBUFS", "ENODEV", "ENOLCK", "ENOTCONN", "ENXIO", "EPIPE", "EREMOTEIO", "EROFS",
        "ESHUTDOWN", "ESTALE", "ETIMEDOUT",
    )
    if hasattr(errno, name)
)  # fmt: skip
"""Error numbers of failures in hardware, network or file system, and of reached system limits. The
same call may succeed later or on another machine."""

_IN_CODE = re.compile(
    r"device-side assert|illegal memory access|misaligned address|invalid argument"
    r"|invalid configuration|invalid device function|out of memory|too many resources"
)
"""Messages of CUDA errors that the program causes on every machine, or that have a rule elsewhere.
"""

_HARDWARE = re.compile(
    r"CUDA (driver )?error|CUDA driver|No CUDA GPUs|NVIDIA driver|not compiled with CUDA"
    r"|cuda[A-Z]\w+ error|CUDNN_STATUS_(INTERNAL_ERROR|NOT_INITIALIZED|EXECUTION_FAILED)"
    r"|CUBLAS_STATUS_(NOT_INITIALIZED|INTERNAL_ERROR|EXECUTION_FAILED)|\bECC\b|NVML"
    r"|GPU is lost|can't (start|allocate) new thread|unable to open shared memory|Bus error"
    r"|Too many open files|Stale file handle|Input/output error"
)
"""Messages of torch and Python for failures of hardware and limits of a machine, if they have no
class."""

_PEERS = re.compile(
    r"\bNCCL\b|gloo|[Cc]onnection (was )?(closed|reset|refused)|by peer|Broken pipe"
    r"|Socket Timeout|failed to connect"
)
"""Messages of the libraries between processes for a process that is gone or cannot be reached."""


def is_lost_peer(error: BaseException) -> bool:
    """Whether an error only reports that another process of the training cannot be reached."""
    return isinstance(error, dist.DistError | ConnectionError) or (
        isinstance(error, RuntimeError) and _PEERS.search(str(error)) is not None
    )


def machine_failure(error: BaseException) -> str | None:
    """A line that names the failed hardware, network or file system behind an error; None for other
    causes."""
    for behind in chain(error):
        text = next(iter(str(behind).strip().splitlines()), "") or type(behind).__name__
        if isinstance(behind, OSError):
            if behind.errno is not None and behind.errno in _SYSTEM:
                place = f" ({behind.filename})" if behind.filename else ""
                return f"{os.strerror(behind.errno)}{place}"
            if isinstance(behind, ConnectionError | TimeoutError):
                return text
        elif isinstance(behind, dist.DistError):
            return text
        elif isinstance(behind, RuntimeError | AssertionError) and not _IN_CODE.search(text):
            # torch reports a build without CUDA by an assertion.
            peers = isinstance(behind, RuntimeError) and _PEERS.search(text)
            if peers or _HARDWARE.search(text):
                return text
    return None
