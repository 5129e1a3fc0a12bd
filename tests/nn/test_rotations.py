import torch

from sklearn_hepcal.nn import seeded
from sklearn_hepcal.nn._rotations import rotate_jets

COUNTS = torch.tensor([3, 0, 1, 4] * 500)


def random_jets():
    with seeded(0):
        return torch.randn(int(COUNTS.sum()), 3, dtype=torch.float64)


def test_every_jet_is_turned_as_a_whole():
    points = random_jets()
    with seeded(1):
        turned = rotate_jets(points, COUNTS)
    for before, after in zip(
        points.split(COUNTS.tolist()), turned.split(COUNTS.tolist()), strict=True
    ):
        # Distances to the axis and between constituents stay.
        torch.testing.assert_close(
            after[:, :2] @ after[:, :2].T,
            before[:, :2] @ before[:, :2].T,
            rtol=1e-6,
            atol=1e-6,
        )
    torch.testing.assert_close(turned[:, 2], points[:, 2], rtol=0, atol=0)


def test_angles_are_uniform_and_half_of_the_jets_are_mirrored():
    n = 40_000
    frames = torch.eye(2, dtype=torch.float64).repeat(n, 1)
    with seeded(2):
        x, y = rotate_jets(frames, torch.full((n,), 2)).reshape(n, 2, 2).unbind(1)
    mirrored = (x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0]) < 0
    assert abs(mirrored.double().mean() - 0.5) < 4 * 0.5 / n**0.5
    for part in (mirrored, ~mirrored):
        angle = torch.atan2(x[part, 1], x[part, 0])
        # Fourier coefficients of a uniform distribution, with an error of 1/sqrt(2n).
        for k in (1, 2, 3):
            for wave in (torch.cos, torch.sin):
                assert abs(wave(k * angle).mean()) < 4 / n**0.5
