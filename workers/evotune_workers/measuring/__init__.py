"""One measuring job from start to end."""
