"""The command `generate`."""

from __future__ import annotations

import argparse
from typing import Any

from .. import datasets
from ._arguments import add_verbose

# The recipes: who makes them, what is counted, and whether they have sides.
_RECIPES = {
    "quark-gluon": ("generate_quark_gluon_jets", "jets", False),
    "top-qcd": ("generate_top_qcd_jets", "jets", False),
    "flavour": ("generate_flavour_jets", "jets", True),
    "dijets": ("generate_dijets", "events", True),
}


def add_to(commands: Any) -> None:
    summary = "make a sample with Pythia 8 and FastJet"
    parser = commands.add_parser("generate", help=summary, description=summary)
    recipes = parser.add_subparsers(dest="recipe", required=True, metavar="RECIPE")
    for name, (function, things, has_sides) in _RECIPES.items():
        summary = f"sklearn_hepcal.datasets.{function}"
        recipe = recipes.add_parser(name, help=summary, description=summary)
        recipe.add_argument("out", metavar="OUT.parquet", help="the file to write")
        recipe.add_argument(
            f"--n-{things}",
            dest="n",
            type=int,
            required=True,
            metavar="N",
            help=f"how many {things} to make",
        )
        if has_sides:
            recipe.add_argument(
                "--side",
                choices=("sim", "data"),
                default="sim",
                help="the simulation, or one that stands for data "
                "(default: %(default)s)",
            )
        recipe.add_argument(
            "--random-state", type=int, metavar="S", help="the seed (default: none)"
        )
        recipe.add_argument(
            "--n-jobs",
            type=int,
            metavar="J",
            help="processes to run, -1 for one a core (default: 1)",
        )
        add_verbose(recipe)
        recipe.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    function, _, has_sides = _RECIPES[arguments.recipe]
    options = {"side": arguments.side} if has_sides else {}
    getattr(datasets, function)(
        arguments.n,
        path=arguments.out,
        random_state=arguments.random_state,
        n_jobs=arguments.n_jobs,
        verbose=arguments.verbose,
        **options,
    )
