"""HEAR's folds: the shuffled sorted keys in parts, every label in each; its draws are those of pandas."""

from collections import Counter

import pytest

from ssl_audio.datasets import hear


def test_folds_are_the_shuffled_sorted_keys_in_parts():
    order = list("cbedagf")  # of random.Random("split_k_folds"), the same with every Python 3
    folds = hear.folds(dict.fromkeys("gfedcba", "x"), 3)
    assert [folds[key] for key in order] == ["fold00"] * 3 + ["fold01"] * 2 + ["fold02"] * 2


def test_folds_take_the_first_seed_that_gives_every_fold_every_label():
    folds = hear.folds({"a": "x", "b": "x", "c": "y", "d": "y"}, 2)
    assert Counter((folds["a"], folds["b"])) == Counter((folds["c"], folds["d"]))
    assert {folds["a"], folds["b"]} == {"fold00", "fold01"}
    with pytest.raises(ValueError, match="too few clips"):
        hear.folds({"a": "x", "b": "y"}, 2)


@pytest.mark.parametrize(("split", "shuffled"), [("train", "bcjiefdhag"), ("fold00", "ejgbaichdf")])
def test_a_draw_is_what_pandas_shuffles_to_the_front(split, shuffled):
    """shuffled: DataFrame.sample(frac=1, random_state=...) of pandas 3.1.1, of the rows a to j."""
    for most in (0, 3, 7, 10, 11):
        assert hear.drawn(reversed("abcdefghij"), split, most) == set(shuffled[:most])
