"""What cannot be done over each library, and why. What is not named can, to the second derivative; tests say so."""

from __future__ import annotations

__all__ = ["LACKING"]

DASK_ASKS = {
    "average": "weights that sum to zero are refused, for which their sum has to be looked at",
    "quantile": "a NaN among the values makes the whole NaN, for which they have to be looked at",
    "percentile": "as quantile",
    "median": "as quantile",
    "linalg.det": "the condition of the matrix decides how its cofactors are worked out",
    "linalg.qr": "columns that are not independent are refused, for which they have to be looked at",
    "nanvar": "whether enough values are left, so that there is a variance, has to be looked at",
    "nanstd": "as nanvar",
    "nanmax": "whether a row holds nothing but NaN has to be looked at",
    "nanmin": "as nanmax",
    "geomspace": "whether the ends are zero has to be looked at",
    "cov": "with weights, whether any degree of freedom is left has to be looked at",
}

# Library → operation, by the name of its page → why not. CuPy's were found on a GPU; the others are tested everywhere.
LACKING: dict[str, dict[str, str]] = {"array_api_strict": {}, "dask": DASK_ASKS, "cupy": {}}
