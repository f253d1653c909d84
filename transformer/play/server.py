"""From the session to a browser on the same machine, and to nobody else.

It listens on the loopback interface alone. A page of another site that the browser has open can reach that, too: so a
request must name this server as its host (or another name could be pointed at 127.0.0.1), must not come from a page of
another origin, and its answer may not be shown in such a page. A request holds no path, and nothing is written.
"""

from __future__ import annotations

import asyncio
import html
import json
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tinygrad_edu import errors
from tinygrad_edu.render.page import page
from transformer.play.panel import panel
from transformer.play.session import Session
from transformer.play.wishes import Impossible, Malformed, Wish, parsed, wish_of
from transformer.tokens import InputError

__all__ = ["HOST", "application", "listening", "serve", "server_of"]

HOST = "127.0.0.1"
LARGEST = 1 << 16  # bytes of a request
PATIENCE = 10.0  # seconds in which it has to arrive
HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'self'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
WORDS = {
    404: "there is no such page",
    405: "this page is asked in another way",
    408: f"a request has to arrive within {PATIENCE:.0f} seconds",
    413: f"a request has {LARGEST} bytes at most",
    415: "a question is sent as application/json",
    500: "the playground failed; the terminal that it runs in says why",
    503: "the playground has ended",
}


def application(session: Session, port: int) -> ASGIApp:
    """The pages as an ASGI application that answers as 127.0.0.1 and localhost at that port, under no other name.

    What a person may type wrong is answered with its `problem`; what no page sends with a status of 4xx and an `error`.
    """
    front = panel(session.about())

    async def home(request: Request) -> Response:
        return HTMLResponse(front)

    async def answer(request: Request) -> Response:
        wish = wish_of(parsed(await body(request)))
        return as_json(await run_in_threadpool(problems_told, session.answer, wish))

    async def weights(request: Request) -> Response:
        data = parsed(await body(request))
        name = data.pop("name", None) if isinstance(data, dict) else None
        if not isinstance(name, str):
            raise Malformed("name: it must be text")
        return as_json(await run_in_threadpool(problems_told, session.weights, wish_of(data), name))

    def picture(draw: Callable[[Wish], str]) -> Callable[[Request], Any]:
        async def drawn(request: Request) -> Response:
            wish = wish_of(parsed(request.query_params.get("wish", "")))
            return HTMLResponse(await run_in_threadpool(page_of, draw, wish))

        return drawn

    routes = [
        Route("/", home),
        Route("/answer", told(answer), methods=["POST"]),
        Route("/weights", told(weights), methods=["POST"]),
        Route("/graph", told(picture(session.graph))),
        Route("/replay", told(picture(session.replay))),
    ]
    handlers: Any = {HTTPException: refusal, 500: refusal}
    inner = Starlette(routes=routes, exception_handlers=handlers)
    inner.router.redirect_slashes = False
    return Guard(inner, port)


class Guard:
    """Lets nobody in from outside, and puts the headers that protect a page on every answer."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        names = [f"{host}:{port}" for host in (HOST, "localhost")]
        self.app = app
        self.hosts = {*names, *((HOST, "localhost") if port == 80 else ())}
        self.origins = {f"http://{host}" for host in self.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def protected(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                message["headers"] += [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            await send(message)

        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        reason = self.objection(Request(scope))
        if reason is not None:
            await as_json({"error": reason}, 403)(scope, receive, protected)
            return
        try:
            await self.app(scope, receive, protected)
        except asyncio.CancelledError:  # Ctrl-C, while a picture was still being drawn
            if not begun:
                await as_json({"error": WORDS[503]}, 503)(scope, receive, protected)

    def objection(self, request: Request) -> str | None:
        """Why a request is refused; None if it is one of ours."""
        if request.headers.get("host", "") not in self.hosts:
            return "the playground answers under its own address alone, the one in the terminal"
        if request.headers.get("origin", next(iter(self.origins))) not in self.origins:
            return "another site's page may not ask here"
        # A link that somebody follows is no harm: the front page computes nothing.
        if request.url.path != "/" and request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return "another site's page may not ask here"
        return None


# Requests and answers -----------------------------------------------------------------------------


async def body(request: Request) -> bytes:
    """What was sent, if it is JSON, not too large and not too slow: reading ends at the limits."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415)
    found = b""
    try:
        async with asyncio.timeout(PATIENCE):
            async for piece in request.stream():
                found += piece
                if len(found) > LARGEST:
                    raise HTTPException(413)
    except (TimeoutError, ClientDisconnect):  # who has left gets no answer, and is no mistake of ours
        raise HTTPException(408) from None
    return found


def problems_told(find: Callable[..., dict[str, Any]], *wanted: Any) -> dict[str, Any]:
    """What was found, or the problem, in words; of a question that cannot be read also where."""
    try:
        return find(*wanted)
    except InputError as error:
        words, *shown = str(error).split("\n")
        return {"problem": words, "place": "\n".join(line[4:] for line in shown), "position": error.position}
    except Impossible as error:
        return {"problem": str(error)}


def page_of(draw: Callable[[Wish], str], wish: Wish) -> str:
    """The page, or one that says why there is none."""
    try:
        return draw(wish)
    except (InputError, Impossible, errors.AutodiffError) as error:
        return page("No picture", f"<pre>{html.escape(str(error))}</pre>")


def told(answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
    """Malformed becomes a 400 with its reason, Impossible, where a wish could not even be read, its problem."""

    async def found(request: Request) -> Response:
        try:
            response: Response = await answer(request)
        except Malformed as error:
            return as_json({"error": str(error)}, 400)
        except Impossible as error:
            return as_json({"problem": str(error)})
        return response

    return found


async def refusal(request: Request, error: Exception) -> Response:
    """Our own words for every status: an exception's may hold what is nobody's business."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return as_json({"error": WORDS.get(status, "this cannot be answered")}, status)


def as_json(content: dict[str, Any], status: int = 200) -> Response:
    """An answer in JSON; a number that is none would be a mistake of ours, and raises."""
    return Response(json.dumps(content, allow_nan=False), status, media_type="application/json")


# Serving ------------------------------------------------------------------------------------------


def listening(port: int = 0) -> socket.socket:
    """A socket of the loopback interface; port 0 takes any that is free. Raises OSError where one is taken."""
    if not 0 <= port <= 65535:
        raise ValueError(f"port = {port}: it must be from 0 to 65535")
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}; choose another --port", f"port {port}") from None


def server_of(session: Session, port: int) -> uvicorn.Server:
    """A server for the application, which run(sockets=[...]) starts and `should_exit = True` ends."""
    config = uvicorn.Config(
        application(session, port), lifespan="off", ws="none", http="h11", loop="asyncio", log_level="warning",
        access_log=False, server_header=False, proxy_headers=False, timeout_graceful_shutdown=2,
    )  # fmt: skip
    return uvicorn.Server(config)


def serve(session: Session, port: int = 0) -> int:
    """Serve until Ctrl-C; returns the exit code. Raises like listening."""
    with listening(port) as door:
        number = door.getsockname()[1]
        server = server_of(session, number)
        print(f"{session.name}: open http://{HOST}:{number}/ in a browser of this machine; Ctrl-C ends", flush=True)
        try:
            server.run(sockets=[door])
        except KeyboardInterrupt:
            print("\nended", flush=True)
    return 0
