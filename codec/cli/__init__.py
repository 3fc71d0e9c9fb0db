"""Parsing of arguments, messages and standard streams for every command, `cae-train` included."""
