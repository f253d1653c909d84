"""The pytest plugin under a name inside the package, for `-p tinygrad_edu.testing.plugin`."""

from tinygrad_edu_pytest import gradcheck, pytest_addoption, pytest_configure

__all__ = ["gradcheck", "pytest_addoption", "pytest_configure"]
