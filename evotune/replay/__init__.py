"""Recorded spaces: tables of what every configuration took, in place of a compiler and a device."""

from evotune.replay.reading import load_recording, load_recordings
from evotune.replay.recording import Recording, RecordingError

__all__ = ["Recording", "RecordingError", "load_recording", "load_recordings"]
