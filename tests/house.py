"""The rules of the house as gates: arrows point down, the model holds no calculus, every page names what exists.

A gate reads the sources under a root folder with `ast` and yields complaints, each of which says what to do.
`python tests/house.py` draws the map.
"""

import ast
import configparser
import functools
import graphlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# From the ground up. A module imports from rows below its own; modules of one row do not see each other.
ROWS = {
    "tinygrad_edu": (
        "errors heap quiet source tree state",
        "arrays operation",
        "primitive forms seals",
        "rules",
        "graph extents",
        "complaints anomalies limits",
        "settings variable",
        "record backward cotangents",
        "protocols absent",
        "operators",
        "methods",
        "exits",
        "tensor",
        "arguments compiled convolution explaining memory profiler",
        "recompute tape transforms functional",
        "averages flat nn schedules",
        "optimizer",
        "onnx optim numerics formulas",
        "render",
        "testing",
        "__init__",
        "__main__",
    ),
    "transformer": (
        "communicator config headers sampling tokens",
        "mpi summation",
        "vocabulary",
        "layers tasks",
        "model plan",
        "checkpoint",
        "generate evaluate",
        "beam examining gradients interop metrics moments optimisation",
        "loop",
        "runs",
        "lessons train report troubles",
        "asking drawing learning live options ranks sweep",
        "play",
        "cli",
        "__init__",
        "__main__",
    ),
}
LINES = 350
SUFFIXES = (".py", ".cfg", ".toml")
MADE = (".venv", "runs", "docs/_build")  # folders that commands make: pages may name what will be in them


# Reading ------------------------------------------------------------------------------------------


def sources(root: Path, *folders: str) -> dict[str, Path]:
    """Dotted name → file, for every module in the folders; a package goes by its own name."""
    files = [file for folder in folders for file in sorted((root / folder).rglob("*.py"))]
    parts = [file.relative_to(root).with_suffix("").parts for file in files]
    return {".".join(names).removesuffix(".__init__"): file for names, file in zip(parts, files, strict=True)}


@functools.cache
def parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


@functools.cache
def nodes(file: Path) -> list[ast.AST]:
    return list(ast.walk(parse(file)))


def imports(name: str, file: Path) -> Iterator[tuple[int, str, str]]:
    """(line, module, name taken from it or ""): an import inside a function, or by a string, counts too."""
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    for node in nodes(file):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            yield from ((node.lineno, module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from ((node.lineno, a.value, "") for a in node.args if isinstance(a, ast.Constant))


def arrows(modules: dict[str, Path]) -> Iterator[tuple[str, str, str]]:
    """(importer, imported, file:line); `from package import module` points at the module."""
    for name, file in modules.items():
        for line, module, taken in imports(name, file):
            whole = f"{module}.{taken}"
            yield name, whole if whole in modules else module, f"{file.name}:{line}"


def floor_of(module: str) -> int | None:
    """The row of ROWS a module stands in; None for a newcomer."""
    package, _, rest = module.partition(".")
    room = rest.split(".")[0] or "__init__"
    return next((floor for floor, row in enumerate(ROWS[package]) if room in row.split()), None)


def exported(file: Path) -> list[str] | None:
    """What __all__ lists; None where there is none."""
    for node in parse(file).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


# Gates --------------------------------------------------------------------------------------------


def arrows_point_down(root: Path) -> Iterator[str]:
    modules = sources(root, *ROWS)
    for name, target, where in arrows(modules):
        floor = floor_of(name)
        if floor is None:
            yield f"{name} stands in no row of ROWS: write it in above everything that it imports"
        elif target.split(".")[0] not in ROWS:
            continue
        elif name.split(".")[0] != target.split(".")[0]:
            if target.split(".")[0] == "transformer":
                yield f"{where}: {name} imports {target}: the engine knows of no model; move the code up"
        elif name.split(".")[:2] != target.split(".")[:2]:
            below = floor_of(target)
            if below is None or below >= floor:
                yield f"{where}: {name} imports {target}, which is not below it: move the shared part down"


def no_cycles(root: Path) -> Iterator[str]:
    modules = sources(root, *ROWS)
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for name, target, _ in arrows(modules):
        if target in modules:
            graph[name].add(target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        cycle = " -> ".join(error.args[1])
        yield f"import cycle {cycle}: a deferred import is no cure; move the shared part down"


def rules_know_numpy_only(root: Path) -> Iterator[str]:
    allowed = {"numpy", "tinygrad_edu.primitive", "tinygrad_edu.errors"}
    modules = sources(root, "tinygrad_edu/rules")
    for name, target, where in arrows(sources(root, "tinygrad_edu")):
        outside = target not in modules and target not in allowed and target.split(".")[0] != "numpy"
        if name in modules and outside and target.split(".")[0] not in sys.stdlib_module_names:
            yield f"{where}: {name} imports {target}: a rule is a plain NumPy function and knows nothing else"


def the_model_uses_public_names(root: Path) -> Iterator[str]:
    public = exported(root / "tinygrad_edu/__init__.py") or []
    for name, file in sources(root, "transformer").items():
        for line, module, taken in imports(name, file):
            if module.split(".")[0] != "tinygrad_edu":
                continue
            path = [*module.split(".")[1:], *filter(None, [taken])]
            if path and (path[0] not in public or any(part.startswith("_") for part in path)):
                yield f"{file.name}:{line}: {module} {taken} is not public: use what __all__ lists"
        for node in nodes(file):
            if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr):
                if ast.unparse(node.value) not in ("self", "cls"):
                    yield f"{file.name}:{node.lineno}: {ast.unparse(node)} is private: use a public name"


def the_model_holds_no_derivative(root: Path) -> Iterator[str]:
    cure = "write the forward pass alone; a new operation's rule goes into tinygrad_edu/rules"
    for file in sources(root, "transformer").values():
        for node in nodes(file):
            found = ""
            if isinstance(node, ast.FunctionDef) and re.search("backward|vjp", node.name):
                found = f"def {node.name}"
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func).split(".")[-1]
                if called in ("derivative", "primitive") or (
                    called == "setattr" and len(node.args) > 1 and ast.unparse(node.args[1]) == "'grad'"
                ):
                    found = f"{called}(...)"
            elif isinstance(node, ast.Attribute) and node.attr == "grad" and isinstance(node.ctx, ast.Store):
                found = f"{ast.unparse(node)} = ..."
            if found:
                yield f"{file.name}:{node.lineno}: {found} in the model: {cure}"  # type: ignore[attr-defined]


def by_hand_imports_numpy_alone(root: Path) -> Iterator[str]:
    """The formulas judge the engine, so they may not lean on it; the tests that hold the two together lie outside."""
    modules = sources(root, "tests/by_hand")
    siblings = {name.split(".")[-1] for name in modules}
    for name, file in modules.items():
        for line, module, _ in imports(name, file):
            inside = module.startswith("tests.by_hand") or module.split(".")[0] in {*siblings, "by_hand"}
            if not inside and module.split(".")[0] not in ("numpy", "__future__", "math"):
                yield f"{file.name}:{line}: imports {module}: formulas that judge the engine use NumPy alone"


def all_lists_the_public_names(root: Path) -> Iterator[str]:
    """Public is what a package defines, and what it takes from its own modules only to hand it on."""
    for name, file in sources(root, *ROWS).items():
        if file.name != "__init__.py":
            continue
        used = {node.id for node in nodes(file) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        taken = {taken for _, module, taken in imports(name, file) if f"{module}.".startswith(f"{name}.")}
        made = {node.name for node in parse(file).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assigned = [target for node in parse(file).body if isinstance(node, ast.Assign) for target in node.targets]
        made |= {target.id for target in assigned if isinstance(target, ast.Name)}
        public = {one for one in made | (taken - used) if not one.startswith("_")}
        listed = set(exported(file) or [])
        yield from (f"{name}.{one} is public but not in __all__: list it" for one in sorted(public - listed))
        yield from (f"{name}.__all__ lists {one}, which is not there" for one in sorted(listed - made - taken))


def names_below(root: Path) -> set[str]:
    """Of files, but for those in .venv and its like, which are many."""
    found: set[str] = set()
    for _, folders, files in os.walk(root):
        folders[:] = [folder for folder in folders if not folder.startswith((".", "_"))]
        found.update(files)
    return found


def pages_name_what_exists(root: Path) -> Iterator[str]:
    """Paths in backticks and in links, and `make` targets."""
    makefile = root / "Makefile"
    targets = set(re.findall(r"^([a-z]+):", makefile.read_text(), re.M)) if makefile.exists() else set()
    names = names_below(root)
    for page in [*root.glob("README.md"), *root.glob("CONTRIBUTING.md"), *root.glob("docs/**/*.md")]:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"`make ([a-z]+)", text):
            if target not in targets:
                yield f"{page.name}: `make {target}` is no target of the Makefile"
        for link in re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", text):
            if not (page.parent / link).exists():
                yield f"{page.name}: the link {link} leads nowhere"
        for path in re.findall(r"`([\w.-]+(?:/[\w.-]*)*)`", text):
            top, slash, _ = path.partition("/")
            made = f"{path}/".startswith(tuple(f"{folder}/" for folder in MADE))
            ours = (root / top).is_dir() and not made if slash else path.endswith(SUFFIXES)
            if ours and not (root / path).exists() and path not in names:
                yield f"{page.name}: `{path}` does not exist"


def dependencies_earn_their_place(root: Path) -> Iterator[str]:
    """Whatever setup.cfg asks for has a sentence in docs/dependencies.md."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(root / "setup.cfg", encoding="utf-8")
    page = root / "docs/dependencies.md"
    told = page.read_text(encoding="utf-8") if page.exists() else ""
    extras = dict(setup["options.extras_require"]) if setup.has_section("options.extras_require") else {}
    for asked in [setup.get("options", "install_requires", fallback=""), *extras.values()]:
        for name in re.findall(r"^[\w-]+", asked, re.M):
            if name != setup.get("metadata", "name", fallback="") and not re.search(rf"\b{name}\b", told):
                yield f"setup.cfg asks for {name}: say in docs/dependencies.md, in one sentence, what for"


def files_are_short(root: Path) -> Iterator[str]:
    for name, file in sources(root, *ROWS, "tests", "examples", "docs").items():
        length = len(file.read_text(encoding="utf-8").splitlines())
        if length > LINES:
            yield f"{name} has {length} lines, over {LINES}: split it where a reader would turn the page"


GATES = (
    arrows_point_down,
    no_cycles,
    rules_know_numpy_only,
    the_model_uses_public_names,
    the_model_holds_no_derivative,
    by_hand_imports_numpy_alone,
    all_lists_the_public_names,
    pages_name_what_exists,
    dependencies_earn_their_place,
    files_are_short,
)


def draw_the_map() -> str:
    return "\n".join("\n  ".join([package, *reversed(rows)]) for package, rows in ROWS.items())


if __name__ == "__main__":
    print(draw_the_map())
