"""The routes that sign a user in and out."""

import logging
from typing import Any

from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

from fabric_jobs.facade.monitor.access import SESSION_S, MonitorAccess, TooManyTriesError
from fabric_jobs.facade.monitor.guards import COOKIE, Guards
from fabric_jobs.facade.monitor.openid import FLOW_S, OpenIdSignIn, SignInError
from fabric_jobs.facade.monitor.openid import SESSION_S as PERSON_S
from fabric_jobs.facade.monitor.render import PATH, Renderer

log = logging.getLogger("fabric_jobs.monitor")

#: The path under the monitor's to which a provider sends the browser back.
CALLBACK = "/sign-in/callback"
#: The cookie of a sign-in that waits for the provider.
FLOW_COOKIE = "fabric-jobs-monitor-sign-in"
_WRONG = "This is neither the readers' nor the operators' token."


def sign_in_routes(
    access: MonitorAccess, people: OpenIdSignIn | None, guards: Guards, renderer: Renderer
) -> list[HTTPRouteHandler]:
    """Returns the handlers of the sign-in form, of the sign-ins and of the sign-out."""

    def show_form(next_page: str, problem: str = "", status: int = 200) -> Response[str]:
        page = renderer.render_page(
            "sign_in.html",
            None,
            next_page=next_page,
            problem=problem,
            has_tokens=access.has_tokens,
            has_people=people is not None,
        )
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
        # By the browser's own URL, because a proxy may end HTTPS before the facade.
        secure = request.headers.get("origin", "").startswith("https:")
        cookie = _cookie(COOKIE, session, SESSION_S, secure=secure)
        return Redirect(next_page, status_code=303, cookies=[cookie])

    @get("/sign-in/openid")
    async def begin(request: Request[Any, Any, Any]) -> Response[Any]:
        next_page = _monitor_page(request.query_params.get("next", ""))
        if people is None:
            raise NotFoundException
        try:
            begun = await people.begin(next_page)
        except SignInError as error:
            log.warning("the sign-in can't begin: %s", error)
            return show_form(next_page, str(error), error.status)
        cookie = _cookie(FLOW_COOKIE, begun.flow, FLOW_S, secure=people.is_secure)
        return Redirect(begun.url, status_code=303, cookies=[cookie])

    @get(CALLBACK)
    async def finish(request: Request[Any, Any, Any]) -> Response[Any]:
        if people is None:
            raise NotFoundException
        flow = request.cookies.get(FLOW_COOKIE, "")
        try:
            finished = await people.finish(flow, dict(request.query_params.items()))
        except SignInError as error:
            log.warning("a sign-in failed: %s", error)
            return show_form(PATH, str(error), error.status)
        cookie = _cookie(COOKIE, finished.session, PERSON_S, secure=people.is_secure)
        response = Redirect(finished.next_page, status_code=303, cookies=[cookie])
        response.delete_cookie(FLOW_COOKIE, path=PATH)
        return response

    @post("/sign-out")
    async def sign_out() -> Redirect:
        response = Redirect(f"{PATH}/sign-in", status_code=303)
        response.delete_cookie(COOKIE, path=PATH)
        return response

    return [sign_in_form, sign_in, begin, finish, sign_out]


def _cookie(name: str, value: str, max_age: int, *, secure: bool) -> Cookie:
    return Cookie(
        key=name,
        value=value,
        path=PATH,
        max_age=max_age,
        httponly=True,
        # "lax" sends it with a link from another site too. Every change needs a POST.
        samesite="lax",
        secure=secure,
    )


def _monitor_page(page: str) -> str:
    """Returns the page if it is one of the monitor's, else the monitor's first page."""
    return page if page.startswith((f"{PATH}/", f"{PATH}?")) else PATH
