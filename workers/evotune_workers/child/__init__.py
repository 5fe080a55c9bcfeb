"""The killable child process in which untrusted builds are loaded and launched."""
