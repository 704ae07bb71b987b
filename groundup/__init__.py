"""groundup: your text in, your chatbot out. Start reading at `pipeline.py`."""

__version__ = "0.1.0"
