"""Loading a build and launching it; one file a kind of device."""
