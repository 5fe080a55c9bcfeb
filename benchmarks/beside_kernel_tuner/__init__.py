"""What kernel_tuner_h200.py needs to have Kernel Tuner search the same space for the same kernel."""
