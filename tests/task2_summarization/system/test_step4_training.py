"""4단계의 학습: 가장 좋은 것, 남는 체크포인트, 조기 종료, 실행 폴더, 검증, 잘못된 입력."""

from __future__ import annotations

import errno
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, Seq2SeqTrainer, TrainerCallback

from nlpbook.errors import UserError
from nlpbook.logs import Logger
from nlpbook.summarization import runs
from tests.task2_summarization import trainers

if not trainers.FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)

SCORES = [0.3, 0.9, 0.5, 0.4, 0.6]  # 에포크마다의 점수. 가장 좋은 것은 마지막도 처음도 아닙니다.


def scored(made, scores=SCORES):
    """에포크마다 정해 둔 `rouge_sum`을 내는 학습."""
    left = iter(scores)

    def compute_metrics(eval_preds):
        value = next(left)
        return {"rouge1": value, "rouge2": 0.0, "rougeL": 0.0, "rouge_sum": value, "rouge_combined_f1": value / 3}

    made.compute_metrics = compute_metrics
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """세 에포크를 배운 학습과 그 결과."""
    folder = tmp_path_factory.mktemp("trained")
    made = trainers.trainer(folder)
    return made, made.train()


def test_the_result_names_the_model_and_its_scores(trained):
    made, results = trained
    assert Path(results["final_model_path"]) == made.run.path / "final_model"
    wanted = {"eval_loss", "eval_rouge1", "eval_rouge2", "eval_rougeL", "eval_rouge_sum", "eval_rouge_combined_f1"}
    assert wanted <= results["eval_metrics"].keys()
    assert {"train_loss", "train_runtime", "train_samples_per_second"} <= results["train_metrics"].keys()


def test_the_model_left_at_the_end_is_the_best_one(trained):
    """고른 것을 다시 재면 고를 때의 값이고, 어느 에포크의 것보다도 낮지 않습니다."""
    made, results = trained
    history = [row["eval_rouge_sum"] for row in made.trainer.state.log_history if "eval_rouge_sum" in row]
    again = made.evaluate()
    assert again["eval_rouge_sum"] == results["eval_metrics"]["eval_rouge_sum"] == max(history[:3])
    assert again["eval_loss"] == pytest.approx(results["eval_metrics"]["eval_loss"], abs=1e-6)


@pytest.mark.parametrize(("metric", "best"), [("eval_rouge_sum", 1), ("eval_loss", None)])
def test_the_best_epoch_is_saved_even_when_it_is_not_the_last(tmp_path, metric, best):
    made = scored(
        trainers.trainer(
            tmp_path,
            "training.num_train_epochs=5",
            "training.save_total_limit=1",
            f"training.metric_for_best_model={metric}",
        )
    )
    kept = {}

    class Keep(TrainerCallback):
        def on_save(self, args, state, control, model=None, **_):
            kept[state.global_step] = {name: one.clone() for name, one in model.state_dict().items()}

    made.callbacks.append(Keep())
    results = made.train()
    rows = [row for row in made.trainer.state.log_history if "eval_loss" in row]
    if best is None:
        best = int(np.argmin([row["eval_loss"] for row in rows]))
    step = rows[best]["step"]
    assert results["eval_metrics"]["step"] == step
    saved = trainers.weights(results["final_model_path"])
    assert all(torch.equal(saved[name], kept[step][name]) for name in saved)
    assert all(torch.equal(one, kept[step][name]) for name, one in made.model.state_dict().items())


def test_the_limit_on_checkpoints_never_deletes_the_best(tmp_path):
    made = scored(trainers.trainer(tmp_path, "training.num_train_epochs=5", "training.save_total_limit=2"))
    made.train()
    left = sorted(int(path.name.split("-")[1]) for path in made.run.path.glob("checkpoint-*"))
    assert left == [10, 25]  # 가장 좋은 것(둘째 에포크)과 마지막 것


def test_training_stops_early_and_the_patience_survives_a_resume(tmp_path):
    def made(patience, scores):
        options = ("training.num_train_epochs=6", f"training.early_stopping_patience={patience}")
        return scored(trainers.trainer(tmp_path, *options), scores)

    first = made(2, SCORES)
    first.train()
    assert first.trainer.state.epoch == 4  # 둘째 에포크 뒤로 둘이 나빴습니다.
    best = trainers.weights(first.run.final_model)

    resumed = made(2, SCORES[3:])
    resumed.train(first.run.path / "checkpoint-15")  # 이미 한 에포크를 참은 뒤
    assert resumed.trainer.state.epoch == 4
    assert resumed.trainer.state.best_metric == SCORES[1]

    finished = made(2, [])
    finished.train(first.run.path)
    assert finished.trainer.state.epoch == 4

    longer = made(3, SCORES[4:])
    longer.train(first.run.path)  # 참을성을 늘리면 더 걷습니다.
    assert longer.trainer.state.epoch == 5
    left = trainers.weights(longer.run.final_model)
    assert all(torch.equal(best[name], left[name]) for name in best)


def test_a_finished_training_only_says_so(tmp_path, trained, capsys):
    made, results = trained
    shutil.copytree(made.run.path, tmp_path / "quick")
    again = trainers.trainer(tmp_path)
    got = again.train(tmp_path / "quick")
    assert "이미 3에포크를 모두 마친 학습입니다" in capsys.readouterr().out
    assert got["eval_metrics"] == results["eval_metrics"]
    assert trainers.same_weights(got["final_model_path"], results["final_model_path"])


# ── 검증


def test_predictions_are_token_ids_in_the_order_of_the_dataset(trained):
    made, _ = trained
    output = made.trainer.predict(made.eval_dataset)
    assert output.predictions.dtype == np.int64
    assert output.predictions.shape[0] == len(made.eval_dataset)
    assert output.predictions.shape[1] <= 12
    step3 = trainers.lesson("step3_rouge_metrics")
    alone = step3.summarize(made.model, made.tokenizer, trainers.DIALOGUES[-5:], 64, batch_size=1)
    assert step3.decode(made.tokenizer, torch.as_tensor(output.predictions)) == alone
    answers = step3.decode(made.tokenizer, torch.as_tensor(output.label_ids))
    assert answers == trainers.SUMMARIES[-5:]


def test_evaluation_leaves_the_settings_of_generation_alone(trained):
    made, results = trained
    saved = json.loads((Path(results["final_model_path"]) / "generation_config.json").read_text(encoding="utf-8"))
    assert (saved["max_length"], saved["num_beams"], saved["no_repeat_ngram_size"]) == (12, 2, 3)
    assert {"temperature", "top_k", "top_p"} & saved.keys() == set()
    assert json.loads((Path(results["final_model_path"]) / "config.json").read_text(encoding="utf-8"))["use_cache"]


def test_the_loss_of_the_validation_counts_every_token_once(trained):
    made, _ = trained
    trainer = made.trainer
    total = count = 0.0
    made.model.eval()
    for index in range(len(made.eval_dataset)):
        batch = trainer.data_collator([made.eval_dataset[index]])
        labels = batch.pop("labels")
        with torch.no_grad():
            logits = made.model(**batch).logits
        total += torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), reduction="sum", label_smoothing=0.1
        ).item()
        count += labels.numel()
    assert made.evaluate()["eval_loss"] == pytest.approx(total / count, abs=1e-5)


@pytest.mark.parametrize("name", ["t5", "kogpt2"])
def test_other_architectures_train_and_load(tmp_path, name):
    results = trainers.trainer(tmp_path, "training.num_train_epochs=1", name=name).train()
    kind = AutoModelForCausalLM if name == "kogpt2" else AutoModelForSeq2SeqLM
    model = kind.from_pretrained(results["final_model_path"])
    assert model.config.vocab_size == 4007
    assert results["eval_metrics"]["eval_rouge_sum"] >= 0


def test_generation_of_a_decoder_only_model_never_sees_the_answer(tmp_path):
    made = trainers.trainer(tmp_path, name="kogpt2")
    seen = []
    real = made.model.generate

    def generate(**inputs):
        seen.extend(inputs["input_ids"].tolist())
        return real(**inputs)

    made.model.generate = generate
    made.evaluate()
    texts = made.tokenizer.batch_decode(seen, skip_special_tokens=True)
    assert len(texts) == 5
    assert all(text.rstrip().endswith("요약:") for text in texts)


def test_a_training_without_validation_keeps_the_last_model(tmp_path):
    results = trainers.trainer(tmp_path, "training.early_stopping_patience=2", dev=0).train()
    assert results["eval_metrics"] == {}
    assert trainers.same_weights(results["final_model_path"], tmp_path / "quick" / "checkpoint-15")


# ── 실행 폴더


def test_an_experiment_has_the_folder_of_its_name(trained):
    made, _ = trained
    names = {path.name for path in made.run.path.iterdir()}
    assert {"checkpoint-5", "checkpoint-10", "checkpoint-15", "final_model", "logs", "arguments.json"} <= names
    assert {"metrics.csv", "train.log"} <= {path.name for path in (made.run.path / "logs").iterdir()}
    assert not [name for name in names if name.endswith(".tmp")]


def test_the_final_model_loads_as_the_guide_does_and_keeps_the_tags(trained):
    _, results = trained
    model = AutoModelForSeq2SeqLM.from_pretrained(results["final_model_path"])
    tokenizer = AutoTokenizer.from_pretrained(results["final_model_path"])
    inputs = tokenizer(trainers.DIALOGUES[0], return_tensors="pt", max_length=512, truncation=True)
    outputs = model.generate(**inputs, max_length=100, num_beams=4)
    assert outputs.shape[1] <= 100
    tagged = tokenizer(trainers.SUMMARIES[0])["input_ids"]
    assert tokenizer.decode(tagged, skip_special_tokens=True) == trainers.SUMMARIES[0]


def test_a_trial_has_a_folder_of_its_own(tmp_path):
    config = trainers.config(tmp_path)
    step1 = trainers.lesson("step1_config_and_model")
    plain = step1.load_config("base_config", environment={})
    trial = step1.load_config("quick", trial={"learning_rate": 1e-3}, environment={})
    assert isinstance(runs.run_for(config, tmp_path), runs.ExperimentRun)
    for one in (plain, trial):
        run = runs.run_for(one, tmp_path)
        assert isinstance(run, runs.TrialRun)
        assert run.path.parent == tmp_path / "outputs" / "experiments"
        assert re.fullmatch(r"\d{8}_\d{6}_[0-9a-f]{8}", run.path.name)


def test_a_trial_writes_what_the_guide_lists(tmp_path):
    made = trainers.trainer(tmp_path, "training.num_train_epochs=1", run=runs.new_trial(tmp_path))
    results = made.train()
    for name in ("training_results.json", "training.log", "checkpoints/checkpoint-5", "models/best_model/config.json"):
        assert (made.run.path / name).exists(), name
    written = json.loads((made.run.path / "training_results.json").read_text(encoding="utf-8"))
    assert written["eval_metrics"] == results["eval_metrics"]
    assert written["final_model_path"] == "{run}/models/best_model"
    assert written["config"]["training"]["num_train_epochs"] == 1


def test_an_earlier_run_of_the_same_name_steps_aside(tmp_path):
    options = ("training.num_train_epochs=1",)
    trainers.trainer(tmp_path, *options).train()
    first = trainers.weights(tmp_path / "quick" / "final_model")
    trainers.trainer(tmp_path, *options, "training.learning_rate=0.02").train()
    (aside,) = [path for path in tmp_path.iterdir() if path.name.startswith("quick.")]
    kept = trainers.weights(aside / "final_model")
    assert all(torch.equal(first[name], kept[name]) for name in first)


def test_a_moved_run_still_finds_its_best(tmp_path):
    made = scored(trainers.trainer(tmp_path / "here", "training.num_train_epochs=2"), [0.9, 0.1])
    made.train()
    moved = tmp_path / "there" / "quick"
    moved.parent.mkdir()
    shutil.move(made.run.path, moved)
    again = scored(trainers.trainer(tmp_path / "other", "training.num_train_epochs=3"), [0.2])
    results = again.train(moved / "checkpoint-10")
    assert results["best_checkpoint"] == str(moved / "checkpoint-5")
    assert trainers.same_weights(results["final_model_path"], moved / "checkpoint-5")


# ── 잘못된 입력


class OutOfMemory(TrainerCallback):
    def on_step_begin(self, args, state, control, **_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def test_out_of_memory_names_what_to_make_smaller(tmp_path):
    made = trainers.trainer(tmp_path, callbacks=[OutOfMemory()])
    with pytest.raises(UserError) as caught:
        made.train()
    for name in ("per_device_train_batch_size", "gradient_accumulation_steps", "encoder_max_len"):
        assert name in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_an_unknown_metric_is_told_before_the_work(tmp_path):
    with pytest.raises(UserError, match="metric_for_best_model.*혹시"):
        trainers.trainer(tmp_path, "training.metric_for_best_model=rouge_summ")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_checkpoint_is_told_before_the_work(tmp_path):
    made = trainers.trainer(tmp_path)
    with pytest.raises(UserError, match="체크포인트 폴더가 없습니다"):
        made.train(tmp_path / "checkpoint-500")
    (tmp_path / "checkpoint-7").mkdir()
    with pytest.raises(UserError, match="쓰다 만"):
        made.train(tmp_path / "checkpoint-7")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-7"]


@pytest.mark.parametrize("name", ["t5", "kogpt2"])
def test_a_checkpoint_of_another_architecture_is_told(tmp_path, trained, name):
    made, _ = trained
    other = trainers.trainer(tmp_path, name=name)
    with pytest.raises(UserError, match=r"다른 모델\(bart\)의 체크포인트"):
        other.train(made.run.path / "checkpoint-5")
    assert list(tmp_path.iterdir()) == []


def test_a_diverging_loss_stops_the_training(tmp_path):
    made = trainers.trainer(tmp_path, "training.learning_rate=1e30", "training.max_grad_norm=0")
    with pytest.raises(UserError, match="learning_rate"):
        made.train()
    assert not list((tmp_path / "quick").glob("checkpoint-*"))


def test_a_bare_seq2seq_trainer_goes_on_from_our_checkpoint(tmp_path, trained):
    made, results = trained
    fresh = trainers.trainer(tmp_path)
    args = fresh._create_training_args()
    args.output_dir = str(tmp_path / "bare")
    bare = Seq2SeqTrainer(
        model=fresh.model,
        args=args,
        train_dataset=fresh.train_dataset,
        eval_dataset=fresh.eval_dataset,
        data_collator=fresh.trainer.data_collator,
        compute_metrics=fresh.compute_metrics,
        processing_class=fresh.tokenizer,
    )
    bare.train(resume_from_checkpoint=str(made.run.path / "checkpoint-10"))
    assert bare.state.global_step == 15
    assert bare.state.best_metric >= results["eval_metrics"]["eval_rouge_sum"] * 0.5


def test_a_full_disk_loses_nothing_that_was_saved(tmp_path):
    made = trainers.trainer(tmp_path)
    real = made.trainer._save_optimizer_and_scheduler

    def full(folder):
        if "checkpoint-10" in folder:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(folder)

    made.trainer._save_optimizer_and_scheduler = full
    with pytest.raises(UserError, match="빈 자리가 없어"):
        made.train()
    assert [path.name for path in (tmp_path / "quick").glob("*checkpoint*")] == ["checkpoint-5"]
    again = trainers.trainer(tmp_path).train(tmp_path / "quick")
    whole = trainers.trainer(tmp_path / "whole").train()
    assert trainers.same_weights(again["final_model_path"], whole["final_model_path"])


# ── 함께 쓰는 것


@pytest.mark.parametrize("name", ["kobart", "t5", "kogpt2"])
def test_gradient_checkpointing_changes_nothing_but_the_memory(tmp_path, name):
    plain, saving = (
        trainers.trainer(tmp_path / str(on), f"training.gradient_checkpointing={on}", name=name, dropout=0.0).train()
        for on in (False, True)
    )
    here, there = (trainers.weights(one["final_model_path"]) for one in (plain, saving))
    assert all(torch.allclose(here[name], there[name], atol=1e-4) for name in here)


@pytest.mark.slow
def test_helping_processes_read_the_same_batches(tmp_path):
    alone = trainers.trainer(tmp_path / "alone").train()
    helped = trainers.trainer(tmp_path / "helped", "training.dataloader_num_workers=1").train()
    assert trainers.same_weights(alone["final_model_path"], helped["final_model_path"])
    assert alone["eval_metrics"]["eval_rouge_sum"] == helped["eval_metrics"]["eval_rouge_sum"]


@pytest.mark.parametrize("redirecting", [False, True])
def test_a_logger_keeps_every_line_once(tmp_path, redirecting):
    logger = Logger(tmp_path / "mine" / "train.log")
    made = trainers.trainer(tmp_path, "training.num_train_epochs=1", logger=logger)
    if redirecting:
        logger.start_redirect()
    try:
        made.train()
    finally:
        logger.close()
    kept = logger.log_path.read_text(encoding="utf-8")
    for line in ("실행 폴더:", "에포크 1/1", "가장 좋은 것(스텝 5)", "모델:"):
        assert kept.count(line) == 1, line
    own = made.run.log.read_text(encoding="utf-8")
    assert "에포크 1/1" in own


def test_nothing_english_is_on_the_screen(tmp_path, capfd):
    trainers.trainer(tmp_path, "training.early_stopping_patience=2").train()
    seen = capfd.readouterr()
    assert seen.err == ""
    assert [line for line in seen.out.splitlines() if not re.search("[가-힣]", line)] == []


@pytest.mark.slow
def test_the_guides_debug_run_works_as_written(tmp_path):
    """가이드의 순서대로: 설정, 모델, 데이터프레임, 데이터셋, 에포크 둘의 짧은 학습, 불러오기."""
    load_config = trainers.lesson("step1_config_and_model").load_config
    load_model_and_tokenizer = trainers.lesson("step1_config_and_model").load_model_and_tokenizer
    dataset = trainers.lesson("step2_dialogue_dataset").DialogueSummarizationDataset
    config = load_config("quick", environment={})
    config.general.output_dir = str(tmp_path)
    model, tokenizer = load_model_and_tokenizer(config)
    train_df = pandas.read_csv(config.data.train)
    eval_df = pandas.read_csv(config.data.dev)
    config.training.epochs = 2
    config.training.batch_size = 4
    config.wandb.enabled = False
    config.generation.num_beams = 1
    train_df = train_df.head(12)
    eval_df = eval_df.head(3)
    train_dataset, eval_dataset = (
        dataset(
            dialogues=one["dialogue"].tolist(),
            summaries=one["summary"].tolist(),
            tokenizer=tokenizer,
            encoder_max_len=config.tokenizer.encoder_max_len,
            decoder_max_len=config.tokenizer.decoder_max_len,
        )
        for one in (train_df, eval_df)
    )
    create_trainer = trainers.lesson().create_trainer
    trainer = create_trainer(config, model, tokenizer, train_dataset, eval_dataset, use_wandb=False)
    results = trainer.train()
    assert isinstance(results["final_model_path"], str)
    assert f"{results['eval_metrics']['eval_rouge_sum']:.4f}"
    assert trainer.trainer.state.global_step == 6
