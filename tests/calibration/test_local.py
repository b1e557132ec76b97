"""Calibrating this machine: the plan, the journal's safety, disturbed measurements, and the fit on times that a known machine would take."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import costmodel
from costmodel.calibration.fit import priced
from costmodel.calibration.local import journal
from costmodel.calibration.local.backends import TorchEager
from costmodel.calibration.local.calibrate import LocalCalibration, from_measured
from costmodel.calibration.local.fitting import sample_of, start_under
from costmodel.calibration.local.journal import Journal
from costmodel.calibration.local.machine import Seen, hardware_text
from costmodel.calibration.local.measure import Measured, about, measure
from costmodel.calibration.local.plan import Case, entry_cases, operator_cases, plan
from costmodel.calibration.local.run import Run, run_of
from costmodel.calibration.local.starts import start_cases
from costmodel.calibration.local.timing import Bench, Probes, Timed
from costmodel.devices import parse_device, resolve_target
from costmodel.errors import CostModelError, InvalidFileError, UsageError
from costmodel.reference import ContendedError

pytestmark = pytest.mark.torch

ABOUT = {"processor": "one", "torch": "2", "threads": 1, "layout": "nchw"}
DAY = "2026-01-31"
#: Networks that no plan measures.
OTHERS = ("resnet-50", "mobilenet-v1", "efficientnet-lite0", "deit-ti", "googlenet-bn", "shufflenet-v2-0.5")


class Machine:
    """A bench that takes the time of a known machine, disturbed where `disturbed` says so; stops the process at case number `stops_at`.

    What is `impossible` does not fit its memory.
    """

    def __init__(self, disturbed: frozenset[str] = frozenset(), stops_at: int | None = None, impossible: frozenset[str] = frozenset()) -> None:
        self.disturbed, self.stops_at, self.impossible, self.timed = disturbed, stops_at, impossible, 0

    def time(self, case: Case) -> Timed:
        if self.timed == self.stops_at:
            raise KeyboardInterrupt
        self.timed += 1
        if case.name in self.impossible:
            return Timed(seconds=math.nan, spread=0.0, repeats=0, fault="out of memory", lasting=True)
        return Timed(seconds=true_seconds(case), spread=0.01, repeats=9, fault="a neighbour" if case.name in self.disturbed else "")


@cache
def true_target() -> Any:
    text = hardware_text(
        "true", Seen(flops_per_s=2e11, cache_bytes_per_s=8e10, memory_bytes_per_s=1.5e10), threads=1, layouts={"torch-eager": "nchw"}, what="nothing"
    )
    return resolve_target(parse_device(text.encode(), "true"), threads=1)


TRUE = {
    ("kernel_us",): 9.0,
    ("compute_share", "convolution"): 0.85,
    ("compute_share", "pointwise-convolution"): 0.55,
    ("compute_share", "depthwise-convolution"): 0.08,
    ("memory_share", "elementwise"): 0.5,
    ("kind_us", "depthwise-convolution"): 40.0,
}


#: What a start takes more after others.
COLD_S = 25e-6


@cache
def true_seconds(case: Case) -> float:
    """What the true machine takes, with the noise of a measurement; networks take 6 % and 30 us a cold start more than their operators, starts 25 us
    after others."""
    sample = sample_of(case, 1.0, true_target())
    seconds = float(priced([sample], TRUE)[0])
    noise = math.exp(random.Random(case.name).gauss(0, 0.03))
    if case.role == "start":
        return noise * COLD_S
    starts = start_under(plans_memory=False).count(sample)
    return noise * (seconds if case.role == "operator" else 1.06 * (seconds + COLD_S * starts) + 5e-6 * starts)


def calibrated(path: Path, bench: Machine) -> LocalCalibration:
    cases = quick_plan()
    with Journal(path, ABOUT) as written:
        found = measure(cases, bench, written, pause_s=0)
    return from_measured(cases, [torch_run(found, cold_s=COLD_S)], name="here", threads=1)


def torch_run(found: Measured, **otherwise: Any) -> Run:
    """A run of torch eager, but for what is given."""
    stated: dict[str, Any] = {
        "processor": "cpu",
        "runtime": "torch-eager",
        "dtype": "fp32",
        "layout": "nchw",
        "build": "torch 2",
        "entry_s": 0.0,
        "plans_memory": False,
        "journal": "none",
        "memory_s_per_byte": 1 / 1.5e10,
    }
    return Run(measured=found, **(stated | otherwise))


@cache
def quick_plan() -> tuple[Case, ...]:
    return plan(quick=True)


@cache
def measured_anew() -> LocalCalibration:
    cases = quick_plan()
    found = Measured({case.name: true_seconds(case) for case in cases}, days=(DAY,))
    return from_measured(cases, [torch_run(found, cold_s=COLD_S)], name="here", threads=1)


@pytest.fixture(autouse=True)
def _day(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is `DAY`."""
    monkeypatch.setattr(journal, "today", lambda: DAY)


def test_the_plan_is_the_same_every_time_and_covers_what_is_claimed() -> None:
    assert [case.graph for case in operator_cases()] == [case.graph for case in operator_cases()]
    assert len({case.name for case in plan()}) == len(plan())
    nodes = [case.graph.nodes[-1] for case in operator_cases()]
    assert {str(node.work.kind) for node in nodes} >= {"pooling", "matmul", "attention", "grouped-convolution", "softmax", "reduction", "copy", "concat", "pad"}
    small = [node for node in nodes if node.work.kind not in ("convolution", "pointwise-convolution", "depthwise-convolution", "linear", "matmul")]
    assert len(small) >= 50
    assert any(node.inputs[0].shape[1] % 2 for node in nodes)


def test_networks_follow_from_operators_and_anchors(tmp_path: Path) -> None:
    found = measured_anew()
    profile = tmp_path / "here.toml"
    profile.write_text(found.profile)
    assert found.fits[0].correction.alpha == pytest.approx(1.06, abs=0.05)
    assert 0 < found.fits[0].correction.beta_us < 10  # shrunk towards 0
    own = found.fits[0]
    written = resolve_target(found.device, threads=1).machine.parameters.cold_us
    assert written == pytest.approx(own.correction.alpha * 25 + own.correction.beta_us, rel=1e-3)
    assert "(root mean square); 25.0 us a start after others; networks: " in found.profile
    for name in OTHERS:
        graph = costmodel.build(name)
        wanted = true_seconds(Case(name=name, family=name, role="anchor", graph=graph))
        assert costmodel.estimate(graph, device=str(profile)).latency_s == pytest.approx(wanted, rel=0.12), name


def test_a_run_that_is_stopped_goes_on_to_the_same_profile(tmp_path: Path) -> None:
    for stop in (0, 1, 40):
        with pytest.raises(KeyboardInterrupt):
            calibrated(tmp_path / "journal", Machine(stops_at=stop))
    bench = Machine()
    assert calibrated(tmp_path / "journal", bench).profile == measured_anew().profile
    assert bench.timed == len(quick_plan()) - 41


def test_disturbed_measurements_are_made_again_or_refused_never_kept(tmp_path: Path) -> None:
    names = [case.name for case in quick_plan()]
    with pytest.raises(ContendedError, match=r"of 133 measurements were disturbed .*a neighbour"):
        calibrated(tmp_path / "journal", Machine(disturbed=frozenset(names[::3])))
    with Journal(tmp_path / "journal", ABOUT) as written:
        assert set(written.seconds) == set(names) - set(names[::3])
    assert calibrated(tmp_path / "journal", Machine()).profile == measured_anew().profile


def test_an_anchor_must_not_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ContendedError, match="1 of 133"):
        calibrated(tmp_path / "journal", Machine(disturbed=frozenset({"resnet-18"})))


def test_what_cannot_be_run_is_tried_once_and_left_out(tmp_path: Path) -> None:
    bench = Machine(impossible=frozenset({"resnet-18", "add-00"}))
    with Journal(tmp_path / "journal", ABOUT) as journal:
        found = measure(quick_plan(), bench, journal, pause_s=0)
    assert bench.timed == len(quick_plan())
    assert found.missing == {"resnet-18": "out of memory", "add-00": "out of memory"}
    assert set(found.seconds) == {case.name for case in quick_plan()} - {"resnet-18", "add-00"}


@pytest.mark.parametrize(("role", "said"), [("anchor", "5 of 5 networks cannot"), ("operator", "128 of 128 operators cannot")])
def test_where_too_much_cannot_be_run_nobody_is_called_busy(role: str, said: str, tmp_path: Path) -> None:
    impossible = frozenset(case.name for case in quick_plan() if case.role == role)
    with Journal(tmp_path / "journal", ABOUT) as journal, pytest.raises(CostModelError, match=said) as caught:
        measure(quick_plan(), Machine(impossible=impossible), journal, pause_s=0)
    assert not isinstance(caught.value, ContendedError)
    assert len(journal.seconds) == len(quick_plan()) - len(impossible)


class WholeMachine(Machine):
    """The same with a memory, and 4 us a call of a model; counts what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.entry, self.entry_s, self.starts, self.streamed = entry_cases(), 0.0, start_cases(), 0
        self.probes = Probes(lambda: 1e-3)

    def time(self, case: Case) -> Timed:
        calls = {"entry": 4e-6 + 1e-6, "entry-chain": 4e-6 + 9e-6}
        return Timed(seconds=calls[case.name], spread=0.0, repeats=9) if case.name in calls else super().time(case)

    def memory_bytes_per_s(self) -> float:
        self.streamed += 1
        return 2.0**34


def test_a_run_says_what_was_measured_and_measures_nothing_twice(tmp_path: Path) -> None:
    used, cases, journal = TorchEager(1, "nhwc"), quick_plan()[:3], tmp_path / "journal"
    benches = [WholeMachine(), WholeMachine()]
    first, again = (run_of(used, lambda bench=bench: bench, cases, journal) for bench in benches)
    assert first == again
    assert [(bench.timed, bench.streamed, bench.entry_s) for bench in benches] == [(12, 1, pytest.approx(4e-6)), (0, 0, pytest.approx(4e-6))]
    assert first.cold_s == pytest.approx(COLD_S, rel=0.05)
    assert (first.processor, first.runtime, first.dtype, first.layout) == ("cpu", "torch-eager", "fp32", "nhwc")
    assert first.precision == ("processors", "cpu", "runtimes", "torch-eager", "dtypes", "fp32")
    assert (first.memory_s_per_byte, first.journal, set(first.measured.seconds)) == (
        2.0**-34,
        str(journal),
        {case.name for case in (*cases, *start_cases())},
    )
    with pytest.raises(UsageError, match=r"layout 'nhwc' \(now 'nchw'\)"):
        run_of(TorchEager(1, "nchw"), WholeMachine, cases, journal)


class Forgetful(TorchEager):
    """Operators take 10 us of a clock that ticks when they run, `after_s` where another one ran before; their ring of copies is noted."""

    def __init__(self, after_s: float = 40e-6) -> None:
        super().__init__(1, "nchw")
        self.after_s, self.now_s, self.last, self.copies = after_s, 0.0, "", {}

    def prepared(self, case: Case, copies: int) -> Callable[[], None]:
        self.copies[case.name] = copies

        def run() -> None:
            self.now_s += 10e-6 if self.last == case.name else self.after_s
            self.last = case.name

        return run


def test_a_start_is_what_an_operator_takes_more_after_others() -> None:
    backend = Forgetful()
    bench = Bench(backend)
    bench.clock = lambda: backend.now_s
    bench.probes = Probes(lambda: 1e-3)
    found = [bench.time(case) for case in bench.starts]
    assert len(found) == 9
    assert [timed.seconds for timed in found] == pytest.approx([30e-6] * 9)
    assert all(backend.copies[case.name] > 1 for case in bench.starts)
    assert max(timed.spread for timed in found) < 1e-6


def test_a_start_that_takes_less_after_others_takes_next_to_nothing() -> None:
    backend = Forgetful(after_s=5e-6)
    bench = Bench(backend)
    bench.clock = lambda: backend.now_s
    bench.probes = Probes(lambda: 1e-3)
    assert bench.time(bench.starts[0]).seconds == 1e-9


class Workload:
    """Takes `usual_s`, and `cold_s` more in each of the first six passes after something else."""

    def __init__(self) -> None:
        self.usual_s, self.cold_s, self.cold = 1e-3, 0.0, 0

    def __call__(self) -> float:
        self.cold -= 1
        return self.usual_s + (self.cold_s if self.cold >= 0 else 0.0)


def test_a_neighbour_shows_in_the_fixed_workload() -> None:
    workload = Workload()
    probes = Probes(workload)
    assert probes.usual_s == 1e-3
    assert not probes.fault(1.1e-3)
    assert probes.fault(1e-3, 1.2e-3) == "a fixed workload took 1.20 times what it mostly takes"
    workload.usual_s = 1.6e-3
    for _ in range(150):
        probes.take()
    assert probes.fault(1.6e-3) == "a fixed workload mostly takes 1.60 times its best"
    for _ in range(200):
        probes.take()
    assert not probes.fault(1.6e-3)  # by now it has no better


def test_what_a_case_displaced_is_no_neighbour() -> None:
    workload = Workload()
    probes = Probes(workload)
    workload.cold_s, workload.cold = 1e-3, 6
    assert probes.take() == 1e-3
    workload.cold = 9
    assert probes.take() == 2e-3


def test_a_machine_that_became_slower_since_the_first_cases_is_told() -> None:
    probes = Probes(Workload())
    probes.since(0.85e-3)
    assert not probes.fault(1e-3)
    probes.since(0.75e-3)
    assert probes.fault(1e-3) == "a fixed workload took 1.33 times what it took beside the first cases"


def test_a_run_that_goes_on_knows_how_fast_the_machine_was(tmp_path: Path) -> None:
    used, cases, journal = TorchEager(1, "nchw"), quick_plan()[:1], tmp_path / "journal"
    slower = WholeMachine()
    slower.probes = Probes(lambda: 1.3e-3)
    assert run_of(used, WholeMachine, cases, journal).workload_s == 1e-3
    with pytest.raises(ContendedError, match=r"journal: the machine is 1\.30 times slower than when this was begun: .* or begin anew with --restart"):
        run_of(used, lambda: slower, cases, journal)
    assert run_of(used, lambda: slower, cases, journal, restart=True).workload_s == 1.3e-3


def test_a_run_that_was_stopped_says_how_fast_the_machine_was(tmp_path: Path) -> None:
    class Stopped(WholeMachine):
        def time(self, case: Case) -> Timed:
            if case.role == "anchor":
                raise KeyboardInterrupt
            return super().time(case)

    cases = (quick_plan()[0], quick_plan()[-1])
    with pytest.raises(KeyboardInterrupt):
        run_of(TorchEager(1, "nchw"), Stopped, cases, tmp_path / "journal")
    with Journal(tmp_path / "journal", about(TorchEager(1, "nchw"))) as written:
        assert written.seconds["fixed workload"] == 1e-3


def test_an_older_journal_says_nothing_of_how_fast_the_machine_was(tmp_path: Path) -> None:
    used, journal = TorchEager(1, "nchw"), tmp_path / "journal"
    with Journal(journal, about(used)) as written:
        written.add(quick_plan()[0].name, 1e-3, 0.0, 9)
    assert run_of(used, WholeMachine, quick_plan()[:1], journal).workload_s == 0


def test_disturbed_cases_are_tried_for_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    with Journal(tmp_path / "journal", ABOUT) as written, pytest.raises(ContendedError):
        measure(quick_plan()[:1], Machine(disturbed=frozenset({quick_plan()[0].name})), written)
    assert waited == [2, 4, 8, 16, 16, 16]


def test_a_few_starts_may_be_missing(tmp_path: Path) -> None:
    """One of nine is less than a tenth of all operators; what is left tells."""
    cases = (*quick_plan(), *start_cases())
    with Journal(tmp_path / "journal", ABOUT) as written:
        found = measure(cases, Machine(disturbed=frozenset({"start-add"})), written, pause_s=0)
    assert set(found.missing) == {"start-add"}


def test_two_at_once_do_not_mix(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal", ABOUT) as first:
        first.add("a", 1.0, 0.0, 3)
        with pytest.raises(UsageError, match="another calibration is writing this"):
            Journal(tmp_path / "journal", ABOUT)
    with Journal(tmp_path / "journal", ABOUT) as second:
        assert second.seconds == {"a": 1.0}


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, ABOUT) as written:
        written.add("a", 1.0, 0.0, 3)
        written.add("b", 2.0, 0.0, 3)
    whole = path.read_bytes()
    for length in range(whole.index(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:length])
        with Journal(path, ABOUT) as written:
            assert set(written.seconds) <= {"a", "b"}
            written.add("c", 3.0, 0.0, 3)
        with Journal(path, ABOUT) as written:
            assert written.seconds["c"] == 3.0


def test_the_same_measurements_give_the_same_profile_the_day_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = calibrated(tmp_path / "journal", Machine()).profile
    monkeypatch.setattr(journal, "today", lambda: "2026-02-01")
    assert calibrated(tmp_path / "journal", Machine()).profile == before
    assert f", {DAY}; costmodel" in before


def test_measurements_of_two_days_state_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        calibrated(tmp_path / "journal", Machine(stops_at=40))
    monkeypatch.setattr(journal, "today", lambda: "2026-02-01")
    assert f", {DAY} to 2026-02-01; costmodel" in calibrated(tmp_path / "journal", Machine()).profile


@pytest.mark.parametrize("special", ["/dev/zero", "/dev/full", "a pipe", "a folder"])
def test_what_is_no_plain_file_is_no_journal(special: str, tmp_path: Path) -> None:
    path = Path(special) if special.startswith("/") else tmp_path / special
    if special == "a pipe":
        os.mkfifo(path)
    elif special == "a folder":
        path.mkdir()
    with pytest.raises(InvalidFileError, match=f"{path}: cannot be read: (is a pipe or a device, not a file|Is a directory)"):
        Journal(path, ABOUT)


def test_a_damaged_heading_is_not_to_be_deleted(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, ABOUT) as written:
        written.add("a", 1.0, 0.0, 3)
    path.write_bytes(path.read_bytes().replace(b'"threads": 1', b'"threads" 1', 1))
    with pytest.raises(InvalidFileError, match=r":1: is not a line of JSON; it says what the others are about: begin anew with --restart"):
        Journal(path, ABOUT)


def test_where_nothing_was_kept_nothing_is_said_to_be(tmp_path: Path) -> None:
    cases = quick_plan()[-2:]
    with Journal(tmp_path / "journal", ABOUT) as written, pytest.raises(ContendedError, match=r"2 of 2 .*stop other programs and run this again$") as caught:
        measure(cases, Machine(disturbed=frozenset(case.name for case in cases)), written, pause_s=0)
    assert "kept" not in str(caught.value)


_ON_A_FULL_DISK = """
import resource, sys
from costmodel.calibration.local.journal import Journal
from costmodel.errors import UsageError
try:
    with Journal(sys.argv[1], {"processor": "one"}) as written:
        written.add("a", 1.0, 0.0, 3)
        resource.setrlimit(resource.RLIMIT_FSIZE, (written.path.stat().st_size + 10, -1))
        written.add("b", 2.0, 0.0, 3)
except UsageError as error:
    sys.exit(f"said: {error}")
"""


def test_where_the_disk_is_really_full_the_journal_is_named_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    run = subprocess.run([sys.executable, "-c", _ON_A_FULL_DISK, str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr == f"said: {path}: cannot be written: File too large; what was measured before is kept: run this again\n"
    with Journal(path, {"processor": "one"}) as written:
        assert written.seconds == {"a": 1.0}


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with Journal(tmp_path / "journal", ABOUT) as written:
        written.add("a", 1.0, 0.0, 3)
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(UsageError, match=r"No space left on device; what was measured before is kept"):
            written.add("b", 2.0, 0.0, 3)
        monkeypatch.undo()
    with Journal(tmp_path / "journal", ABOUT) as written:
        assert written.seconds == {"a": 1.0}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('{"format": "costmodel-graph"}\n', InvalidFileError, "is no journal"),
        ('{HEAD}\n{"case": "a", "seconds": -1}\n', InvalidFileError, ":2: is no measurement"),
        ('{HEAD}\n{"case": "a", "seconds": 1}\n', InvalidFileError, ":2: is no measurement"),
        ('{HEAD}\n{"case": "a", "seconds": 1, "date": "2026-13-01"}\n', InvalidFileError, ":2: is no measurement"),
        ('{HEAD}\n{"case": "a", "seconds": NaN}\n', InvalidFileError, ":2: is no measurement"),
        ('{HEAD}\n{"case": "a", "seconds": true, "date": "2026-11-22"}\n', InvalidFileError, ":2: is no measurement"),
        ("{HEAD}\n" + "[" * 100_000 + "\n", InvalidFileError, ":2: is not a line of JSON"),
    ],
)
def test_a_foreign_file_is_refused_with_its_line(text: str, error: type[Exception], message: str, tmp_path: Path) -> None:
    with Journal(tmp_path / "journal", ABOUT):
        pass
    head = (tmp_path / "journal").read_text().strip()
    (tmp_path / "journal").write_text(text.replace("{HEAD}", head))
    before = (tmp_path / "journal").read_bytes()
    with pytest.raises(error, match=message):
        Journal(tmp_path / "journal", ABOUT)
    assert (tmp_path / "journal").read_bytes() == before


@pytest.mark.parametrize("content", [b"my only copy of a note", b"line one\nno line end", b"network,latency_ms,source\nvgg-16,3,me\n", bytes(range(256))])
@pytest.mark.parametrize("afresh", [False, True])
def test_a_file_that_is_no_journal_stays_as_it_is(content: bytes, afresh: bool, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(content)
    with pytest.raises(InvalidFileError, match="is no journal of a calibration and stays as it is"):
        Journal(path, ABOUT, afresh=afresh)
    assert path.read_bytes() == content


def test_a_journal_whose_first_line_was_cut_off_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, ABOUT):
        pass
    whole = path.read_bytes()
    for length in (1, 10, len(whole) - 1):
        path.write_bytes(whole[:length])
        with Journal(path, ABOUT) as written:
            assert written.seconds == {}
        assert path.read_bytes() == whole


def test_more_threads_than_processors_are_refused() -> None:
    with pytest.raises(UsageError, match="as many as there are processors here"):
        costmodel.calibrate_this_machine(threads=100_000)


def test_measurements_of_another_build_are_not_mixed_in(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal", ABOUT) as written:
        written.add("a", 1.0, 0.0, 3)
    with pytest.raises(UsageError, match=r"threads 1 \(now 2\); begin anew with --restart"):
        Journal(tmp_path / "journal", {**ABOUT, "threads": 2})
    with Journal(tmp_path / "journal", {**ABOUT, "threads": 2}, afresh=True) as written:
        assert written.seconds == {}
