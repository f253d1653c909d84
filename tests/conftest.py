"""Settings that every test shares: one BLAS thread, and Hypothesis profiles chosen by HYPOTHESIS_PROFILE.

The default run is derandomised, so that a failure seen once is seen again, and draws 40 examples where a test does not
say how many: it is run all day. `thorough` draws a thousand, afresh. `planted` is the default that
stops where a test fails: with a planted fault nobody reads which example is the smallest.
"""

import os

# Before NumPy is imported: on small matrices a second BLAS thread costs more than it gives.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import pytest  # noqa: E402
from hypothesis import HealthCheck, Phase, settings  # noqa: E402

# too_slow measures the wall clock: on a busy machine it would fail a test that is right.
calm = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", max_examples=40, derandomize=True, database=None, **calm)
settings.register_profile("ci", settings.get_profile("default"))
settings.register_profile("planted", settings.get_profile("default"), phases=[Phase.explicit, Phase.generate])
settings.register_profile("thorough", max_examples=1000, **calm)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="module")
def undrawn():
    """Trainings end with the beginning of a picture of their curves: all of it takes longer than they do."""
    from transformer import report

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "curves", lambda metrics, path: path.write_text("<svg/>"))
        yield


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, see browser.py; a machine without one skips the tests that look at pages."""
    import browser

    if browser.chromium() is None:
        pytest.skip("no chromium here")
    running = browser.Browser()
    yield running
    running.close()
