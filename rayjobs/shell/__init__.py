"""What belongs to a shell: the `rayfold` command, its completion, a new project, a look at the machine."""
