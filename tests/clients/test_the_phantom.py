"""The phantom of Shepp and Logan in lines of k-space, for which total variation was made."""

import skimage.data
import torch
from skimage.transform import resize

from csbench import Measurement, stream
from csbench.runner.problem import draw_operator
from tests.clients import error, every_method


def test_the_phantom():
    x = torch.from_numpy(resize(skimage.data.shepp_logan_phantom(), (32, 32))).float().flatten()[None]
    A = draw_operator("radial-fourier", 359, (1, 32, 32), stream("phantom"))
    answers = every_method(Measurement(A, A(x), 0.0, (1, 32, 32)))
    assert "d-amp" not in answers  # lines of k-space are no random mixture of the pixels
    assert error(answers["tv-box"], x) < 0.2 * error(answers["min-norm"], x)
