"""Fourteen: the transformer of the lessons, untrained; and one step.

Knowing nothing it gives each of its 20 tokens about the same chance, so its loss starts near ln 20 = 2.996, and a
little above, for its guesses are not quite even.
"""

import tempfile
from pathlib import Path

import numpy as np

from tinygrad_edu import draw, errors, functional, optim
from transformer import Transformer, TransformerConfig
from transformer.tokens import decode, encode, spell

tokens = np.array([encode("Max(1,6,2)")])
target = np.array(spell("6"))
print(tokens[0].tolist(), target.tolist(), decode(target))  # -> [15, 17, 3, 19, 8, 19, 4, 18] [8] 6

model = Transformer(TransformerConfig(vocab_size=20), seed=0)
print(model.num_parameters())  # -> 102036
optimizer = optim.Adam(model.named_parameters(), lr=1e-3)

losses = []
for _ in range(6):
    logits = model(tokens)  # (1, 20)
    loss = functional.cross_entropy(logits, target)
    loss.backward()  # from here to every one of the 102,036
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())

assert 1 < losses[0] < 6 and losses == sorted(losses, reverse=True)  # one question is soon learnt by heart
print(decode([np.argmax(model(tokens).numpy())]))  # -> 6

# The model as it runs, in one file to explore: equal blocks once, every value and gradient, the parameters counted.
page = Path(tempfile.mkdtemp()) / "model.html"
try:
    draw(lambda ids: functional.cross_entropy(model(ids), target), tokens, path=page, heat="gradient")
    print(f"see {page}")
except errors.AutodiffError as error:  # no Graphviz
    print(error)
