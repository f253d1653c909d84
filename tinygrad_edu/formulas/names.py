"""Names and numbers in LaTeX and in a terminal: W1 is W_1 or W₁, x_hat has its hat, ∂W1 is the cotangent of W1."""

from __future__ import annotations

import re

__all__ = ["COTANGENT", "name_in_latex", "name_in_text", "number_in_latex", "number_in_text"]

COTANGENT = "∂"  # in front of a name: the cotangent ∂L/∂name
GREEK = """
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi omega
""".split()
GREEK_TEXT = dict(zip(GREEK, "αβγδεζηθικλμνξπρστφχψω", strict=True)) | {"eps": "ε"}
NAME = r"[A-Za-z_]\w*"
DIGITS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def split_name(name: str) -> tuple[str, str, bool]:
    """(stem, index, has a hat): W1, W_q, x_hat."""
    hat = bool(re.search(r"_?hat$", name)) and name not in ("hat", "that")
    name = re.sub(r"_?hat$", "", name) if hat else name
    found = re.fullmatch(r"([^\W\d_]+)_?(\d+|(?<=_)\w+)?", name)
    return (found[1], found[2] or "", hat) if found else (name, "", hat)


def name_in_latex(name: str) -> str:
    over = ""
    if name.startswith(COTANGENT):
        over, name = "bar", name[1:]
    stem, index, hat = split_name(name)
    if stem in GREEK:
        stem = "\\" + stem
    elif stem == "eps":
        stem = r"\varepsilon"
    elif len(stem) > 1:
        stem = r"\mathrm{" + re.sub(r"[^\w.]", " ", stem).replace("_", r"\_") + "}"
    long = stem.startswith(r"\mathrm")
    stem = rf"\hat{{{stem}}}" if hat else stem
    if over:
        stem = rf"\overline{{{stem}}}" if long else rf"\bar{{{stem}}}"
    if index:
        inside = index if len(index) == 1 or index.isdigit() else rf"\mathrm{{{index}}}".replace("_", r"\_")
        return f"{stem}_{{{inside}}}" if len(inside) > 1 else f"{stem}_{inside}"
    return stem


def name_in_text(name: str) -> str:
    if name.startswith(COTANGENT):
        return "d" + name_in_text(name[1:])
    stem, index, hat = split_name(name)
    stem = GREEK_TEXT.get(stem, stem) + ("\u0302" if hat else "")
    return stem + (index.translate(DIGITS) if index.isdigit() else f"_{index}" if index else "")


def number_in_text(text: str) -> str:
    """What `numbers.quotient` wrote, with names as they are written: 1/√d."""
    return re.sub(r"√\((\w+)\)", r"√\1", re.sub(NAME, lambda m: name_in_text(m[0]), text))


def number_in_latex(text: str) -> str:
    power = re.fullmatch(r"([\d.]+)e([-+])0*(\d+)", text)
    if power:
        front = "" if power[1] == "1" else rf"{power[1]} \cdot "
        return rf"{front}10^{{{power[2].strip('+')}{power[3]}}}"
    text = re.sub(NAME, lambda m: name_in_latex(m[0]), text)
    text = re.sub(r"√\(([^()/]*)/([^()]*)\)", r"\\sqrt{\\frac{\1}{\2}}", text)
    text = re.sub(r"√\(([^()]*)\)", r"\\sqrt{\1}", text)
    return text.replace("π", r"\pi").replace("∞", r"\infty").replace("−", "-")
