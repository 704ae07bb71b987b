"""The page: watch runs, talk to them, look inside. NiceGUI on the server's own application, under `/ui`.

It needs the optional packages of `groundup[ui]`, and reads runs through `report/gather.py` alone; what acts is handed
in by the command line.
"""
