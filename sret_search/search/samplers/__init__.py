"""Samplers: functions of the trials so far that choose the next candidate to train."""
