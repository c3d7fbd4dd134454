import numpy as np
import pytest
import pywt
import torch
from scipy.fft import dctn

from csbench.core.errors import UsageError
from csbench.core.transforms import DCT2, PixelBasis, Wavelet2

SHAPES = [(1, 28, 28), (3, 16, 32), (1, 5, 7), (3, 64, 64)]


@pytest.mark.parametrize("shape", SHAPES)
def test_dct_agrees_with_scipy(shape):
    x = np.random.default_rng(0).random((4, *shape))
    ours = DCT2(shape)(torch.from_numpy(x.reshape(4, -1))).numpy().reshape(x.shape)
    np.testing.assert_allclose(ours, dctn(x, axes=(2, 3), norm="ortho"), atol=1e-12)


@pytest.mark.parametrize(("wavelet", "level"), [("haar", 2), ("db2", 2), ("db4", 2), ("sym5", 1)])
def test_wavelet_agrees_with_pywavelets(wavelet, level):
    x = np.random.default_rng(0).random((3, 28, 32))
    theta = Wavelet2((3, 28, 32), wavelet, level)(torch.from_numpy(x.ravel())).numpy().reshape(x.shape)
    for channel, ours in zip(x, theta, strict=True):
        theirs, _ = pywt.coeffs_to_array(pywt.wavedec2(channel, wavelet, mode="periodization", level=level))
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_wavelets_of_faces_agree_with_pywavelets():
    x = np.random.default_rng(1).random((3, 64, 64))
    psi = Wavelet2((3, 64, 64))
    theta = psi(torch.from_numpy(x.ravel())).numpy().reshape(x.shape)
    for channel, ours in zip(x, theta, strict=True):
        theirs, _ = pywt.coeffs_to_array(pywt.wavedec2(channel, "db4", mode="periodization", level=psi.level))
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("basis", [DCT2, Wavelet2])
def test_gradients_are_adjoints(basis):
    psi = basis((2, 8, 16))
    x, theta = torch.randn(3, 256, dtype=torch.float64, requires_grad=True), torch.randn(3, 256, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((psi(x) * theta).sum(), x)
    torch.testing.assert_close(gradient, psi.inverse(theta))
    (gradient,) = torch.autograd.grad((psi.inverse(x) * theta).sum(), x)
    torch.testing.assert_close(gradient, psi(theta))


ORTHOGONAL = [name for name in pywt.wavelist(kind="discrete") if pywt.Wavelet(name).orthogonal]


@pytest.mark.parametrize("wavelet", ORTHOGONAL)
def test_every_side_and_every_orthogonal_family(wavelet):
    for side in range(1, 65):
        psi = Wavelet2((1, side, 1), wavelet)
        assert psi.level >= min(2, side.bit_length() - 1)
        for dtype, tol in ((torch.float64, 1e-12), (torch.float32, 3e-6)):
            eye = torch.eye(side, dtype=dtype)
            transformed = psi(eye)
            torch.testing.assert_close(transformed @ transformed.T, eye, atol=tol, rtol=0)
            torch.testing.assert_close(psi.inverse(transformed), eye, atol=tol, rtol=0)


@pytest.mark.parametrize("shape", [(1, 27, 31), (1, 33, 33), (3, 48, 31), (1, 21, 17), (2, 1, 35), (1, 2, 3)])
@pytest.mark.parametrize("wavelet", ["db4", "dmey", "db38", "haar"])
def test_odd_sides(shape, wavelet):
    """A picture that is smooth is sparse in it, up to its border: it is no basis of pixels in disguise."""
    psi, n = Wavelet2(shape, wavelet), int(np.prod(shape))
    x = torch.randn(5, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(psi.inverse(psi(x)), x, atol=1e-12, rtol=0)
    torch.testing.assert_close(psi(x).norm(dim=1), x.norm(dim=1))
    flat = psi(torch.ones(n, dtype=torch.float64)).abs()
    if min(shape[1:]) > 20 and wavelet in ("db4", "haar"):
        assert (flat > 1e-8).sum() < 0.2 * n


@pytest.mark.parametrize("wavelet", ["bior4.4", "rbio1.3", "bior1.1", "db99", "", "Haar", "morl"])
def test_what_is_not_orthogonal_is_refused(wavelet):
    with pytest.raises(UsageError, match=r"wavelet: .*take one of haar, db1"):
        Wavelet2((1, 16, 16), wavelet)


def test_levels_below_zero_are_refused():
    with pytest.raises(ValueError, match="zero or more"):
        Wavelet2((1, 28, 28), "haar", -1)


@pytest.mark.parametrize("basis", [PixelBasis, DCT2, Wavelet2])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_is_orthonormal(basis, shape, dtype, tol):
    psi = basis(shape)
    n = int(np.prod(shape))
    x, theta = torch.randn(2, 3, n, dtype=dtype), torch.randn(2, 3, n, dtype=dtype)
    torch.testing.assert_close(psi.inverse(psi(x)), x, atol=tol, rtol=0)
    torch.testing.assert_close(psi(psi.inverse(theta)), theta, atol=tol, rtol=0)
    assert abs((psi(x) * theta).sum() - (x * psi.inverse(theta)).sum()) < 100 * tol


def test_wavelet_levels_suit_the_image_and_the_filter():
    assert Wavelet2((1, 28, 28)).level == 2
    assert Wavelet2((3, 64, 64)).level == 3
    assert Wavelet2((1, 28, 28), "haar").level == 2
    assert Wavelet2((1, 5, 7)).level == 2
    assert Wavelet2((1, 28, 28), "dmey").level == 2
    assert Wavelet2((3, 218, 178)).level == 4
    assert Wavelet2((3, 481, 321)).level == 5
    assert Wavelet2((1, 1, 1)).level == 0
