"""What has no derivative here, and why. Asking for it raises UnsupportedError with the reason.

Some functions stand refused beside their relatives; these belong to no family. A user may still give any of them
a rule with derivative(...). Options of NumPy's that are not taken, and single forms of a call, are told here too:
the page of operations shows them, and a test asks for each.
"""

from __future__ import annotations

import numpy as np

from tinygrad_edu.primitive import constant, refuse

__all__ = ["FORMS", "OPTIONS"]

refuse(
    np.polyadd, np.polysub, np.polymul, np.polydiv, np.polyder, np.polyint, np.poly, np.polyfit, np.roots,
    reason="polynomials come through polyval; sums of coefficients are +, their products np.convolve",
)  # fmt: skip
refuse(
    np.nanmedian, np.nanquantile, np.nanpercentile,
    reason="how many elements count depends on the data; select them first, then take the quantile",
)  # fmt: skip
refuse(np.trim_zeros, np.setdiff1d, np.setxor1d, np.union1d, np.intersect1d, np.unique_all, np.unique_counts,
       np.unique_inverse, np.unique_values, reason="the number of results depends on the data")  # fmt: skip
refuse(np.histogram2d, np.histogramdd, np.histogram_bin_edges, reason="counts jump; smooth them with a kernel")
refuse(np.save, np.savez, np.savez_compressed, np.savetxt, reason="a file keeps values alone: save x.numpy()")
refuse(np.sort_complex, reason="complex numbers are outside this engine")
refuse(np.packbits, np.unpackbits, np.bitwise_count, reason="works on integers")
refuse(np.is_busday, np.busday_count, np.busday_offset, np.datetime_as_string, np.isnat, reason="works on dates")

refuse(np.ix_, reason="it makes indices, which are integers; np.meshgrid(..., sparse=True) makes such grids of values")
constant(
    np.common_type, np.min_scalar_type, np.diag_indices_from, np.tril_indices_from, np.triu_indices_from,
    np.ravel_multi_index, np.einsum_path,
    reason="tells about arrays, not their values",
)  # fmt: skip

# Options that no rule and no definition takes. Left at NumPy's own default they are no matter.
OPTIONS = {
    "out": "a Tensor has no buffer to write into; use the returned value",
    "where": "select first: np.where(mask, x, other); sum, mean, max, min, prod, var and std do take it",
    "dtype": "convert first: x.astype(dtype)",
    "casting": "convert first: x.astype(dtype)",
    "signature": "convert first: x.astype(dtype)",
    "order": "the layout in memory, or the fields of a record; a Tensor has neither to choose",
    "subok": "the result is a Tensor",
    "axes": "move the axes first: np.moveaxis",
    "axis": "move the axis first: np.moveaxis",
    "keepdims": "put the axis back: np.expand_dims",
    "kind": "how it is sorted changes no derivative; leave it out",
    "overwrite_input": "a Tensor is a value; nothing is sorted in place",
    "copy": "a Tensor is a value; nothing tells a copy from the original",
    "writeable": "a Tensor is a value",
    "device": "there is one: the CPU",
    "initial": "np.maximum, np.minimum, + or * with the result",
    "include_initial": "np.concatenate with the first value",
    "compute_uv": "np.linalg.svdvals(x) gives the singular values alone",
    "hermitian": "symmetric matrices go through np.linalg.eigh",
    "mean": "the mean is worked out with its gradient",
    "correction": "ddof= is the same",
    "returned": "np.sum of the weights is the second result",
    "method": "only linear interpolation is continuous and monotone in q",
    "weights": "a weighted quantile jumps; sort, and interpolate on the weights' np.cumsum",
    "fweights": "multiply the centred samples by the root of their weights",
    "aweights": "multiply the centred samples by the root of their weights",
    "y": "np.concatenate the variables first",
    "left": "np.where(x < xp[0], left, ...)",
    "right": "np.where(x > xp[-1], right, ...)",
    "period": "x % period first",
    "to_begin": "np.concatenate",
    "to_end": "np.concatenate",
    "tol": "complex numbers are outside this engine",
}

# Single forms: x (2, 3) and square (3, 3) are Tensors that want a gradient, mask is an array of 3 truth values.
FORMS = {
    'np.reshape(x, (3, 2), order="A")': "depends on how the array lies in memory; write 'C' or 'F'",
    'np.ravel(x, order="K")': "depends on how the array lies in memory; write 'C' or 'F'",
    'np.pad(x, 1, mode="linear_ramp")': "constant, edge, reflect, symmetric and wrap have a derivative",
    'np.pad(x, 1, mode="mean")': "np.concatenate with np.mean(x, axis, keepdims=True)",
    'np.pad(x, 1, mode="reflect", reflect_type="odd")': "2 * edge - np.pad(..., mode='reflect')",
    "np.select([mask], [np.ones(3)], default=x[0])": "NumPy asks conditions and choices only whether they are Tensors; "
    "write np.where(mask, np.ones(3), x[0])",
    "np.cross(x[:, :2], x[:, :2])": "NumPy is giving up vectors of 2; write a[0] * b[1] - a[1] * b[0]",
    'np.einsum("ij->ji", x, dtype=np.float32)': "convert first: x.astype(dtype)",
    "np.linalg.svd(x)": "the columns that full_matrices=True adds have no derivative (all others have); pass "
    "full_matrices=False",
    'np.linalg.qr(x, mode="complete")': "mode='reduced' has a derivative; the columns added to it have none",
    'np.linalg.qr(x, mode="r")': "mode='reduced' gives r too",
    "np.linalg.norm(x[0], ord=0)": "it counts, and counts jump",
    "np.sort(x, order='field')": "a Tensor has no fields",
    "np.add.at(x, [0], 1.0)": "it writes into an array; use x + scattered values",
}
