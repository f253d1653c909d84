"""The page of what runs over other libraries of arrays, read off the registry and the list of what does not."""

import tinygrad_edu  # noqa: F401  (fills the registry)
from tinygrad_edu.arrays.known import KNOWN
from tinygrad_edu.arrays.lacking import LACKING
from tinygrad_edu.primitive import registry

HEADER = """# Operations over other libraries

Written from the registry when this page was built. {count} operations have derivatives; over each library all of them
have NumPy's values, gradients and second derivatives, but for those that are listed. Tests run every operation over
array_api_strict and Dask, and fail if one is listed that runs, or runs not and is not listed; CuPy needs a GPU, and was
tried on one. float16 and long double are NumPy's and CuPy's alone.
"""


def page():
    count = sum(operation.kind in ("rule", "composite") for operation in registry().values())
    lines = [HEADER.format(count=count)]
    for library in KNOWN:
        lacking = LACKING[library]
        lines += [f"## {library}", "", f"{count - len(lacking)} of {count} are supported.", ""]
        if lacking:
            lines += ["| not supported | because |", "|---|---|"]
            lines += [f"| `{name}` | {reason} |" for name, reason in lacking.items()] + [""]
    return "\n".join(lines)
