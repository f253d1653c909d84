"""The page of ONNX counterparts, read off the table that the export uses."""

from collections import defaultdict

from tinygrad_edu.onnx import counterparts
from tinygrad_edu.onnx.export import OPSET

HEADER = """# Operations as ONNX

Written from the table of `tinygrad_edu.onnx` when this page was built, for opset {opset}. {known} operations have a
counterpart, by themselves or as a few of ONNX's; composites and kernels go by what defines them. Of a gradient the
operations are those of its rules, so a backward graph needs no other table.
"""


def page():
    reasons = defaultdict(list)
    for name, reason in counterparts():
        reasons[reason].append(f"`{name}`")
    known = reasons.pop("")
    lines = [HEADER.format(opset=OPSET, known=len(known)), ", ".join(known) + ".", "", "## Without a counterpart", ""]
    lines += ["An export that meets one of these is refused, and says on which line it stands.", ""]
    lines += ["| operations | why |", "|---|---|"]
    lines += [f"| {', '.join(names)} | {reason} |" for reason, names in reasons.items()]
    return "\n".join(lines) + "\n"
