"""What keeps 1000 executions in hand: a monitor, and compiling that does not grow with depth."""

import itertools
import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from sret_search.architecture import NLL, Architecture, Relax, Residual, Stage
from sret_search.model import SReT, depth_profile

torch.set_num_threads(1)

DEEP = Architecture(
    image_size=8, in_channels=1, classes=5, stem_strides=(1, 2),
    stages=(Stage(8, 2, unique=2, loops=3, groups=(4, 2)), Stage(16, 2, unique=1, loops=4)),
    nll=NLL("block"), permutation="stride",
)  # fmt: skip


def _with_loops(a, loops):
    return replace(a, stages=tuple(replace(stage, loops=loops) for stage in a.stages))


def _images():
    return torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_each_execution_s_update_is_measured():
    model = SReT(DEEP).eval()
    passed = []
    for stage in model.stages:
        for block in stage.blocks:
            block.register_forward_pre_hook(lambda module, args: passed.append(args[0]))
        stage.register_forward_hook(lambda module, args, out: passed.append(out.x))
    profile = depth_profile(model, _images())
    assert len(profile.updates) == DEEP.executions == 10
    first = passed[:7]  # six inputs and the output of the first stage
    by_hand = [((b - a).norm() / a.norm()).item() for a, b in itertools.pairwise(first)]
    assert profile.updates[:6] == pytest.approx(by_hand, rel=1e-5)
    assert profile.is_finite


def test_angles_and_distances_are_those_of_the_states():
    model = SReT(DEEP).eval()
    passed = [[], []]
    for stage, states in zip(model.stages, passed, strict=True):
        for block in stage.blocks:
            block.register_forward_pre_hook(lambda module, args, to=states: to.append(args[0]))
        stage.register_forward_hook(lambda module, args, out, to=states: to.append(out.x))
    with torch.no_grad():
        model(_images())
    by_hand = [list(states) for states in passed]
    profile = depth_profile(model, _images())
    angles, distances = [], []
    for states in by_hand:
        updates = [(b - a).double().flatten() for a, b in itertools.pairwise(states)]
        angles.append(None)
        for one, other in itertools.pairwise(updates):
            cosine = (one @ other / (one.norm() * other.norm())).item()
            angles.append(math.degrees(math.acos(cosine)))
        distances += [((z - states[-1]).norm() / states[-1].norm()).item() for z in states[1:]]
    assert [angle is None for angle in profile.angles] == [angle is None for angle in angles]
    found, wanted = ([a for a in each if a is not None] for each in (profile.angles, angles))
    assert len(found) == 8
    assert found == pytest.approx(wanted, abs=0.01)
    assert profile.distances == pytest.approx(distances, rel=1e-5)
    assert profile.distances[5] == profile.distances[9] == 0
    assert min(profile.distances[:5]) > 0


def test_the_monitor_sees_one_draw_of_the_permutations_and_takes_it_from_the_stream_once():
    model = SReT(replace(DEEP, permutation="official")).eval()
    torch.manual_seed(3)
    profile = depth_profile(model, _images())
    after = torch.rand(1)
    assert profile.distances[5] == profile.distances[9] == 0
    torch.manual_seed(3)
    with torch.no_grad():
        model(_images())
    assert torch.equal(after, torch.rand(1))


def test_without_an_update_there_is_no_angle():
    model = SReT(DEEP).eval()
    with torch.no_grad():
        for module in (*model.stages[1].blocks, *model.stages[1].nlls):
            for name, weight in module.named_parameters():
                if name.endswith("branch"):
                    weight.zero_()
    assert depth_profile(model, _images()).angles[6:] == [None] * 4


@pytest.mark.parametrize("order", ["sequence", "cycle"])
@pytest.mark.parametrize("loops", [1, 4, (1, 3, 3), (2, 2, 1)])
def test_the_head_reads_the_state_after_each_loop_of_the_block_that_runs_last(order, loops):
    unique = 3 if isinstance(loops, tuple) else 2
    last = Stage(16, 2, unique=unique, loops=loops)
    a = replace(DEEP, stages=(DEEP.stages[0], last), order=order)
    model = SReT(a).eval()
    passed = []
    for block in model.stages[1].blocks:
        block.register_forward_pre_hook(lambda module, args: passed.append((module, args[0])))
    model.stages[1].register_forward_hook(lambda module, args, out: passed.append((None, out.x)))
    with torch.no_grad():
        out = model(_images())
        states = list(passed)
        read = model.by_loop(_images())
    assert torch.equal(read[-1], out)
    block = model.stages[1].blocks[a.schedule(last)[-1].block]
    ends = [i + 1 for i, (module, _) in enumerate(states) if module is block]
    assert model.loop_ends == [6 + end for end in ends]
    assert model.loop_ends[-1] == a.executions
    for logits, end in zip(read, ends, strict=True):
        x_BND = states[end][1]
        torch.testing.assert_close(logits, model.head(model.norm(x_BND.mean(1))))


def test_the_head_reads_each_loop_with_one_draw_of_the_permutations():
    last = Stage(16, 2, loops=4, groups=(1, 2))
    model = SReT(replace(DEEP, stages=(DEEP.stages[0], last), permutation="official")).eval()
    with torch.no_grad():
        torch.manual_seed(3)
        read = model.by_loop(_images())
        torch.manual_seed(3)
        assert torch.equal(read[-1], model(_images()))


def test_the_monitor_leaves_no_hook_behind():
    model = SReT(DEEP).eval()
    depth_profile(model, _images())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_skip_gains_multiply_over_all_executions():
    model = SReT(DEEP)
    with torch.no_grad():
        model.stages[0].blocks[0].add1.skip.fill_(2.0)
        model.stages[1].nlls[0].add.skip.fill_(0.5)
    gains = depth_profile(model, _images()).skip_gains
    assert gains == [2, 4, 8, 8, 8, 8, 4, 2, 1, 0.5]


def test_gains_that_explode_or_vanish_are_seen():
    for gain, seen in ((1.003, True), (1e9, False), (1e-9, False)):
        model = SReT(_with_loops(DEEP, 100)).eval()
        with torch.no_grad():
            for block in model.stages[0].blocks:
                block.add1.skip.fill_(gain)
        assert depth_profile(model, _images()).is_finite == seen, gain


def test_scaled_residuals_keep_a_thousand_executions_in_bounds():
    def last_norm(residual, loops):
        torch.manual_seed(0)
        model = SReT(replace(_with_loops(DEEP, loops), residual=residual)).eval()
        found = []
        model.norm.register_forward_pre_hook(lambda module, args: found.append(args[0].norm()))
        profile = depth_profile(model, _images())
        return found[0].item(), sum(profile.updates)

    shallow, _ = last_norm(Residual("scaled"), 4)
    deep, way = last_norm(Residual("scaled"), 334)
    plain, plain_way = last_norm(Residual("scaled", p=0.0, q=0.0), 334)
    assert deep == pytest.approx(shallow, rel=0.1)
    assert plain > 10 * deep
    assert plain_way > 2 * way


@pytest.mark.parametrize("budget", [sys.maxsize, 0], ids=["kept", "recomputed"])
def test_a_thousand_executions_are_finite_in_bfloat16(budget):
    stages = (Stage(16, 2, unique=2, loops=250, groups=(4, 2)), Stage(32, 2, unique=1, loops=500))
    a = replace(DEEP, stages=stages, residual=Residual("scaled"), drop_path=0.1)
    assert a.executions == 1000
    torch.manual_seed(0)
    model = SReT(a, budget).train()
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(_images())
    loss = torch.nn.functional.cross_entropy(logits.float(), torch.arange(3))
    loss.backward()
    assert math.isfinite(loss.item())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # read by the compiler
@pytest.mark.parametrize("relax", [Relax(), Relax(norm=True, gain=True, lora=2, experts=2)])
def test_compiling_does_not_grow_with_depth(relax):
    counts = []
    for loops in (2, 20):
        torch._dynamo.reset()
        torch.manual_seed(0)
        model = SReT(replace(_with_loops(DEEP, loops), relax=relax, drop_path=0.1)).train()
        torch.manual_seed(1)
        wanted = model(_images())
        counter = CompileCounterWithBackend("aot_eager")
        model.compile_blocks(counter)
        torch.manual_seed(1)
        found = model(_images())
        torch.testing.assert_close(found, wanted)
        found.sum().backward()
        counts.append(counter.frame_count)
    torch._dynamo.reset()
    # 4 groups as they lie, without stochastic depth (the first execution) and with it; 2 groups,
    # permuted; the second stage.
    assert counts == [4, 4]


def test_recomputing_is_known_beforehand():
    a = _with_loops(DEEP, 50)
    assert not SReT(a).recomputes(batch=3)
    assert SReT(a, memory_budget=0).recomputes(batch=3)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_freed_blocks_go_back_to_the_system():
    code = (
        "import resource, torch\n"
        "from sret_search.model import map_large_blocks\n"
        "def pages(): return int(open('/proc/self/statm').read().split()[1])\n"
        "assert map_large_blocks()\n"
        "before = pages()\n"
        "blocks = [torch.ones(2**19) for _ in range(100)]\n"
        "kept = [torch.ones(100) for _ in range(100)]\n"
        "full = pages()\n"
        "del blocks\n"
        "page = resource.getpagesize()\n"
        "print(round((full - before) * page / 2**20), round((pages() - before) * page / 2**20))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    full, left = map(int, done.stdout.split())
    assert full >= 195
    assert left < 20
