"""Make RESULTS.md, its pictures and the README's figure from what `python -m bench.measure` has kept.

python -m bench.report                                            # from bench/results
python -m bench.report --results DIR/results --out DIR            # of another machine; bench/zen3 is one
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fastrnn._bench.cases import LAYERS
from fastrnn._bench.command import duration, load, mean
from fastrnn._bench.peers import PEERS
from fastrnn._bench.turns import Row

from . import aims, models, step

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
START, END = "<!-- speed, by python -m bench.report -->\n", "<!-- end of speed -->\n"
README_SHAPE = "b32_h64"
VARIANTS = {"float64": ", float64", "avx2": ", AVX2", "generic": ", plain C"}  # runs, and what is different in them

HEAD = """\
<!-- made by python -m bench.report; what is written here by hand is lost -->
# How fast fastrnn is

Measured on {machine} on {date} by `python -m bench.measure`, in float32 unless said otherwise.

| | |
| --- | --- |
| processor | {processor}, {cpus} CPUs |
| system | {system}, Python {python} |
| kernels | {isa}, compiled by {compiler} |
| versions | {versions} |

{verdict}
{others}"""

METHOD = """\
## Method

A shape is batch × time steps × inputs × units. *forward* is inference that returns every output. *train* is a forward
pass and back-propagation through time for a gradient on every output, giving those of the input and of all weights; the
weights count as changed before every step, as an optimizer changes them. *step* is one time step from given states.
*ragged* batches have random lengths that leave half the steps; PyTorch packs them.

- Everybody does the same work on the same arrays with the same number of threads, pinned to as many CPUs. JAX and
  Keras (on TensorFlow) run compiled functions, oneDNN and ONNX Runtime get arrays in the layout that they prefer.
- Every answer is held against float64 before it is timed.
- Every peer has a process of its own, and those that wait are stopped, so that their threads cannot spin. They take
  turns inside each round, so that a drift of the machine's clock hits all alike; a time is that of the best round of
  {rounds}{rounds_of_calls}.
- The peak is the highest rate of multiply-adds that never leave the registers seen in the run so far, with the same
  instruction set and threads; it is measured again in every round. Shares count the operations of the matrix
  products alone.
{own}- What a first call costs, compilation included, is in no time but those of its own table.

`python -m fastrnn bench` does the same on your machine.
"""

OWN = """\
- What fastrnn is compared with by itself takes turns with it: one thread with more, all steps with a ragged batch,
  float32 with float64.
"""

MODELS = """\
## Training a model

`{model}`, and the same with other layers, on {samples} sequences of {steps} token ids: RMSprop, batches of {batch},
{threads}. The libraries take turns; *epoch* is the best but the first ones, which compile{scaled}. *predict* has
batches of 1,000. Everybody starts from the same weights, gets the same batches and finds the same loss. {versions}.

"""


PARTS_OF_EPOCH = """
Where the time of fastrnn's epochs goes, in an epoch that is timed piece by piece: the layers forward and back, of which
*core* is compiled time loops; the loss; the optimizer; and the loop around them all, from drawing a batch to
adding up its loss.

"""


def sizes(row: Row) -> str:
    return f"{row.dims.B} × {row.dims.T} × {row.dims.I} × {row.dims.H}"


def table(head: Sequence[str], lines: Iterable[Sequence[str]], left: int = 2) -> str:
    """Return a Markdown table whose first columns are aligned to the left."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines)) + "\n"


def ratio(value: float) -> str:
    """Write a ratio so that it is seen on which side of 1 it is."""
    return f"{value:.2f}" if abs(value - 1) > 0.005 else f"{value:.3f}"


def peers_of(rows: Sequence[Row]) -> list[str]:
    return [peer for peer in PEERS if any(peer in row.seconds for row in rows)]


def times(row: Row, peer: str) -> str:
    """Write the peer's time, in bold if it is the best of the row, empty if there is none."""
    if peer not in row.seconds:
        return ""
    text = duration(row.seconds[peer])
    return f"**{text}**" if row.seconds[peer] == min(row.seconds.values()) else text


def comparison(rows: Sequence[Row]) -> str:
    """Return a table of everybody's times, the best in bold, losses marked."""
    peers = peers_of(rows)
    lines = []
    for row in rows:
        cells = [row.shape, sizes(row), *(times(row, peer) for peer in peers)]
        if "fastrnn" not in row.seconds:
            lines.append([*cells, "", "", ""])
            continue
        ahead = "" if row.ahead is None else ratio(row.ahead) if row.ahead >= 1 else f"**{ratio(row.ahead)}, lost**"
        lines.append([*cells, ahead, f"{row.gflops('fastrnn'):.1f}", f"{row.of_peak('fastrnn'):.0%}"])
    return table(["shape", "B × T × I × H", *(PEERS[p][1] for p in peers), "ahead", "GFLOP/s", "of peak"], lines)


def first_calls(rows: Sequence[Row]) -> str:
    """Return a table of what the first call costs, getting ready included."""
    peers = peers_of(rows)
    lines = [
        [row.shape, row.mode, *(duration(row.first_call[p]) if p in row.first_call else "" for p in peers)]
        for row in rows
    ]
    return table(["shape", "mode", *(PEERS[p][1] for p in peers)], lines)


def ragged(full: Sequence[Row], rows: Sequence[Row]) -> str:
    """Return a table of ragged batches: the times, and their share of the full batch's."""
    whole = {(row.shape, row.mode): row for row in full}
    peers = peers_of(rows)
    lines = []
    for row in rows:
        other = whole.get((row.shape, {"ragged": "forward", "ragged-train": "train"}[row.mode]))
        cells = []
        for peer in peers:
            text, all_steps = times(row, peer), row.compared("all steps", peer, other)
            if text and all_steps:
                text += f" ({row.seconds[peer] / all_steps:.2f})"
            cells.append(text)
        lines.append([row.shape, row.mode, *cells])
    return table(["shape", "mode", *(PEERS[p][1] for p in peers)], lines)


def training(about: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """Return what `bench.models` measured: how it was done, and a table."""
    there = [name for name in models.LIBRARIES if name in about["versions"]]
    lines = []
    for kind in ("epoch", "predict"):
        for row in rows:
            seconds = row[kind]
            best = min(seconds, key=seconds.__getitem__)
            texts = {name: duration(s) if name != best else f"**{duration(s)}**" for name, s in seconds.items()}
            ahead = min(s for name, s in seconds.items() if name != "fastrnn") / seconds["fastrnn"]
            last = ratio(ahead) if ahead >= 1 else f"**{ratio(ahead)}, lost**"
            lines.append([kind, name_of(row), *(texts.get(name, "") for name in there), last])
    scaled = [
        f"{models.TIMED_BATCHES[name]} batches on {models.LIBRARIES[name]}"
        for name in there
        if models.TIMED_BATCHES[name] < models.BATCHES
    ]
    how = MODELS.format(
        model=models.MODEL,
        samples=f"{models.SAMPLES:,}",
        steps=models.STEPS,
        batch=models.BATCH,
        threads=count(about["cpus"]),
        scaled=f"; {' and '.join(scaled)} were timed, and that scaled" if scaled else "",
        versions="; ".join(f"{models.LIBRARIES[name]}: {about['versions'][name]}" for name in there),
    )
    return how + table(["", "layer", *(models.LIBRARIES[name] for name in there), "ahead"], lines) + epochs(rows)


def epochs(rows: Sequence[dict[str, Any]]) -> str:
    """Return a table of the parts of fastrnn's epochs."""
    lines = []
    for row in rows:
        seconds = row["parts"]
        whole = seconds["epoch"]
        rest = whole - seconds["layers"] - seconds["loss"] - seconds["optimizer"]
        shares = [f"{part / whole:.1%}" for part in (*(seconds[name] for name in step.PARTS), rest)]
        lines.append([name_of(row), duration(whole), *shares])
    return PARTS_OF_EPOCH + table(["layer", "epoch", "layers", "core", "loss", "optimizer", "loop"], lines, left=1)


def name_of(row: dict[str, Any]) -> str:
    """Say which layer a model has."""
    return LAYERS[row["cell"]] + (", mask_zero" if row["mask_zero"] else "")


def count(n: int) -> str:
    return f"{n} thread{'s' * (n > 1)}"


def verdict(rows: Sequence[Row], threads: int) -> str:
    """Say in one line for each mode how it stands."""
    lines = []
    for mode in dict.fromkeys(row.mode for row in rows):
        ahead = {row.shape: row.ahead for row in by_mode(rows, mode) if row.ahead}
        lost = ", ".join(f"{shape} ({ratio(a)})" for shape, a in ahead.items() if a < 1)
        least, most, middle = min(ahead.values()), max(ahead.values()), mean(list(ahead.values()))
        lines.append(
            f"- {mode}, {count(threads)}: each shape's best rival takes {least:.2f} to {most:.2f} times as long as "
            f"fastrnn, {middle:.2f} times in the geometric mean of {len(ahead)} shapes. "
            + (f"**Lost: {lost}.**" if lost else "None is lost.")
        )
    return "\n".join(lines)


def by_mode(rows: Sequence[Row], mode: str) -> list[Row]:
    return [row for row in rows if row.mode == mode]


def read(folder: Path) -> dict[str, tuple[dict[str, Any], list[Any]]]:
    """Read all runs that are there, by name."""
    return {file.stem: (models.load if file.stem == "models" else load)(file) for file in sorted(folder.glob("*.json"))}


def threads_of(name: str) -> int:
    return int(name.split("-")[1])


def with_more_threads(runs: Iterable[str], cell: str) -> list[str]:
    """Return the runs of a cell on more than one thread, in their order."""
    return sorted((name for name in runs if name.startswith(f"{cell}-")), key=threads_of)


def other_machines(home: Path) -> str:
    """Link to the results of other machines, in folders of their own, if there are any."""
    files = sorted(home.glob("*/results/rnn.json"))
    links = [f"[{load(file)[0]['machine']}]({file.parent.parent.name}/RESULTS.md)" for file in files]
    return f"\nMeasured elsewhere: {', '.join(links)}.\n" if links else ""


def results(runs: dict[str, tuple[dict[str, Any], list[Row]]], others: str = "") -> str:
    """Return the text of RESULTS.md. What was not measured is not in it."""
    about, rnn = runs["rnn"]
    versions = ", ".join(f"{PEERS[p][1]} {v}" for p, v in about["versions"].items())
    more = with_more_threads(runs, "rnn")
    verdicts = "\n".join(verdict(runs[name][1], runs[name][0]["threads"]) for name in ("rnn", *more))
    parts = [
        HEAD.format(**{**about, "versions": versions, "verdict": verdicts, "others": others}),
        "![How many times as long as fastrnn the others take](results/rivals.svg)\n",
    ]
    if "peak" in runs:
        parts.append("![Share of the multiply-add peak over the number of units](results/peak.svg)\n")
    if more:
        parts.append(f"![What {threads_of(more[-1])} threads gain](results/threads.svg)\n")
    own = any(isinstance(row, Row) and row.own for _, rows in runs.values() for row in rows)
    of_calls = f", for single calls {runs['calls'][0]['rounds']}" if "calls" in runs else ""
    parts.append(METHOD.format(rounds=about["rounds"], rounds_of_calls=of_calls, own=OWN if own else ""))
    parts += ["## Aims\n", "What fastrnn means to hold everywhere, how often it does, and where it does not.\n"]
    parts.append("".join(aims.lines(runs)))
    if "models" in runs:
        parts.append(training(*runs["models"]))

    for name in (*(name for cell in LAYERS for name in (cell, *with_more_threads(runs, cell))), *VARIANTS):
        if name not in runs or not any("fastrnn" in row.seconds for row in runs[name][1]):
            continue
        about, rows = runs[name]
        for mode in dict.fromkeys(row.mode for row in rows):
            parts.append(f"## {LAYERS[rows[0].cell]}, {mode}{VARIANTS.get(name, '')}, {count(about['threads'])}\n")
            parts.append(comparison(by_mode(rows, mode)))
    if "modes" in runs:
        rows = runs["modes"][1]
        parts += ["## SimpleRNN, one step, 1 thread\n", comparison(by_mode(rows, "step"))]
        parts += [
            "## SimpleRNN, ragged batches, 1 thread\n",
            "In parentheses: the share of what the same library takes for the full batch, twice the steps.\n",
            ragged(rnn, [row for row in rows if row.mode != "step"]),
        ]
    if "growth" in runs:
        parts += ["## Growth with time and batch\n", "![Time per step over T and B](results/growth.svg)\n"]
        rows = runs["growth"][1]
        lines = []
        for row in rows:
            seconds = row.seconds["fastrnn"]
            per_step = f"{seconds / row.dims.B / row.dims.T * 1e9:.0f}"
            lines.append([sizes(row), row.mode, duration(seconds), per_step, f"{row.of_peak('fastrnn'):.0%}"])
        parts.append(table(["B × T × I × H", "mode", "fastrnn", "ns per step of a sequence", "of peak"], lines))
    if "peak" in runs:
        parts.append("## Share of peak\n")
        rows = runs["peak"][1]
        batches, units = (sorted({getattr(row.dims, axis) for row in rows}) for axis in "BH")
        for mode in dict.fromkeys(row.mode for row in rows):
            share = {(row.dims.H, row.dims.B): f"{row.of_peak('fastrnn'):.0%}" for row in by_mode(rows, mode)}
            lines = [[str(H), *(share.get((H, B), "") for B in batches)] for H in units]
            parts.append(table([f"{mode}, H = I", *(f"B = {B}" for B in batches)], lines, left=1))
    parts += [
        "## First calls\n",
        "From the library loaded to the first answer: making the layer, taking over the weights, compiling, calling.\n",
        first_calls(rnn),
    ]
    return "\n".join(parts)


def readme(runs: dict[str, tuple[dict[str, Any], list[Row]]]) -> str:
    """Return the README's paragraph on speed."""
    about, rows = runs["rnn"]
    chosen = [row for row in rows if row.shape == README_SHAPE]
    B, T, I, H = chosen[0].dims
    versions = {peer: version.partition("+")[0].partition(" on ")[0] for peer, version in about["versions"].items()}
    peers = sorted(
        (peer for peer in peers_of(chosen) if all(peer in row.seconds for row in chosen)),
        key=lambda peer: chosen[-1].seconds[peer],
    )
    names = {"forward": "every output", "train": "every output and all gradients"}
    head = ["milliseconds", *(PEERS[p][1] + (f" {versions[p]}" if p != "fastrnn" else "") for p in peers)]
    lines = []
    for row in chosen:
        milliseconds = {p: f"{row.seconds[p] * 1e3:.2f}" for p in peers}
        best = min(peers, key=row.seconds.__getitem__)
        lines.append([names[row.mode], *(f"**{t}**" if p == best else t for p, t in milliseconds.items())])
    return (
        f"{epoch(*runs['models']) if 'models' in runs else ''}"
        f"How fast: {B} sequences of {T} steps, {I} inputs, {H} units, float32, on one core of {about['machine']}:\n\n"
        f"{table(head, lines, left=1)}\n"
        f"{share(rows)} [All results](bench/RESULTS.md), and `python -m fastrnn bench` makes yours.\n"
    )


def epoch(about: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """Say how long an epoch of the README's model takes."""
    seconds = next(row["epoch"] for row in rows if row["cell"] == "rnn" and row["mask_zero"])
    others = [f"{models.LIBRARIES[name]} {duration(s)}" for name, s in seconds.items() if name != "fastrnn"]
    return (
        f"One epoch of the model above, {models.SAMPLES:,} sentences of {models.STEPS} words, with "
        f"{count(about['cpus'])}: **{duration(seconds['fastrnn'])}**; {', '.join(others)}.\n\n"
    )


def share(rows: Sequence[Row]) -> str:
    """Say on how many shapes fastrnn is the fastest."""
    ahead = [row.ahead for row in rows if row.ahead]
    wins = sum(a > 1 for a in ahead)
    return f"It is the fastest of {len(peers_of(rows))} in {wins} of {len(ahead)} measurements."


def with_speed(text: str, speed: str) -> str:
    """Return the README with another paragraph on speed."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{speed}\n{END}{after}"


def draw(runs: dict[str, tuple[dict[str, Any], list[Row]]], folder: Path, suffix: str = ".svg") -> None:
    """Draw the pictures that RESULTS.md shows."""
    from fastrnn._bench.picture import rivals, save

    from . import pictures

    about, rnn = runs["rnn"]
    save(
        rivals(rnn, f"How many times as long as fastrnn the others take: one thread of {about['machine']}"),
        folder / f"rivals{suffix}",
    )
    if "peak" in runs:
        save(pictures.share_of_peak(runs["peak"][1]), folder / f"peak{suffix}")
    if "growth" in runs:
        save(pictures.growth(runs["growth"][1]), folder / f"growth{suffix}")
    more = with_more_threads(runs, "rnn")
    if more:
        save(pictures.speedup(rnn, runs[more[-1]][1], threads_of(more[-1])), folder / f"threads{suffix}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=HERE / "results", help="a folder of what bench.measure kept")
    parser.add_argument("--out", type=Path, help="where to write RESULTS.md and results/, and leave the README alone")
    parser.add_argument("--format", default="svg", help="of the pictures (default: %(default)s)")
    arguments = parser.parse_args()
    runs = read(arguments.results)
    folder = arguments.out or HERE
    (folder / "results").mkdir(parents=True, exist_ok=True)
    draw(runs, folder / "results", f".{arguments.format}")
    (folder / "RESULTS.md").write_text(results(runs, other_machines(folder)), encoding="utf-8")
    if not arguments.out:
        README.write_text(with_speed(README.read_text(encoding="utf-8"), readme(runs)), encoding="utf-8")


if __name__ == "__main__":
    main()
