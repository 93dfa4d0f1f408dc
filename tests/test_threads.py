"""Rows shared out between threads."""

import threading

import pytest

from lib.threads import THREADS, share_out


@pytest.mark.parametrize(("rows", "step"), [(1, 1), (10, 3), (10, 10), (10, 100), (7, 0), (1000, 1)])
def test_every_row_is_worked_on_once(rows, step):
    done = []

    def work(chunks):
        for chunk in chunks:
            done.extend(range(chunk.start, chunk.stop))

    share_out(work, rows, step)
    assert sorted(done) == list(range(rows))


def test_several_chunks_go_to_several_threads_and_a_single_one_stays_here():
    names = []
    both = threading.Barrier(THREADS, timeout=10)  # breaks if the threads do not run at the same time

    def work(chunks):
        names.append(threading.current_thread().name)
        both.wait()
        list(chunks)

    share_out(work, 10, 1)
    assert len(set(names)) == THREADS
    names.clear()
    share_out(lambda chunks: names.append((threading.current_thread(), list(chunks))), 10, 10)
    assert names == [(threading.current_thread(), [slice(0, 10)])]


@pytest.mark.parametrize("step", [1, 10])
def test_an_error_in_a_thread_comes_out(step):
    def work(chunks):
        for chunk in chunks:
            if chunk.stop == 10:
                raise ValueError("of the test")

    with pytest.raises(ValueError, match="of the test"):
        share_out(work, 10, step)
