"""Constants of the RTX without a family are what the file says, and predict that family."""

from __future__ import annotations

import pytest

from costmodel.calibration.rows import read_rows
from costmodel.calibration.samples import collect
from costmodel.calibration.validation import validate
from costmodel.devices import device, profile_folder, resolve_target
from tests.calibration import timm_held_out

FILE = profile_folder() / "measurements" / "timm.csv"


def test_every_family_of_the_zoos_rows_has_constants_of_its_own() -> None:
    found = timm_held_out.constants()
    assert set(found) == set(timm_held_out.TARGETS)
    for (name, runtime), by_family in found.items():
        assert sorted(by_family) == timm_held_out.families(name, runtime)
        parameters = resolve_target(device(name), runtime=runtime, dtype="amp").machine.parameters
        shipped = {f"compute_share.{kind}": value for kind, value in parameters.compute_share.items()} | {"kernel_us": parameters.kernel_us}
        for values in by_family.values():
            assert 25 < values[timm_held_out.DETERMINED] < len(values)
            assert all(0.5 < values[name] / value < 2 for name, value in shipped.items())
        assert len({values["kernel_us"] for values in by_family.values()}) > 1


@pytest.mark.parametrize(
    ("name", "runtime", "layout", "most"),
    [("rtx3090", "torch-eager", "nchw", 0.08), ("rtx3090", "torch-eager", "nhwc", 0.08), ("rtx4090", "torch-compile", "nchw", 0.13)],
)
def test_families_of_the_zoos_rows_are_predicted_by_constants_of_the_others(name: str, runtime: str, layout: str, most: float) -> None:
    chosen = [row for row in read_rows(FILE).rows if (row.device, row.runtime, row.layout) == (name, runtime, layout)]
    rows = [row for row in chosen if row.family in ("senet", "mobilenetv3")]
    (target,) = timm_held_out.judged(validate(rows, device(name))).targets
    known = timm_held_out.constants()[name, runtime]
    for entry, sample in zip(target.rows, collect(rows, device(name)).samples, strict=True):
        assert entry.held_out_s == timm_held_out.seconds_by(sample, known[entry.family])
    assert target.held_out is not None
    assert target.held_out.mape < most
