"""What a run made, on a page for people: ``facts`` are read, judged, drawn and written, one way."""
