"""Recorded spaces: tables of what every configuration took, in place of a compiler and a device."""

from evotune.replay.recording import Recording, RecordingError
from evotune.replay.recording_file import load_recording, load_recordings

__all__ = ["Recording", "RecordingError", "load_recording", "load_recordings"]
