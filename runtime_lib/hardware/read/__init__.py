"""Reading a machine: what it is and what it is doing, from files, commands and frameworks."""
