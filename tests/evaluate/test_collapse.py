import numpy as np

from ssl_audio.evaluate.collapse import leave_one_out, look


def test_the_alarm_goes_for_a_point_a_line_a_dead_target_and_what_is_not_finite():
    rng = np.random.default_rng(0)
    alive = rng.standard_normal((64, 16)).astype(np.float32)
    assert not look(alive)["collapse"] and not look(alive, None, 0.8)["collapse"]
    point = np.ones((64, 16), np.float32) + 1e-3 * alive
    line = np.outer(rng.standard_normal(64), np.ones(16)).astype(np.float32)
    assert look(point)["collapse"] and look(line)["collapse"]
    assert look(alive, None, 0.01)["collapse"]
    assert look(np.full((4, 3), np.nan, np.float32))["collapse"]


def test_a_clip_has_no_vote_on_itself():
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    assert leave_one_out(x, np.array([0, 1, 1], np.int32)) == 0  # of two others, one each: the lower class
