"""The firmware's protocol, built for this machine with sanitizers and fed through a pipe."""

from __future__ import annotations

import random
import re
import subprocess
import zlib
from pathlib import Path

import pytest
from device_support import INPUT_BYTES, ROOT, build_host, probe_results, probe_tensors, write_probe

from edgebnn.csrc import abi

BOOT = ["m-timestamp-mode-performance", "m-lap-us-1700", "m-init-done", "m-ready"]
DATA = bytes(range(3, 3 + INPUT_BYTES))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("protocol")
    return build_host(folder, write_probe(folder / "model"))


class Session:
    """Feeds whole inputs to fresh copies of the program."""

    def __init__(self, program: Path) -> None:
        self.program = program
        self.stderr = ""

    def raw(self, data: bytes, *options: str) -> bytes:
        done = subprocess.run([self.program, *options], input=data, capture_output=True, timeout=60)
        self.stderr = done.stderr.decode()
        assert done.returncode == 0, (done.returncode, self.stderr)
        return done.stdout

    def lines(self, data: str | bytes, *options: str) -> list[str]:
        """All lines printed, boot lines included."""
        text = self.raw(data.encode() if isinstance(data, str) else data, *options).decode("ascii")
        assert text.endswith("\r\n")
        assert "\n" not in text.replace("\r\n", "")
        return text.split("\r\n")[:-1]

    def replies(self, data: str | bytes, *options: str) -> list[list[str]]:
        """The reply lines of each command, without m-ready."""
        lines = self.lines(data, *options)
        lines = lines[lines.index("m-ready") + 1 :]
        assert not lines or lines[-1] == "m-ready"
        replies: list[list[str]] = [[]]
        for line in lines:
            if line == "m-ready":
                replies.append([])
            else:
                replies[-1].append(line)
        return replies[:-1]

    def reply(self, command: str, *options: str) -> list[str]:
        (reply,) = self.replies(command + "%", *options)
        return reply


@pytest.fixture
def session(program: Path) -> Session:
    return Session(program)


def load(data: bytes, step: int = 7) -> str:
    parts = [f"db {data[i : i + step].hex()}%" for i in range(0, len(data), step)]
    return f"db load {len(data)}%" + "".join(parts)


def with_crc(command: str, lines: list[str]) -> list[str]:
    crc = zlib.crc32((command + "".join(line + "\r\n" for line in lines)).encode())
    return [*lines, f"m-crc-[{crc:08x}]"]


def test_boot_lines(session: Session) -> None:
    assert session.lines(b"") == BOOT
    assert session.lines(b"", "energy") == ["m-timestamp-mode-energy", "m-init-done", "m-ready"]


def test_mlperf_commands(session: Session) -> None:
    assert session.reply("name") == ["m-name-dut-[host]"]
    profile = "m-profile-[ULPMark for tinyML Firmware V0.0.1]"
    assert session.reply("profile") == [profile, "m-model-[probe]"]
    assert session.reply("profile", "mlperf") == [profile, "m-model-[kws01]"]
    assert session.reply("timestamp") == ["m-lap-us-1800"]
    replies = session.replies("timestamp%timestamp%")
    assert replies == [["m-lap-us-1800"], ["m-lap-us-1900"]]


def test_load_print_and_infer(session: Session) -> None:
    replies = session.replies(load(DATA) + "db print%db crc%infer 3 2%results%")
    assert replies[:4] == [["m-[Expecting 16 bytes]"], [], [], ["m-load-done"]]
    hexes = [f"{value:02x}" for value in DATA]
    assert replies[4] == ["m-buffer-" + "-".join(hexes[:8]), "m-buffer-" + "-".join(hexes[8:])]
    assert replies[5] == with_crc("db crc", [f"m-db-crc-[{zlib.crc32(DATA):08x}]"])
    results = "m-results-[" + ",".join(f"{value:.3f}" for value in probe_results(DATA)) + "]"
    assert replies[6] == [
        *("m-warmup-start-2", "m-warmup-done", "m-infer-start-3", "m-lap-us-1800", "m-lap-us-1900"),
        *("m-infer-done", results),
    ]
    assert replies[7] == [results]


def test_infer_defaults_to_ten_warmups_and_zeros(session: Session) -> None:
    reply = session.reply("infer 1")
    assert reply[0] == "m-warmup-start-10"
    assert reply[-1] == "m-results-[" + ",".join(f"{v:.3f}" for v in probe_results(bytes(INPUT_BYTES))) + "]"


def test_energy_mode_shows_edges_instead_of_times(session: Session) -> None:
    replies = session.replies("timestamp%infer 1 0%", "energy")
    assert replies[0] == []
    assert [line for line in replies[1] if line.startswith("m-lap")] == []
    assert session.stderr.split() == ["edge"] * 3


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("nothing", "Unknown command: nothing"),
        ("", "Unknown command: "),
        ("names", "Unknown command: names"),
        ("a]b\x01\xff[c", "Unknown command: a_b___c"),
        ("name please", "Too many arguments"),
        ("db load", "Number expected"),
        ("db load x", "Number expected"),
        ("db load 16x", "Number expected"),
        ("db load -16", "Number expected"),
        ("db load 15", "Input size must be 16"),
        ("db load 17", "Input size must be 16"),
        ("db load 4294967312", "Number larger than 4294967295"),
        ("db load 16 16", "Too many arguments"),
        ("db 00", "No bytes expected"),
        ("db", "Bad hex"),
        ("db 0", "Bad hex"),
        ("db 0g", "Bad hex"),
        ("db 00 11", "Bad hex"),
        ("infer", "Number expected"),
        ("infer 0", "Number of inferences must be positive"),
        ("infer 1000001", "Number larger than 1000000"),
        ("infer 1 2 3", "Too many arguments"),
        ("results", "No results yet, use infer"),
        ("layers 1 1", "Too many arguments"),
        ("dump 2", "No such layer, layers: 2"),
        ("dump", "Number expected"),
        ("dump everything", "Number expected"),
        ("stream", "Number expected"),
    ],
)
def test_errors_are_one_line_and_leave_the_device_alive(session: Session, command: str, error: str) -> None:
    data = command.encode("latin-1") + b"%name%"
    assert session.replies(data) == [[f"e-[{error}]"], ["m-name-dut-[host]"]]


def test_unfinished_input_is_not_run(session: Session) -> None:
    replies = session.replies("db load 16%db 0011%infer 1%layers%dump all%stream 0%db crc%db print%")
    missing = ["e-[Input incomplete, bytes missing: 14]"]
    assert replies[2:7] == [missing] * 5
    assert replies[7] == ["m-buffer-00-11"]


def test_bad_data_lines_take_no_byte(session: Session) -> None:
    good = DATA.hex()
    replies = session.replies(f"db load 16%db {good[:20]}%db {good[:14]}%db zz%db {good[20:]}%db 00%db crc%")
    assert replies[2] == ["e-[Too many bytes, still expected: 6]"]
    assert replies[3] == ["e-[Bad hex]"]
    assert replies[4] == ["m-load-done"]
    assert replies[5] == ["e-[No bytes expected]"]
    assert replies[6][0] == f"m-db-crc-[{zlib.crc32(DATA):08x}]"


def test_the_buffer_takes_79_bytes_and_drops_longer_commands(session: Session) -> None:
    longest = "x" * 79
    replies = session.replies(longest + "%" + longest + "y%" + "z" * 100000 + "%name%")
    assert replies == [
        *([f"e-[Unknown command: {longest}]"], ["e-[Command too long]"], ["e-[Command too long]"]),
        ["m-name-dut-[host]"],
    ]


def test_line_ends_and_spaces_of_terminals(session: Session) -> None:
    assert session.replies("\r\n  name%\r\nname%\ninfer   1   0  %") == [
        *(["m-name-dut-[host]"], ["m-name-dut-[host]"], session.reply("infer 1 0")),
    ]


def test_a_failing_layer_is_reported(session: Session) -> None:
    bad = b"\x6f" + DATA[1:]
    replies = session.replies(
        load(bad, 16) + "infer 1 0%layers%dump all%results%" + load(DATA, 16) + "infer 1 0%"
    )
    assert replies[2][-1] == "e-[Model failed: status -1]"
    assert replies[3][-1] == "e-[Model failed: status -1]"
    assert replies[4][-1] == "e-[Layer 1 failed: status -1]"
    assert replies[5] == ["e-[No results yet, use infer]"]
    assert replies[8][-1].startswith("m-results-")


def test_a_model_that_does_not_fit_is_never_run(session: Session) -> None:
    error = "e-[Model does not fit this firmware: status -2]"
    assert session.lines(b"", "small-arena")[2] == error
    for command in ("infer 1", "layers", "dump all", "stream 0", "db load 16", "db crc"):
        assert session.reply(command, "small-arena") == [error]
    assert session.reply("name", "small-arena") == ["m-name-dut-[host]"]


def test_caps_and_info(session: Session) -> None:
    assert session.reply("caps") == with_crc("caps", ["m-caps-[crc,dump,info,layers,reset,stream]"])
    crc = zlib.crc32(b"a model of the tests")
    values = {
        **{
            "wire": 1,
            "board": "host",
            "core": "test_core",
            "clock_hz": 1000000,
            "unit": "cycles",
            "abi": abi(),
        },
        **{"model": "probe", "model_crc": f"{crc:08x}", "layers": 2, "input_bytes": 16, "output_bytes": 12},
        **{"outputs": 12, "arena_bytes": 48, "stack_bytes": 123},
    }
    lines = [f"m-info-[{key},{value}]" for key, value in values.items()]
    labels = ["m-label-[0,yes]", "m-label-[1,no]", "m-label-[2,left____]"]
    assert session.reply("info") == with_crc("info", [*lines, *labels])


def test_layers(session: Session) -> None:
    # The clock advances 100 us between two readings, 200 counts, all of which is overhead.
    head = ["m-layer-[0,invert,ebnn_invert,16,first_layer]", "m-layer-[1,mix__up_,ebnn_mix,12,mix]"]
    assert session.reply("layers 2") == with_crc("layers 2", [*head, "m-counts-[0,0,0]", "m-counts-[0,0,0]"])
    unknown = ["m-layer-[0,?,?,0,?]", "m-layer-[1,?,?,0,?]"]
    assert session.reply("layers", "no-info") == with_crc("layers", [*unknown, "m-counts-[0,0,0]"])


def test_dump(session: Session) -> None:
    first, other, second = probe_tensors(DATA)
    block = [
        [
            *("m-tensor-[first_layer,s8,nhwc,4,1,4,16]", f"m-data-[{first.hex()}]"),
            *("m-tensor-[first_layer:2,s8,nhwc,1,1,8,8]", f"m-data-[{other.hex()}]"),
        ],
        ["m-tensor-[mix,s8,nhwc,1,1,12,12]", f"m-data-[{second.hex()}]"],
    ]
    output = ["m-tensor-[output,s8,nhwc,1,1,12,12]", f"m-data-[{second.hex()}]"]
    wanted = {"dump 0": block[0], "dump 1": block[1], "dump all": block[0] + block[1], "dump output": output}
    commands = "%".join(wanted) + "%results%infer 1 0%dump 0%results%"
    replies = session.replies(load(DATA, 16) + commands)
    assert replies[2:6] == [with_crc(command, lines) for command, lines in wanted.items()]
    assert replies[6][0].startswith("m-results-")
    assert replies[9] == ["e-[No results yet, use infer]"]
    assert session.reply("dump output", "no-info")[0] == "m-tensor-[output,s8,nhwc,1,1,12,12]"
    assert session.reply("dump 0", "no-info") == ["e-[This model was built without layer information]"]


def test_stream_ends_with_any_byte(session: Session) -> None:
    best = max(probe_results(DATA))
    index = probe_results(DATA).index(best)
    replies = session.replies(load(DATA, 16) + "stream 0%qname%")
    assert replies[2] == with_crc("stream 0", [f"m-stream-[0,{index},{best:.3f}]", "m-stream-done"])
    assert replies[3] == ["m-name-dut-[host]"]


def test_reset_boots_again(session: Session) -> None:
    lines = session.lines("reset%name%")
    assert lines[4:6] == ["m-resetting", "m-timestamp-mode-performance"]
    assert lines[-2:] == ["m-name-dut-[host]", "m-ready"]


def test_any_fragmentation_gives_the_same_reply(program: Path) -> None:
    commands = (load(DATA, 16) + "infer 1 1%dump all%info%layers%").encode()
    whole = Session(program).raw(commands)
    rng = random.Random(5)
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    rest = commands
    while rest:
        n = rng.randint(1, 9)
        process.stdin.write(rest[:n])
        process.stdin.flush()
        rest = rest[n:]
    process.stdin.close()
    assert process.stdout.read() == whole
    assert process.wait(timeout=10) == 0


@pytest.mark.parametrize("seed", range(8))
def test_noise_never_breaks_it(session: Session, seed: int) -> None:
    """Random bytes and mutated commands: every '%' is answered, and the device then still works."""
    rng = random.Random(seed)
    words = [
        b"name",
        b"db load 16",
        b"db ",
        b"infer 1 1",
        b"layers",
        b"dump ",
        b"all",
        b"9",
        b"99999999999",
        b"%",
    ]
    words += [b"info", b"results", b" ", b"\r\n", b"\0", b"%%", b"db print", b"output", DATA.hex().encode()]
    data = bytearray()
    for _ in range(400):
        data += rng.randbytes(rng.randint(0, 12)) if rng.random() < 0.3 else rng.choice(words)
        if rng.random() < 0.3:
            data += b"%"
    noise = bytes(data).replace(b"stream", b"").replace(b"reset", b"") + b"%"
    replies = session.replies(noise + (load(DATA, 16) + "infer 1 0%").encode())
    assert len(replies) == noise.count(b"%") + 3
    results = "m-results-[" + ",".join(f"{value:.3f}" for value in probe_results(DATA)) + "]"
    assert replies[-1][-1] == results


def test_every_command_is_specified() -> None:
    source = (ROOT / "firmware" / "app" / "protocol.c").read_text(encoding="utf-8")
    commands = re.findall(r'\{"([a-z ]+)", command_', source)
    assert len(commands) == 15
    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    for command in commands:
        assert re.search(rf"\| `{command}[ `]", text), command
