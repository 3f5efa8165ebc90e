"""What `make train` refuses before it starts anything, and the parts of a run that need no second process."""

import json
import re
import socket
from dataclasses import replace

import numpy as np
import pytest

from twins.frameworks import BOTH
from twins.models import resnet
from twins.models import transformer_lm as lm
from twins.training import train
from twins.training.distributed import (
    agreement,
    checkpoints,
    engines,
    hosts,
    launch,
    settings,
    states,
    tasks,
    wording,
)
from twins.training.distributed.checkpoints import Checkpoint

ASKED = {"MODEL": "transformer_lm", "FRAMEWORK": "mlx", "NPROC": "2"}
TINY = {"dataset": "markov", "vocabulary": 16, "context": 8, "width": 16, "layers": 1, "heads": 2}


def asked(tmp_path, **changes: str) -> settings.Asked:
    return settings.asked({**ASKED, "OUT": str(tmp_path), **changes}, hosts.count)


def hosts_file(tmp_path, content: object) -> str:
    path = tmp_path / "hosts.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


# --- settings --------------------------------------------------------------------------------------


def test_the_environment_becomes_a_run(tmp_path):
    found = asked(
        tmp_path, SET="width=64 dataset=markov", STEPS="7", BATCH="6", PORT="", LEARNING_RATE="3e-4"
    )
    assert (found.each, found.hosts, found.port) == (2, None, 29500)
    run = found.run
    assert (run.processes, run.steps, run.batch, run.learning_rate) == (2, 7, 6, 3e-4)
    assert run.sizes == {"width": 64, "dataset": "markov"}
    assert settings.Run(**json.loads(settings.to_json(run))) == run


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"MODEL": ""}, "MODEL is not set; allowed is a model of twins.models"),
        ({"FRAMEWORK": "jax"}, "FRAMEWORK is 'jax'; allowed: mlx, torch"),
        ({"NPROC": "0"}, "NPROC is '0'; allowed is a whole number from 1 up"),
        ({"STEPS": "1e3"}, "STEPS is '1e3'; allowed is a whole number from 1 up"),
        ({"BATCH": "7"}, "BATCH is 7, which 2 processes cannot share equally; allowed are multiples of 2"),
        ({"LEARNING_RATE": "fast"}, "LEARNING_RATE is 'fast'; allowed is a number such as 0.001"),
        ({"SET": "width"}, "a parameter is written name=value, found 'width'"),
        ({"SET": "width=["}, "width is '[', which is no YAML: "),
        ({"HOSTS": "/no/file"}, "HOSTS: /no/file cannot be read (No such file or directory)"),
    ],
)
def test_a_value_that_is_not_allowed_is_named(tmp_path, changes, told):
    with pytest.raises(ValueError, match="^" + re.escape(told)) as error:
        asked(tmp_path, **changes)
    assert "\n" not in str(error.value)


# --- hosts and ports -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", ["[", "[]", [{"ssh": "a"}] * 2, [{"ssh": "a", "ips": []}] * 2, {"hosts": 1}]
)
def test_a_hosts_file_of_another_form_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match=r"^HOSTS: .*hosts\.json (is not JSON|holds no list of hosts)"):
        hosts.read(tmp_path.__class__(hosts_file(tmp_path, content)))


@pytest.mark.parametrize("framework", settings.FRAMEWORKS)
def test_a_host_that_does_not_answer_is_named(tmp_path, framework):
    """A name under .invalid never resolves: https://www.rfc-editor.org/rfc/rfc6761"""
    two = [{"ssh": "here", "ips": ["127.0.0.1"]}, {"ssh": "mac2", "ips": ["mac2.invalid"]}]
    wanted = asked(tmp_path, FRAMEWORK=framework, HOSTS=hosts_file(tmp_path, two))
    assert wanted.run.processes == 4
    with pytest.raises(ValueError, match=r"^host mac2 does not answer at mac2\.invalid \("):
        launch.run(wanted)


@pytest.mark.parametrize("framework", settings.FRAMEWORKS)
def test_a_port_in_use_is_named(tmp_path, framework):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=rf"^port {port} of 127\.0\.0\.1 is not free \(.*PORT=number"):
            launch.run(asked(tmp_path, FRAMEWORK=framework, PORT=str(port)))


def test_each_launcher_is_told_of_every_host(tmp_path):
    """Both as on the first of two hosts, which nothing here tries to reach."""
    both = [{"ssh": "here", "ips": ["127.0.0.1"]}, {"ssh": "there", "ips": ["10.0.0.2"]}]
    path = hosts_file(tmp_path, {"envs": ["A=1"], "hosts": both})
    wanted = asked(tmp_path, HOSTS=path, OUT=str(tmp_path))
    found, rest = hosts.read(wanted.hosts)
    made = launch._mlx_launch(replace(wanted, port=45123), found, rest)
    written = json.loads((tmp_path / "hosts.json").read_text())
    assert written == {"envs": ["A=1"], "hosts": [both[0]] * 2 + [both[1]] * 2}
    assert made[made.index("--hostfile") + 1] == str(tmp_path / "hosts.json")
    made = launch._torchrun(replace(wanted, port=45123), found, rest)
    assert made[made.index("--nnodes") + 1] == "2"
    assert made[made.index("--node-rank") + 1] == "0"
    assert made[made.index("--master-addr") + 1] == "127.0.0.1"
    with pytest.raises(ValueError, match=r"^this machine has not one of the addresses 10\.0\.0\.2;"):
        hosts.place(found[1:])


def test_only_what_workers_mark_is_shown():
    assert wording.heard("twins-train told step 1 of 2\n") == ("told", "step 1 of 2")
    assert wording.heard("[ring] Socket 3 was closed by the peer") is None
    assert wording.heard("twins-train other words") is None
    assert [wording.duration(s) for s in (42, 600, 9000)] == ["42 s", "10 min", "2.5 h"]


# --- data and agreement ----------------------------------------------------------------------------


@pytest.mark.parametrize("model", tasks.DEFAULTS)
def test_a_step_has_the_same_batch_every_time_and_no_other_has_it(model):
    without_bpe = {"transformer_lm": TINY, "bert": {"dataset": "inference"}}
    run = settings.Run(model, "mlx", "", batch=4, sizes=without_bpe.get(model, {}))
    first, again = tasks.task(run), tasks.task(run)
    assert first.data_digest() == again.data_digest() != tasks.task(replace(run, seed=1)).data_digest()
    for one, other in zip(first.draw(3), again.draw(3), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(first.draw(3)[-1]) == 4
    assert any(
        (a.shape != b.shape) or (a != b).any() for a, b in zip(first.draw(3), first.draw(4), strict=True)
    )


def test_an_unknown_size_and_a_model_without_data_are_refused():
    with pytest.raises(ValueError, match=r"^SET names depth; transformer_lm takes dataset, vocabulary, "):
        tasks.task(settings.Run("transformer_lm", "mlx", "", sizes={"depth": 2}))
    with pytest.raises(ValueError, match=r"^weights has no data to train on; allowed: transformer_lm, bert"):
        tasks.task(settings.Run("weights", "mlx", ""))


@pytest.mark.parametrize("name", agreement.NAMES)
def test_the_rank_that_differs_is_named(name):
    same = dict.fromkeys(agreement.NAMES, "a")
    agreement.check_ranks([same, same])
    with pytest.raises(
        ValueError, match=rf"^rank 2 has other {agreement.NAMES[name]} than rank 0 \(b and a\)"
    ):
        agreement.check_ranks([same, same, same | {name: "b"}])


def test_the_digest_of_the_code_is_of_the_readers_file_too(tmp_path):
    path = tmp_path / "pair.py"
    path.write_text("a = 1")
    before = agreement.code_digest(str(path))
    assert before == agreement.code_digest(str(path))
    path.write_text("a = 2")
    assert before != agreement.code_digest(str(path))


def test_a_checkpoint_of_another_run_is_not_continued():
    facts = {"run": {"batch": 8, "seed": 0}, "data": "d", "code": "c"}
    found = Checkpoint(5, {}, facts)
    agreement.check_checkpoint(found, facts | {"code": "changed"})
    for other, told in (({"run": {"batch": 4, "seed": 0}}, "batch 8, now 4"), ({"data": "e"}, "other data")):
        with pytest.raises(ValueError, match=rf"^the checkpoint of step 5 is of another run \({told}\);"):
            agreement.check_checkpoint(found, facts | other)


def test_batch_norm_is_not_shared_out():
    for half in train.halves(resnet, resnet.resnet20(16, 1), train.Recipe()):
        engines.check_shareable(half, engines.Alone())
        two = engines.Alone()
        two.size = 2
        with pytest.raises(ValueError, match=r"^this network has BatchNorm"):
            engines.check_shareable(half, two)


# --- checkpoints -----------------------------------------------------------------------------------


def kept(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_two_checkpoints_are_kept_and_nothing_else(tmp_path):
    for step in (1, 2, 10):
        checkpoints.write(tmp_path, Checkpoint(step, {"a": np.full(3, step, np.float32)}, {"b": [step]}))
    assert kept(tmp_path) == ["step-000000002.safetensors", "step-000000010.safetensors"]
    found, problems = checkpoints.newest(tmp_path)
    assert (found.step, found.facts["b"], problems) == (10, [10], [])
    np.testing.assert_array_equal(found.arrays["a"], np.full(3, 10, np.float32))


@pytest.mark.parametrize(
    "spoil", [lambda c: c[:-1], lambda c: c[:-1] + bytes([c[-1] ^ 1]), lambda c: b"", None]
)
def test_every_kind_of_damage_is_noticed(tmp_path, spoil):
    good = {"a": np.arange(4, dtype=np.float32), "b": np.zeros((), np.uint64)}
    checkpoints.write(tmp_path, Checkpoint(1, good, {}))
    path = checkpoints.write(tmp_path, Checkpoint(2, good, {}))
    content = path.read_bytes()
    path.write_bytes(spoil(content) if spoil else content.replace(b'\\"step\\": 2', b'\\"step\\": 3'))
    assert path.read_bytes() != content
    found, problems = checkpoints.newest(tmp_path)
    assert found.step == 1
    assert [problem.startswith("step-000000002.safetensors is corrupt: ") for problem in problems] == [True]
    checkpoints.set_aside(tmp_path)
    assert kept(tmp_path) == ["step-000000001.safetensors", "step-000000002.corrupt"]


def test_a_full_disk_leaves_the_checkpoints_as_they_were(tmp_path, monkeypatch):
    checkpoints.write(tmp_path, Checkpoint(1, {"a": np.zeros(2)}, {}))

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.write(tmp_path, Checkpoint(2, {"a": np.zeros(2)}, {}))
    assert kept(tmp_path) == ["step-000000001.safetensors"]


@pytest.mark.parametrize("index", [0, 1], ids=["mlx", "torch"])
def test_a_restored_half_trains_on_as_if_nothing_had_been(index, tmp_path):
    """Bit for bit, with the optimizer's moments and its count of steps."""
    rng = np.random.default_rng(0)
    batches = [lm.example(lm.tiny(), rng, 4) for _ in range(6)]
    whole, before, after = (train.halves(lm, lm.tiny(), train.Recipe(), seed)[index] for seed in (0, 0, 1))
    losses = train.fit(whole, batches)
    train.fit(before, batches[:3])
    arrays, facts = states.state(before)
    checkpoints.write(tmp_path, Checkpoint(3, arrays, facts))
    found, _ = checkpoints.newest(tmp_path)
    states.restore(after, found.arrays, found.facts)
    assert train.fit(after, batches[3:]) == losses[3:]
    assert BOTH[index] is after.framework
    with pytest.raises(ValueError, match="missing"):
        states.restore(after, states.under("x", found.arrays), found.facts)
