import subprocess
import sys

import numpy as np
import pytest
from particle_jets import check_sums, sum_particles
from scipy.stats import ks_2samp

from sklearn_hepcal.datasets import generate_quark_gluon_jets, load_quark_gluon_jets
from sklearn_hepcal.datasets._clustering import cluster_anti_kt, kinematics
from sklearn_hepcal.datasets._generate_quark_gluon import _make_recipes
from sklearn_hepcal.jets import (
    check_jets,
    read_parquet,
    read_parquet_metadata,
    relative_constituents,
)
from sklearn_hepcal.metrics import roc_auc

SEED = 7
N_JETS = 10


@pytest.fixture(scope="module")
def jets():
    return generate_quark_gluon_jets(N_JETS, random_state=SEED)


@pytest.fixture(scope="module")
def bundled():
    return load_quark_gluon_jets().data


def test_jets_have_the_columns_of_the_bundled_ones(jets, bundled):
    assert jets.feature_names == bundled.feature_names
    assert jets.constituent_names == bundled.constituent_names
    assert jets.constituents.dtype == bundled.constituents.dtype
    assert list(jets.labels) == list(bundled.labels)
    for name, values in bundled.labels.items():
        assert jets.labels[name].dtype == values.dtype, name
    assert set(jets.constituent("pdgid")) <= set(bundled.constituent("pdgid"))
    check_jets(jets)


def test_half_of_the_jets_are_quarks(jets):
    assert len(jets) == N_JETS
    assert np.sum(jets.labels["quark"]) == N_JETS // 2


def test_selection(jets):
    labels = jets.labels
    assert 500 < labels["pt"].min() < labels["pt"].max() < 550
    assert np.abs(labels["y"]).max() < 1.7
    assert np.abs(labels["phi"]).max() <= np.pi
    assert 440 < labels["pt_hat"].min() < labels["pt_hat"].max() < 720
    assert 483 < labels["parton_pt"].min() < labels["parton_pt"].max() < 572
    relative = relative_constituents(jets)
    assert np.hypot(relative.dy, relative.dphi).max() < 0.8


def test_jets_are_the_sums_of_their_particles(jets):
    check_sums(jets)


@pytest.mark.parametrize("recipe", _make_recipes(), ids=lambda recipe: recipe.name)
def test_vetoes_and_truth(recipe):
    """Jets of partons before hadronisation, found later, are those of the veto."""
    events = recipe.start(1).next_events(6)
    partons = events.select(events.is_visible_parton)
    jets = cluster_anti_kt(partons, 0.4, 0.0)
    leading = kinematics(jets.take(jets.rank == 0).momenta)
    assert np.all((leading.pt > 483) & (leading.pt < 572))
    # nothing is missing but the neutrinos of the Z boson
    neutrinos = events.select(
        events.is_id(12, 14, 16) & events.is_final & (events.particles["status"] < 70)
    )
    np.testing.assert_array_equal(np.diff(neutrinos.offsets), 2)
    total = sum(
        np.add.reduceat(part.momenta, part.offsets[:-1])
        for part in (partons, neutrinos)
    )
    np.testing.assert_allclose(total[:, 3], 14_000, rtol=1e-6)
    outgoing = events.is_id(1, 2, 3, 4, 5, 21) & (events.particles["status"] == -23)
    parton = events.select(outgoing)
    np.testing.assert_array_equal(np.diff(parton.offsets), 1)
    assert np.all(parton.is_id(1, 2, 3) if recipe.quark else parton.is_id(21))
    assert np.abs(kinematics(parton.momenta).y).max() < 2.2


def test_another_process_makes_the_same_jets_and_prints_nothing(jets):
    code = (
        "from sklearn_hepcal.datasets import generate_quark_gluon_jets as generate\n"
        f"jets = generate({N_JETS}, random_state={SEED})\n"
        "print(jets.constituents.sum().hex())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert run.stdout == f"{jets.constituents.sum().hex()}\n"
    assert run.stderr == ""


def test_the_file_tells_the_recipe(tmp_path, jets):
    path = generate_quark_gluon_jets(2, path=tmp_path / "jets.parquet", random_state=1)
    other = read_parquet(path)
    assert len(other) == 2
    assert not set(other.labels["pt"]) & set(jets.labels["pt"])
    metadata = read_parquet_metadata(path)
    quark, gluon = metadata["production"]["recipes"]
    assert "WeakBosonAndParton:qg2gmZq = on" in quark["settings"]
    assert "WeakBosonAndParton:qqbar2gmZg = on" in gluon["settings"]
    assert gluon["tune"] == "Monash 2013"
    assert quark["cuts"]["pt"] == [500.0, 550.0]
    assert metadata["production"]["versions"]["pythia8mc"].startswith("8.3")
    for entry in metadata["statistics"].values():
        assert 1 <= entry["n_events"] < entry["n_tried"]
        assert entry["cross_section_pb"] > 0


@pytest.mark.slow
def test_processes_do_not_change_the_jets(jets, tmp_path):
    path = tmp_path / "jets.parquet"
    generate_quark_gluon_jets(N_JETS, path=path, random_state=SEED, n_jobs=2)
    assert read_parquet(path) == jets


# Moments of the particles about the axis of the jet, the leading particle, and species.
def observables(jets):
    relative = relative_constituents(jets)
    angle = np.hypot(relative.dy, relative.dphi)
    charged = np.isin(np.abs(jets.constituent("pdgid")), [11, 13, 211, 321, 2212])
    return {
        "multiplicity": jets.counts,
        "n_charged": sum_particles(jets, charged),
        "girth": sum_particles(jets, relative.fraction * angle),
        "pt_dispersion": sum_particles(jets, relative.fraction**2),
        "leading": np.maximum.reduceat(relative.fraction, jets.offsets[:-1]),
        "photons": sum_particles(
            jets, relative.fraction * (jets.constituent("pdgid") == 22)
        ),
        **{name: jets.labels[name] for name in ("pt", "y", "mass")},
        **{name: jets.labels[name] for name in ("pt_hat", "parton_pt")},
    }


# What was made earlier, by other code.
@pytest.mark.slow
def test_distributions_are_those_of_the_old_sample(data_dir):
    old = load_quark_gluon_jets(path=data_dir).data
    jets = generate_quark_gluon_jets(2000, random_state=1, n_jobs=2)
    is_quark = jets.labels["quark"]
    for values, expected in ((jets.counts, 0.844), (jets.labels["mass"], 0.746)):
        auc, error = roc_auc(is_quark, -values)
        assert abs(auc - expected) < 3.5 * error
    for flavour in (0, 1):
        ours = observables(jets[is_quark == flavour])
        theirs = observables(old[old.labels["quark"] == flavour])
        for name, values in ours.items():
            pvalue = ks_2samp(values, theirs[name], method="asymp").pvalue
            # of 22 comparisons
            assert pvalue > 1e-4, (name, flavour, pvalue)
