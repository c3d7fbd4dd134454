import pytest

from csbench import load_results, load_suite
from csbench.catalogue.suites import suite_names
from csbench.core.errors import UnknownName, UsageError
from tests.conftest import TINY_SUITE


def test_the_published_suites_are_those_of_the_paper():
    assert {"quick", "mnist-gaussian", "fashion-gaussian"} <= set(suite_names())
    suite = load_suite("mnist-gaussian")
    assert suite.m == (10, 25, 50, 75, 100, 200, 300, 400, 500, 750)
    assert (suite.noise_norms[0], suite.images, suite.draws, suite.version) == (0.1, 100, 3, 1)
    assert not load_suite("quick").published


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("m = [10, 25]", "m = [25, 10]", "'m' must be a list of integers in increasing order"),
        ("m = [10, 25]", "m = [10, 2.5]", "'m' must be a list of integers"),
        ("m = [10, 25]", "", "field 'm' is missing"),
        ("images = 3", "images = 0", "'images' must be an integer, 1 to 1000000, got 0"),
        ("images = 3", "images = true", "'images' must be an integer, 1 to 1000000, got True"),
        ("noise_norm = 0.1", "noise_norm = -1", "'noise_norm' must be a number, 0 to 1e+06"),
        ('dataset = "mnist"', 'dataset = "mnits"', "'dataset': unknown dataset 'mnits'. Did you mean 'mnist'"),
        ('operator = "gaussian"', 'operator = "gauss"', "'operator': unknown operator 'gauss'"),
        ('"gaussian"', '"gaussian-blur:sgima=2"', "'operator': 'gaussian-blur:sgima=2': gaussian-blur has no "),
        ('"gaussian"', '"motion-blur:length=a"', "parameter length of motion-blur must be an integer, got 'a'"),
        ("reference_m = 25", "reference_m = 26", "'reference_m' must be one of m = 10, 25"),
        ('name = "tiny"', 'name = "a/b"', "'name' must not contain"),
        ('name = "tiny"', 'name = "quick"', "'quick' is a suite of csbench; take another name"),
        ("images = 3", "images = 3\nfewer_images = [26, 1]", "'fewer_images' must be [one of m, number of images"),
        ('name = "tiny"', 'name = "my[1]"', "must begin with a letter or a digit, got 'my[1]'"),
        ('name = "tiny"', 'name = "../../x"', "'name' must not contain"),
        ('name = "tiny"', 'name = "a, b"', "'name' must not contain"),
        ('name = "tiny"', 'name = ".tiny"', "must begin with a letter or a digit, got '.tiny'"),
        ('name = "tiny"', 'name = ""', "must begin with a letter or a digit, got ''"),
        ("images = 3", 'images = 3\nmethods = ["a/b"]', "'methods' must not contain"),
        ("images = 3", 'images = 3\nmethods = ["zeros", "zeros"]', "'methods' must name each method once"),
        ("images = 3", "images = 3\ntimeout = nan", "'timeout' must be a number of seconds above 0"),
        ("noise_norm = 0.1", "noise_norm = inf", "'noise_norm' must be a number, 0 to 1e+06"),
        ("noise_norm = 0.1", "noise_norm = true", "'noise_norm' must be a number"),
        ("version = 1", "versoin = 1", "unknown field 'versoin'. Did you mean 'version'?"),
        ("version = 1", "version = ", "not valid TOML"),
    ],
)
def test_bad_suite_files_name_the_field(tmp_path, old, new, message):
    path = tmp_path / "bad.toml"
    assert old in TINY_SUITE
    path.write_text(TINY_SUITE.replace(old, new))
    with pytest.raises(UsageError, match=r"bad\.toml") as caught:
        load_suite(str(path))
    assert message in str(caught.value)


def test_missing_suites_are_named():
    with pytest.raises(UnknownName, match="Did you mean 'quick'"):
        load_suite("quikc")
    with pytest.raises(UsageError, match="no such file"):
        load_suite("none.toml")


def test_narrowing():
    suite = load_suite("mnist-gaussian")
    part = suite.narrowed(m=(50, 25), draws=2, methods=("zeros",))
    assert (part.name, part.m, part.draws, part.methods) == ("mnist-gaussian", (25, 50), 2, ("zeros",))
    fewer = suite.narrowed(images=10)
    assert (fewer.name, fewer.published) == ("mnist-gaussian~images=10", False)
    twice = suite.narrowed(m=(25, 25), methods=("zeros", "zeros"))
    assert (twice.m, twice.methods) == ((25,), ("zeros",))
    assert suite.narrowed(images=100).name == "mnist-gaussian"
    for wrong, message in [
        ({"m": (26,)}, "not 26"),
        ({"draws": 4}, "--draws is 1 to 3"),
        ({"images": 0}, "--images is 1 or more"),
        ({"methods": ("zeroes",)}, "Did you mean 'zeros'"),
    ]:
        with pytest.raises(UsageError, match=message):
            suite.narrowed(**wrong)


def test_costly_cells_may_have_fewer_images():
    suite = load_suite("celeba-gaussian")
    assert [suite.images_at(m) for m in (20, 2500, 5000, 10000)] == [64, 64, 16, 16]
    assert suite.narrowed(images=10).images_at(5000) == 10


NOISY = TINY_SUITE.replace("m = [10, 25]", "m = [300]").replace("noise_norm = 0.1", "noise_norm = [0.1, 1, 10]")
NOISY = NOISY.replace("reference_m = 25", "reference_m = 300")


def test_a_suite_over_the_noise(csbench, tmp_path):
    path = tmp_path / "noisy.toml"
    path.write_text(NOISY)
    suite = load_suite(str(path))
    assert (suite.axis, suite.levels) == ("noise_norm", (0.1, 1.0, 10.0))
    assert load_suite("quick").axis == "m"
    done = csbench("run", path, "--methods", "zeros,lasso-dct,min-norm")
    assert done.returncode == 0, done.stderr
    assert "noise=0.1" in done.stdout
    rows = load_results("tiny", tmp_path / "results")
    errors = rows.groupby(["method", "noise_norm"])["mse"].mean()
    assert errors["min-norm", 0.1] < errors["min-norm", 10.0]
    assert (tmp_path / "results" / "suite=tiny" / "error-vs-noise.png").is_file()
    page = (tmp_path / "results" / "suite=tiny" / "leaderboard.md").read_text()
    assert "m = 300, 3 test images, 1 draw of A per noise norm" in page
    assert "revisions mixed" not in page
    assert "m for" not in page, "nothing is said about measurements"
    refused = csbench("saving", path, "--method", "zeros", "--against", "lasso-dct", "--at", "300")
    assert refused.returncode == 2
    assert "over the noise at one m" in refused.stderr


def test_a_suite_has_one_axis(tmp_path):
    path = tmp_path / "bad.toml"
    for old, new, message in [
        ("m = [300]", "m = [10, 300]", "with several levels of noise a suite has one m, not 10, 300"),
        ("[0.1, 1, 10]", "[1, 0.1]", "in increasing order, got [1, 0.1]"),
        ("[0.1, 1, 10]", "[]", "in increasing order, got []"),
        ("[0.1, 1, 10]", '["loud"]', "'noise_norm' must be a number"),
    ]:
        path.write_text(NOISY.replace(old, new))
        with pytest.raises(UsageError, match=r"bad\.toml") as caught:
            load_suite(str(path))
        assert message in str(caught.value)
