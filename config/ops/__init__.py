"""What runs and guards an installation: the supervisor and its programs, commands, checks, logs, files, probes."""
