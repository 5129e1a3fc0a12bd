import numpy as np
import pytest
from particle_jets import check_sums

from sklearn_hepcal.datasets import generate_top_qcd_jets
from sklearn_hepcal.jets import check_jets, read_parquet, read_parquet_metadata
from sklearn_hepcal.metrics import roc_auc
from sklearn_hepcal.shapes import ShapinessTransformer

SEED = 3
N_JETS = 4


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("top_qcd")
    return generate_top_qcd_jets(
        N_JETS, path=folder / "jets.parquet", random_state=SEED
    )


@pytest.fixture(scope="module")
def jets(path):
    return read_parquet(path)


def test_columns(jets):
    assert len(jets) == N_JETS
    assert jets.feature_names == ()
    assert jets.constituent_names == ("pt", "y", "phi", "pdgid")
    assert list(jets.labels) == ["pt", "y", "phi", "mass", "pt_hat", "event", "top"]
    check_jets(jets)


def test_half_of_the_jets_are_tops(jets):
    top, event = jets.labels["top"], jets.labels["event"]
    assert top.sum() == N_JETS // 2
    assert not set(event[top == 1]) & set(event[top == 0])


def test_selection(jets):
    labels = jets.labels
    assert 475 < labels["pt"].min() < labels["pt"].max() < 525
    assert 145 < labels["mass"].min() < labels["mass"].max() < 205
    assert np.abs(labels["y"]).max() < 2
    assert 425 < labels["pt_hat"].min() < labels["pt_hat"].max() < 700
    neutrinos = np.isin(np.abs(jets.constituent("pdgid")), [12, 14, 16])
    assert not neutrinos.any()


def test_jets_are_the_sums_of_their_particles(jets):
    check_sums(jets)


def test_equal_seeds_give_equal_jets(jets):
    assert generate_top_qcd_jets(N_JETS, random_state=SEED) == jets


def test_the_file_tells_the_recipe(path):
    metadata = read_parquet_metadata(path)
    top, qcd = metadata["production"]["recipes"]
    assert "Top:gg2ttbar = on" in top["settings"]
    assert "HardQCD:all = on" in qcd["settings"]
    assert top["cuts"]["mass"] == qcd["cuts"]["mass"] == [145.0, 205.0]
    assert qcd["cuts"]["mass_of_parton_jet"] == [60.0, 250.0]
    cross_section = {
        name: entry["cross_section_pb"]
        for name, entry in metadata["statistics"].items()
    }
    # top pairs are rare
    assert 0 < 20 * cross_section["top"] < cross_section["QCD"]


@pytest.fixture(scope="module")
def many_jets():
    return generate_top_qcd_jets(400, random_state=0, n_jobs=2)


@pytest.mark.slow
def test_processes_do_not_change_the_jets(jets):
    assert generate_top_qcd_jets(N_JETS, random_state=SEED, n_jobs=2) == jets


@pytest.mark.slow
def test_top_jets_have_the_mass_of_the_top_quark(many_jets):
    mass = many_jets.labels["mass"]
    top, qcd = (mass[many_jets.labels["top"] == flavour] for flavour in (1, 0))
    width = 5.0
    n_top, n_qcd = (
        np.histogram(m, np.arange(145, 205.1, width))[0] for m in (top, qcd)
    )
    assert 165 <= 145 + width * np.argmax(n_top) <= 175
    assert n_top[4:7].sum() > 1.5 * n_qcd[4:7].sum()
    assert np.median(qcd) < np.median(top)


@pytest.mark.slow
def test_three_prongs_tell_top_jets(many_jets):
    """The ratio of 3 to 2 points has the published area, 0.825 (arXiv:2302.12266)."""
    points = many_jets.select(constituents=["pt", "y", "phi"])
    two, three = (
        ShapinessTransformer("point", n).fit_transform(points)[:, 0] for n in (2, 3)
    )
    auc, error = roc_auc(many_jets.labels["top"], -three / two)
    assert abs(auc - 0.825) < 3.5 * error
