"""`groundup ui` as a process of its own: its door over HTTP, and a real browser that goes through all five tabs."""

import asyncio
import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

pytest.importorskip("nicegui", reason="needs the packages of groundup[ui]")

from spine import start

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TABS = ("Chat", "Inside", "Training", "Data", "Runs")
PATIENCE = 300_000  # milliseconds: the machine may be busy with other work
AXE_LEVELS = {"serious", "critical"}
NEVER_TYPED = "xyzzy-plugh"


@contextmanager
def opened(place: Path, *words: str | Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """`groundup ui` on a free port: its address, and the process."""
    with start("ui", "--port", "0", *words, cwd=place) as process:
        try:
            assert process.stdout is not None
            told = process.stdout.readline()
            assert "the page of runs is at http://127.0.0.1:" in told, told
            yield told.split()[-1].removesuffix("/ui/"), process
        finally:
            process.kill()


def test_the_door_of_the_page(place: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.txt"
    key.write_text("right\n", encoding="utf-8")
    with opened(place, "--api-key-file", key) as (root, process):
        client = httpx.Client(base_url=root, headers={"accept": "text/html"}, timeout=60)
        for path in ("/ui/", "/ui/report/tiny", "/ui/_nicegui/any"):
            refused = client.get(path)
            assert refused.status_code == 401 and 'action="/ui/enter"' in refused.text
        assert client.get("/v1/models", headers={"accept": "*/*"}).json()["error"]["code"] == "invalid_api_key"
        assert client.post("/ui/enter", data={"key": "wrong"}).status_code == 401
        assert client.post("/ui/enter", data={"key": "right"}, headers={"origin": "http://evil"}).status_code == 403
        entered = client.post("/ui/enter", data={"key": "right"})
        assert entered.status_code == 303 and "HttpOnly; Path=/; SameSite=strict" in entered.headers["set-cookie"]
        page = client.get("/ui/")
        assert page.status_code == 200 and "default-src 'self'" in page.headers["content-security-policy"]
        assert "right" not in entered.headers["set-cookie"]
        for asset in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
            assert client.get(asset).status_code == 200
            assert httpx.get(f"{root}{asset}").status_code == 401
        assert "<h1>" in client.get("/ui/report/tiny").text
        assert client.get("/ui/report/none").status_code == 400
        assert client.get("/v1/none").json()["error"]["message"].startswith("there is no such route")
        assert client.get("/ui/none").status_code == 404
        assert asyncio.run(handshakes(root, client.cookies["groundup"])) == [403, 403, 101]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


async def handshakes(root: str, cookie: str) -> list[int]:
    """What the page's websocket answers: to nobody, to another page in the same browser, to the page itself."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    address = f"{root.replace('http', 'ws')}/ui/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    found = []
    for headers, origin in (
        ({}, root),
        ({"Cookie": f"groundup={cookie}"}, "http://evil"),
        ({"Cookie": f"groundup={cookie}"}, root),
    ):
        try:
            async with connect(address, additional_headers=headers, origin=origin, proxy=None):
                found.append(101)
        except InvalidStatus as error:
            found.append(error.response.status_code)
    return found


def test_a_hundred_runs_are_offered_and_nothing_but_requests_is_logged(place: Path, tmp_path: Path) -> None:
    def light(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if name.endswith((".safetensors", ".parquet", ".tokens", ".pt"))]

    for number in range(100):
        shutil.copytree(place / "runs" / "tiny", tmp_path / "runs" / f"run{number:03d}", ignore=light)
    with opened(tmp_path) as (root, process):
        page = httpx.get(f"{root}/ui/", timeout=60)
        assert page.status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr is not None
        log = [json.loads(line) for line in process.stderr.read().splitlines()]
        assert {entry["event"] for entry in log} == {"request"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium")
@pytest.mark.parametrize("scheme, width", [("light", 1280), ("dark", 1280), ("light", 390)])
def test_a_browser_goes_through_the_tabs_while_a_run_trains(
    place: Path, own: Path, scheme: str, width: int, pytestconfig: pytest.Config
) -> None:
    sync_playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright").sync_playwright
    long = ("train.steps=2000000", "train.save_steps=100000", "eval.functions=0")
    words = (place / "tiny.toml", "--data", place / "text", "--name", "live", *long)
    with start("run", *words, cwd=own) as training, opened(own) as (root, process):
        try:
            wait_for_steps(own / "runs" / "live" / "metrics" / "pretrain.jsonl", training)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
                context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 860})
                context.set_default_timeout(PATIENCE)
                Visit(context.new_page(), root, pytestconfig.getoption("screenshots"), f"{scheme}-{width}").go()
                browser.close()
            assert training.poll() is None, "the run ended before the visit did"
        finally:
            training.kill()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr is not None
        log = process.stderr.read()
        assert {json.loads(line)["event"] for line in log.splitlines()} == {"request"}, log[-3000:]
        assert NEVER_TYPED not in log
    for file in own.rglob("*"):
        assert not file.is_file() or NEVER_TYPED.encode() not in file.read_bytes(), file


def wait_for_steps(file: Path, training: "subprocess.Popen[str]") -> None:
    """Until the run has written its first steps."""
    late = time.monotonic() + 300
    while not file.is_file() or file.read_text(encoding="utf-8").count("\n") < 20:
        assert training.poll() is None and time.monotonic() < late, "the run did not begin"
        time.sleep(0.5)


class Visit:
    """A person who looks at everything."""

    def __init__(self, page, root: str, screenshots: Path | None, name: str) -> None:
        self.page, self.root, self.screenshots, self.name = page, root, screenshots, name
        self.complaints: list[str] = []
        self.hosts: set[str | None] = set()
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname))
        page.on("websocket", lambda socket: self.hosts.add(urlsplit(socket.url).hostname))

    def go(self) -> None:
        """All five tabs, and what can be pressed in them."""
        self.page.goto(f"{self.root}/ui/?run=tiny")
        for tab in TABS:
            self.page.get_by_role("tab", name=tab).click()
            getattr(self, tab.lower())()
            self.look(tab)
        assert not self.complaints, "\n".join(self.complaints)
        assert self.hosts <= {"127.0.0.1", None}, self.hosts  # None: data URLs

    def look(self, tab: str) -> None:
        """A picture, and what a person who cannot see it would stumble over."""
        from axe_playwright_python.sync_playwright import Axe

        self.page.wait_for_function("() => !document.querySelector('.q-menu')")  # a menu fades as it closes
        if self.screenshots is not None:
            self.screenshots.mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=self.screenshots / f"{tab.lower()}-{self.name}.png", full_page=True)
        for one in Axe().run(self.page).response["violations"]:
            if one["impact"] in AXE_LEVELS:
                self.complaints += [f"{tab}: {one['id']}: {node['html']}" for node in one["nodes"]]

    def chat(self) -> None:
        """Ask three stages the same, again, and stop."""
        page = self.page
        page.get_by_role("button", name="Base, SFT and GRPO").click()
        page.locator(".pane").nth(2).wait_for()
        page.get_by_label("Your message").fill(f"What is 2 + 2? {NEVER_TYPED}")
        page.keyboard.press("Enter")
        for pane in range(3):
            page.locator(".pane").nth(pane).get_by_text(re.compile(r"\d+ tokens")).wait_for()
        page.get_by_role("button", name="Again").first.click()
        page.locator(".pane").first.get_by_text(re.compile(r"\d+ tokens|stopped")).wait_for()
        page.get_by_role("button", name="Settings").click()
        page.get_by_label("Temperature").wait_for()

    def inside(self) -> None:
        """Look at a text, at what was expected, at a head, and at the tokens of another text."""
        page = self.page
        page.locator(".surprise .tok[tabindex]").nth(3).focus()
        page.locator("#note p").nth(9).wait_for()
        page.locator(".heads .head").nth(1).click()
        page.locator(".heads .tok").nth(5).hover()
        page.locator(".heads .asks").wait_for()
        page.locator(".lens tbody tr").nth(1).wait_for()
        page.get_by_label("Try the tokenizer").fill(f"{NEVER_TYPED} <|pad|>")
        page.locator(".pieces .piece", has_text="|").first.wait_for()
        page.keyboard.press("Escape")

    def training(self) -> None:
        """See the steps of a run that goes on count up, and compare it with another."""
        page = self.page
        page.get_by_role("combobox", name="Run").click()
        page.get_by_role("option", name="live").click()
        page.locator(".live").wait_for()
        step = page.locator(".tiles li", has_text="step").first
        before = step.inner_text()
        page.wait_for_function("(before) => document.querySelector('.tiles li').innerText !== before", arg=before)
        page.locator("figure svg.chart").first.wait_for()

    def data(self) -> None:
        """Open a document that was removed, with its reason."""
        page = self.page
        page.goto(f"{self.root}/ui/?tab=Data&run=tiny")  # not by the list of runs: a click could meet the run before
        page.locator(".documents .pick").first.click()
        page.locator(".document pre").wait_for()
        page.get_by_role("combobox", name="Show").click()
        page.get_by_role("option", name="removed").click()
        page.locator(".documents .kind").first.wait_for()

    def runs(self) -> None:
        """Choose a run and export it."""
        page = self.page
        page.locator(".lineage").wait_for()
        page.get_by_role("combobox", name="Format").click()
        page.get_by_role("option", name="safetensors").click()
        page.get_by_role("button", name="Export").click()
        page.get_by_text("It is in").wait_for()
