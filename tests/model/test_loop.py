"""What passes between loops, against a forward pass that is written by hand from the definitions."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from perturbed import images_of, perturbed

from sret_search.architecture import NLL, Architecture, ArchitectureError, Loop, Residual, Stage
from sret_search.cost import cost
from sret_search.model import SReT, rerun
from sret_search.model.loop import GatedInjection, sinusoids

torch.set_num_threads(1)

PLAIN = Architecture(
    image_size=8, in_channels=1, classes=5, stem_strides=(2,),
    stages=(Stage(width=8, heads=2, unique=2, loops=3, mlp_ratio=1.5),),
    nll=NLL("none"), residual=Residual("scaled"),
)  # fmt: skip
ALL_LOOPS = [
    Loop(injection, embedding, readout, streams)
    for injection, embedding, readout, streams in (
        ("none", "none", "last", 1),
        ("add", "none", "mean", 1),
        ("linear", "sinusoidal", "weighted", 1),
        ("gate", "learned", "each", 1),
        ("none", "film", "last", 2),
        ("add", "film", "mean", 3),
        ("gate", "sinusoidal", "weighted", 2),
        ("linear", "learned", "last", 4),
    )
]


def _layer_norm(x, weight, bias):
    centred = x - x.mean(-1, keepdim=True)
    return weight * centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt() + bias


def _attention(x, block):
    tokens, width = x.shape[1:]
    q, k, v = (
        part.view(-1, tokens, block.heads, width // block.heads).transpose(1, 2)
        for part in (x @ block.qkv.weight.T + block.qkv.bias).chunk(3, -1)
    )
    scores = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
    mixed = (scores @ v).transpose(1, 2).reshape(-1, tokens, width)
    return mixed @ block.proj.weight.T + block.proj.bias


def _mlp(x, block):
    hidden = F.gelu(x @ block.mlp.fc1.weight.T + block.mlp.fc1.bias)
    return hidden @ block.mlp.fc2.weight.T + block.mlp.fc2.bias


def _execution(x, block, loop, a):
    """A block with its norms, its embedding and its residual additions."""
    width, kind = x.shape[-1], a.loop.embedding
    vector = torch.zeros(width)
    film = torch.zeros(4, width, dtype=x.dtype)
    if kind == "sinusoidal":
        half = (width + 1) // 2
        angles = torch.tensor([loop / 10_000 ** (i / half) for i in range(half)])
        vector = torch.cat([angles.sin(), angles.cos()])
    elif kind == "learned":
        vector = block.embeddings[loop]
    elif kind == "film":
        angles = torch.tensor([loop / 10_000 ** (i / 8) for i in range(8)], dtype=x.dtype)
        film = block.films[0].weight_4DF @ torch.cat([angles.sin(), angles.cos()])
    branches = (
        (_attention, block.norm1[0], block.after1, block.add1, film[:2]),
        (_mlp, block.norm2[0], block.after2, block.add2, film[2:]),
    )
    for branch, norm, after, add, (scale, shift) in branches:
        y = _layer_norm(x + vector, norm.weight, norm.bias)
        y = branch(y * (1 + scale) + shift, block)
        if a.norm == "sandwich":
            y = _layer_norm(y, after[0].weight, after[0].bias)
        is_learnt = a.residual.kind == "lrc"
        x = add.skip * x + add.branch * y if is_learnt else x + add.scale * y
    return x


def _by_hand(model, images):
    """Logits of the definitions: of the readout, and after each loop."""
    a = model.architecture
    [stage], loop = model.stages, a.loop
    e = (model.stem(images) + model.positions_1DSS).flatten(2).transpose(1, 2)
    streams = [e] * loop.streams

    def read():
        return (
            streams[0]
            if loop.streams == 1
            else sum(
                weight * stream
                for weight, stream in zip(stage.streams.read_K, streams, strict=True)
            )
        )

    blocks, unique = range(a.stages[0].unique), a.stages[0].unique
    loops = range(a.stages[0].loops)
    order = [(b, i) for b in blocks for i in loops]
    if a.order == "cycle":
        order = [(b, i) for i in loops for b in blocks]
    ends = []
    for b, i in order:
        z = before = read()
        if i > 0 and (a.order == "sequence" or b == 0):
            if loop.injection == "add":
                z = z + e
            elif loop.injection == "linear":
                module = stage.injector
                z = z + e + z @ module.state_DD.T + e @ module.input_DD.T
            elif loop.injection == "gate":
                z = torch.exp(-torch.exp(stage.injector.rate_D)) * z + stage.injector.input_D * e
        z = _execution(z, stage.blocks[b], i, a)
        if loop.streams == 1:
            streams = [z]
        else:
            mix = torch.eye(loop.streams) + stage.streams.mix_KK
            streams = [
                sum(mix[k, j] * streams[j] for j in range(loop.streams))
                + stage.streams.write_K[k] * (z - before)
                for k in range(loop.streams)
            ]
        if b == unique - 1:
            ends.append(read().mean(1))
    if loop.readout == "mean":
        pooled = sum(ends) / len(ends)
    elif loop.readout == "weighted":
        pooled = sum(s * end for s, end in zip(model.readout_L.softmax(0), ends, strict=True))
    else:
        pooled = ends[-1]
    heads = [model.head(model.norm(each)) for each in (pooled, *ends)]
    return heads[0], torch.stack(heads[1:])


@pytest.mark.parametrize("order", ["sequence", "cycle"])
@pytest.mark.parametrize("norm", ["pre", "sandwich"])
@pytest.mark.parametrize("loop", ALL_LOOPS, ids=lambda loop: "-".join(map(str, (
    loop.injection, loop.embedding, loop.readout, loop.streams))))  # fmt: skip
def test_a_network_computes_its_definition(loop, norm, order):
    kind = "lrc" if norm == "sandwich" else "scaled"
    a = replace(PLAIN, loop=loop, norm=norm, order=order, residual=Residual(kind))
    model = perturbed(a).eval()
    logits, by_loop = _by_hand(model, images_of(a))
    torch.testing.assert_close(model(images_of(a)), logits, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(model.by_loop(images_of(a)), by_loop, rtol=1e-6, atol=1e-7)


def test_an_added_input_of_zeros_changes_nothing():
    plain, added = (perturbed(replace(PLAIN, loop=Loop(kind))) for kind in ("none", "add"))
    zeros = torch.zeros(2, 16, 8, dtype=torch.float64)
    assert torch.equal(plain.stages[0](zeros).x, added.stages[0](zeros).x)
    ones = torch.ones_like(zeros)
    assert not torch.allclose(plain.stages[0](ones).x, added.stages[0](ones).x)


def test_a_weighted_readout_of_the_last_loop_alone_is_the_last():
    a = replace(PLAIN, loop=Loop(readout="weighted"))
    model = perturbed(a).eval()
    with torch.no_grad():
        model.readout_L.copy_(torch.tensor([-1e9, -1e9, 0.0]))
    last = SReT(PLAIN).double().eval()
    weights = model.state_dict()
    del weights["readout_L"]
    last.load_state_dict(weights)
    torch.testing.assert_close(model(images_of(a)), last(images_of(a)), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("loop", "as_without"),
    [
        (Loop("linear"), Loop("add")),
        (Loop(embedding="learned"), Loop()),
        (Loop(embedding="film"), Loop()),
        (Loop(streams=3), Loop()),
        (Loop(readout="weighted"), Loop(readout="mean")),
        (Loop(readout="each"), Loop()),
    ],
)  # fmt: skip
def test_what_is_learnt_changes_nothing_at_first(loop, as_without):
    models = []
    for each in (loop, as_without):
        torch.manual_seed(0)
        models.append(SReT(replace(PLAIN, loop=each)).double().eval())
    images = images_of(PLAIN)
    torch.testing.assert_close(models[0](images), models[1](images), rtol=1e-10, atol=1e-12)


def test_a_gate_stays_between_zero_and_one():
    gate = GatedInjection(5, loops=4).double()
    state, zeros = torch.ones(1, 1, 5, dtype=torch.float64), torch.zeros(1, 1, 5)
    with torch.no_grad():
        # At first four loops halve the state.
        torch.testing.assert_close(gate(state, zeros) ** 4, state / 2)
        gate.rate_D.copy_(torch.tensor([-50.0, -1.0, 0.0, 1.0, 50.0]))
        kept = gate(state, zeros)
    assert ((kept >= 0) & (kept <= 1)).all()
    assert kept[0, 0].diff().max() < 0


def test_the_gradient_reaches_a_closed_gate_s_input():
    gate = GatedInjection(3, loops=2)
    gate(torch.randn(2, 4, 3), gate.prepare(torch.randn(2, 4, 3))).sum().backward()
    assert gate.input_D.grad.abs().min() > 0
    assert gate.rate_D.grad.abs().min() > 0


@pytest.mark.parametrize("loop", [Loop("gate"), Loop("linear", streams=2), Loop(embedding="film")])
def test_the_same_weights_run_at_any_number_of_loops(loop):
    a = replace(PLAIN, loop=loop)
    model = perturbed(a).eval()
    deeper = rerun(model, a.at_loops(5))
    wanted = model.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in deeper.state_dict().items())
    once = rerun(model, a.at_loops(1))
    assert set(once.state_dict()) < set(wanted)
    assert once(images_of(a)).isfinite().all()
    generator = torch.random.get_rng_state()
    again = rerun(once, a)
    assert torch.equal(generator, torch.random.get_rng_state())
    assert again.state_dict().keys() == wanted.keys()
    assert again(images_of(a)).isfinite().all()


def test_vectors_of_loops_fit_one_number_of_loops():
    for loop in (Loop(embedding="learned"), Loop(readout="weighted")):
        a = replace(PLAIN, loop=loop)
        with pytest.raises(ValueError, match="same weights"):
            rerun(SReT(a), a.at_loops(5))


def test_a_stage_that_runs_once_has_nothing_for_loops():
    loop = Loop("linear", "learned", "weighted", streams=3)
    once = replace(PLAIN.at_loops(1), loop=loop)
    assert cost(once) == cost(PLAIN.at_loops(1))
    assert SReT(once).state_dict().keys() == SReT(PLAIN.at_loops(1)).state_dict().keys()


def test_sinusoids_are_those_of_the_transformer():
    assert sinusoids(0, 4).tolist() == [0, 0, 1, 1]
    expected = torch.tensor([3.0, 0.03]).sin(), torch.tensor([3.0, 0.03]).cos()
    torch.testing.assert_close(sinusoids(3, 4), torch.cat(expected))
    assert len(sinusoids(3, 5)) == 5


def test_streams_keep_the_precision_of_the_state():
    a = replace(PLAIN, loop=Loop(streams=2))
    model = SReT(a).eval()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        stage = model.stages[0]
        x = torch.randn(2, 16, 8)
        assert stage(x).x.dtype == torch.float32
        # A change of one part in a thousand is lost in bfloat16.
        split = stage.streams.split(x)
        changed = stage.streams.write(split, x * 1e-3)
        torch.testing.assert_close(stage.streams.read(changed), x * 1.001)


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"loop": Loop("concat")}, ("loop", "injection"), "must be one of none, add, linear, gate"),
        ({"loop": Loop(embedding="x")}, ("loop", "embedding"), "but got 'x'"),
        ({"loop": Loop(readout="x")}, ("loop", "readout"), "last, mean, weighted, each"),
        ({"loop": Loop(streams=0)}, ("loop", "streams"), "1 <= streams <= 16"),
        ({"loop": Loop(streams=17)}, ("loop", "streams"), "but got 17"),
        ({"norm": "post"}, ("norm",), "must be one of pre, sandwich"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(changes, path, message):
    with pytest.raises(ArchitectureError, match=message) as error:
        replace(PLAIN, **changes)
    assert error.value.path == path
