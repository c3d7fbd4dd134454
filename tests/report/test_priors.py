import json

import pytest
from scipy import stats

from csbench.core.errors import UsageError
from csbench.report.priors import draw_scores, qualities, read_cards, render


def card(name: str, family: str, measurements: str, score: float, dataset: str = "mnist") -> dict:
    figures = {"inception_score": score, "inception_score_error": 0.05, "frechet_distance": 100 - score}
    return {
        "name": name,
        "family": family,
        "dataset": dataset,
        "measurements": measurements,
        "licence": "weights: MIT",
        "bytes": 0,
        "sha256": "",
        "steps": 10,
        "quality": figures | {"frechet_distance_error": 2.0, "validation_representation_mse": 0.004},
    }


CARDS = [
    card("ambient-a", "ambient", "block-pixels:p=0.5, one draw for each training image", 6.0),
    card("ambient-b", "ambient", "block-pixels:p=0.95, one draw for each training image", 5.0),
    card("ambient-b-seed1", "ambient", "block-pixels:p=0.95, one draw for each training image", 5.5),
    card("ambient-b-seed2", "ambient", "block-pixels:p=0.95, one draw for each training image", 4.5),
    card("ignore-b", "ignore", "block-pixels:p=0.95, one draw for each training image", 1.5),
    card("dcgan", "dcgan", "none: trained on clean images", 7.0),
    card("classifier", "classifier", "none: trained on clean images", 9.8),
]


def test_seeds_are_one_prior_with_an_interval_over_them():
    found = {(q.family, q.learned_from): q for q in qualities(CARDS)}
    three = found["ambient", "block-pixels:p=0.95"]
    assert three.seeds == 3
    assert three.inception_score.value == pytest.approx(5.0)
    assert three.inception_score.high - 5 == pytest.approx(stats.t.ppf(0.975, 2) * 0.5 / 3**0.5)
    one = found["ignore", "block-pixels:p=0.95"]
    assert one.inception_score.high - one.inception_score.value == pytest.approx(1.96 * 0.05)
    assert found["dcgan", "clean images"].misfit == pytest.approx(0.004)


def test_table_begins_with_real_images_and_sinks_with_the_score():
    lines = render(CARDS).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["real", "dcgan", "ambient", "ambient", "ignore"]
    assert "5.00 [3.76, 6.24]" in lines[5]


def test_cards_of_seeds_lie_in_a_folder_of_their_own(tmp_path):
    (tmp_path / "seeds").mkdir()
    (tmp_path / "ambient-b.json").write_text(json.dumps(CARDS[1]))
    (tmp_path / "seeds" / "ambient-b-seed1.json").write_text(json.dumps(CARDS[2]))
    (tmp_path / "other.json").write_text(
        json.dumps(card("other", "ambient", "block-pixels:p=0.5", 3.0, "fashion-mnist"))
    )
    (tmp_path / "unmeasured.json").write_text(json.dumps(CARDS[0] | {"name": "unmeasured", "quality": {}}))
    assert [c["name"] for c in read_cards([tmp_path], "mnist")] == ["ambient-b", "ambient-b-seed1"]


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_curve_is_drawn(tmp_path, suffix):
    path = tmp_path / f"scores{suffix}"
    draw_scores(CARDS, path)
    assert path.stat().st_size > 5000
    if suffix == ".svg":
        assert all(label in path.read_text() for label in ("ambient", "ignore", "real images"))


def test_what_cannot_be_drawn_is_said(tmp_path):
    with pytest.raises(UsageError, match="two values of p"):
        draw_scores(CARDS[:1], tmp_path / "scores.png")
    with pytest.raises(UsageError, match=r"\.svg, \.png or \.pdf"):
        draw_scores(CARDS, tmp_path / "scores.txt")
    with pytest.raises(UsageError, match="csbench assess"):
        render([])
