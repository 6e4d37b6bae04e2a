"""The world outside: mail, files. Each module has a Protocol, the real one and the local one."""
