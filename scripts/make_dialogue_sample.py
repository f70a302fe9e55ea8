"""대화 요약 표본 `data/dialogue-sample`의 학습 대화를 늘립니다: 상황의 틀에서 대화와 요약을 함께 짓습니다.

사람이 지은 대화(`train_NNNN`, dev.csv, test.csv)는 한 글자도 바꾸지 않습니다. train.csv의 뒤에 `gen_NNNN`을 붙이고,
같은 틀에서 나왔지만 학습에 없는 값의 조합만 쓴 평가 파일 `generated-test.csv`를 만듭니다. 표준 라이브러리만 쓰고,
시드가 같으면 어느 컴퓨터에서나 같은 파일이 나옵니다.

    python scripts/make_dialogue_sample.py          # 10초 안에 두 파일을 다시 씁니다.

상황은 `scripts/dialogue-scenarios/*.txt`에 있고, 쓰는 법은 그 폴더의 README.md에 있습니다. 한 줄의 대화가 되기까지는
네 단계입니다: 값을 고릅니다(`draw_slots`) → 갈래를 골라 차례를 폅니다(`unfold`) → 말투와 조사를 맞춥니다(`Speech`) →
다른 갈래와 닮았으면 버리고 다시 짓습니다(`Similarity`).
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import random
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from console_text import make_printable  # noqa: E402

DATA = ROOT / "data" / "dialogue-sample"
SCENARIOS = Path(__file__).resolve().parent / "dialogue-scenarios"
COLUMNS = ("fname", "dialogue", "summary", "topic")

SEED = 2026
TRAIN_ROWS = 2_000
TEST_ROWS = 150
HELD_OUT_COMBINATIONS = 6  # 백 개의 값 조합 가운데 평가에만 쓰는 수
HELD_OUT_PAIRS = 4  # 백 개의 값 쌍 가운데 평가에만 쓰는 수: 이 쌍이 든 조합은 모두 평가로 갑니다.
SHINGLE = 5  # 닮음을 재는 글자 n-gram의 길이
CLOSEST_ACROSS = 0.5  # 학습과 평가(손으로 쓴 것 포함) 사이의 자카드 유사도는 이보다 작습니다.
CLOSEST_WITHIN = 0.7  # 같은 파일 안의 유사도는 이보다 작습니다.
ATTEMPTS = 200  # 한 대화를 짓는 데 다시 해 보는 횟수
TURNS = range(4, 13)
SUMMARY_CHARACTERS = range(25, 111)
DETOUR = 0.45  # 본론의 앞과 뒤에 인사나 곁가지 이야기가 붙는 비율
SPOKEN_NAME = 0.35  # 이름을 부를 수 있는 대화에서 실제로 부르는 비율
NAMED_SUMMARY = 0.7  # 부른 이름을 요약에서 꼬리표 대신 쓰는 비율

# fmt: off
NAMES = [
    "민수", "지우", "서연", "하준", "유진", "도윤", "수빈", "은서",
    "태호", "지훈", "예린", "현우", "나영", "준호", "소라", "다은",
    "재민", "미영", "성훈", "보람", "가은", "동현", "윤아", "승우",
]
# fmt: on
# 마지막 소리에 받침이 있는 숫자(영·일·삼·육·칠·팔)와 로마자(엘·엠·엔·알). 받침 ㄹ은 `으로`가 아니라 `로`를 부릅니다.
FINAL_CONSONANTS = {"0": "ㅇ", "1": "ㄹ", "3": "ㅁ", "6": "ㄱ", "7": "ㄹ", "8": "ㄹ"}
FINAL_CONSONANTS |= {"L": "ㄹ", "M": "ㅁ", "N": "ㄴ", "R": "ㄹ"}
AFTER_VOWEL = {"은": "는", "을": "를", "이": "가", "과": "와", "으로": "로", "아": "야", "이에요": "예요"}
# `~`가 붙은 말의 존댓말. 여기에 없으면 `요`를 붙입니다.
POLITE = tuple(
    (re.compile(marked), said)
    for marked, said in (
        (r"(?<![가-힣])나(한테|는|도|랑|)~", r"저\1"),
        (r"(?<![가-힣])내가~", "제가"),
        (r"(?<![가-힣])내~", "제"),
        (r"(?<![가-힣])난~", "전"),
        (r"(?<![가-힣])아니~", "아니요"),
        (r"(?<![가-힣])응~", "네"),
        (r"줘~", "주세요"),
        (r"이야~", "이에요"),
        (r"야~", "예요"),
        (r"지~", "죠"),
        (r"~", "요"),
    )
)


# ── 조사와 말투 ──────────────────────────────────────────────────────────────────────────────────────────────────


def final_consonant(word: str) -> str:
    """낱말의 마지막 소리의 받침. 없으면 빈 문자열이고, ㄹ은 "ㄹ"이며 나머지는 빈 문자열이 아니기만 합니다.

    `#Person1#`처럼 기호로 끝나면 기호 앞의 글자를 읽습니다.
    """
    letters = re.findall(r"[0-9A-Za-z가-힣]", word)
    if not letters:
        raise ValueError(f"{word!r}: 조사를 붙일 글자가 없습니다. 한글, 숫자, 로마자로 끝나는 값을 쓰십시오.")
    last = letters[-1].upper()
    if "가" <= last <= "힣":
        index = (ord(last) - ord("가")) % 28
        return "ㄹ" if index == 8 else "ㄱ" * (index > 0)
    return FINAL_CONSONANTS.get(last, "")


def with_particle(word: str, particle: str) -> str:
    """낱말에 조사를 붙입니다. `particle`은 받침 뒤의 꼴로 씁니다: 은, 을, 이, 과, 으로, 아, 이에요, 이랑, 이나 …"""
    consonant = final_consonant(word)
    if particle.startswith("으로"):
        return word + (particle if consonant not in ("", "ㄹ") else particle[1:])
    if consonant or not particle:
        return word + particle
    if particle in AFTER_VOWEL:
        return word + AFTER_VOWEL[particle]
    if particle.startswith("이"):
        return word + particle[1:]
    return word + particle


def in_register(text: str, polite: bool) -> str:
    """`[해요|해]`와 `~`를 말투에 맞는 꼴로 바꿉니다."""
    text = re.sub(r"\[([^|\]]*)\|([^\]]*)\]", lambda pair: pair.group(1 if polite else 2), text)
    if not polite:
        return text.replace("~", "")
    for marked, said in POLITE:
        text = marked.sub(said, text)
    return text


def pick(rng: random.Random, options):
    """목록에서 하나를 고릅니다. 파이썬의 판이 달라도 같은 수열을 약속하는 `random()`만 씁니다."""
    return options[int(rng.random() * len(options))]


def choose_words(text: str, rng: random.Random) -> str:
    """`<정말/참/>`에서 하나를 고릅니다. 안쪽의 꺾쇠부터 풉니다."""
    while match := re.search(r"<([^<>]*)>", text):
        text = text[: match.start()] + pick(rng, match.group(1).split("/")) + text[match.end() :]
    return text


# ── 상황의 틀 ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Turn:
    """차례 하나: 말하는 이와 바꾸어 쓸 수 있는 말들. `include`이면 `speaker`는 불러올 묶음의 이름입니다."""

    speaker: str
    options: tuple[str, ...] = ()
    optional: bool = False
    include: bool = False


@dataclass
class Plot:
    """상황이 풀리는 길 하나: 차례들과, 그 결말을 말하는 요약들입니다."""

    name: str
    turns: list[Turn] = field(default_factory=list)
    summaries: list[str] = field(default_factory=list)


@dataclass
class Scenario:
    """상황 하나. `slots`는 이름마다의 값들이고, 값은 `{자리: 말}`입니다(첫 자리의 이름은 빈 문자열입니다)."""

    topic: str
    registers: list[tuple[bool, ...]]
    relation: str = ""
    slots: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    blocks: dict[str, list[list[Turn]]] = field(default_factory=dict)
    plots: list[Plot] = field(default_factory=list)


@dataclass(frozen=True)
class Generated:
    """지은 대화 한 줄. `slots`는 대화나 요약에 실제로 쓰인 값의 `(이름, 값)`들입니다."""

    scenario: str
    plot: str
    slots: tuple[tuple[str, str], ...]
    dialogue: str
    summary: str


def read_turn(line: str) -> Turn:
    """`A: 말 // 말`, `?B: 말`(빠져도 되는 차례), `*이름`(묶음 불러오기)을 읽습니다."""
    optional = line.startswith("?")
    line = line.removeprefix("?")
    if line.startswith("*"):
        return Turn(line[1:].strip(), optional=optional, include=True)
    speaker, _, said = line.partition(":")
    if speaker not in ("A", "B", "C"):
        raise ValueError(f"{line!r}: 차례는 `A:`, `B:`, `C:` 가운데 하나로 시작해야 합니다.")
    return Turn(speaker, tuple(option.strip() for option in said.split("//")), optional)


def read_slot(line: str) -> tuple[str, list[dict[str, str]]]:
    """`@이름.자리: 값/자리값; 값/자리값`을 읽습니다."""
    names, _, values = line[1:].partition(":")
    name, *extra = names.strip().split(".")
    keys = ["", *extra]
    records = []
    for value in values.split(";"):
        parts = [part.strip() for part in value.split("/")]
        if len(parts) != len(keys):
            raise ValueError(f"{line!r}: 값 {value.strip()!r}의 자리가 {len(keys)}개가 아닙니다.")
        records.append(dict(zip(keys, parts, strict=True)))
    return name, records


def read_header(line: str) -> Scenario:
    """`== 상황 | 해요/해요, 반말/반말 | 관계`를 읽습니다."""
    topic, registers, *relation = [part.strip() for part in line.removeprefix("==").split("|")]
    patterns = [tuple(word == "해요" for word in pattern.strip().split("/")) for pattern in registers.split(",")]
    return Scenario(topic, patterns, *relation)


def read_scenarios(path: Path) -> list[Scenario]:
    """상황 파일 하나를 읽습니다. 형식은 `dialogue-scenarios/README.md`에 있습니다."""
    scenarios: list[Scenario] = []
    target: list[Turn] = []
    for line in unicodedata.normalize("NFC", path.read_text(encoding="utf-8")).splitlines():
        line = line.strip()
        if not line:
            continue
        if re.search(r"(?<!!)\}(?:(?:은|는|이|가|을|를|과|와|로|으로)(?![가-힣])|이[면라랑나고에었죠요네니])", line):
            raise ValueError(f"{path.name}: {line!r}에 받침을 따르는 조사가 그대로 있습니다. `{{값:은}}`처럼 쓰십시오.")
        if line.startswith("=="):
            scenarios.append(read_header(line))
            continue
        scenario = scenarios[-1]
        if line.startswith("@"):
            name, values = read_slot(line)
            scenario.slots[name] = values
        elif line.startswith("[") and line.endswith("]") and ":" not in line:
            target = []
            block = scenario.blocks.setdefault(line[1:-1], [])
            block.append(target)
        elif line == "---":
            target = []
            block.append(target)
        elif line.startswith("#"):
            scenario.plots.append(Plot(line[1:].strip()))
            target = scenario.plots[-1].turns
        elif line.startswith("=>"):
            scenario.plots[-1].summaries.append(line[2:].strip())
        else:
            target.append(read_turn(line))
    return scenarios


def load_scenarios(folder: Path = SCENARIOS) -> list[Scenario]:
    """폴더의 모든 상황. `common.txt`의 묶음은 모든 상황이 함께 씁니다."""
    common = read_scenarios(folder / "common.txt")[0]
    scenarios = []
    for path in sorted(folder.glob("*.txt")):
        if path.name != "common.txt":
            scenarios += read_scenarios(path)
    for scenario in scenarios:
        scenario.blocks = {**common.blocks, **scenario.blocks}
    return scenarios


# ── 대화 한 편 ───────────────────────────────────────────────────────────────────────────────────────────────────


def draw_slots(scenario: Scenario, rng: random.Random) -> dict[str, dict[str, str]]:
    return {name: pick(rng, values) for name, values in scenario.slots.items()}


def joined(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """두 대목을 잇습니다. 같은 사람이 이어 말하면 한 차례로 합칩니다."""
    lines = list(before)
    for speaker, text in after:
        if lines and lines[-1][0] == speaker:
            lines[-1] = (speaker, f"{lines[-1][1]} {text}")
        else:
            lines.append((speaker, text))
    return lines


def unfold(scenario: Scenario, turns: list[Turn], rng: random.Random) -> list[tuple[str, str]]:
    """묶음을 불러오고 빠질 차례를 빼어 `(말하는 이, 말)`로 폅니다."""
    lines: list[tuple[str, str]] = []
    skipping = None
    for turn in turns:
        if not turn.optional:
            skipping = None
        elif skipping is None:  # 이어진 `?` 차례는 물음과 대답이므로 함께 빠지거나 함께 남습니다.
            skipping = rng.random() < 0.5
        if skipping:
            continue
        if turn.include:
            said = unfold(scenario, pick(rng, scenario.blocks[turn.speaker]), rng)
        else:
            said = [(turn.speaker, choose_words(pick(rng, turn.options), rng))]
        lines = joined(lines, said)
    return lines


def with_detours(scenario: Scenario, lines: list[tuple[str, str]], rng: random.Random) -> list[tuple[str, str]]:
    """본론의 앞과 뒤에 두 사람의 관계에 맞는 인사나 곁가지를 붙입니다. 요약에는 들어가지 않을 말들입니다."""
    openings = scenario.blocks.get(f"{scenario.relation} 처음", [])
    if openings and rng.random() < DETOUR:
        lines = joined(unfold(scenario, pick(rng, openings), rng), lines)
    last_speaker = lines[-1][0]
    closings = scenario.blocks.get(f"{scenario.relation} 끝", [])
    closings = [turns for turns in closings if turns[0].speaker != last_speaker]
    if closings and rng.random() < DETOUR:
        lines = joined(lines, unfold(scenario, pick(rng, closings), rng))
    return lines


class Speech:
    """한 대화에서 변하지 않는 것: 값, 말투, 꼬리표, 이름. 틀의 말을 실제의 말로 바꿉니다."""

    def __init__(self, slots, polite: dict[str, bool], speakers: list[str], rng: random.Random):
        self.slots = slots
        self.polite = polite
        self.tags = {speaker: f"#Person{index}#" for index, speaker in enumerate(speakers, start=1)}
        self.names = self._names(rng)
        self.used: dict[str, str] = {}
        self.called: set[str] = set()

    def _names(self, rng: random.Random) -> dict[str, str]:
        """이 대화에서 부를 이름. 부르지 않는 대화가 더 많습니다."""
        first = int(rng.random() * len(NAMES))
        return {
            speaker: NAMES[(first + 7 * index) % len(NAMES)]
            for index, speaker in enumerate(self.tags)
            if rng.random() < SPOKEN_NAME
        }

    def _vocative(self, speaker: str, polite: bool) -> str:
        if speaker not in self.names or speaker in self.called:
            return ""
        self.called.add(speaker)
        name = self.names[speaker]
        return f"{name} 씨, " if polite else with_particle(name, "아") + ", "

    def _slot(self, key: str) -> str:
        """`{자리}`가 속한 값의 이름."""
        return next(name for name, value in self.slots.items() if key == name or key in value)

    def _fill(self, inside: str, polite: bool, shown: dict[str, str]) -> str:
        """중괄호 하나를 채웁니다: `{값}`, `{자리:조사}`, `{A:은}`, `{A!}`."""
        if inside.endswith("!"):
            return self._vocative(inside[:-1], polite)
        key, _, particle = inside.partition(":")
        if key in self.tags:
            word = shown[key]
        else:
            name = self._slot(key)
            word = self.slots[name]["" if key == name else key]
            self.used[name] = self.slots[name][""]
        return with_particle(word, particle)

    def say(self, speaker: str, text: str) -> str:
        """틀의 말 한 줄을 `#Person1#: 말`로 바꿉니다."""
        polite = self.polite[speaker]
        filled = re.sub(r"\{([^}]*)\}", lambda slot: self._fill(slot.group(1), polite, self.tags), text)
        return f"{self.tags[speaker]}: {in_register(filled, polite)}"

    def knows(self, text: str) -> bool:
        """요약의 틀에 든 값이 모두 대화에 나왔는지. 나오지 않은 값을 말하는 요약은 지어낸 요약입니다."""
        keys = (inside.partition(":")[0] for inside in re.findall(r"\{([^}]*)\}", text))
        return all(key in self.tags or self._slot(key) in self.used for key in keys)

    def tell(self, text: str, rng: random.Random) -> str:
        """요약의 틀을 채웁니다. 대화에서 부른 이름은 꼬리표 대신 쓰기도 합니다."""
        shown = {
            speaker: self.names[speaker] if speaker in self.called and rng.random() < NAMED_SUMMARY else tag
            for speaker, tag in self.tags.items()
        }
        return re.sub(r"\{([^}]*)\}", lambda slot: self._fill(slot.group(1), True, shown), text)


def compose(scenario: Scenario, rng: random.Random) -> Generated | None:
    """상황에서 대화 한 편과 그 요약을 짓습니다. 대화에 나온 값만으로 쓸 수 있는 요약이 없으면 None입니다."""
    slots = draw_slots(scenario, rng)
    plot = pick(rng, scenario.plots)
    lines = with_detours(scenario, unfold(scenario, plot.turns, rng), rng)
    register = pick(rng, scenario.registers)
    polite = dict(zip("ABC", (*register, register[-1]), strict=True))
    speakers = list(dict.fromkeys(speaker for speaker, _ in lines))
    speech = Speech(slots, polite, speakers, rng)
    dialogue = "\n".join(speech.say(speaker, text) for speaker, text in lines)
    summaries = [summary for summary in plot.summaries if speech.knows(summary)]
    if not summaries:
        return None
    summary = speech.tell(choose_words(pick(rng, summaries), rng), rng)
    return Generated(scenario.topic, plot.name, tuple(sorted(speech.used.items())), dialogue, summary)


# ── 갈래와 닮음 ──────────────────────────────────────────────────────────────────────────────────────────────────


def hundredth(*parts: str) -> int:
    """말들의 0–99 사이의 해시. 파이썬의 `hash`와 달리 어느 컴퓨터에서나 같습니다."""
    digest = hashlib.sha256("\x1f".join(parts).encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") % 100


def held_out(row: Generated) -> bool:
    """이 값의 조합이 평가의 것인지. 조합의 해시와, 조합에 든 값 쌍들의 해시로만 정해 시드와 상관이 없습니다."""
    values = [f"{name}={value}" for name, value in row.slots]
    if hundredth(row.scenario, *values) < HELD_OUT_COMBINATIONS:
        return True
    pairs = [(first, second) for index, first in enumerate(values) for second in values[index + 1 :]]
    return any(hundredth(row.scenario, "pair", *pair) < HELD_OUT_PAIRS for pair in pairs)


def shingles(dialogue: str) -> frozenset[str]:
    """꼬리표와 빈칸을 뺀 대화의 글자 n-gram들. 모든 대화에 있는 꼬리표가 닮음을 부풀리지 않게 뺍니다."""
    text = re.sub(r"#Person\d#:|\s", "", dialogue)
    return frozenset(text[start : start + SHINGLE] for start in range(max(1, len(text) - SHINGLE + 1)))


class Similarity:
    """지금까지 모은 대화와의 가장 큰 자카드 유사도를 역색인으로 찾습니다."""

    def __init__(self, dialogues=()):
        self.sizes: list[int] = []
        self.index: dict[str, list[int]] = defaultdict(list)
        for dialogue in dialogues:
            self.add(shingles(dialogue))

    def add(self, grams: frozenset[str]) -> None:
        for gram in grams:
            self.index[gram].append(len(self.sizes))
        self.sizes.append(len(grams))

    def closest(self, grams: frozenset[str]) -> float:
        shared: Counter[int] = Counter()
        for gram in grams:
            shared.update(self.index.get(gram, ()))
        return max((both / (len(grams) + self.sizes[other] - both) for other, both in shared.items()), default=0.0)


def well_shaped(row: Generated) -> bool:
    return row.dialogue.count("\n") + 1 in TURNS and len(row.summary) in SUMMARY_CHARACTERS


@dataclass
class Corpus:
    """지은 대화들과, 까닭마다 버린 수입니다."""

    train: list[Generated] = field(default_factory=list)
    test: list[Generated] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


class Maker:
    """평가를 먼저 짓고, 그것과 겹치거나 닮지 않은 학습 대화를 짓습니다."""

    def __init__(self, seed: int, hand_train: list[str], hand_held_out: list[str], scenarios: list[Scenario]):
        self.seed = seed
        self.scenarios = scenarios
        self.train_like = Similarity(hand_train)
        self.test_like = Similarity(hand_held_out)
        self.summaries: set[str] = set()
        self.test_slots: dict[str, list[set[tuple[str, str]]]] = defaultdict(list)
        self.corpus = Corpus()

    def make(self) -> Corpus:
        for place in range(TEST_ROWS):
            self._one("test", place)
        for place in range(TRAIN_ROWS):
            self._one("train", place)
        return self.corpus

    def _one(self, split: str, place: int) -> None:
        """상황을 차례로 돌며 한 편을 짓습니다. 값이 평가의 것이면 평가에만, 아니면 학습에만 씁니다."""
        scenario = self.scenarios[place % len(self.scenarios)]
        rng = random.Random(f"{self.seed}/{split}/{place}")
        for _ in range(ATTEMPTS):
            row = compose(scenario, rng)
            if row is None:
                continue
            reason = self._rejection(row, split)
            if reason is None:
                self._keep(row, split)
                return
            if reason:
                self.corpus.dropped[reason] += 1
        self.corpus.dropped["끝내 짓지 못함"] += 1

    def _rejection(self, row: Generated, split: str) -> str | None:
        """버릴 까닭. 없으면 None이고, 갈래나 모양이 맞지 않을 뿐이면 빈 문자열입니다."""
        if held_out(row) != (split == "test") or not well_shaped(row):
            return ""
        if row.summary in self.summaries:
            return "같은 요약"
        used = set(row.slots)
        if split == "train" and any(used <= other or other <= used for other in self.test_slots[row.scenario]):
            return "평가의 값에 포함됨"
        grams = shingles(row.dialogue)
        own, across = (self.train_like, self.test_like) if split == "train" else (self.test_like, self.train_like)
        if across.closest(grams) >= CLOSEST_ACROSS:
            return "갈래 사이에 닮음"
        if own.closest(grams) >= CLOSEST_WITHIN:
            return "갈래 안에 닮음"
        return None

    def _keep(self, row: Generated, split: str) -> None:
        self.summaries.add(row.summary)
        grams = shingles(row.dialogue)
        if split == "train":
            self.corpus.train.append(row)
            self.train_like.add(grams)
        else:
            self.corpus.test.append(row)
            self.test_like.add(grams)
            self.test_slots[row.scenario].append(set(row.slots))


# ── 파일 ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_rows(path: Path) -> list[dict[str, str]]:
    """CSV의 줄들. 파일이 없거나 머리글이 다르면 ValueError를 냅니다."""
    if not path.is_file():
        raise ValueError(f"{path} 파일이 없습니다. 저장소에서 data/dialogue-sample 폴더를 다시 받으십시오.")
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path}의 첫 줄이 {','.join(COLUMNS)}가 아닙니다. 파일을 다시 받으십시오.")
        return list(reader)


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """옆에 다 쓴 뒤에 이름을 바꿉니다. 도중에 멈추어도 반쪽 파일이 남지 않습니다."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    partial = path.with_suffix(".csv.partial")
    partial.write_bytes(text.getvalue().encode("utf-8"))
    partial.replace(path)


def handwritten(folder: Path, name: str) -> list[dict[str, str]]:
    """손으로 쓴 줄들만. 예전에 붙인 `gen_` 줄은 뺍니다."""
    return [row for row in read_rows(folder / name) if not row["fname"].startswith("gen_")]


def generate(seed: int = SEED, folder: Path = DATA) -> Corpus:
    """손으로 쓴 대화(`folder`)와 겹치지 않는 대화들을 짓습니다. 줄마다 `scenario`와 `slots`가 있습니다."""
    hand_train = [row["dialogue"] for row in handwritten(folder, "train.csv")]
    hand_held_out = [row["dialogue"] for name in ("dev.csv", "test.csv") for row in handwritten(folder, name)]
    return Maker(seed, hand_train, hand_held_out, load_scenarios()).make()


def as_rows(prefix: str, generated: list[Generated]) -> list[dict[str, str]]:
    return [
        {"fname": f"{prefix}_{index:04d}", "dialogue": row.dialogue, "summary": row.summary, "topic": row.scenario}
        for index, row in enumerate(generated)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="학습 대화를 늘리고 generated-test.csv를 만듭니다.")
    parser.add_argument("--folder", type=Path, default=DATA, help="손으로 쓴 train.csv, dev.csv, test.csv가 있는 폴더")
    parser.add_argument("--output", type=Path, help="쓸 폴더. 적지 않으면 --folder와 같습니다.")
    parser.add_argument("--seed", type=int, default=SEED, help="같은 시드는 같은 파일을 만듭니다.")
    options = parser.parse_args()
    try:
        corpus = generate(options.seed, options.folder)
        hand = handwritten(options.folder, "train.csv")
    except ValueError as error:
        sys.exit(str(error))
    output = options.output or options.folder
    output.mkdir(parents=True, exist_ok=True)
    write_rows(output / "train.csv", hand + as_rows("gen", corpus.train))
    write_rows(output / "generated-test.csv", as_rows("gentest", corpus.test))
    print(f"train.csv: 손으로 쓴 {len(hand):,}줄 + 지은 {len(corpus.train):,}줄")
    print(f"generated-test.csv: {len(corpus.test):,}줄")
    for reason, count in corpus.dropped.most_common():
        print(f"버리고 다시 지음 - {reason}: {count:,}")


if __name__ == "__main__":
    make_printable()
    main()
