"""The engine: devices, processes, input, checkpoints, logs, signals."""
