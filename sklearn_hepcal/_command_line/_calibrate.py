"""The command `calibrate`."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from ..jets._files import replacing
from ._arguments import add_common, check_target
from ._calibration import Calibration
from ._report import closure_report
from ._sample import read_sample

_DESCRIPTION = """\
Fit an optimal-transport calibration of simulation to data. Both are files, or patterns
in quotes, of parquet, HDF5 of ATLAS's flavour tagging, NanoAOD or PHYSLITE. A part of
the jets is held out from the fit, for a closure report in JSON: the AUC of a classifier
of simulation against data, and the ratios of mean values, before and after. It goes to
the standard output, or to a file."""


def add_to(commands: Any) -> None:
    parser = commands.add_parser(
        "calibrate",
        help="fit a calibration of simulation to data",
        description=_DESCRIPTION,
    )
    add = parser.add_argument
    add("sim", metavar="SIM", help="simulation")
    add("data", metavar="DATA", help="data")
    add("out", metavar="OUT.pkl", help="the calibration to write, a pickle")
    add("--columns", nargs="+", required=True, metavar="NAME", help="columns to move")
    add(
        "--conditions",
        nargs="+",
        default=[],
        metavar="NAME",
        help="columns that the map depends on",
    )
    add(
        "--log",
        nargs="+",
        default=[],
        metavar="NAME",
        help="columns and conditions to take the logarithm of, as that of a pt",
    )
    add(
        "--simplex",
        action="store_true",
        help="the columns are probabilities that sum to one, and stay so",
    )
    add("--weights", metavar="NAME", help="weights of the simulation (default: one)")
    add("--data-weights", metavar="NAME", help="weights of the data (default: one)")
    add(
        "--solver",
        choices=("picnn", "bures", "quantile", "flow"),
        default="picnn",
        help="see sklearn_hepcal.calibration.OTCalibrator (default: %(default)s)",
    )
    add(
        "--max-epochs",
        type=int,
        metavar="N",
        help="length of the training of a network",
    )
    add(
        "--test-size",
        type=float,
        default=0.2,
        metavar="F",
        help="part of the jets that is held out (default: %(default)s)",
    )
    add("--report", metavar="FILE", help="where to write the closure report")
    add("--random-state", type=int, metavar="S", help="the seed (default: none)")
    add_common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    inputs = [arguments.sim, arguments.data]
    target = check_target(arguments.out, inputs, arguments.overwrite)
    report_target = None
    if arguments.report is not None:
        inputs.append(arguments.out)
        report_target = check_target(arguments.report, inputs, arguments.overwrite)
    calibration = Calibration.make(
        tuple(arguments.columns),
        tuple(arguments.conditions),
        tuple(arguments.log),
        arguments.simplex,
        solver=arguments.solver,
        max_epochs=arguments.max_epochs,
        random_state=arguments.random_state,
        verbose=arguments.verbose,
    )
    sim = read_sample(arguments.sim, calibration.names, arguments.weights)
    data = read_sample(arguments.data, calibration.names, arguments.data_weights)
    part, seed = arguments.test_size, arguments.random_state
    (sim, sim_test), (data, data_test) = sim.split(part, seed), data.split(part, seed)
    calibration.fit(sim, data)
    report = {
        "simulation": {"path": arguments.sim, "fitted": len(sim.table)},
        "data": {"path": arguments.data, "fitted": len(data.table)},
        **closure_report(calibration, sim_test, data_test, seed),
    }
    calibration.save(target)
    text = json.dumps(report, indent=2) + "\n"
    if report_target is None:
        sys.stdout.write(text)
    else:
        with replacing(report_target) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
