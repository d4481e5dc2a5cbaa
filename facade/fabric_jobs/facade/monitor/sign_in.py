"""The routes that sign a user in and out."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.enums import MediaType
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

from fabric_jobs.facade.monitor.access import SESSION_S, MonitorAccess, TooManyTriesError
from fabric_jobs.facade.monitor.guards import COOKIE, Guards
from fabric_jobs.facade.monitor.render import PATH, Renderer

_WRONG = "This is neither the readers' nor the operators' token."


def sign_in_routes(
    access: MonitorAccess, guards: Guards, renderer: Renderer
) -> list[HTTPRouteHandler]:
    """Returns the handlers of the sign-in form, of the sign-in and of the sign-out."""

    def show_form(next_page: str, problem: str = "", status: int = 200) -> Response[str]:
        page = renderer.render_page("sign_in.html", None, next_page=next_page, problem=problem)
        return Response(page, status_code=status, media_type=MediaType.HTML)

    @get("/sign-in")
    async def sign_in_form(request: Request[Any, Any, Any]) -> Response[Any]:
        next_page = _monitor_page(request.query_params.get("next", ""))
        if guards.viewer(request):
            return Redirect(next_page, status_code=303)
        return show_form(next_page)

    @post("/sign-in")
    async def sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
        sent = await request.form()
        next_page = _monitor_page(str(sent.get("next", "")))
        try:
            session = access.sign_in(str(sent.get("token", "")))
        except TooManyTriesError:
            problem = f"{_WRONG} There were too many wrong tokens in this minute."
            return show_form(next_page, problem, 429)
        if session is None:
            return show_form(next_page, _WRONG, 403)
        cookie = Cookie(
            key=COOKIE,
            value=session,
            path=PATH,
            max_age=SESSION_S,
            httponly=True,
            # "lax" sends it with a link from another site too. Every change needs a POST.
            samesite="lax",
            # By the browser's own URL, because a proxy may end HTTPS before the facade.
            secure=request.headers.get("origin", "").startswith("https:"),
        )
        return Redirect(next_page, status_code=303, cookies=[cookie])

    @post("/sign-out")
    async def sign_out() -> Redirect:
        response = Redirect(f"{PATH}/sign-in", status_code=303)
        response.delete_cookie(COOKIE, path=PATH)
        return response

    return [sign_in_form, sign_in, sign_out]


def _monitor_page(page: str) -> str:
    """Returns the page if it is one of the monitor's, else the monitor's first page."""
    return page if page.startswith((f"{PATH}/", f"{PATH}?")) else PATH
