import numpy as np
import pytest
from example_runs import TAGGING, check_figure, read_table

from sklearn_hepcal.metrics import WorkingPoints

POINTS = (0.70, 0.77, 0.85)


@pytest.fixture(scope="module")
def tagging(run):
    return run("flavour_tagging")


@pytest.fixture(scope="module")
def fine_tuning(run):
    return run("fine_tuning")


@pytest.mark.parametrize("name", TAGGING)
def test_example_saves_its_figure(name, run):
    check_figure(name, run(name)[1])


# Rejections of c and of light jets, each of shape (points, 2) with errors.
def rejections(output, title, name):
    return np.reshape(read_table(output, title)[name], (2, len(POINTS), 2))


def test_deep_set_rejects_more_than_the_sum(tagging):
    plain, deep = (
        rejections(tagging[0], "Rejections, ", name) for name in ("sum", "deep set")
    )
    # what prototypes found on other jets of the sample: c 5.7 and light 47 at 70 %
    for (value, error), expected in zip(plain[:, 0], (5.7, 47), strict=True):
        assert abs(value - expected) < 3 * np.hypot(error, 0.1 * expected)
    (c_gain, light_gain) = deep[..., 0] / plain[..., 0]
    c_error, light_error = deep[..., 1] / plain[..., 0]
    assert (c_gain > 1).all()
    assert c_gain[1] > 1 + 2 * c_error[1]
    # a quarter of the light jets, or less than half, and five sixths of the c jets
    assert (light_gain > [4, 2, 2] - np.array([1, 0, 0]) * light_error).all()
    assert abs(1 / c_gain.mean() - 5 / 6) < 0.1


def test_cuts_keep_their_efficiency_on_other_jets(tagging):
    output, folder = tagging
    passing = read_table(output, "Part of the jets that pass")
    for point, (value, error) in zip(POINTS, passing["b"], strict=True):
        # the cuts come from half as many jets
        assert abs(value - point) < 3 * np.sqrt(3) * error
    for (light, _), (c, _), (b, _) in zip(*passing.values(), strict=True):
        assert light < c / 5 < b / 5
    points = WorkingPoints.from_yaml(folder / "outputs" / "working_points.yaml")
    assert points.efficiencies == POINTS
    assert points.fractions == {"c": 0.2, "u": 0.8}
    assert points.signal == "b"


def test_fraction_of_c_trades_light_jets_for_c_jets(tagging):
    rows = read_table(tagging[0], "Rejections at 77% for three fractions")
    (_, _), ((c, c_error), (light, _)), ((all_c, _), (no_light, error)) = rows.values()
    assert light > no_light + error
    assert -c_error < all_c - c < c_error
    _, deep = rejections(tagging[0], "Rejections, ", "deep set")
    assert light == pytest.approx(deep[1, 0], abs=deep[1, 1])


def test_vertices_of_decays_are_found(tagging):
    rows = read_table(tagging[0], "Vertices but the primary one")
    light, c, b, as_one = rows.values()
    for (efficiency, _), (purity, _), true, found in (c, b):
        # 0.14 to 0.34 in trainings with other seeds
        assert 0.1 < efficiency < 0.5 < purity
        # those that are right are the same ones
        assert efficiency * true == pytest.approx(purity * found, abs=0.002)
    for true, found in zip(light[2:], b[2:], strict=True):
        assert true < found / 10
    (efficiency, error), *_ = b
    assert as_one[0][0] > efficiency + 5 * error


def test_origins_are_better_than_the_most_frequent_one(tagging):
    right, majority = np.ravel(
        list(read_table(tagging[0], "Origins of tracks").values())
    )
    assert majority == pytest.approx(0.72, abs=0.02)
    assert right > majority + 0.08


def test_dense_network_reads_the_deep_set(tagging):
    title = "Rejections of all taggers"
    plain, deep, dense, stacked = (
        rejections(tagging[0], title, name)
        for name in ("sum", "deep set", "dense", "dense on deep set")
    )
    gain = stacked[..., 0] - dense[..., 0]
    assert (gain > 0).all()
    assert gain[1, 1] > 2 * np.hypot(stacked[1, 1, 1], dense[1, 1, 1])
    ratio = stacked[..., 0] / deep[..., 0]
    assert (ratio < 1 + 2 * stacked[..., 1] / deep[..., 0]).all()
    assert (ratio > 0.8 - 2 * stacked[..., 1] / deep[..., 0]).all()
    assert np.mean(dense[..., 0] / plain[..., 0]) < 1.5


def test_latent_vector_carries_more_than_the_scores(fine_tuning):
    rows = read_table(fine_tuning[0], "Area under the ROC curve")
    assert list(rows) == ["scores", "latent", "fine-tuned", "from scratch"]
    scores, latent, *networks = rows.values()
    # from scratch, 250 jets teach little: 0.024 more than the scores tell
    for *_, few_gain, all_gain in (latent, *networks):
        for value, error in (few_gain, all_gain):
            assert value > 0
            assert error < 0.02
        assert all_gain[0] > 3 * all_gain[1]
    for *_, (value, error), _ in (latent, networks[0]):
        assert value > 3 * error
    # few jets with the latent vector, all with the scores
    (few, few_error), (many, many_error) = latent[0], scores[1]
    assert few > many + 3 * np.hypot(few_error, many_error)


def test_networks_come_as_far_with_all_jets(fine_tuning):
    rows = read_table(fine_tuning[0], "Area under the ROC curve")
    _, latent, *networks = rows.values()
    for network in networks:
        (with_few, few_error), (with_all, all_error) = network[:2]
        assert with_all > with_few + max(few_error, all_error)
        assert abs(with_all - latent[1][0]) < 2 * all_error
    from_scratch, error = networks[-1][0]
    assert latent[0][0] > from_scratch + 2 * error
