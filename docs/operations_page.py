"""The page of operations, read off the registry: a table kept by hand would soon tell of other rules."""

import ast
import functools
import inspect
import re
from collections import defaultdict
from pathlib import Path

import tinygrad_edu  # noqa: F401  (fills the registry)
from tinygrad_edu.complaints import signature_of
from tinygrad_edu.primitive import Composite, Primitive, registry
from tinygrad_edu.rules.left_out import FORMS, OPTIONS

HEADER = """# Operations

Written from the registry when this page was built: {rules} operations with rules, {composites} that are forward
code over them, {constants} whose result carries no derivative. In a rule, `g` is the cotangent of the output and
`z` the output; what else it names is kept for the backward pass, and nothing more.
"""

LEFT_OUT_FORMS = "`x` (2, 3) and `square` (3, 3) are Tensors that want a gradient, `mask` holds 3 truth values."


def statements_of(operation):
    """(file, first line, last) of each statement that declares an operation, or a rule or formula that it uses."""
    rules = [rule.__code__ for rule in operation.rules if rule is not None]
    file = rules[0].co_filename
    names, called = {rule.co_name for rule in rules}, {name for rule in rules for name in rule.co_names}
    for node, first, mentioned in statements(file):
        written = any(first <= rule.co_firstlineno <= node.end_lineno for rule in rules if rule.co_filename == file)
        if written or (node.name in called if isinstance(node, ast.FunctionDef) else mentioned & names):
            yield file, first, node.end_lineno


@functools.cache
def statements(file):
    """(node, first line, names that occur in it) of each statement of a file that imports nothing."""
    return [
        (node, min([node.lineno, *(line.lineno for line in getattr(node, "decorator_list", []))]),
         {part.id for part in ast.walk(node) if isinstance(part, ast.Name)})
        for node in ast.parse(Path(file).read_text(encoding="utf-8")).body
        if not isinstance(node, ast.Import | ast.ImportFrom)
    ]  # fmt: skip


def text(file, first, last):
    return "\n".join(Path(file).read_text(encoding="utf-8").splitlines()[first - 1 : last])


def domain_of(operation):
    """x ≠ 0 said of the argument that it is about."""
    pairs = zip(operation.parameters, operation.rules, operation.domain, strict=False)
    said = [re.sub(r"\bx\b", name, str(domain)) for name, rule, domain in pairs if rule is not None]
    return ", ".join(one for one in said if not one.endswith(" real")) or "everywhere"


def table(operations):
    yield "| operation | differentiable in | where | kinks | broadcasts |"
    yield "|---|---|---|---|---|"
    for one in operations:
        arguments = [name for name, rule in zip(one.parameters, one.rules, strict=False) if rule is not None]
        kinks, broadcasts = ("yes" if fact else "" for fact in (one.kinks, one.broadcasts))
        yield f"| `{one.name}` | {', '.join(arguments)} | {domain_of(one)} | {kinks} | {broadcasts} |"


def options_left_out():
    """Option of NumPy's → names of the operations that do not take it; all ufuncs as one."""
    found = defaultdict(list)
    for function, operation in registry().items():
        if operation.kind not in (Primitive.kind, Composite.kind) or not function.__module__.startswith("numpy"):
            continue
        taken = operation.understood if isinstance(operation, Primitive) else taken_by(operation.definition)
        signature = signature_of(function)
        for option in signature.parameters.values() if signature else ():
            if option.default is not option.empty and option.name not in taken:
                plain = type(function).__name__ == "ufunc" and function.signature is None
                name = "every elementwise ufunc" if plain else f"`{operation.name}`"
                if name not in found[option.name]:
                    found[option.name].append(name)
    return {option: sorted(names, key=lambda name: (name[0] != "`", name)) for option, names in found.items()}


def taken_by(definition):
    code = definition.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def left_out_options():
    yield from ("| option | instead | not taken by |", "|---|---|---|")
    for option, names in sorted(options_left_out().items()):
        yield f"| `{option}=` | {OPTIONS[option]} | {', '.join(names)} |"


def left_out_forms():
    yield from ("| form | why, or what instead |", "|---|---|")
    for form, reason in FORMS.items():
        yield f"| `{form}` | {reason} |"


def page():
    kinds = defaultdict(list)
    for operation in registry().values():
        kinds[operation.kind].append(operation)
    families = defaultdict(list)
    for operation in kinds[Primitive.kind]:
        families[next(rule for rule in operation.rules if rule).__globals__["__name__"]].append(operation)
    numbers = {kind + "s": len(kinds[kind]) for kind in ("rule", "composite", "constant")}
    lines = [HEADER.format(**numbers)]
    for family, operations in families.items():
        lines += [f"## {family.rsplit('.', 1)[-1].capitalize()}", "", *table(operations), "", "```python"]
        spans = sorted({span for operation in operations for span in statements_of(operation)})
        lines += ["\n\n".join(text(*span) for span in spans), "```", ""]
    lines += ["## Composites", "", "Forward code; the gradient is derived from it.", ""]
    definitions = defaultdict(list)
    for operation in kinds[Composite.kind]:
        definitions[operation.definition].append(operation.name)
    for definition, names in definitions.items():
        source = inspect.getsource(definition).rstrip()
        lines += [", ".join(f"`{name}`" for name in names), "", "```python", source, "```", ""]
    for kind, title in (("constant", "No derivative"), ("refused", "Left out")):
        lines += [f"## {title}", ""]
        reasons = defaultdict(list)
        for operation in kinds[kind]:
            reasons[operation.reason].append(f"`{operation.name}`")
        lines += [f"- {', '.join(names)}: {reason}" for reason, names in reasons.items()] + [""]
    lines += ["## Left out: options", "", *left_out_options(), ""]
    lines += ["## Left out: forms", "", LEFT_OUT_FORMS, "", *left_out_forms(), ""]
    return "\n".join(lines)
