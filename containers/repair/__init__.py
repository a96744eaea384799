"""Repair: the files of a container that is not booted, read and changed from the panel.

`files` is the one door to them; `paths` and `text` know their names and their content,
`uploads` and `downloads` how much may come in and go out.
"""
