"""What has no derivative here, and why. Asking for it raises UnsupportedError with the reason.

Some functions stand refused beside their relatives; these belong to no family. A user may still give any of them
a rule with derivative(...).
"""

from __future__ import annotations

import numpy as np

from tinygrad_edu.primitive import constant, refuse

__all__: list[str] = []

refuse(
    np.polyadd, np.polysub, np.polymul, np.polydiv, np.polyder, np.polyint, np.poly, np.polyfit, np.roots, np.vander,
    reason="polynomials come through polyval; sums of coefficients are +, their products np.convolve",
)  # fmt: skip
refuse(np.linspace, np.logspace, np.geomspace, reason="write start + (stop - start) * np.linspace(0, 1, n)")
refuse(
    np.nanmedian, np.nanquantile, np.nanpercentile,
    reason="how many elements count depends on the data; select them first, then take the quantile",
)  # fmt: skip
refuse(np.nancumprod, reason="use np.cumprod of np.where(np.isnan(x), 1.0, x)")
refuse(np.unwrap, reason="add the jumps as a constant: x + (np.unwrap(v) - v) with v = x.numpy()")
refuse(np.apply_along_axis, np.apply_over_axes, reason="call the function on the whole array; NumPy's take axis=")
refuse(np.rollaxis, reason="use np.moveaxis")
refuse(np.trim_zeros, np.setdiff1d, np.setxor1d, np.union1d, np.intersect1d, np.unique_all, np.unique_counts,
       np.unique_inverse, np.unique_values, reason="the number of results depends on the data")  # fmt: skip
refuse(np.histogram2d, np.histogramdd, np.histogram_bin_edges, reason="counts jump; smooth them with a kernel")
refuse(np.save, np.savez, np.savez_compressed, np.savetxt, reason="a file keeps values alone: save x.numpy()")
refuse(np.sort_complex, reason="complex numbers are outside this engine")
refuse(np.packbits, np.unpackbits, np.bitwise_count, reason="works on integers")
refuse(np.is_busday, np.busday_count, np.busday_offset, np.datetime_as_string, np.isnat, reason="works on dates")

constant(
    np.common_type, np.min_scalar_type, np.ix_, np.diag_indices_from, np.tril_indices_from, np.triu_indices_from,
    np.ravel_multi_index, np.einsum_path,
    reason="tells about arrays, not their values",
)  # fmt: skip
