"""One function per rule: files in, files out. The workflow's scripts call only these."""
