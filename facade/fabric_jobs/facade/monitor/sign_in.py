"""The way in and out."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.enums import MediaType
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

from fabric_jobs.facade.monitor.access import SESSION_S, MonitorAccess, TooManyTriesError
from fabric_jobs.facade.monitor.guards import COOKIE, Guards
from fabric_jobs.facade.monitor.render import PATH, Renderer

_WRONG = "That is neither the readers' nor the operators' token."


def sign_in_routes(
    access: MonitorAccess, guards: Guards, renderer: Renderer
) -> list[HTTPRouteHandler]:
    """The form, what takes it, and what ends a session."""

    def form(next_page: str, problem: str = "", status: int = 200) -> Response[str]:
        page = renderer.page("sign_in.html", next_page=next_page, problem=problem)
        return Response(page, status_code=status, media_type=MediaType.HTML)

    @get("/sign-in")
    async def sign_in_form(request: Request[Any, Any, Any]) -> Response[Any]:
        next_page = _ours(request.query_params.get("next", ""))
        return Redirect(next_page, status_code=303) if guards.role(request) else form(next_page)

    @post("/sign-in")
    async def sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
        sent = await request.form()
        next_page = _ours(str(sent.get("next", "")))
        try:
            session = access.sign_in(str(sent.get("token", "")))
        except TooManyTriesError:
            return form(next_page, f"{_WRONG} Too many wrong ones came in this minute.", 429)
        if session is None:
            return form(next_page, _WRONG, 403)
        cookie = Cookie(
            key=COOKIE,
            value=session,
            path=PATH,
            max_age=SESSION_S,
            httponly=True,
            # Also with a link that somebody shared: whatever changes something is a POST.
            samesite="lax",
            # As the browser came: a proxy ends HTTPS before us.
            secure=request.headers.get("origin", "").startswith("https:"),
        )
        return Redirect(next_page, status_code=303, cookies=[cookie])

    @post("/sign-out")
    async def sign_out() -> Redirect:
        response = Redirect(f"{PATH}/sign-in", status_code=303)
        response.delete_cookie(COOKIE, path=PATH)
        return response

    return [sign_in_form, sign_in, sign_out]


def _ours(page: str) -> str:
    """The page to go on to, if it is one of the monitor's."""
    return page if page.startswith((f"{PATH}/", f"{PATH}?")) else PATH
