"""Refusals of a folder that says one thing and holds another."""

import tracemalloc

import pytest

from transformer.headers import CheckpointError


def assert_refused_before_a_model_is_built(load, folder, words):
    """In one line of reasonable length, and in less memory than a model of that size would take."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=words) as caught:
            load(folder)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400 + len(str(folder))
