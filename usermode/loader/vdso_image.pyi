# The build writes this module (packaging/static/freeze.py); a source tree has none.
IMAGE: bytes
