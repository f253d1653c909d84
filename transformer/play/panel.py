"""The page of the playground: its places, which panel.js fills, and what is known before anything is asked."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygrad_edu.render.page import page

__all__ = ["panel"]

FOLDER = Path(__file__).parent


def panel(about: Mapping[str, Any]) -> str:
    """The HTML file's text, scripts and styles inside. about: as Session.about gives it."""
    scripts = [str(FOLDER / name) for name in ("charts.js", "panel.js")]
    body = BODY.format(name=html.escape(about["name"]), about=html.escape(about["about"]), size=f"{about['size']:,}")
    return page(f"Playground: {about['name']}", body, about, scripts, [str(FOLDER / "panel.css")], served=True)


BODY = """<header>
<h1>Playground</h1>
<p class="pale"><b>{name}</b>: {about}; {size} parameters</p>
</header>
<main>
<section id="ask" aria-label="Question">
<input id="question" aria-label="Question" autocomplete="off" autocapitalize="off" spellcheck="false" maxlength="2000">
<p id="examples"><span class="pale">Try</span></p>
<div id="problem" class="hidden" role="alert"><p></p><pre></pre></div>
</section>
<section id="reply" aria-label="Answer" aria-live="polite">
<p id="answer"></p>
<p id="verdict"></p>
<ol id="tokens" aria-label="Tokens"></ol>
</section>
<section id="changes" aria-label="Changes">
<ul id="chips"></ul>
<button type="button" id="undo" class="hidden">Undo all</button>
</section>
<div id="views">
<section id="attention">
<h2>Attention <small>each token (row) looks at the tokens (columns); a switch turns its head off</small></h2>
<div id="heads"></div>
<p id="look" class="number pale">&nbsp;</p>
</section>
<section id="logits">
<h2>Logits <small>and what they make likely; the line marks the unchanged model</small></h2>
<nav id="steps" aria-label="Tokens of the answer"></nav>
<table><thead><tr><th>token</th><th colspan="2">logit</th><th colspan="2">chance</th><th></th></tr></thead>
<tbody id="rows"></tbody></table>
</section>
</div>
<section id="edit">
<h2>Edit <small>a copy: the run on the disk stays as it is</small></h2>
<div id="forms">
<form id="tokenform">
<h3>An embedding</h3>
<p><select id="token" aria-label="Token"></select>
times <input id="factor" type="number" step="any" value="0" aria-label="Factor"> <button id="scale">Scale</button></p>
<p>or read as <select id="other" aria-label="Other token"></select>, and the other way round
<button type="button" id="swap">Swap</button></p>
</form>
<form id="weightform">
<h3>A weight</h3>
<p><select id="name" aria-label="Parameter"></select></p>
<div class="scroll"><canvas id="matrix" aria-label="All numbers of the parameter; click one"></canvas></div>
<p>row <input id="row" type="number" min="0" value="0"> column <input id="column" type="number" min="0" value="0">
<span id="now" class="number pale"></span></p>
<p>becomes <input id="value" type="number" step="any" value="0" aria-label="New value">
<button id="set">Set</button></p>
</form>
</div>
</section>
<section id="behind">
<h2>Behind the answer</h2>
<p><button type="button" id="graph">The graph</button>
<button type="button" id="replay">Its gradient, step by step</button>
<span id="caption" class="pale"></span></p>
<div id="frame"></div>
</section>
</main>"""
