"""The value of erf, which NumPy lacks and the exact GELU needs. Two Chebyshev fits, made for this file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["erf_value"]

# erf(x)/x in u = 2x² - 1, for |x| <= 1: Chebyshev interpolation of degree 13, as a polynomial, constant term first.
NEAR = (
    0.9654687386698673, -0.1405360890227171, 0.019852496688983708, -0.0022854855611440673, 0.00021751715604160108,
    -1.7537169441492004e-05, 1.2233827383524026e-06, -7.511569160710623e-08, 4.115800597661665e-09,
    -2.03524938661036e-10, 9.167606748998164e-12, -3.7910973708931526e-13, 1.4548169783352384e-14,
    -5.16472878942302e-16,
)  # fmt: skip
# exp(x²) erfc(x) for 1 <= x <= 6, degree 19 in u: s = (x - 2)/(x + 2) runs from -1/3 to 1/2, u from -1 to 1.
FAR = (
    0.2214295402299318, -0.16189356804102498, 0.03856057042518243, -0.005588816281839559, 0.0001971391777277111,
    8.079220426206243e-05, -7.340517934853432e-06, -1.9795618120176187e-06, 1.634993523321315e-07,
    7.005316575245999e-08, -5.88533792885609e-10, -2.62394549449794e-09, -2.6883366192726585e-10,
    7.350982522096298e-11, 2.2281211021892224e-11, 2.346156379553977e-13, -1.020058948732685e-12,
    -1.9582631954946126e-13, 1.9555537393464618e-14, 1.1300112348170487e-14,
)  # fmt: skip

# erf(x)/x as a quotient of polynomials in x², |x| <= 4, fitted to a relative error of 2.5e-8: for float32 and less.
ABOVE = (
    1.1283791065216064, 0.19354654848575592, 0.05310193821787834, 0.0038834004662930965, 0.00028456587460823357,
    1.986757524718996e-06,
)  # fmt: skip
BELOW = (
    1.0, 0.5048587322235107, 0.11535060405731201, 0.015207373537123203, 0.0011855820193886757, 3.741990803973749e-05,
)  # fmt: skip


def polynomial(u: Any, coefficients: tuple[float, ...]) -> Any:
    total = np.asarray(u * coefficients[-1])  # 0-d stays an array
    total += coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        total *= u
        total += coefficient
    return total


def erf_value(x: Any) -> Any:
    """erf(x) for real x of any shape, in x's own dtype; within two units in the last place of float64, or 4e-7."""
    if hasattr(x, "dtype") and not isinstance(x, NUMPYS):
        return everywhere(x)
    x = np.asarray(x)
    dtype = np.result_type(x.dtype, np.float32)
    if dtype == np.float32:
        return narrow(x.astype(dtype, copy=False)).astype(x.dtype if x.dtype.kind == "f" else dtype, copy=False)[()]
    size = np.abs(np.atleast_1d(x)).astype(dtype, copy=False)
    near = np.minimum(size, 1.0)  # NaN stays NaN
    out = near * polynomial(2.0 * near * near - 1.0, NEAR)
    beyond = size > 1.0
    if np.count_nonzero(beyond):  # mostly few: the longer fit, and its exponential, for these alone
        out[beyond] = outer(np.minimum(size[beyond], 6.0))
    return np.copysign(out.reshape(x.shape), x)[()]


NUMPYS = (np.ndarray, np.generic)


def everywhere(x: Any) -> Any:
    """The same of an array that is not NumPy's: no element is chosen by its value, and both fits work on all."""
    size = np.abs(x)
    if x.dtype.itemsize <= 4:
        near = np.minimum(size, 4.0)
        square = near * near
        return np.copysign(np.minimum(near * series(square, ABOVE) / series(square, BELOW), 1.0), x)
    near = np.minimum(size, 1.0)
    out = near * series(2.0 * near * near - 1.0, NEAR)
    far = beyond_one(np.minimum(np.maximum(size, 1.0), 6.0), series)
    return np.copysign(np.where(size > 1.0, far, out), x)


def series(u: Any, coefficients: tuple[float, ...]) -> Any:
    total = u * coefficients[-1] + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        total = total * u + coefficient
    return total


def outer(x: Any) -> Any:
    """erf(x), 1 <= x <= 6."""
    return beyond_one(x, polynomial)


def beyond_one(x: Any, sum_of: Callable[..., Any]) -> Any:
    s = (x - 2.0) / (x + 2.0)
    return 1.0 - np.exp(-x * x) * sum_of((12.0 * s - 1.0) / 5.0, FAR)


def narrow(x: Any) -> Any:
    """erf in float32, in a seventh of the time that the fits for float64 take."""
    near = np.clip(x, -4.0, 4.0)  # from there on it is 1, to 2e-8
    square = near * near
    out = polynomial(square, ABOVE)
    out *= near
    out /= polynomial(square, BELOW)
    return np.clip(out, -1.0, 1.0, out=out)
