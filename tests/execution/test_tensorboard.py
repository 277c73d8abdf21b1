"""What TensorBoard would read of a trial."""

import struct
from dataclasses import replace

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from sret_search.artifacts.names import TENSORBOARD
from sret_search.execution.tensorboard import Events
from sret_search.training.results import EpochMetrics


def _metrics(epoch):
    return EpochMetrics(
        epoch=epoch, step=5 * epoch, train_loss=2.0 / epoch, val_loss=3.0 / epoch,
        val_accuracy=0.25 * epoch, seconds=1.5 * epoch,
    )  # fmt: skip


def _read(folder):
    """All scalars in a folder's event files: (name, step, value), in the order of writing."""
    found = []
    for path in sorted(folder.glob("*tfevents*")):
        content = path.read_bytes()
        while content:
            size, sum_of_size = struct.unpack_from("<QI", content)
            record, (sum_of_record,) = (
                content[12 : 12 + size],
                struct.unpack_from("<I", content, 12 + size),
            )
            assert sum_of_size == masked_crc32c(content[:8])
            assert sum_of_record == masked_crc32c(record)
            event = Event.FromString(record)
            found += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
            content = content[16 + size :]
    return found


def _expected(*epochs):
    names = ("train_loss", "val_loss", "val_accuracy", "seconds")
    return [
        (name, 5 * epoch, pytest.approx(getattr(_metrics(epoch), name)))
        for epoch in epochs
        for name in names
    ]


def test_each_epoch_is_there_at_its_step_as_soon_as_it_is_written(tmp_path):
    events = Events(tmp_path / "attempt-1")
    for epoch in (1, 2):
        events.epoch(_metrics(epoch))
        assert _read(tmp_path / "attempt-1" / "tensorboard") == _expected(*range(1, epoch + 1))
    events.close()
    assert _read(tmp_path / "attempt-1" / "tensorboard") == _expected(1, 2)


def test_what_else_is_measured_is_there_too(tmp_path):
    events = Events(tmp_path)
    events.epoch(replace(_metrics(1), test_loss=0.5, test_accuracy=0.125))
    events.close()
    *known, loss, accuracy = _read(tmp_path / TENSORBOARD)
    assert known == _expected(1)
    assert (loss, accuracy) == (("test_loss", 5, 0.5), ("test_accuracy", 5, 0.125))


def test_attempts_of_a_trial_together_have_each_epoch_once(tmp_path):
    for attempt, epochs in (("attempt-1", (1, 2)), ("attempt-2", (3,))):
        events = Events(tmp_path / attempt)
        for epoch in epochs:
            events.epoch(_metrics(epoch))
        events.close()
    folders = sorted(tmp_path.glob(f"*/{TENSORBOARD}"))
    assert [scalar for folder in folders for scalar in _read(folder)] == _expected(1, 2, 3)


def test_a_folder_that_cannot_be_written_is_an_os_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        Events(tmp_path / "file")
