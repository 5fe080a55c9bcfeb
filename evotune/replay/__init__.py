"""Searches of recorded spaces: a table of measured times takes the place of compiler and device."""

from evotune.replay.recording import Recording, RecordingError
from evotune.replay.recording_file import load_recording, load_recordings

__all__ = ["Recording", "RecordingError", "load_recording", "load_recordings"]
