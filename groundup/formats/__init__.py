"""In and out of the house: one file, one format; the file's name is what `groundup export --to` takes."""

BESIDES = ("incoming", "parity", "publish")
"""Files that are no format (`config.Folder`): the way in, the comparison with readers, the order of an export."""
