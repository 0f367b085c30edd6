"""The gateway's HTTP face.

`POST /v1/{recipe}/<its task's endpoint>` · `POST /v1/outcomes` · `/metrics` · `/healthz` · `/readyz` · `/docs` ·
`/openapi.json`
Refusals are `{"code", "message"}`: 401 token, 404, 413 body, 422 content, 429 too many, 503 not recorded or
not served, 504 too late.
"""

import asyncio
import hmac
import html
import inspect
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from recflow.artifacts.events import Exposure
from recflow.domain.requests import Refusal
from recflow.gateway.assigning import BOT
from recflow.gateway.messages import OutcomeRequest, parse, read_body
from recflow.gateway.programs import is_program
from recflow.gateway.service import Gateway, Line, Options, Seams

FORCE_HEADER = "x-recflow-version"
_MAX_OUTCOME_BYTES = 4096
_BODY_TIMEOUT_S = 5


def create_app(lines: Sequence[Line], seams: Seams, options: Options) -> FastAPI:
    """The ASGI application of one gateway process. Its lifespan polls the routes; `app.state.gateway` is behind it.

    BadConfiguration when two lines have one route.
    """
    gateway = Gateway(lines, seams, options)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with gateway.running():
            yield

    app = FastAPI(title="recflow gateway", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.gateway = gateway
    _refusals(app, gateway)
    _acting(app, gateway, options.tokens)
    for name in options.unserved:
        _standing_still(app, name)
    for endpoint in dict.fromkeys(line.serving.endpoint for line in gateway.lines.values()):
        _asking(app, gateway, options, endpoint)
    _watching(app, gateway)
    return app


def _acting(app: FastAPI, gateway: Gateway, tokens: Sequence[str]) -> None:
    @app.post("/v1/outcomes", openapi_extra=_body_of(OutcomeRequest))
    async def record_outcome(request: Request) -> Response:
        """Say what a user did with an answer, or with an item of it. The same outcome may be sent again.

        It counts for the user whom the answer was given to: who has signed in since sends both ids.
        """
        _check_token(request, tokens)
        outcome = await gateway.record(parse(OutcomeRequest, await _body(request, _MAX_OUTCOME_BYTES)))
        return JSONResponse({"outcome_id": outcome.outcome_id})


def _standing_still(app: FastAPI, name: str) -> None:
    @app.post(f"/v1/{name}/{{endpoint}}", include_in_schema=False)
    async def refuse(endpoint: str) -> Response:
        raise Refusal(503, "not_served", "this line is not served now", {"Retry-After": "60"})


def _asking(app: FastAPI, gateway: Gateway, options: Options, endpoint: str) -> None:
    """The address at which the lines of one or several tasks are asked."""
    served = {name: line for name, line in gateway.lines.items() if line.serving.endpoint == endpoint}
    kinds = list(dict.fromkeys(line.serving.request for line in served.values()))
    described = " ".join(inspect.getdoc(kind) or "" for kind in kinds)

    @app.post(
        f"/v1/{{route}}/{endpoint}",
        name=endpoint,
        description=f"{described} `fallback` says why another than the assigned version answered.",
        openapi_extra=_body_of(*kinds),
    )
    async def ask(route: str, request: Request) -> Response:
        _check_token(request, options.tokens)
        line = served.get(route)
        if line is None:
            raise Refusal(404, "unknown_route", "there is no such route")
        limits = line.recipe.serving
        asked = parse(line.serving.request, await _body(request, limits.max_body_bytes))
        line.serving.refuse(asked, limits)
        forced = request.headers.get(FORCE_HEADER, "")
        if forced and not options.tokens:
            raise Refusal(403, "forbidden", "forcing a version needs a token")
        marked = asked.marked or (BOT if is_program(request.headers.get("user-agent", "")) else "")
        exposure = await gateway.ask(line, asked, marked=marked, forced=forced)
        return JSONResponse(_told(exposure, line.serving.told(exposure)))


def _watching(app: FastAPI, gateway: Gateway) -> None:
    @app.get("/healthz")
    async def alive() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive", "gateway": gateway.name}

    @app.get("/readyz")
    async def ready() -> JSONResponse:
        """503 until routes were read once, from the store or from disk; later 200 with every problem in words.

        `signing` says whether outcomes are held to the user that an answer was given to.

        Even without a model server the gateway is better in rotation than out: it answers without one.
        """
        known = gateway.routes.polled or any(gateway.routes.table(name).epoch for name in gateway.lines)
        if not known:
            return JSONResponse({"status": "starting", "problems": ["no routes were read yet"]}, 503)
        problems = await gateway.problems()
        status = "degraded" if problems else "ready"
        return JSONResponse({"status": status, "problems": problems, "signing": gateway.signing})

    @app.get("/metrics")
    async def metrics() -> Response:
        """Prometheus metrics of this worker."""
        return Response(gateway.instruments.text(), media_type="text/plain; version=0.0.4")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        """This interface as a plain page: nothing is loaded from elsewhere."""
        return HTMLResponse(_page(app.openapi()))


def _refusals(app: FastAPI, gateway: Gateway) -> None:
    def refuse(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
        gateway.instruments.refused(code)
        return JSONResponse({"code": code, "message": message}, status, headers)

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> Response:
        return refuse(error.status, error.code, error.message, error.headers)

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
        return refuse(error.status_code, code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def broken(_: Request, __: Exception) -> Response:
        return refuse(500, "internal_error", "this is a fault of the gateway")


async def _body(request: Request, limit: int) -> bytes:
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            return await read_body(request.stream(), request.headers.get("content-length"), limit)
    except TimeoutError:
        raise Refusal(408, "body_too_slow", f"the body took over {_BODY_TIMEOUT_S} seconds") from None
    except ClientDisconnect:
        raise Refusal(400, "disconnected", "the client went away") from None


def _check_token(request: Request, tokens: Sequence[str]) -> None:
    given = request.headers.get("authorization", "").encode()
    # Every token is compared, so that the time says nothing of which one was nearly right.
    known = [hmac.compare_digest(given, f"Bearer {token}".encode()) for token in tokens]
    if tokens and not any(known):
        raise Refusal(401, "unauthorised", "a bearer token is needed", {"WWW-Authenticate": "Bearer"})


def _told(exposure: Exposure, answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "request_id": exposure.request_id,
        **answer,
        "version": exposure.served_version,
        "arm": exposure.arm,
        "fallback": exposure.fallback,
    }


def _body_of(*kinds: type[BaseModel]) -> dict[str, Any]:
    schemas = [_whole(schema, schema.pop("$defs", {})) for schema in (kind.model_json_schema() for kind in kinds)]
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _whole(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema with what it refers to in place: it stands alone in the interface."""
    if isinstance(schema, list):
        return [_whole(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _whole(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _whole(part, definitions) for name, part in schema.items()}


def _page(interface: dict[str, Any]) -> str:
    parts = [f"<!doctype html><meta charset=utf-8><title>{html.escape(interface['info']['title'])}</title>"]
    parts.append("<style>body{font:15px sans-serif;max-width:60em;margin:2em auto}pre{background:#f4f4f4}</style>")
    parts.append(f"<h1>{html.escape(interface['info']['title'])}</h1><a href=/openapi.json>openapi.json</a>")
    for path, methods in interface["paths"].items():
        for method, told in methods.items():
            parts.append(f"<h2>{method.upper()} {html.escape(path)}</h2><p>{html.escape(told.get('description', ''))}")
            body = told.get("requestBody")
            if body:
                schema = json.dumps(body["content"]["application/json"]["schema"], indent=1)
                parts.append(f"<details><summary>body</summary><pre>{html.escape(schema)}</pre></details>")
    return "".join(parts)
