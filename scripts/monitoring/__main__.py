"""``python -m scripts.monitoring``: write the dashboards and rules under docker/ anew."""

from scripts.monitoring.files import ROOT, files

for path, text in files().items():
    (ROOT / path).write_text(text, encoding="utf-8")
    print(path)
