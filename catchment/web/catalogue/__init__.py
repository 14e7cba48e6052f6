"""The catalogue of pings: the list (`entries`), a doctype's page in its parts, and the editor, whose checks run in a
process of their own (`check`, `worker`)."""
