"""The machine that a measurement of speed was made on."""

import os
import platform
import resource
import sys
from pathlib import Path

import torch


def describe() -> dict[str, str | int]:
    """Processor, cores and the threads torch uses: columns beside every number of seconds."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 1,
        "torch_threads": torch.get_num_threads(),
    }


def peak_megabytes() -> float:
    """The largest resident memory of this process so far; a child process starts with its parent's."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
