"""Number of CPUs that this process may use: its affinity, and the quota of its container."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

_MEMBERSHIP, _MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def cpus() -> int:
    """Number of CPUs that this process may use, at least 1. A quota of 2.5 CPUs counts as 2."""
    affinity = hasattr(os, "sched_getaffinity")
    number = len(os.sched_getaffinity(0)) if affinity else os.cpu_count() or 1
    limit = quota()
    return number if limit is None else max(min(number, int(limit)), 1)


def quota(membership: Path = _MEMBERSHIP, mount: Path = _MOUNT) -> float | None:
    """CPU time per second that the control groups of this process allow; None without a limit.

    Docker's `--cpus`, Kubernetes' `limits.cpu` and systemd's `CPUQuota=` set such a limit. Neither
    `os.cpu_count` nor the affinity of a process shows it.

    Args:
        membership: file with the groups of this process, each a line `number:controllers:path`.
        mount: folder where the groups are mounted, in version 1 or 2 of the kernel's interface.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # no Linux
        return None
    limits: list[float] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            limits += _limits(mount, path, _of_version_2)
        elif "cpu" in controllers.split(","):
            # The mount is named by its controllers, and `cpu` is a link to it.
            limits += _limits(mount / "cpu", path, _of_version_1)
    return min(limits, default=None)


def _limits(mount: Path, path: str, read: Callable[[Path], float | None]) -> Iterator[float]:
    """Limits of a group and of the groups above it.

    In a container the path may be a path of the host. Then only the mount exists, which is the
    group of the container.
    """
    folder = mount / path.lstrip("/")
    for group in (folder, *folder.parents):
        with suppress(OSError, ValueError, ZeroDivisionError):
            limit = read(group)
            if limit is not None:
                yield limit
        if group == mount:
            return


def _of_version_2(group: Path) -> float | None:
    quota, period = (group / "cpu.max").read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _of_version_1(group: Path) -> float | None:
    microseconds = int((group / "cpu.cfs_quota_us").read_text())
    period = int((group / "cpu.cfs_period_us").read_text())
    return microseconds / period if microseconds > 0 else None
