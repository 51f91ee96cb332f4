"""Several devices are a sharding and nothing else: on them every method has the curve that it has on one."""

import numpy as np
import pytest
from toys import classes, curve, experiment

from ssl_audio import methods


@pytest.mark.parametrize("method", classes(methods))
def test_devices_do_not_change_the_curve(method, store):
    chosen = experiment(method)
    one = curve(chosen, store, 3)[0]
    for devices in (2, 8) if method == "BYOLA" else (8,):  # batch statistics and a teacher stand for all at 2
        np.testing.assert_allclose(curve(chosen, store, 3, devices)[0], one, rtol=2e-4, atol=1e-6)
