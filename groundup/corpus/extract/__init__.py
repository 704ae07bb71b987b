"""What takes the text out of a web page, one file a method: `corpus.extract = "resiliparse"` picks one."""
