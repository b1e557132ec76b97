"""What is collected here."""

#: Needs onnxruntime, which only the making of two committed files does.
collect_ignore = ["make_quantised.py"]
