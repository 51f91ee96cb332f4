"""Files are whole or not there at all."""

import threading

import numpy as np
import pytest

from ssl_audio import disk


def test_a_text_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    disk.write(tmp_path / "a", "old")

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(disk.os, "replace", full)
    with pytest.raises(OSError, match="full"):
        disk.write(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]  # what was written aside is taken away


def test_arrays_take_any_name_and_leave_nothing_else(tmp_path):
    for name in ("x.npz", "plain"):
        disk.write_arrays(tmp_path / "new" / name, x=np.arange(3))
        with np.load(tmp_path / "new" / name) as kept:
            np.testing.assert_array_equal(kept["x"], np.arange(3))
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["plain", "x.npz"]


def test_one_at_a_time_holds_the_lock(tmp_path):
    order, inside = [], threading.Event()

    def second():
        inside.wait()
        with disk.locked(tmp_path / "lock"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with disk.locked(tmp_path / "lock"):
        inside.set()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_who_must_be_alone_is_told_of_another(tmp_path):
    with disk.alone(tmp_path / "lock", "another process is training this run"):
        with pytest.raises(BlockingIOError, match="another process is training this run"):
            with disk.alone(tmp_path / "lock", "another process is training this run"):
                pass
    with disk.alone(tmp_path / "lock", "another process is training this run"):
        pass
