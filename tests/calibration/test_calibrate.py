"""A calibration is a profile that loads, says where its numbers are from, and comes out the same when it is made again."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import costmodel
from costmodel.calibration.calibrate import begun
from costmodel.calibration.profile_text import tables, with_values
from costmodel.devices import parse_device, profile_folder
from costmodel.errors import InvalidFileError, UsageError
from costmodel.frozen import FrozenDict

ROWS = """network,cores,runtime,padding,latency_ms,source
resnet-18@224,large=1,tflite-padded,symmetric,160,mine
mobilenet-v1@224,large=1,tflite-padded,symmetric,50,mine
mobilenet-v2@224,large=1,tflite-padded,symmetric,36,mine
squeezenet-1.1@224,large=1,tflite-padded,symmetric,33,mine
densenet-121@224,large=1,tflite-padded,symmetric,300,mine
mobilenet-v3-small@224,large=1,tflite-padded,symmetric,9.5,mine
"""


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text(ROWS, encoding="utf-8")
    return path


def test_the_profile_predicts_the_rows_better_and_says_where_from(rows: Path, tmp_path: Path) -> None:
    found = costmodel.calibrate("pixel4", measurements=rows, date="2024-05-01")
    path = tmp_path / "fitted.toml"
    path.write_text(found.profile, encoding="utf-8")
    before, after = (costmodel.validate(device, measurements=rows).targets[0].profile.mape for device in ("pixel4", str(path)))
    assert after < 0.04 < before
    source = found.device.provenance["processors.cpu.runtimes.tflite-padded.dtypes.fp32.parameters.cores.cortex-a76.gemm_cycles_per_mac"]
    assert source.kind == "fitted"
    shipped = costmodel.device("pixel4").provenance["processors.cpu.runtimes.tflite-padded.dtypes.fp32.parameters.cores.cortex-a76.gemm_cycles_per_mac"]
    assert source.prior == shipped.value
    sha256 = found.files[0][1]
    assert all(text in source.source for text in ("mine.csv", sha256[:16], "2024-05-01", "scipy", f"{len(found.fits[0].fit.free)} parameters"))


def test_made_again_it_is_the_same(rows: Path, tmp_path: Path) -> None:
    first = costmodel.calibrate("pixel4", measurements=rows)
    path = tmp_path / "fitted.toml"
    path.write_text(first.profile, encoding="utf-8")
    assert costmodel.calibrate(str(path), measurements=rows).profile == first.profile
    assert costmodel.calibrate("pixel4", measurements=rows).profile == first.profile


def test_what_other_rows_taught_is_where_a_fit_begins(tmp_path: Path) -> None:
    # failed before: a row that agreed with the profile threw away what 58 rows had taught it
    path = tmp_path / "mine.csv"
    agreeing_ms = costmodel.estimate("mobilenet-v1", device="pixel4", runtime="tflite").latency_s * 1e3
    path.write_text(f"network,runtime,latency_ms,source\nmobilenet-v1@224,tflite,{agreeing_ms},mine\n", encoding="utf-8")
    found = costmodel.calibrate("pixel4", measurements=path)
    for network in ("resnet-18", "mobilenet-v2", "vgg-11"):
        before, after = (costmodel.estimate(network, device=device, runtime="tflite-padded") for device in ("pixel4", found.device))
        assert after.latency_s == pytest.approx(before.latency_s, rel=1e-3)
        assert after.interval == before.interval
    assert "rows of tflite alone fitted the constants of cpu tflite-padded fp32" in "\n".join(found.warnings)
    kinds = {entry.kind for name, entry in found.device.provenance.items() if "tflite-padded.dtypes.fp32.parameters.cores.cortex-a76" in name}
    assert "assumed" not in kinds - {entry.kind for name, entry in costmodel.device("pixel4").provenance.items() if "fp32.parameters.cores.cortex-a76" in name}


#: What a source says of its rows -> whether they are of mine.csv, whatever it holds now, and whether of a file that holds 0123456789abcdef, whatever its name.
NAMED = {
    "in mine.csv (sha256 fedcba9876543210); costmodel": (True, False),
    "on large=1 in other.csv (sha256 0123456789abcdef), mine.csv (sha256 0000000000000000), 2024-05-01; costmodel": (True, True),
    "in other.csv (sha256 0123456789abcdef), 2024-05-01; costmodel": (False, True),
    "in not-mine.csv (sha256 0123456789abcdef); costmodel": (False, True),
    "in not mine.csv (sha256 0123456789abcdef); costmodel": (False, True),
    "in all in mine.csv (sha256 0000000000000000); costmodel": (False, False),
    "in more, mine.csv (sha256 0000000000000000); costmodel": (False, False),
    "in mine.csv.old (sha256 0000000000000000); costmodel": (False, False),
    "in mine.csv of long ago; costmodel": (False, False),
    "in rows given in memory; costmodel": (False, False),
}


@pytest.mark.parametrize("source", NAMED)
def test_a_fit_is_of_the_files_that_its_source_names(source: str) -> None:
    # failed before: not-mine.csv was taken for mine.csv
    path = "processors.cpu.runtimes.tflite-padded.dtypes.fp32.parameters.cores.cortex-a76.gemm_cycles_per_mac"
    shipped = costmodel.device("pixel4")
    entry = shipped.provenance[path]._replace(source=f"a fit to 9 rows {source}", prior=2.0)
    device = replace(shipped, provenance=FrozenDict({path: entry}))
    files = {"by name": ("folder/mine.csv", "f" * 64), "by content": ("renamed.csv", "0123456789abcdef" + "0" * 48)}
    kept = {how: begun(device, [file]).provenance[path].prior is not None for how, file in files.items()}
    assert kept == dict(zip(files, NAMED[source], strict=True))
    assert (begun(device, []).provenance[path].prior is not None) == ("memory" in source)


def test_rows_that_the_profile_was_fitted_to_are_known_under_another_name(tmp_path: Path) -> None:
    # failed before: families held out looked better than they are, without a word
    head, *lines = (profile_folder() / "measurements" / "mobile_edge.csv").read_text(encoding="utf-8").splitlines()
    copied = [line for line in lines if ",pixel4,cpu,tflite-padded,fp32,large=1," in line and not line.startswith("graphs")][:4]
    path = tmp_path / "copied.csv"
    copied[0] = copied[0].replace("@224", "").replace("4.50969", "4.51")  # named and rounded otherwise
    path.write_text("\n".join([head, *copied]) + "\n", encoding="utf-8")
    found = costmodel.calibrate("pixel4", measurements=path)
    (warning,) = [warning for warning in found.warnings if "also stand in" in warning]
    assert warning.startswith("4 of 4 rows also stand in mobile_edge.csv, to which the profile was fitted before")


def test_a_row_that_contradicts_the_interval_takes_its_promise_away(tmp_path: Path) -> None:
    # failed before: every figure of the core was 20 % off inside an interval of 6 %
    path = tmp_path / "mine.csv"
    path.write_text("network,runtime,latency_ms,source\nmobilenet-v1@224,tflite,26,mine\n", encoding="utf-8")
    found = costmodel.calibrate("pixel4", measurements=path)
    interval = costmodel.estimate("mobilenet-v2", device=found.device, runtime="tflite-padded").interval
    assert (interval.basis, interval.factor) == ("transferred", 1.5)
    assert "the row is outside the interval that the profile promised" in "\n".join(found.warnings)
    assert not any("too few for an interval" in warning and "stays" in warning for warning in found.warnings)
    other = costmodel.estimate("mobilenet-v2", device=found.device, runtime="tflite-padded", dtype="int8").interval
    assert other == costmodel.estimate("mobilenet-v2", device="pixel4", runtime="tflite-padded", dtype="int8").interval


#: Networks of fewer families than an interval takes.
FEW = ("mobilenet-v1", "mobilenet-v1-0.5", "mobilenet-v2", "mobilenet-v2-0.5", "resnet-18", "resnet-34", "vgg-11", "vgg-13", "densenet-121", "densenet-169")


def rows_off_by(path: Path, device: str, factors: Sequence[float], *columns: str, **options: str) -> str:
    """A file of rows of as many networks, measured at these factors of their estimates; `options` of estimates are `columns` of the file."""
    lines = [",".join(("network,latency_ms,source", *columns))]
    for network, factor in zip(FEW, factors, strict=False):
        measured_ms = costmodel.estimate(network, device=device, **options).latency_s * 1e3 * factor  # type: ignore[arg-type]
        lines.append(",".join((f"{network}@224,{measured_ms},mine", *(f'"{options[name]}"' for name in columns))))
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        ([1.0] * 9 + [1.3], ""),  # failed before: in floating point one of ten is more than a tenth
        ([1.0] * 7 + [1.3], "1 of 8 rows is outside"),
        ([1.0] * 8 + [1.3] * 2, "2 of 10 rows are outside"),
        ([1.3], "the row is outside"),
    ],
)
def test_nine_of_ten_rows_are_what_an_interval_promises(factors: list[float], said: str, tmp_path: Path) -> None:
    rows = rows_off_by(tmp_path / "mine.csv", "pixel4", factors, "runtime", runtime="tflite")
    found = costmodel.calibrate("pixel4", measurements=rows, keep_constants=True)
    assert [f": {said} the interval that the profile promised" in note for note in found.notes] == ([True] if said else [])
    assert costmodel.target(found.device, runtime="tflite-padded").precision.basis == ("transferred" if said else "calibrated")


@pytest.mark.parametrize(("off", "keep", "factors"), [(2.0, False, (1.5, 1.8)), (3.0, True, (1.5, 3.0))])
def test_a_contradicted_interval_is_never_narrower_than_it_was(off: float, keep: bool, factors: tuple[float, float], tmp_path: Path) -> None:
    # failed before: the i9's figures for several cores, of which the rows are, went from 1.8 to 1.5
    rows = rows_off_by(tmp_path / "mine.csv", "i9-10940x", [off] * 3, "runtime", runtime="torch-eager")
    before = costmodel.target("i9-10940x", runtime="torch-eager").precision
    assert (before.basis, before.interval_factor, before.parallel_interval_factor) == ("transferred", 1.5, 1.8)
    found = costmodel.calibrate("i9-10940x", measurements=rows, keep_constants=keep)
    precision = costmodel.target(found.device, runtime="torch-eager").precision
    assert (precision.interval_factor, precision.parallel_interval_factor) == pytest.approx(factors, rel=1e-3)
    assert f"with a factor of 1.5 ({precision.parallel_interval_factor:g} on several cores)" in "".join(found.warnings)


def test_rows_take_a_promise_away_where_constants_are_kept(tmp_path: Path) -> None:
    # failed before: rows 30 % off left a promise of 6 %
    rows = rows_off_by(tmp_path / "mine.csv", "pixel4", [1.3, 1.3, 2.1], "runtime", runtime="tflite")
    found = costmodel.calibrate("pixel4", measurements=rows, keep_constants=True)
    precision = costmodel.target(found.device, runtime="tflite-padded").precision
    assert precision.basis == "transferred"
    assert precision.interval_factor == precision.parallel_interval_factor == pytest.approx(2.1, rel=1e-3)  # which the rows are still off by
    assert costmodel.target(found.device).machine.parameters == costmodel.target("pixel4").machine.parameters
    said = "\n".join(found.warnings)
    assert "3 of 3 rows are outside the interval that the profile promised" in said
    assert "alone fitted the constants" not in said


def test_figures_of_a_datasheet_are_not_taken_for_better_ones(tmp_path: Path) -> None:
    rows = rows_off_by(tmp_path / "mine.csv", "coral-devboard", [3.0] * 3, "processor", "runtime", "cores", processor="cpu", runtime="tflite", cores="large=1")
    found = costmodel.calibrate("coral-devboard", measurements=rows, keep_constants=True)
    precision = found.device.profile.processors["cpu"].runtimes["tflite"].dtypes["fp32"]
    assert precision.basis == "datasheet"
    assert precision.interval_factor == precision.parallel_interval_factor == pytest.approx(3.0, rel=1e-3)
    assert "its figures are taken as datasheet, with a factor of 3" in "\n".join(found.warnings)


def test_what_a_fit_does_not_determine_keeps_nothing_of_a_fit_before(tmp_path: Path) -> None:
    # failed before: the profile mixed constants of two fits
    networks = ("resnet-18", "mobilenet-v2", "vgg-11", "squeezenet-1.1")
    lines = [f"{name},torch-compile,{20 + 10 * number},mine" for number, name in enumerate(networks)]
    rows, profile = tmp_path / "mine.csv", tmp_path / "before.toml"
    rows.write_text("\n".join(["network,runtime,latency_ms,source", *lines, ""]), encoding="utf-8")
    text = Path(costmodel.device("i9-10940x").path).read_text(encoding="utf-8")
    table = ("processors", "cpu", "runtimes", "torch-compile", "dtypes", "fp32", "parameters")
    before = {("sources",): {"before": '"a fit to 9 rows in mine.csv (sha256 0123456789abcdef)"'}}  # the same rows, of which there were others
    overlap = {table: {"overlap": '{ value = 3, kind = "fitted", source = "before", prior = 10 }'}}
    profile.write_text(with_values(text, before | overlap), encoding="utf-8")
    found = costmodel.calibrate(str(profile), measurements=rows, skip_refused=True)
    assert next(entry for entry in found.fits[0].fit.parameters if entry.name == "overlap").frozen
    assert costmodel.target(found.device, runtime="torch-compile").machine.parameters.overlap == 10


def test_few_families_make_no_interval_of_their_own(rows: Path) -> None:
    found = costmodel.calibrate("pixel4", measurements=rows)
    precision = found.device.profile.processors["cpu"].runtimes["tflite-padded"].dtypes["fp32"]
    assert (precision.basis, precision.interval_factor) == ("transferred", 1.5)  # what the profile promised does not hold for these rows
    assert any("too few for an interval" in warning for warning in found.warnings)


def test_one_of_a_kind_is_said_as_one(tmp_path: Path) -> None:
    found = costmodel.calibrate("pixel4", measurements=rows_off_by(tmp_path / "mine.csv", "pixel4", [1.01], "runtime", runtime="tflite-padded"))
    (source,) = {entry.source for entry in found.device.provenance.values() if "mine.csv" in entry.source}
    assert " on 1 row of 1 family on large=1 in mine.csv " in source
    assert "; 1 parameter; training error" in source
    one = rows_off_by(tmp_path / "one.csv", "pixel4", [1.0] * 5, "runtime", runtime="tflite-padded")
    several = rows_off_by(tmp_path / "several.csv", "pixel4", [1.0], "runtime", "cores", runtime="tflite-padded", cores="medium=3")
    said = "\n".join(costmodel.calibrate("pixel4", measurements=[one, several]).warnings)
    assert "cpu tflite-padded fp32: 3 families are too few for an interval at 90 %" in said
    assert "cpu tflite-padded fp32: 1 family is too few for an interval of several cores at 90 %" in said


def test_a_fit_that_leaves_no_number_behind_is_no_source(tmp_path: Path) -> None:
    shipped = costmodel.device("pixel4")
    rows = rows_off_by(tmp_path / "mine.csv", "pixel4", [1.0] * 3, "runtime", runtime="tflite-padded")
    found = costmodel.calibrate("pixel4", measurements=rows, keep_constants=True)  # too few families for an interval, and none contradicts it
    assert found.fits
    assert tomllib.loads(found.profile)["sources"] == tomllib.loads(Path(shipped.path).read_text(encoding="utf-8"))["sources"]


def test_constants_are_kept_where_that_is_asked() -> None:
    found = costmodel.calibrate("pixel4", processor="gpu", runtime="tflite-gpu-padded", keep_constants=True)
    before = costmodel.target("pixel4", processor="gpu").machine.parameters
    assert costmodel.target(found.device, processor="gpu").machine.parameters == before


def assert_same(found: str, shipped: str) -> None:
    """The same text, with numbers that differ by the arithmetic of another processor at most."""
    number = re.compile(r"(?<![\w.])\d+\.?\d*")
    assert number.sub("#", found) == number.sub("#", shipped)
    assert [float(text) for text in number.findall(found)] == pytest.approx([float(text) for text in number.findall(shipped)], rel=5e-3)


@pytest.mark.parametrize("name", ["galaxy-s10", "iphone-xs"])
def test_profiles_that_were_made_from_a_relative_come_out_again(name: str) -> None:
    shipped = (profile_folder() / f"{name}.toml").read_text(encoding="utf-8")
    rows = profile_folder() / "measurements" / "qed_usc.csv"
    assert_same(costmodel.calibrate(name, like="pixel4", measurements=rows).profile, shipped)


def test_the_pixel4s_fitted_numbers_come_out_again() -> None:
    shipped = (profile_folder() / "pixel4.toml").read_text(encoding="utf-8")
    assert_same(costmodel.calibrate("pixel4", processor="cpu", runtime="tflite-padded", dtype="int8").profile, shipped)


def test_a_relative_without_a_common_processor_is_refused() -> None:
    with pytest.raises(UsageError, match="none of its processors"):
        costmodel.calibrate("rtx4090", like="pixel1")


def test_impossible_rows_are_refused_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(ROWS.replace(",50,", ",0.05,"), encoding="utf-8")
    with pytest.raises(InvalidFileError, match=r"mine.csv:3: .*another unit"):
        costmodel.calibrate("pixel4", measurements=path)
    assert len(costmodel.calibrate("pixel4", measurements=path, skip_refused=True).problems) == 1


def test_no_row_left_is_said(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("network,latency_ms,source\nno-such-net,3,mine\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no row of pixel4 is left"):
        costmodel.calibrate("pixel4", measurements=path)


def test_rows_of_cores_of_several_kinds_alone_are_refused_with_the_next_step(tmp_path: Path) -> None:
    # failed before: a profile that changed nothing
    mixed = rows_off_by(tmp_path / "mixed.csv", "pixel4", [1.0, 2.0, 3.0], "runtime", "cores", runtime="tflite", cores="large=1,medium=3")
    one = rows_off_by(tmp_path / "one.csv", "pixel4", [1.0], "runtime", "cores", runtime="tflite", cores="medium=3")
    for keep in (False, True):
        with pytest.raises(UsageError, match=r"^no row of pixel4 is of cores of one kind, .*; measure on one kind of core, e\.g\. --cores large=1$"):
            costmodel.calibrate("pixel4", measurements=mixed, keep_constants=keep)
    assert [entry.cores for entry in costmodel.calibrate("pixel4", measurements=[mixed, one]).fits] == ["medium=3"]


def test_text_that_is_not_concerned_stays() -> None:
    text = '# first\n[sources]\na = "b # no remark"\n\n# about c\n[c.d]\ne = 1 # why\nf = 2\n'
    changed = with_values(text, {("c", "d"): {"e": "3", "g": "4"}, ("sources",): {"a": '"z"'}})
    assert changed == '# first\n[sources]\na = "z"\n\n# about c\n[c.d]\ne = 3 # why\nf = 2\ng = 4\n'


def test_tables_are_read_back() -> None:
    document = {"a": {"b": 1, "c": [1.5, "x"], "d": {"value": 2, "kind": 'q"'}, "e": {"f": True}}}
    import tomllib

    assert tomllib.loads("\n".join(tables(document))) == document


def test_a_prior_that_is_no_number_is_a_fault() -> None:
    text = (profile_folder() / "pixel4.toml").read_text(encoding="utf-8").replace("prior = 0.031", "prior = -1")
    with pytest.raises(InvalidFileError, match="prior: must be a number above 0"):
        parse_device(text.encode(), "p.toml")
