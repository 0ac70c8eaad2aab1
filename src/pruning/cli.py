"""``pruning``: single stages by hand, without Snakemake."""

import argparse
import contextlib
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pruning import __version__
from pruning.data.sources import count_changes, has_changed
from pruning.errors import PruningError
from pruning.files import write_text
from pruning.running import trials
from pruning.running.jobs import devices, job
from pruning.study import places
from pruning.study.asks import Workflow
from pruning.study.documents import read_document
from pruning.study.study import data_root
from pruning.systems import systems


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    with contextlib.suppress(AttributeError):  # somebody's own stream
        sys.stdout.reconfigure(errors="backslashreplace")  # whatever a title has that it lacks
    options = _parser().parse_args(arguments)
    with job():
        options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pruning", description=__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    parser.add_argument("--config", default="config/config.yaml", help="configuration file")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="check study files without running anything")
    check.add_argument("studies", nargs="*", help="names; without any, all enabled studies")
    check.set_defaults(run=_check)
    planned = commands.add_parser("plan", help="say what a study will cost before it runs")
    planned.add_argument("study")
    planned.add_argument(
        "--examples-per-second", type=float, help="what one GPU trains of the study's network"
    )
    planned.set_defaults(run=_plan)
    prepare = commands.add_parser("prepare", help="decode a data set into one file")
    prepare.add_argument("dataset")
    prepare.set_defaults(run=_prepare)
    dense = commands.add_parser("dense", help="train a study's dense network, all or a few steps")
    dense.add_argument("study")
    dense.add_argument("--seed", type=int, default=0)
    dense.add_argument("--steps", type=int, help="stop after this many steps")
    dense.add_argument("--dataset", help="use this data set instead of the study's")
    dense.add_argument("--output", type=Path, help="folder for state.safetensors and metrics.csv")
    dense.set_defaults(run=_dense)
    export = commands.add_parser("export", help="write a trained network as .pt2, .onnx, ...")
    export.add_argument("trained", metavar="FOLDER", help="of a training")
    export.add_argument("output", nargs="?", metavar="OUTPUT", help="as --to")
    export.add_argument("--to", metavar="OUTPUT", help="ends in .pt2, .onnx or .safetensors")
    export.set_defaults(run=_export)
    latency = commands.add_parser("latency", help="time trained networks side by side")
    latency.add_argument("trained", metavar="FOLDER", nargs="+", help="as of export")
    latency.add_argument("--batch", type=int, nargs="+", default=[1, 32], help="batch sizes")
    latency.add_argument("--threads", type=int, default=1, help="CPU threads")
    latency.add_argument("--seconds", type=float, default=2.0, help="for each network and batch")
    latency.add_argument("--onnx", action="store_true", help="fail without ONNX Runtime")
    latency.set_defaults(run=_latency)
    return parser


def _version() -> str:
    try:
        return version("pruning")
    except PackageNotFoundError:  # somebody's checkout on a path, not installed
        return __version__


def _workflow(options: argparse.Namespace) -> Workflow:
    path = Path(options.config)
    if not path.is_file():
        raise PruningError(
            f"{path} cannot be read: there is none. Run this in the repository, or give --config."
        )
    config = read_document(path)
    root = path.resolve().parents[1]
    if not (root / "workflow" / "schemas").is_dir():
        raise PruningError(
            f"{path} is not in a checkout of this project: no workflow/schemas there."
        )
    if isinstance(config, dict):
        config["study_folder"] = str(root / str(config.get("study_folder", "config/studies")))
    return Workflow(config, root / "workflow" / "schemas")


def _check(options: argparse.Namespace) -> None:
    workflow = _workflow(options)
    for name in options.studies or [study.name for study in workflow.enabled]:
        study = workflow.study(name)
        tried = trials.try_out(workflow, name)
        trained = {n: c for system in systems() for n, c in system.jobs(study).items() if c}
        told = ", ".join(f"{count} {rule}" for rule, count in trained.items()) or "none of a system"
        print(f"{name}: {len(study.seeds)} seeds on {study.dataset}; jobs: {told}")
        if not tried:
            print(
                f"{name}: its network was not tried: what {study.dataset} holds is known once it "
                f"is prepared (`pruning prepare {study.dataset}`)."
            )


def _plan(options: argparse.Namespace) -> None:
    from pruning.study.planning import describe, plan

    workflow = _workflow(options)
    study = workflow.study(options.study)
    found = plan(study, workflow.dataset_options(study.dataset))
    print(describe(found, study, options.examples_per_second))


def _prepared(workflow: Workflow, dataset: str) -> Path:
    from pruning.stages.prepare_data import prepare_data

    output = Path(places.data_file(dataset))
    source = workflow.source(dataset)
    if not output.exists() or has_changed(output, source):
        changes = count_changes(output, source)
        prepare_data(dataset, workflow.dataset_options(dataset), data_root(), output, changes)
    return output


def _prepare(options: argparse.Namespace) -> None:
    print(_prepared(_workflow(options), options.dataset))


def _dense(options: argparse.Namespace) -> None:
    from pruning.stages.context import StageContext
    from pruning.stages.outputs import table_csv
    from pruning.training.checkpoint import save_state
    from pruning.training.dense import train_dense

    workflow = _workflow(options)
    study = workflow.study(options.study)
    if study.given:
        raise PruningError(
            f"The dense network of {study.name} is from {study.task['dense']['from']}, so there is "
            "nothing to train."
        )
    if options.steps is not None and options.steps < 1:
        raise PruningError(f"--steps must be at least 1, it is {options.steps}.")
    if not 0 <= options.seed < 2**63:
        raise PruningError(f"--seed must be from 0 to 2^63 - 1, it is {options.seed}.")
    data = _prepared(workflow, options.dataset or study.dataset)
    with devices(workflow.config["device"]) as (where,):
        context = StageContext(study.name, options.seed, study.task, "", where)
        task = context.load_task(data, f"dense training on {data.stem}")
        trained = train_dense(task, options.seed, steps=options.steps).trained
    if options.output:
        save_state(trained.state, options.output / "state.safetensors")
        write_text(options.output / "metrics.csv", table_csv(trained.metrics))
    last, metric = trained.metrics[-1], task.metric.name
    print(
        f"{task.name}: {trained.steps} steps in {trained.seconds:.1f} s, "
        f"train loss {last['train_loss']:.4f}, test {metric} {last[f'test_{metric}']:.4f}"
    )


def _export(options: argparse.Namespace) -> None:
    from pruning.deploy.export import describe, export

    if (options.output is None) == (options.to is None):
        raise PruningError("Name one file to write: `pruning export FOLDER --to net.pt2`.")
    print(describe(export(options.trained, options.to or options.output)))


def _latency(options: argparse.Namespace) -> None:
    from pruning.deploy.latency import Setting, measure, table

    setting = Setting(tuple(options.batch), options.threads, options.seconds, options.onnx)
    print(table(measure(options.trained, setting), setting))


if __name__ == "__main__":
    main()
