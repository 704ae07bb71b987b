"""What a server tells about itself: metrics for Prometheus, and a JSON line for each request. Never what people say.

A line names the route and not the path, sizes and not contents: nothing that a user typed is in it.
"""

import json
import logging
import sys
import time
from typing import Any, TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

METRICS_TYPE = CONTENT_TYPE_LATEST

FINE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
COARSE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)


class Telemetry:
    """The counters of one server, and its log."""

    def __init__(self, log: TextIO | None = None) -> None:
        """Lines go to `log`; None: to nobody."""
        self._log = log
        self._registry = CollectorRegistry()
        made: dict[str, Any] = {"registry": self._registry, "namespace": "groundup"}
        self.requests = Counter("requests", "HTTP requests", ["route", "status"], **made)
        self.seconds = Histogram("request_seconds", "From request to last byte", ["route"], buckets=COARSE, **made)
        self.prompt_tokens = Counter("prompt_tokens", "Tokens read", ["model"], **made)
        self.reply_tokens = Counter("reply_tokens", "Tokens generated", ["model"], **made)
        self.first_token = Histogram("first_token_seconds", "Time to first token", ["model"], buckets=COARSE, **made)
        self.token_gap = Histogram("token_gap_seconds", "Time between tokens", ["model"], buckets=FINE, **made)
        self.refused = Counter("refused", "Requests refused because the queue was full", ["model"], **made)
        self.abandoned = Counter("abandoned", "Requests whose client went away", ["model"], **made)
        self.open = Gauge("open_requests", "Requests that run or wait", ["model"], **made)

    def scrape(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def request(self, route: str, method: str, status: int, seconds: float, **facts: Any) -> None:
        """One request is over."""
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)
        self.note("request", route=route, method=method, status=status, seconds=round(seconds, 4), **facts)

    def note(self, event: str, **facts: Any) -> None:
        """One line in the log."""
        if self._log is not None:
            self._log.write(json.dumps({"time": round(time.time(), 3), "event": event, **facts}) + "\n")
            self._log.flush()

    def failure(self, error: BaseException) -> None:
        """An error of ours: its kind and place, but not its message, which may hold what a user typed."""
        trace, places = error.__traceback__, []
        while trace is not None:
            places.append(f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
            trace = trace.tb_next
        self.note("failure", error=type(error).__name__, places=places[-4:])


class _JsonLines(logging.Formatter):
    """A JSON line without a traceback, which may show what a user typed."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({"event": "server", "level": record.levelname.lower(), "text": record.getMessage()})


def quiet_uvicorn() -> None:
    """Only uvicorn's warnings, on standard error; its access log, which holds whole paths, stays silent."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logger = logging.getLogger("uvicorn")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True
