"""내장 대화 `data/dialogue-sample`: 적힌 대로 만들어졌는지, 갈래끼리 겹치거나 닮지 않았는지, 모든 줄이 옳은 꼴인지."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import sys
import unicodedata
from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data" / "dialogue-sample"
HELD_OUT_FILES = ("dev.csv", "test.csv", "generated-test.csv")
FILES = ("train.csv", *HELD_OUT_FILES)


def load_maker():
    """`scripts/`는 패키지가 아니므로 파일에서 모듈로 읽습니다."""
    spec = importlib.util.spec_from_file_location("make_dialogue_sample", ROOT / "scripts" / "make_dialogue_sample.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # 데이터클래스가 자기 모듈을 찾습니다.
    spec.loader.exec_module(module)
    return module


maker = load_maker()


@pytest.fixture(scope="module")
def made():
    return maker.generate()


@pytest.fixture(scope="module")
def rows():
    return {name: maker.read_rows(DATA / name) for name in FILES}


def generated_rows(rows, name):
    return [row for row in rows[name] if row["fname"].startswith("gen")]


def test_the_files_are_what_the_script_makes(made, tmp_path):
    handwritten = maker.handwritten(DATA, "train.csv")
    maker.write_rows(tmp_path / "train.csv", handwritten + maker.as_rows("gen", made.train))
    maker.write_rows(tmp_path / "generated-test.csv", maker.as_rows("gentest", made.test))
    for name in ("train.csv", "generated-test.csv"):
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes(), f"{name}: 스크립트를 다시 돌리십시오."


def test_every_asked_row_was_made(made):
    assert len(made.train) == maker.TRAIN_ROWS
    assert len(made.test) == maker.TEST_ROWS
    assert {row.scenario for row in made.train} == {row.scenario for row in made.test}


def test_another_seed_makes_other_dialogues_with_the_same_split(monkeypatch, made):
    monkeypatch.setattr(maker, "TRAIN_ROWS", 60)
    monkeypatch.setattr(maker, "TEST_ROWS", 30)
    other = maker.generate(seed=maker.SEED + 1)
    assert not {row.dialogue for row in other.train} & {row.dialogue for row in made.train}
    assert all(maker.held_out(row) for row in other.test)
    assert not any(maker.held_out(row) for row in other.train)


def test_no_scenario_slot_combination_is_in_two_splits(made):
    train = {(row.scenario, row.slots) for row in made.train}
    test = {(row.scenario, row.slots) for row in made.test}
    assert not train & test


def test_no_combination_is_a_part_of_one_in_the_other_split(made):
    for tested in made.test:
        for trained in (row for row in made.train if row.scenario == tested.scenario):
            assert not set(trained.slots) <= set(tested.slots), (trained, tested)
            assert not set(tested.slots) <= set(trained.slots), (trained, tested)


def test_most_tested_combinations_hold_a_value_pair_never_trained(made):
    def pairs(row):
        return {(row.scenario, *pair) for pair in combinations(row.slots, 2)}

    trained = set().union(*map(pairs, made.train))
    unseen = [row for row in made.test if pairs(row) - trained]
    assert len(unseen) > len(made.test) / 2


def test_no_dialogue_resembles_one_in_another_split(rows):
    trained = maker.Similarity(row["dialogue"] for row in rows["train.csv"])
    for name in HELD_OUT_FILES:
        for row in rows[name]:
            closest = trained.closest(maker.shingles(row["dialogue"]))
            assert closest < maker.CLOSEST_ACROSS, f"{name} {row['fname']}: {closest:.2f}"


def test_no_generated_dialogue_nearly_repeats_another(rows):
    for name in ("train.csv", "generated-test.csv"):
        seen = maker.Similarity()
        for row in rows[name]:
            grams = maker.shingles(row["dialogue"])
            assert seen.closest(grams) < 0.8, f"{name} {row['fname']}"
            seen.add(grams)


def test_no_summary_is_in_two_splits(rows):
    trained = {row["summary"] for row in rows["train.csv"]}
    held_out = [row["summary"] for name in HELD_OUT_FILES for row in rows[name]]
    assert not trained.intersection(held_out)


def test_names_are_unique(rows):
    names = Counter(row["fname"] for name in FILES for row in rows[name])
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("name", FILES)
def test_rows_are_composed_and_turns_are_tagged(rows, name):
    for row in rows[name]:
        for column in maker.COLUMNS:
            assert row[column].strip() == row[column] != "", row["fname"]
            assert unicodedata.is_normalized("NFC", row[column]), row["fname"]
        for turn in row["dialogue"].split("\n"):
            assert re.fullmatch(r"#Person[1-9]#: \S.*", turn), f"{row['fname']}: {turn!r}"


@pytest.mark.parametrize("name", FILES)
def test_a_summary_names_only_people_of_its_dialogue(rows, name):
    for row in rows[name]:
        spoken = set(re.findall(r"#Person\d#(?=:)", row["dialogue"]))
        assert set(re.findall(r"#Person\d#", row["summary"])) <= spoken, row["fname"]


@pytest.mark.parametrize("name", FILES)
def test_particles_after_tags_follow_the_final_consonant(rows, name):
    wrong = r"#Person[136]#(?:는|를|가|와)(?![가-힣])|#Person[245]#(?:은|을|이|과)(?![가-힣])"
    for row in rows[name]:
        assert not re.search(wrong, row["summary"]), f"{row['fname']}: {row['summary']}"


@pytest.mark.parametrize("name", ["train.csv", "generated-test.csv"])
def test_generated_rows_keep_their_shape_and_leave_no_marks(rows, name):
    for row in generated_rows(rows, name):
        speakers = [turn[:9] for turn in row["dialogue"].split("\n")]
        assert len(speakers) in maker.TURNS, row["fname"]
        assert all(first != second for first, second in pairwise(speakers)), row["fname"]
        assert list(dict.fromkeys(speakers)) == sorted(set(speakers)), f"{row['fname']}: 번호는 말한 차례를 따릅니다."
        assert len(row["summary"]) in maker.SUMMARY_CHARACTERS, row["fname"]
        assert row["summary"].endswith("니다."), row["fname"]
        assert not re.search(r"[~{}<>\[\]|]|//|  ", row["dialogue"] + row["summary"]), row["fname"]


def test_the_handwritten_evaluation_is_frozen():
    frozen = json.loads((DATA / "frozen.json").read_text(encoding="utf-8"))
    assert set(frozen) == {"dev.csv", "test.csv"}
    for name, digest in frozen.items():
        assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize(
    ("word", "particle", "said"),
    [
        ("#Person1#", "은", "#Person1#은"),
        ("#Person2#", "은", "#Person2#는"),
        ("#Person3#", "과", "#Person3#과"),
        ("화분", "으로", "화분으로"),
        ("교실", "으로", "교실로"),
        ("찻집 3", "으로", "찻집 3으로"),
        ("5호차 7", "으로", "5호차 7로"),
        ("지우", "아", "지우야"),
        ("서연", "아", "서연아"),
        ("의자", "이에요", "의자예요"),
        ("두부", "이라고", "두부라고"),
        ("A4", "을", "A4를"),
        ("무", "도", "무도"),
    ],
)
def test_particles_follow_the_last_sound(word, particle, said):
    assert maker.with_particle(word, particle) == said


def test_a_register_is_one_for_all_its_words():
    template = "나는~ 괜찮아~. [드세요|먹어]. 내가~ 도와줄게~. 응~, 오는 길이야~."
    assert maker.in_register(template, polite=True) == "저는 괜찮아요. 드세요. 제가 도와줄게요. 네, 오는 길이에요."
    assert maker.in_register(template, polite=False) == "나는 괜찮아. 먹어. 내가 도와줄게. 응, 오는 길이야."


def test_a_fixed_particle_after_a_slot_is_refused(tmp_path):
    path = tmp_path / "wrong.txt"
    path.write_text("== 시험 | 해요/해요\n@값: 물; 차\n# 길\nA: {값}을 주세요.\n", encoding="utf-8")
    with pytest.raises(ValueError, match="조사"):
        maker.read_scenarios(path)


def test_a_slot_with_a_missing_field_is_refused(tmp_path):
    path = tmp_path / "wrong.txt"
    path.write_text("== 시험 | 해요/해요\n@값.까닭: 물/목말라서; 차\n", encoding="utf-8")
    with pytest.raises(ValueError, match="차"):
        maker.read_scenarios(path)


def test_a_missing_folder_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["make_dialogue_sample.py", "--folder", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"train\.csv 파일이 없습니다"):
        maker.main()


def test_scenarios_are_many_and_each_has_room_to_vary():
    scenarios = maker.load_scenarios()
    assert len(scenarios) >= 45
    assert len({scenario.topic for scenario in scenarios}) == len(scenarios)
    for scenario in scenarios:
        assert len(scenario.slots) >= 3, scenario.topic
        assert all(len(values) >= 6 for values in scenario.slots.values()), scenario.topic
        assert len(scenario.plots) >= 3, scenario.topic
        assert all(len(plot.summaries) >= 3 for plot in scenario.plots), scenario.topic


def test_the_readme_tells_the_numbers_of_the_files(rows):
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    for name in FILES:
        assert f"| {name} | {len(rows[name]):,} |" in readme, name
    turns = Counter(row["dialogue"].count("\n") + 1 for row in generated_rows(rows, "train.csv"))
    for few, many in ((4, 6), (7, 9), (10, 12)):
        count = sum(turns[number] for number in range(few, many + 1))
        told = next(line for line in readme.splitlines() if line.startswith(f"| {few}–{many} |"))
        assert told.split(" | ")[2] == f"{count:,}", told
