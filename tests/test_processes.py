"""Work in other processes gives what it gives here, in order, and fails with what went wrong."""

import os
from functools import partial

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from lib import processes
from lib.quantisation import quantise


def test_results_come_back_in_order_and_under_their_names():
    found = processes.share_out(np.add, {name: (number, 1) for number, name in enumerate("edcba")}, description="sums")
    assert list(found.items()) == [(name, number + 1) for number, name in enumerate("edcba")]
    assert processes.share_out(np.add, {}, description="sums") == {}


def test_work_is_done_elsewhere_with_one_thread_each():
    assert os.getpid() not in processes.share_out(os.getpid, {number: () for number in range(4)}, description="processes").values()
    assert set(processes.share_out(torch.get_num_threads, {number: () for number in range(4)}, description="threads").values()) == {1}
    pools = processes.share_out(threadpool_info, {number: () for number in range(4)}, description="threads")
    assert {pool["num_threads"] for several in pools.values() for pool in several} == {1}


def test_clusters_made_elsewhere_are_those_made_here():
    features = np.random.default_rng(0).standard_normal((500, 40))
    found = processes.share_out(partial(quantise, starts=2), {count: (features, count) for count in (5, 20)}, description="clusters")
    for count, one in found.items():
        np.testing.assert_array_equal(one.labels, quantise(features, count, starts=2).labels)


def test_arrays_can_be_written_to():
    def doubled(values):
        values *= 2
        return values

    values = np.ones(10**6)  # large enough for joblib to share it through a file otherwise
    assert processes.share_out(doubled, {0: (values,)}, description="doubled")[0].sum() == 2 * 10**6
    assert values.sum() == 10**6


def test_what_goes_wrong_is_raised_here():
    with pytest.raises(ValueError, match="clusters: found 7 for 5 pictures"):
        processes.share_out(quantise, {0: (np.ones((5, 2)), 7)}, description="clusters")
