"""The machine that seconds were measured on."""

import numpy as np
import torch

from lib.machine import describe, peak_megabytes


def test_a_machine_has_a_name_cores_and_torchs_threads():
    found = describe()
    assert found["processor"]
    assert found["cores"] >= 1
    assert found["torch_threads"] == torch.get_num_threads()


def test_the_peak_grows_with_what_is_allocated():
    before = peak_megabytes()
    assert before > 10
    extra = np.ones(int(before * 1e6) // 8 + 2**24)  # more than all that was in use, and 134 MB
    assert peak_megabytes() > before + 100
    assert extra[-1] == 1
