"""The machine that seconds were measured on."""

import torch

from lib.machine import describe


def test_a_machine_has_a_name_cores_and_torchs_threads():
    found = describe()
    assert found["processor"]
    assert found["cores"] >= 1
    assert found["torch_threads"] == torch.get_num_threads()
