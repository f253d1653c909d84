"""What the lessons' pages are written with: questions, exercises, and links to lines of the code that are checked.

    :::{question} Why is the table of shape (V, D)?        folded, numbered by itself
    One row for each token.
    :::

    :::{exercise} one_hot                                  task, stub, hints and solution, from the course's files
    :::

    {source}`transformer/model.py Transformer.forward`     a link to the line, which fails when the name is gone
    {source}`tinygrad_edu/rules/linalg.py np.matmul,`      or to the one line that holds this text
"""

import ast
import functools
import html
import importlib.util
import re
import sys
from pathlib import Path

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from sphinx.directives.admonitions import SphinxAdmonition
from sphinx.util.docutils import SphinxDirective, SphinxRole

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LESSONS = HERE / "lessons"
LISTINGS = HERE / "reference" / "pages" / "source"
sys.path.insert(0, str(LESSONS))  # where cells and checks find what they share


# The files of the course ---------------------------------------------------------------------------


def load(kind, number):
    """The module docs/lessons/KIND/lesson_NN.py, kind being exercises, checks or solutions."""
    path = LESSONS / kind / f"lesson_{number:02}.py"
    spec = importlib.util.spec_from_file_location(f"{kind}_{number:02}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def parsed(path):
    text = Path(path).read_text(encoding="utf-8")
    return text, ast.parse(text)


def defined(tree, name):
    """The node that defines a dotted name, or None."""
    body = tree.body
    node = None
    for part in name.split("."):
        node = next((each for each in body if part in names_of(each)), None)
        if node is None:
            return None
        body = getattr(node, "body", [])
    return node


def names_of(node):
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def function_of(kind, number, name):
    """The source of one function of a file of the course."""
    path = LESSONS / kind / f"lesson_{number:02}.py"
    text, tree = parsed(path)
    node = defined(tree, name)
    if node is None:
        raise LookupError(f"{path.relative_to(ROOT)} has no {name}")
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])


def line_of(file, what):
    """The line that defines the name, or else the only one that holds the text; 1 for a file as a whole."""
    path = ROOT / file
    if not path.exists():
        raise LookupError(f"there is no {file}")
    if not what:
        return 1
    text, tree = parsed(path)
    if what.replace(".", "").isidentifier():
        node = defined(tree, what)
        if node is not None:
            return node.lineno
    lines = [number for number, line in enumerate(text.splitlines(), 1) if what in line]
    if len(lines) != 1:
        raise LookupError(f"{file} defines no {what}, and holds it as text in {len(lines)} lines, not in one")
    return lines[0]


def pages():
    """The lessons that are written, in their order."""
    return sorted(LESSONS.glob("[0-9][0-9]_*.md"))


def contents():
    """The table of the lessons, each with its time, and their place in the site."""
    rows = ["| lesson | time needed | exercises |", "|---|---|---|"]
    for page in pages():
        text = page.read_text(encoding="utf-8")
        title = re.search(r"^# (.+)$", text, re.M)[1]
        time = re.search(r"^\*\*Time needed:\*\* ([^,.]+)", text, re.M)[1]
        rows.append(f"| [{title}](../lessons/{page.name}) | {time} | {len(re.findall('^:::.exercise', text, re.M))} |")
    return "\n".join([*rows, "", "```{toctree}", ":hidden:", *(page.stem for page in pages()), "```", ""])


# Links to the code ---------------------------------------------------------------------------------

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title><style>
:root {{ color-scheme: light dark }}
body {{ margin: 1rem; font: 15px/1.5 system-ui, sans-serif }} pre {{ overflow-x: auto; line-height: 1.45 }}
a.line {{ color: inherit; text-decoration: none }} pre > span:target {{ background: #fff3b0; display: inline-block; min-width: 100% }}
pre > span {{ scroll-margin-top: 30vh }} span.linenos {{ opacity: .5; padding-right: 1em; user-select: none }}
{light}
@media (prefers-color-scheme: dark) {{ body {{ background: #16181d; color: #d6d9de }} pre > span:target {{ background: #4a4420 }}
{dark} }}
</style></head><body><h1 style="font-size: 1.1rem">{name}</h1>{code}</body></html>
"""  # noqa: E501


def listing(file):
    """A page with the file's source, whose lines are anchors; where it lies in the site."""
    target = LISTINGS / f"{file}.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    style = {"nobackground": True, "cssclass": "code"}
    form = HtmlFormatter(linenos="inline", linespans="line", style="friendly", **style)
    dark = HtmlFormatter(style="github-dark", **style)
    code = highlight((ROOT / file).read_text(encoding="utf-8"), PythonLexer(stripnl=False), form)
    text = PAGE.format(
        name=html.escape(file), code=code, light=form.get_style_defs(".code"), dark=dark.get_style_defs(".code")
    )
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")
    return f"source/{file}.html"


class SourceRole(SphinxRole):
    def run(self):
        file, _, what = self.text.partition(" ")
        try:
            line = line_of(file, what)
        except LookupError as error:
            return [], [self.inliner.reporter.error(f"source: {error}", line=self.lineno)]
        up = "../" * self.env.docname.count("/")
        shown = nodes.literal(self.rawtext, f"{file}:{line}" if what else file)
        return [nodes.reference(self.rawtext, "", shown, refuri=f"{up}{listing(file)}#line-{line}")], []


# Questions and exercises ---------------------------------------------------------------------------


def number_of(env):
    """Of the lesson whose page is read: lessons/01_embeddings is 1."""
    name = env.docname.rpartition("/")[2]
    return int(name[:2]) if name[:2].isdigit() else 0


def folded(title, *children, kind):
    box = nodes.admonition("", nodes.title("", title), *children, classes=[kind], collapsible="closed")
    return box


class Question(SphinxAdmonition):
    required_arguments = 1
    node_class = nodes.admonition

    def run(self):
        count = self.env.temp_data["questions"] = self.env.temp_data.get("questions", 0) + 1
        number = f"{number_of(self.env)}.{count}"
        self.arguments[0] = f"**{number}**  {self.arguments[0]}"
        self.options["class"] = ["question"]
        self.options["collapsible"] = "closed"
        (box,) = super().run()
        name = f"question-{number.replace('.', '-')}"
        box["ids"].append(name)
        return [box]


class Exercise(SphinxDirective):
    required_arguments = 1
    has_content = True

    def run(self):
        name, lesson = self.arguments[0], number_of(self.env)
        for kind in ("exercises", "checks", "solutions"):
            self.env.note_dependency(str(LESSONS / kind / f"lesson_{lesson:02}.py"))
        about = load("checks", lesson).EXERCISES[name]
        count = list(load("checks", lesson).EXERCISES).index(name) + 1
        title = [nodes.Text(f"Exercise {lesson}.{count}: "), nodes.literal("", name)]
        spoken = f'role="img" aria-label="level {about.level} of 3"'
        stars = nodes.raw("", f' <span class="level" {spoken}>{"★" * about.level}</span>', format="html")
        box = nodes.admonition("", nodes.title("", "", *title, stars), classes=["exercise"])
        box["ids"].append(f"exercise-{name.replace('_', '-')}")
        self.state.nested_parse(self.content, self.content_offset, box)
        box += python(function_of("exercises", lesson, name))
        command = f"python -m transformer lesson {lesson} check {name}"
        box += nodes.paragraph("", "", nodes.Text("Checked by "), nodes.literal("", command))
        for number, hint in enumerate(about.hints, 1):
            inside = nodes.Element()
            self.state.nested_parse(string_list(hint, self), 0, inside)
            box += folded(f"Hint {number}", *inside.children, kind="clue")
        box += folded("Solution", python(function_of("solutions", lesson, name)), kind="solution")
        return [box]


def string_list(text, directive):
    from docutils.statemachine import StringList

    return StringList(text.splitlines(), source=directive.get_source_info()[0])


def python(code):
    block = nodes.literal_block(code, code)
    block["language"] = "python"
    return block


def spread(app, env, docnames):
    """Sphinx hands pages out to its processes in slices: no slice shall hold all the lessons, which take longest."""
    lessons = [name for name in docnames if "lessons/" in name]
    others = [name for name in docnames if name not in lessons]
    place = {name: k / len(names) for names in (lessons, others) for k, name in enumerate(names)}
    docnames.sort(key=place.__getitem__)


def told_by_its_words(app, name, template, context, doctree):
    """A fold of code is called what it shows, "Show the code", and not "Toggle hidden content" on top of it."""
    context["body"] = context.get("body", "").replace(' aria-label="Toggle hidden content"', "")


def setup(app):
    app.connect("env-before-read-docs", spread)
    app.connect("html-page-context", told_by_its_words)
    app.add_directive("question", Question)
    app.add_directive("exercise", Exercise)
    app.add_role("source", SourceRole())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
