"""What a kit for each runtime consists of: the format of its networks, the tool that times them, and how that is called on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from costmodel.errors import unknown

#: Held to one core, benchncnn would free itself again: it sets the cores of its own threads at the start, then rests for ten seconds before each network
#: (cooling_down=1 in benchncnn.cpp), in which the mask is put on all of its threads.
_NCNN = (
    "./$tool $PASSES $threads 0 -1 1 param=$file shape=[$shape] & p=\\$!; sleep 4; "
    "for t in /proc/\\$p/task/*; do taskset -p $mask \\${t##*/} >/dev/null; done; wait \\$p"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A runtime's part of a kit.

    `runtimes` are the software stacks of profiles whose constants choose the networks, the first that a profile has; `command` is what the shell on
    the device runs, with the image's shape as `shape` has it; `origin` says where the tool is from.
    """

    name: str
    ending: str
    tool: str
    like: str
    runtimes: tuple[str, ...]
    command: str
    dtypes: tuple[str, ...]
    origin: str
    shape: str = "{n}x{c}x{h}x{w}"
    on_cores: bool = True
    batch: int = 1


FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form(
            name="tflite",
            ending=".tflite",
            tool="benchmark_model",
            like="pixel4",
            runtimes=("tflite",),
            command="taskset $mask ./$tool --graph=$file --num_threads=$threads --num_runs=$PASSES --warmup_runs=5 --use_xnnpack=${XNNPACK:-false}",
            dtypes=("fp32", "int8"),
            origin="TensorFlow Lite's benchmark tool, a download for Android (arm64) and Linux; built-in kernels, or XNNPACK=true for that delegate.",
        ),
        Form(
            name="ncnn",
            ending=".param",
            tool="benchncnn",
            like="pixel4",
            runtimes=("ncnn", "tflite"),
            command=_NCNN,
            dtypes=("fp32",),
            shape="{w},{h},{c}",
            origin="ncnn's benchmark folder, built with its CMake files for the device. The networks are .param files; benchncnn runs them with empty weights.",
        ),
        Form(
            name="onnxruntime",
            ending=".onnx",
            tool="onnxruntime_perf_test",
            like="pixel4",
            runtimes=("onnxruntime", "tflite"),
            command="taskset $mask ./$tool -e cpu -m times -r $PASSES -x $threads -y 1 -I $file",
            dtypes=("fp32",),
            origin="onnxruntime's perf_test, built together with the library (build.sh, --android for phones), statically or with its library beside it.",
        ),
        Form(
            name="trtexec",
            ending=".onnx",
            tool="trtexec",
            like="rtx3090",
            runtimes=("tensorrt", "torch-compile"),
            command="./$tool --onnx=$file --warmUp=500 --iterations=$PASSES ${TRTEXEC_FLAGS:-@FLAGS@}",
            dtypes=("fp32", "fp16", "int8"),
            origin="part of TensorRT. It builds an engine for each network first. TRTEXEC_FLAGS takes the place of the kit's precision in its options.",
            on_cores=False,
            batch=32,
        ),
    )
}


def form(name: str) -> Form:
    """The form of a runtime.

    Raises
    ------
    UnknownNameError
        If there is none; with close matches.
    """
    if name not in FORMS:
        raise unknown("runtime of a kit", name, FORMS)
    return FORMS[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How files and commands reach a device: shell functions `push` and `remote`, and what the script is called with."""

    name: Literal["adb", "ssh"]
    usage: str
    arguments: str
    folder: str
    transport: str


WAYS = (
    Way(
        name="adb",
        usage="TOOL=path/to/@TOOL@ ./run_adb.sh DEVICE",
        arguments="device=${1:?usage: TOOL=path/to/@TOOL@ ./run_adb.sh DEVICE}\nTOOL=${TOOL:-@TOOL@}",
        folder="/data/local/tmp/costmodel-kit",
        transport="# $ADB may name another adb, with options such as -s SERIAL\nADB=${ADB:-adb}\n"
        '# shellcheck disable=SC2086  # options are words\nremote() { $ADB shell "$1" </dev/null; }\n'
        '# shellcheck disable=SC2086\npush() { $ADB push "$1" "$FOLDER/" </dev/null >/dev/null; }',
    ),
    Way(
        name="ssh",
        usage="TOOL=path/to/@TOOL@ ./run_ssh.sh DEVICE USER@HOST",
        arguments="device=${1:?usage: TOOL=path/to/@TOOL@ ./run_ssh.sh DEVICE USER@HOST}\n"
        "host=${2:?usage: TOOL=path/to/@TOOL@ ./run_ssh.sh DEVICE USER@HOST}\nTOOL=${TOOL:-@TOOL@}",
        folder="/tmp/costmodel-kit",
        transport='# shellcheck disable=SC2029  # expanded here on purpose\nremote() { ssh -o BatchMode=yes "$host" "$1" </dev/null; }\n'
        'push() { scp -q -o BatchMode=yes "$1" "$host:$FOLDER/" </dev/null; }',
    ),
)
