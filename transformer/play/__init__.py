"""The playground: a page on this machine alone, on which one asks a trained model, changes it and watches the answer.

wishes.py checks what is asked, session.py answers it, panel.py and panel.js are the page, server.py brings it to a
browser.
"""

from transformer.play.session import Session
from transformer.play.wishes import Impossible, Malformed, Wish, wish_of

__all__ = ["Impossible", "Malformed", "Session", "Wish", "wish_of"]
