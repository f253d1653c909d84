"""MathJax, which sets the formulas, from npm: no page asks another server for it.

`python docs/mathjax.py` brings it at install time, so that the site can be built where there is no network.
"""

import shutil
import subprocess
import tarfile
from pathlib import Path

VERSION = "3.2.2"
FILE = "package/es5/tex-svg.js"  # one file, with its glyphs inside


def fetch(folder: Path) -> str | None:
    """The name of MathJax's file in `folder`, brought there if it was not; None where npm cannot."""
    target = folder / "tex-svg.js"
    if target.exists():
        return target.name
    npm = shutil.which("npm")
    if npm is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", f"mathjax@{VERSION}", "--silent", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        return None
    archive = folder / done.stdout.split()[-1]
    with tarfile.open(archive) as packed:
        source = packed.extractfile(FILE)
        if source is None:
            return None
        target.write_bytes(source.read())
    archive.unlink()
    return target.name


def without(folder: Path) -> str:
    """A script that does nothing, where npm could not bring MathJax: the pages then show formulas as text."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "no-mathjax.js").write_text("// npm was not there when this site was built\n", encoding="utf-8")
    return "no-mathjax.js"


if __name__ == "__main__":
    fetch(Path(__file__).resolve().parent / "reference" / "static")
