"""Plan of a study before it runs: trainings, hours, disk, and checks of its inputs."""
