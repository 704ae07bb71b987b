"""The page on the server's application: its shell with five tabs, its style, and what it may load."""

import json
import logging
import warnings
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from nicegui import app as pages
from nicegui import ui

from groundup.errors import StoreError
from groundup.report.gather import all_runs
from groundup.report.page import page as report
from groundup.report.page import style as report_style
from groundup.serve.entry import PAGE, add_entry
from groundup.serve.guard import App, Message, Receive, Scope, Send
from groundup.serve.page.chat import ChatTab
from groundup.serve.page.data import DataTab
from groundup.serve.page.inside import InsideTab
from groundup.serve.page.pool import Pool
from groundup.serve.page.runs import RunsTab
from groundup.serve.page.session import Actions, Desk, Session, Tab, html, nothing, select
from groundup.serve.page.training import TrainingTab

TABS: dict[str, Callable[[Session], Tab]] = {
    "Chat": ChatTab,
    "Inside": InsideTab,
    "Training": TrainingTab,
    "Data": DataTab,
    "Runs": RunsTab,
}

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
)
"""What the browser may load: nothing from elsewhere. Vue compiles its templates in the browser, hence `unsafe-eval`."""

REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"

PING_SECONDS = 40.0
"""Between two signs of life of a window; NiceGUI takes 0.8 of its `reconnect_timeout`."""

AWAY_SECONDS = 600.0
"""A window whose connection is lost, such as that of a phone asleep, finds its talk again within so long."""

ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect width='16' height='16' rx='4' fill='%231f6f6b'/%3E"
    "%3Cpath d='M4 12V9M8 12V6M12 12V3' stroke='white' stroke-width='2' stroke-linecap='round'/%3E%3C/svg%3E"
)


def mount(app: FastAPI, runs: Path, actions: Actions, key: str | None = None) -> None:
    """Put the page about the runs in a folder under `/ui`. Once in a process: NiceGUI has one page for all of it."""
    desk = Desk(runs, actions, Pool(app, runs, actions.open_model), app.state.telemetry)
    app.state.page = True
    if key is not None:
        add_entry(app, key)
    _add_routes(app, desk)
    head = _head()

    @ui.page("/", title="groundup", dark=None, language="en-US", reconnect_timeout=AWAY_SECONDS)
    def index(tab: str = "Chat", run: str = "") -> None:
        ui.add_head_html(head)
        _Shell(desk).build(tab if tab in TABS else "Chat", run)

    # What an error says may hold what somebody typed: it is not logged, only where it was.
    logging.getLogger("nicegui").disabled = True
    # At its start NiceGUI looks at every object there is, deprecated ones of torch among them.
    warnings.filterwarnings("ignore", category=FutureWarning, module="nicegui")
    # Quasar's bar at the top, shown while anything loads, has no name that a screen reader could say.
    pages.config.quasar_config["loadingBar"]["skipHijack"] = True
    pages.on_exception(app.state.telemetry.failure)
    pages.add_middleware(_Sealed)
    ui.run_with(
        app, mount_path=PAGE, title="groundup", favicon=ICON, dark=None, tailwind=False, language="en-US",
        show_welcome_message=False, reconnect_timeout=PING_SECONDS / 0.8,
    )  # fmt: skip


class _Sealed:
    """Tells the browser to load nothing from elsewhere, and to show the page in no other."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = {"content-security-policy": POLICY, "referrer-policy": "no-referrer"}
                message["headers"] = [*message["headers"], *((a.encode(), b.encode()) for a, b in more.items())]
            await send(message)

        await self._app(scope, receive, sealed)


def _head() -> str:
    """The style of the report, ours, and the little that a browser does by itself."""
    ours, script = (
        files("groundup.serve.page").joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    return f"<style>{report_style()}{ours}</style><script>{script}</script>"


def _add_routes(app: FastAPI, desk: Desk) -> None:
    """What is no part of the page itself: the way to it, and the reports of the runs."""

    @app.get("/", include_in_schema=False)
    async def root() -> Response:
        return RedirectResponse(f"{PAGE}/")

    @app.get(f"{PAGE}/report/{{name}}", include_in_schema=False)
    def show_report(name: str) -> Response:
        run = next((run for run in all_runs(desk.runs) if run.name == name), None)
        if run is None:
            raise StoreError(f"there is no run of that name in {desk.runs.name}")
        return HTMLResponse(report(run), headers={"content-security-policy": REPORT_POLICY})


class _Shell:
    """The bar above, and the panels of which each is built when it is first looked at."""

    def __init__(self, desk: Desk) -> None:
        self._session = Session(desk, self._choose)
        self._built: dict[str, Tab] = {}
        self._panels: dict[str, ui.tab_panel] = {}

    def build(self, tab: str, run: str) -> None:
        """Make what is seen at once; the rest comes once the window is connected."""
        self._session.name = run
        with ui.element("header").classes("bar"):
            html("groundup", "brand")
            with ui.tabs() as self._tabs:
                for name in TABS:
                    ui.tab(name)
            self._tabs.props('no-caps outside-arrows narrow-indicator aria-label="Parts of the page"')
            self._picker = select("Run", {}, "", self._choose)
        with ui.element("div").classes("page"):
            with ui.tab_panels(self._tabs, value=tab, animated=False).classes("panels"):
                for name in TABS:
                    self._panels[name] = ui.tab_panel(name)
        self._tabs.on_value_change(lambda event: self._show(str(event.value)))
        ui.timer(0, lambda: self._show(tab), once=True)

    async def _show(self, name: str) -> None:
        """Fill a panel, or see what is new in it."""
        self._session.tab = name
        names = [run.name for run in await self._session.desk.all_runs()]
        if self._session.name not in names:
            self._session.name = names[0] if names else ""
        self._picker.set_options(names, value=self._session.name or None)
        ui.run_javascript(f"groundup.place({json.dumps(name)}, {json.dumps(self._session.name)})")
        if name in self._built:
            await self._built[name].refresh()
            return
        with self._panels[name]:
            if not names:
                self._panels[name].clear()
                nothing("There is no run here yet. <code>groundup run --data ~/my-texts --minutes 10</code> makes one.")
                return
            self._built[name] = TABS[name](self._session)
            await self._built[name].build()

    async def _choose(self, name: str) -> None:
        """Another run: the tab that is looked at follows at once, the others when they are."""
        if name and name != self._session.name:
            self._session.name = name
            await self._show(str(self._tabs.value))
