"""Constants from other devices' rows: they come back where they were planted, no row of the device or family takes part, and real rows are met."""

from __future__ import annotations

import dataclasses
from statistics import mean

import pytest

import costmodel
from costmodel.calibration.fit import priced
from costmodel.calibration.pooled import Pool, _int8_priors, _Kind, _scale, _Widths, leave_device_out, leave_family_out
from costmodel.calibration.samples import Sample
from costmodel.calibration.together import BARRIER, SHARE, SPEEDS, fitted_together, mean_together, speeds
from costmodel.graph import load_graph
from tests.calibration.benchncnn_graphs import FOLDER, GRAPHS
from tests.calibration.ncnn_profiles import all_samples, builds, rows_file

#: Boards of the same core, and what they have in common besides.
BOARDS = ("raspberry-pi-3b-plus", "snapdragon-410", "rk3399", "raspberry-pi-zero-2w")
CORE = "cortex-a53"


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Rows in fp32 of cores of one kind."""
    found, _ = all_samples(dataclasses.replace(rows_file(), rows=tuple(row for row in rows_file().rows if row.device in BOARDS and row.dtype == "fp32")))
    return [sample for sample in found if sample.target.machine.cores[0].core == CORE]


def _with_seconds(sample: Sample, seconds: float) -> Sample:
    return dataclasses.replace(sample, row=dataclasses.replace(sample.row, seconds=seconds))


def test_a_board_follows_from_others_with_the_same_core(samples: list[Sample]) -> None:
    """Real rows, one core: the mean error of boards held out; bounds are what is reached, rounded up. AlexNet is what is missed by most."""
    single = [sample for sample in samples if sample.target.threads == 1]
    errors = [(sample.row.network, abs(seconds / sample.seconds - 1)) for seconds, sample in zip(leave_device_out(single), single, strict=True)]
    assert mean(error for network, error in errors if network != "alexnet") < 0.13
    assert mean(error for _, error in errors) < 0.15


def test_own_rows_do_not_move_the_prediction(samples: list[Sample]) -> None:
    single = [sample for sample in samples if sample.target.threads == 1]
    slower = [_with_seconds(sample, sample.seconds * (3 if sample.row.device == BOARDS[0] else 1)) for sample in single]
    before, after = leave_device_out(single), leave_device_out(slower)
    for sample, one, other in zip(single, before, after, strict=True):
        assert (one == other) == (sample.row.device == BOARDS[0])


def test_no_row_of_a_family_moves_its_prediction(samples: list[Sample]) -> None:
    single = [sample for sample in samples if sample.target.threads == 1]
    slower = [_with_seconds(sample, sample.seconds * (3 if sample.family == "vgg" else 1)) for sample in single]
    before, after = leave_family_out(single), leave_family_out(slower)
    for sample, one, other in zip(single, before, after, strict=True):
        assert (one == other) == (sample.family == "vgg")


def _planted(samples: list[Sample], told: dict[tuple[str, ...], float]) -> tuple[list[Sample], list[dict[tuple[str, ...], float]]]:
    """RK3399's rows of several cores as long as the law says with those values, and its single cores' constants."""
    together = [sample for sample in samples if (sample.target.threads or 1) > 1 and sample.target.device.name == BOARDS[2]]
    values = [Pool(samples).values(sample.target) for sample in together]
    return [_with_seconds(sample, float(priced([sample], {**known, **told})[0])) for sample, known in zip(together, values, strict=True)], values


@pytest.mark.parametrize("barrier", [10000.0, 200000.0])
def test_what_cores_do_to_each_other_comes_back(samples: list[Sample], barrier: float) -> None:
    """Planted times fit as far as assumptions let them: each within a half, also a barrier twenty times as long as assumed."""
    together = [sample for sample in samples if sample.target.device.name == BOARDS[2]]
    told = {SHARE: 0.3, BARRIER: barrier, **speeds(together[0].target, 0.8)}
    planted, values = _planted(samples, told)
    found = fitted_together(planted, values)
    assert found == pytest.approx(told, rel=0.5)
    seconds = [float(priced([sample], {**known, **found})[0]) for sample, known in zip(planted, values, strict=True)]
    assert mean(abs(second / sample.seconds - 1) for second, sample in zip(seconds, planted, strict=True)) < 0.04


def test_rows_three_times_too_slow_move_no_other(samples: list[Sample]) -> None:
    """Beside the same fit without them, whose assumptions are far from what was planted: under one per cent."""
    planted, values = _planted(samples, {SHARE: 0.3, BARRIER: 30000.0, (SPEEDS, CORE): 0.9})
    disturbed = [_with_seconds(sample, sample.seconds * (3 if position in (1, 4) else 1)) for position, sample in enumerate(planted)]
    fits = [fitted_together(rows, values) for rows in (planted, disturbed)]
    before, after = ([float(priced([sample], {**known, **found})[0]) for sample, known in zip(planted, values, strict=True)] for found in fits)
    assert before != after
    assert max(abs(second / first - 1) for first, second in zip(before, after, strict=True)) < 0.01


def test_what_another_precision_says_is_nearer_than_what_is_assumed(samples: list[Sample]) -> None:
    """The same values, once assumed and once known: fits stay closer to what is known, and both see the rows."""
    planted, values = _planted(samples, {SHARE: 0.2, BARRIER: 60000.0, (SPEEDS, CORE): 1.0})
    assumed, known = (fitted_together(planted[:2], values[:2], beside) for beside in (None, {SHARE: 0.5, BARRIER: 10000.0}))
    assert assumed[SHARE] < known[SHARE] < 0.5
    assert assumed[BARRIER] > known[BARRIER] > 10000


@pytest.fixture(scope="module")
def precisions() -> list[Sample]:
    """Two boards' rows of cores of one kind, in fp32 and int8."""
    found, _ = all_samples(dataclasses.replace(rows_file(), rows=tuple(row for row in rows_file().rows if row.device in BOARDS[1:3])))
    return [sample for sample in found if sample.target.machine.cores[0].core == CORE]


def test_int8_of_several_cores_begins_where_floating_point_ends(precisions: list[Sample]) -> None:
    """VGG's rows in fp32 on several cores move what other families take in int8 on several, not on one."""
    chosen = [sample.target.dtype == "fp32" and sample.target.threads != 1 and sample.family == "vgg" for sample in precisions]
    slower = [_with_seconds(sample, sample.seconds * (2 if slow else 1)) for sample, slow in zip(precisions, chosen, strict=True)]
    before, after = leave_family_out(precisions), leave_family_out(slower)
    moved = {
        (sample.target.threads, sample.family)
        for sample, one, other in zip(precisions, before, after, strict=True)
        if one != other and sample.target.dtype == "int8"
    }
    assert moved == {(4, sample.family) for sample in precisions if sample.target.dtype == "int8"} - {(4, "vgg")}


def test_no_row_of_a_family_moves_its_prediction_in_any_precision(precisions: list[Sample]) -> None:
    slower = [_with_seconds(sample, sample.seconds * (2 if sample.family == "vgg" else 1)) for sample in precisions]
    before, after = leave_family_out(precisions), leave_family_out(slower)
    assert any(sample.family == "vgg" and sample.target.dtype == "int8" and sample.target.threads == 4 for sample in precisions)
    assert {sample.family for sample, one, other in zip(precisions, before, after, strict=True) if one == other} == {"vgg"}


def test_devices_have_the_mean_of_shares_and_barriers_in_common() -> None:
    each = [{SHARE: 0.2, BARRIER: 4000.0, (SPEEDS, "a"): 0.7}, {SHARE: 0.8, BARRIER: 9000.0}]
    assert mean_together(each) == pytest.approx({SHARE: 0.4, BARRIER: 6000.0})


def test_own_rows_of_several_cores_do_not_move_the_prediction_of_a_device_held_out(samples: list[Sample]) -> None:
    chosen = [sample for sample in samples if sample.target.device.name in BOARDS[:2]]
    slower = [_with_seconds(sample, sample.seconds * (3 if sample.row.device == BOARDS[0] and (sample.target.threads or 1) > 1 else 1)) for sample in chosen]
    before, after = leave_device_out(chosen), leave_device_out(slower)
    moved = {sample.row.device for sample, one, other in zip(chosen, before, after, strict=True) if one != other}
    assert moved == {BOARDS[1]}


def test_a_pool_without_rows_says_for_which_core(samples: list[Sample]) -> None:
    target = costmodel.target("snapdragon-810", runtime="ncnn", dtype="fp32")
    with pytest.raises(ValueError, match="cortex-a57"):
        Pool([]).constants(target, "cortex-a57")
    assert Pool(samples).constants(target, "cortex-a53")["gemm_cycles_per_mac"] > 1 / (4 * 1.05)


#: Devices whose rows on one core show int8 with dot products (Raspberry Pi 5), without (Khadas VIM3), of an early build (Snapdragon 835) and of a build that
#: knows no Armv8.2 on cores that have it (RK3588).
INTEGER = ("raspberry-pi-5", "khadas-vim3", "snapdragon-835", "rk3588", "rk3399")


@pytest.fixture(scope="module")
def integer() -> list[Sample]:
    """Rows of one core of those, in all precisions."""
    found, _ = all_samples(dataclasses.replace(rows_file(), rows=tuple(row for row in rows_file().rows if row.device in INTEGER)))
    return [sample for sample in found if sample.target.threads == 1]


def test_a_build_without_fp16_has_no_dot_products(integer: list[Sample]) -> None:
    """RK3588's fp32 rows say so: without them its Cortex-A76 would multiply as the Raspberry Pi 5's."""
    target = costmodel.target("rk3588", runtime="ncnn", dtype="int8", cores="large=1")
    unknown = [sample for sample in integer if sample.target.device.name != "rk3588"]
    plain, dotted = (Pool(rows).constants(target, "cortex-a76", without_device="rk3588")["gemm_cycles_per_mac"] for rows in (integer, unknown))
    other = costmodel.target("raspberry-pi-5", runtime="ncnn", dtype="int8", cores="large=1")
    assert dotted == Pool(unknown).constants(other, "cortex-a76")["gemm_cycles_per_mac"]
    assert plain > 2 * dotted


def test_int8_of_a_device_follows_from_others(integer: list[Sample]) -> None:
    """Real rows of one core, devices held out; the bound is what is reached, rounded up."""
    held = leave_device_out(integer, builds(integer))
    errors = [abs(seconds / sample.seconds - 1) for seconds, sample in zip(held, integer, strict=True) if sample.target.dtype == "int8"]
    assert mean(errors) < 0.2


def test_a_shipped_profile_fits_the_rows_that_it_was_fitted_to() -> None:
    """Four sets of a board's cores in two precisions; the bound is what is reached, rounded up. A row of new work once made its small cores a half too slow.

    Of int8 and fp32 on four cores SSDs are a third too fast: their lookups are shared, as the source says.
    """
    found, _ = all_samples(dataclasses.replace(rows_file(), rows=tuple(row for row in rows_file().rows if row.device == "rk3588")))
    errors: dict[tuple[str, str | None], list[float]] = {}
    for sample in found:
        errors.setdefault((sample.target.dtype, sample.target.cores_text), []).append(abs(sample.predicted_s / sample.seconds - 1))
    assert len(errors) == 8
    assert max(mean(group) for group in errors.values()) < 0.16


def test_early_builds_say_nothing_of_later_ones(integer: list[Sample]) -> None:
    early = {"snapdragon-835": "2020"}
    target = costmodel.target("khadas-vim3", runtime="ncnn", dtype="int8", cores="large=1")
    slower = [_with_seconds(sample, sample.seconds * (3 if sample.row.device in early and sample.target.dtype == "int8" else 1)) for sample in integer]
    (before, after), (mixed, other) = ([Pool(rows, ages).constants(target, "cortex-a73") for rows in (integer, slower)] for ages in (early, {}))
    assert before == after
    assert mixed != other
    assert builds(integer) == {name: early.get(name, "") for name in INTEGER}


def test_what_early_builds_do_is_in_their_profiles() -> None:
    """Tiles by the image, a lowering of their own, and in int8 of 2020 layers for channels."""
    found, _ = all_samples(rows_file())
    ages = builds(found)
    assert {age: {name for name, own in ages.items() if own == age} for age in ages.values() if age} == {
        "2020": {"kirin-970", "snapdragon-660", "snapdragon-835"},
        "2019": {"snapdragon-675"},
    }
    for target in {(sample.target.device.name, sample.target.dtype): sample.target for sample in found}.values():
        age, parameters = ages[target.device.name], target.machine.parameters
        assert target.rules.name == ("ncnn-2020" if age else "ncnn"), target.device.name
        if target.dtype != "int8":
            assert parameters.winograd_by_image == (age != ""), target.device.name
        else:
            assert {bool(core.channel_cycles) for core in parameters.cores.values()} == {age == "2020"}, target.device.name


def test_matrix_instructions_reach_a_part_of_their_products(integer: list[Sample]) -> None:
    """A Cortex-A715 multiplies two thirds of twice as many products a cycle as a Cortex-A76 by dot products, before any row of such a core.

    A normalisation takes as many cycles on a Cortex-X3, of twice as many vector units.
    """
    pool = Pool(integer)
    given = (("snapdragon-8gen2", "large=1", "cortex-x3"), ("snapdragon-8gen2", "medium=1", "cortex-a715"), ("raspberry-pi-5", "large=1", "cortex-a76"))
    wide, matrix, dots = (pool.constants(costmodel.target(name, runtime="ncnn", dtype="int8", cores=cores), core) for name, cores, core in given)
    assert dots["gemm_cycles_per_mac"] / matrix["gemm_cycles_per_mac"] == pytest.approx(4 / 3)
    assert dots["normalisation_cycles_per_element"] == wide["normalisation_cycles_per_element"]
    assert dots["elementwise_cycles_per_output"] == pytest.approx(2 * wide["elementwise_cycles_per_output"])
    assert dots["depthwise_cycles_per_mac"] == matrix["depthwise_cycles_per_mac"]


def test_windows_of_single_channels_know_no_dot_products() -> None:
    """Before any row: as many cycles as on a core without them."""
    floating = dict.fromkeys(("gemm_cycles_per_mac", "pack_cycles_per_element", "pad_cycles_per_output", "normalisation_cycles_per_element"), 1.0)
    plain, dots = (_int8_priors(floating, _Kind(in_order=False, dot_products=each)) for each in (False, True))
    assert dots["depthwise_cycles_per_mac"] == 2 * plain["depthwise_cycles_per_mac"]  # multiples of twice as many products


def test_winograds_products_of_16_bits_know_neither_dot_products_nor_matrices() -> None:
    """Before any row as many cycles as without: a Cortex-A715's, of instructions for matrices, as a Cortex-A76's; tiles are as dear on both."""
    floating = dict.fromkeys(("gemm_cycles_per_mac", "pack_cycles_per_element", "pad_cycles_per_output", "normalisation_cycles_per_element"), 1.0)
    plain, dots = (_int8_priors(floating, _Kind(in_order=False, dot_products=each)) for each in (False, True))
    assert dots["winograd_cycles_per_mac"] == 2 * plain["winograd_cycles_per_mac"]  # multiples of twice as many products
    assert dots["winograd_cycles_per_element"] == plain["winograd_cycles_per_element"]
    a76, a715 = _Widths(rate=32, products=32, lanes=2), _Widths(rate=32, products=128 / 3, lanes=2)
    assert _scale("winograd_cycles_per_mac", a715) == _scale("winograd_cycles_per_mac", a76)
    assert _scale("gemm_cycles_per_mac", a715) < _scale("gemm_cycles_per_mac", a76)


def test_early_builds_quantise_as_they_are_written(integer: list[Sample]) -> None:
    """Where no other core tells of a build: 14 instructions for eight elements, a cycle for one on a vector unit; a Cortex-A76 has two."""
    constants = Pool(integer, {"snapdragon-675": "2019"}).constants(
        costmodel.target("snapdragon-675", runtime="ncnn", dtype="int8", cores="large=1"), "cortex-a76", without_device="snapdragon-675"
    )
    assert constants["cast_cycles_per_element"] == 0.5


def test_cores_in_order_of_early_builds_differ_as_those_out_of_order_do(integer: list[Sample]) -> None:
    """No row is of one such core: later builds' constants, by what early ones take beside them on cores of the other order."""
    pool = Pool(integer, {"snapdragon-835": "2020"})

    def of(name: str, core: str, cluster: str) -> dict[str, float]:
        return pool.constants(costmodel.target(name, runtime="ncnn", dtype="int8", cores=f"{cluster}=1"), core)

    early, late = of("snapdragon-835", "cortex-a73", "large"), of("khadas-vim3", "cortex-a73", "large")
    small, later = of("snapdragon-835", "cortex-a53", "small"), of("khadas-vim3", "cortex-a53", "small")
    for name in ("gemm_cycles_per_mac", "cast_cycles_per_element", "kernel_cycles"):
        assert small[name] / later[name] == pytest.approx(early[name] / late[name]) != 1
    assert small["channel_cycles"] / early["channel_cycles"] == pytest.approx(2)


def test_cycles_shrink_with_vector_units_but_for_launches_and_chains(integer: list[Sample]) -> None:
    pool = Pool(integer)
    wide, narrow = (
        pool.constants(costmodel.target(name, runtime="ncnn", dtype="fp32", cores="large=1"), core)
        for name, core in (("rk3588", "cortex-a76"), ("rk3399", "cortex-a72"))
    )
    ratios = {name: narrow[name] / wide[name] for name in ("elementwise_cycles_per_output", "gemm_cycles_per_mac", "kernel_cycles", "linear_cycles_per_mac")}
    assert ratios == pytest.approx({"elementwise_cycles_per_output": 2, "gemm_cycles_per_mac": 2, "kernel_cycles": 1, "linear_cycles_per_mac": 1})


def test_dot_products_of_cores_in_order_follow_those_out_of_order(integer: list[Sample]) -> None:
    """No row shows them: slower by what such cores are in fp32."""
    pool = Pool(integer)
    small, large, older, other = (
        pool.constants(costmodel.target(name, runtime="ncnn", dtype=dtype, cores=f"{cluster}=1"), core)["gemm_cycles_per_mac"]
        for name, dtype, cluster, core in (
            ("snapdragon-855plus", "int8", "small", "cortex-a55"),
            ("snapdragon-855plus", "int8", "large", "cortex-a76"),
            ("rk3399", "fp32", "small", "cortex-a53"),
            ("rk3399", "fp32", "large", "cortex-a72"),
        )
    )
    assert small / large == pytest.approx(2 * older / other)  # half the products a cycle


def test_rows_of_mixed_cores_alone_are_judged_without_a_fit() -> None:
    found = costmodel.validate("snapdragon-888")
    assert found.targets
    assert {target.held_out for target in found.targets} == {None}


#: Graph -> (MACs, parameters) as its authors state them, and how exactly they do.
STATED = {
    "mobilenet_ssd": (1.15e9, 5.8e6, 0.01),  # chuanqi305/MobileNet-SSD: a file of 23 MB
    "mobilenet_v2": (313619328, 3470784, 0.02),  # weights of mobilenet_v2.param times the positions that it states; biases and normalisations beside them
    "resnet18": (1826918400, 11683008, 0.002),  # the same of resnet18.param
    "squeezenet": (418467520, 1231552, 0.01),  # the same of squeezenet.param
    "mobilenetv2_yolov3": (1182485568, 3698880, 0.02),  # the same of mobilenetv2_yolov3.param
    "squeezenet_ssd": (1175969984, 5519040, 0.002),  # the same of squeezenet_ssd.param
    "yolov4-tiny": (6.91e9 / 2, 6.06e6, 0.01),  # AlexeyAB/darknet: 6.9 BFLOPs
    "yolo-fastestv2": (0.212e9 / 2, 0.25e6, 0.01),  # dog-qiuqiu/Yolo-FastestV2: 0.212 BFLOPs, 0.25 M
}


@pytest.mark.parametrize("name", GRAPHS)
def test_networks_of_benchncnn_have_the_size_that_is_stated(name: str) -> None:
    graph = GRAPHS[name]()
    macs, parameters, exactly = STATED[name]
    assert graph.macs == pytest.approx(macs, rel=exactly)
    assert graph.parameters == pytest.approx(parameters, rel=exactly)
    shipped = load_graph(FOLDER / f"{name}.json")
    assert (shipped.macs, shipped.parameters) == (graph.macs, graph.parameters)
