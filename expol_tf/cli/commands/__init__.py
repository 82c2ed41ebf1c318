"""The command lines, a file a program."""
