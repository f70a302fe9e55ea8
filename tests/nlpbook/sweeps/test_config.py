"""탐색 파일: W&B의 형식대로 읽고, 틀린 곳은 파일과 줄을 적어 알립니다."""

from __future__ import annotations

import textwrap

import pytest

from nlpbook.errors import UserError
from nlpbook.sweeps.config import find_sweep, read_sweep

GUIDE = """
    name: "Custom Learning Rate Search"
    method: "bayes"
    metric:
      name: "best/rouge_combined_f1"
      goal: "maximize"

    parameters:
      learning_rate:
        distribution: "log_uniform_values"
        min: 1e-6
        max: 1e-3

      warmup_ratio:
        values: [0.0, 0.1, 0.2]

    early_terminate:
      type: "hyperband"
      min_iter: 3
"""


@pytest.fixture
def write(tmp_path):
    def write(text: str):
        path = tmp_path / "mine.yaml"
        path.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
        return path

    return write


def test_the_guides_file_is_read(write):
    sweep = read_sweep(write(GUIDE))
    assert (sweep.name, sweep.title, sweep.method) == ("mine", "Custom Learning Rate Search", "bayes")
    assert (sweep.metric, sweep.maximize) == ("best/rouge_combined_f1", True)
    rate = sweep.parameters["learning_rate"]
    assert rate.kind == "log_uniform_values"
    assert rate.facts == {"min": 1e-6, "max": 1e-3}  # 글 "1e-6"이 아니라 수입니다
    assert rate.where.endswith("mine.yaml 8번째 줄")
    assert tuple(sweep.early_terminate) == (3, 3, False)


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ("{value: 3}", "constant"),
        ("{value: null}", "constant"),
        ("{values: [1, 2]}", "categorical"),
        ("{values: [1, 2], probabilities: [0.25, 0.75]}", "categorical_w_probabilities"),
        ("{min: 2, max: 9}", "int_uniform"),
        ("{min: 0.5, max: 9}", "uniform"),
        ("{distribution: q_uniform, min: 0, max: 8, q: 2}", "q_uniform"),
        ("{distribution: q_log_normal, mu: 0, sigma: 2}", "q_log_normal"),
        ("{distribution: beta, a: 2, b: 5}", "beta"),
    ],
)
def test_the_distribution_is_understood(write, facts, kind):
    sweep = read_sweep(write(f"method: random\nparameters:\n  x: {facts}\n"), metric="loss")
    assert sweep.parameters["x"].kind == kind


def test_nested_parameters_get_dotted_names(write):
    text = (
        "method: grid\nparameters:\n  training:\n    parameters:\n      epochs: {values: [3, 5]}\n  seed: {value: 4}\n"
    )
    sweep = read_sweep(write(text), metric="loss", goal="minimize")
    assert list(sweep.parameters) == ["training.epochs", "seed"]
    assert sweep.constants == {"seed": 4}
    assert not sweep.maximize


def test_max_iter_and_s_count_down_to_the_first_rung(write):
    text = "method: random\nparameters: {x: {min: 0, max: 9}}\n"
    early = "early_terminate: {type: hyperband, max_iter: 27, s: 2, strict: true}\n"
    assert tuple(read_sweep(write(text + early), "loss").early_terminate) == (3, 3, True)


def test_only_the_meaning_makes_two_sweeps_different(write):
    first = read_sweep(write(GUIDE)).definition
    assert read_sweep(write("# 설명\n" + textwrap.dedent(GUIDE).replace("Custom", "My"))).definition == first
    assert read_sweep(write(textwrap.dedent(GUIDE).replace("1e-3", "2e-3"))).definition != first


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "method와 parameters"),
        ("- 1", "method와 parameters"),
        ("method: gird\nparameters: {x: {value: 1}}", "1번째 줄: method는 grid, random, bayes"),
        ("method: grid", "parameters에 바꾸어 볼 값"),
        ("method: grid\nparametres: {}", "2번째 줄: 모르는 항목입니다: parametres. 혹시 parameters 인가요?"),
        ("method: grid\nparameters:\n  x: 3", "3번째 줄: x에는 값을 고르는 법을 적어 주세요. 하나뿐이면 value: 3"),
        ("method: grid\nparameters:\n  x: {values: []}", "3번째 줄: x.values에는"),
        ("method: grid\nparameters:\n  x: {values: [1, 1]}", "같은 값이 두 번"),
        ("method: grid\nparameters:\n  x: {vales: [1]}", "혹시 values 또는 value 인가요?"),
        ("method: grid\nparameters:\n  x: {min: 0.1, max: 1.5}", "격자(grid)로 찾을 수 없습니다"),
        ("method: random\nparameters:\n  x: {min: 5}", "value, values, 또는 min과 max"),
        ("method: random\nparameters:\n  x:\n    max: 1\n    min: 3", "5번째 줄: x의 min 3이 max 1보다 큽니다"),
        ("method: random\nparameters:\n  x: {min: a, max: 3}", "x.min은 수여야 합니다"),
        ("method: random\nparameters:\n  x: {min: true, max: 3}", "x.min은 수여야 합니다"),
        ("method: random\nparameters:\n  x: {distribution: log_uniform, min: 1, max: 3}", "log_uniform_values"),
        ("method: random\nparameters:\n  x: {distribution: unifrom, min: 1, max: 3}", "혹시 uniform"),
        ("method: random\nparameters:\n  x: {distribution: normal, mu: 1}", "sigma도 적어야"),
        ("method: random\nparameters:\n  x: {distribution: normal, mu: 1, sigma: 0}", "0보다 커야"),
        ("method: random\nparameters:\n  x: {distribution: uniform, min: 1, max: 3, q: 1}", "q를 쓰지 않습니다"),
        ("method: random\nparameters:\n  x: {distribution: log_uniform_values, min: 0, max: 3}", "min이 0보다"),
        ("method: random\nparameters:\n  x: {values: [1, 2], probabilities: [0.5, 0.2]}", "합이 1인 확률"),
        ("method: random\nmetric: {name: a, goal: max}\nparameters: {x: {value: 1}}", "goal은 minimize 또는"),
        ("method: random\nmetric: {goal: maximize}\nparameters: {x: {value: 1}}", "name을 적어 주세요"),
        ("method: random\nmetrics: []\nparameters: {x: {value: 1}}", "지표는 하나만"),
        ("method: random\nparameters: {x: {value: 1}}\nearly_terminate: {type: median}", "hyperband뿐입니다"),
        ("method: random\nparameters: {x: {value: 1}}\nearly_terminate: {type: hyperband}", "min_iter 하나, 또는"),
        (
            "method: random\nparameters: {x: {value: 1}}\nearly_terminate: {type: hyperband, max_iter: 5, s: 2}",
            "1보다 작습니다",
        ),
        ("method: random\nrun_cap: 0\nparameters: {x: {value: 1}}", "run_cap은 1 이상"),
    ],
)
def test_a_wrong_file_is_refused_with_one_sentence(write, text, words):
    with pytest.raises(UserError) as refused:
        read_sweep(write(text), metric="loss")
    assert words in str(refused.value)
    assert "mine.yaml" in str(refused.value)


def test_without_any_metric_the_file_must_name_one(write):
    with pytest.raises(UserError, match="metric"):
        read_sweep(write("method: random\nparameters: {x: {value: 1}}"))


def test_an_unknown_name_tells_those_there_are(write, tmp_path):
    write(GUIDE)
    assert find_sweep("mine", tmp_path) == tmp_path / "mine.yaml"
    assert find_sweep("mine.yaml", tmp_path) == tmp_path / "mine.yaml"
    assert find_sweep(tmp_path / "mine.yaml", tmp_path / "elsewhere") == tmp_path / "mine.yaml"
    with pytest.raises(UserError, match="'mien'.* 혹시 mine 인가요.* 있는 것: mine"):
        find_sweep("mien", tmp_path)
